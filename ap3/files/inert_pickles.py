"""Pickles read as data: nothing that they name is imported, called or made.

A pickle is a program for a small machine with a stack. Python's own machine calls what the program
names, and torch's careful one (`weights_only`) still makes whatever size of tensor or array is
asked for. This one knows names as words only: a few of them, those of tensors, arrays and inert
objects, stand for a description of what would have been made, and every other one is refused by
its name. The operations are read by the standard library's `pickletools`.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ap3.files.safe_names import safe

_LONGEST_TEXT = 1000
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "numpy.core": "numpy._core"}


class MalformedError(ValueError):
    """The bytes are no pickle, or one that torch would not have written."""


class RefusedError(Exception):
    """The pickle names something that is not known to be inert; the message is the name."""


@dataclass(frozen=True)
class Name:
    """The address of a class or function, as a word."""

    path: str


@dataclass(frozen=True)
class Inert:
    """What was made of an inert class: not there, and not needed."""

    path: str


@dataclass(frozen=True)
class Storage:
    """The memory of tensors: its key in the file, its type, its count of numbers."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Strided:
    """A tensor: numbers of a storage, from `offset` on, in steps of `stride`."""

    dtype: str
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    is_negated: bool = False


@dataclass(frozen=True)
class Sparse:
    """A sparse tensor of torch: the names of its layout and the tensors that it consists of."""

    layout: str
    parts: tuple[Strided, ...]
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Quantised:
    """A tensor of codes: (codes − zero point) · scale, per tensor or along an axis."""

    codes: Strided
    scale: float | Strided
    zero_point: int | Strided
    axis: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights."""
        return self.codes.shape

    @property
    def dtype(self) -> str:
        """Type of the weights when the scale is multiplied in."""
        return "float32"


@dataclass(frozen=True)
class Meta:
    """A tensor on the meta device, which holds no numbers."""

    dtype: str
    shape: tuple[int, ...]


@dataclass
class Array:
    """An array of NumPy, filled in by the state that follows it in the pickle."""

    dtype: str = ""
    shape: tuple[int, ...] = ()
    is_fortran: bool = False
    content: bytes | bytearray | str = b""


@dataclass
class _Dtype:
    code: str
    order: str = "="


TENSORS = (Strided, Sparse, Quantised, Meta, Array)
Tensor = Strided | Sparse | Quantised | Meta | Array


def read(file: BinaryIO, storages: dict[str, Storage] | None = None) -> Any:
    """Read one pickle: dictionaries, lists, texts, numbers, and descriptions of the rest.

    Parameters
    ----------
    file
        Open at the pickle's first byte; left behind its last.
    storages
        Filled with all storages that the pickle refers to, by their keys.

    Raises
    ------
    RefusedError
        If the pickle names what is not known to be inert.
    MalformedError
        If it is no pickle.
    """
    machine = _Machine({} if storages is None else storages)
    try:
        for operation, argument, _ in pickletools.genops(file):
            if operation.name == "STOP":
                return machine.pop()
            machine.run(operation.name, argument)
    except RefusedError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise MalformedError(safe(" ".join(str(error).split())[:120])) from error
    raise MalformedError("the pickle has no end")


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,  # members may be endless to hash, so a set is a list here
    "EMPTY_TUPLE": tuple,
}
_NUMBERS_AND_TEXTS = frozenset(
    (
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    )
)
_IGNORED = frozenset(("PROTO", "FRAME"))


@dataclass
class _Machine:
    """Stack and memory of the machine; an operation does what its name says in pickletools."""

    storages: dict[str, Storage]
    stack: list[Any] = field(default_factory=list)
    below: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self) -> Any:
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def run(self, name: str, argument: Any) -> None:
        if name in _NUMBERS_AND_TEXTS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name not in _IGNORED:
            getattr(self, f"_{name.lower()}", self._unknown)(argument)

    def _unknown(self, _: Any) -> None:
        raise MalformedError("an operation that torch.save never writes")

    def _mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _binget = _long_binget = _get

    def _tuple(self, _: Any) -> None:
        items = tuple(self.since_mark())
        self.stack.append(items)

    def _tuple1(self, _: Any) -> None:
        self.stack[-1:] = [tuple(self.stack[-1:])]

    def _tuple2(self, _: Any) -> None:
        self._last_as_tuple(2)

    def _tuple3(self, _: Any) -> None:
        self._last_as_tuple(3)

    def _last_as_tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise MalformedError("the stack is too short")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _list(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append(items)

    _frozenset = _list

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self.since_mark())

    _additems = _appends

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(items)

    def _dict(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append({})
        self._update(items)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self.since_mark())

    def _update(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is dict:
            self.stack[-1].update(
                (_key(key), value) for key, value in zip(items[::2], items[1::2], strict=True)
            )

    def _global(self, address: str) -> None:
        self.stack.append(_known(*address.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_known(module, name))

    def _binpersid(self, _: Any) -> None:
        storage = _storage(self.stack.pop())
        self.storages[storage.key] = storage
        self.stack.append(storage)

    def _reduce(self, _: Any) -> None:
        arguments, made = self.stack.pop(), self.stack.pop()
        self.stack.append(_made(made, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()
        self._reduce(_)

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Array):
            _fill(self.stack[-1], state)
        elif isinstance(self.stack[-1], _Dtype):
            self.stack[-1].order = _text(state[1])


def _key(key: Any) -> Any:
    """Take texts and small numbers as keys; what may be endless to compare becomes a key of its own."""
    if isinstance(key, str | bool | float | type(None)):
        return key
    return key if isinstance(key, int) and key.bit_length() <= 64 else object()


def _known(module: Any, name: Any) -> Name:
    """Turn an address into a word, refused unless it is known to be inert."""
    module, name = _text(module), _text(name)
    for old, new in _RENAMED.items():
        if module == old or module.startswith(f"{old}."):
            module = new + module.removeprefix(old)
    path = f"{module}.{name}"
    if path not in _MAKERS and path not in _INERT and not _is_type_of_torch(path):
        raise RefusedError(path)
    return Name(path)


_INERT = frozenset(
    (
        "argparse.Namespace",
        "types.SimpleNamespace",
        "copyreg._reconstructor",
        "datetime.datetime",
        "datetime.date",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.PurePath",
        "pathlib.PurePosixPath",
        "pathlib.PureWindowsPath",
        "pathlib.WindowsPath",
        "pathlib._local.Path",
        "pathlib._local.PosixPath",
        "pathlib._local.PurePath",
        "pathlib._local.PurePosixPath",
        "pathlib._local.PureWindowsPath",
        "pathlib._local.WindowsPath",
        "builtins.object",
        "builtins.bool",
        "builtins.int",
        "builtins.float",
        "builtins.complex",
        "builtins.str",
        "builtins.bytes",
        "builtins.bytearray",
        "builtins.tuple",
        "builtins.slice",
        "builtins.range",
        "numpy._core.multiarray.scalar",
        "numpy.ndarray",
        "numpy.random._pickle.__randomstate_ctor",
        "torch.device",
        "torch.Tensor",
        "torch.nn.parameter.Parameter",
        "torch.nn.parameter.Buffer",
        "torch.per_tensor_affine",
        "torch.per_channel_affine",
        "torch.per_tensor_symmetric",
        "torch.per_channel_symmetric",
        "torch.strided",
        "torch.contiguous_format",
        "torch.torch_version.TorchVersion",
    )
)
"""Classes that stand beside weights in training loops; none of them is ever made."""


def _is_type_of_torch(path: str) -> bool:
    """Recognise `torch.float32`, `torch.FloatStorage` and their like."""
    return path.startswith("torch.") and (
        path.removeprefix("torch.") in _TYPES or _storage_type(path) is not None
    )


_TYPES = frozenset(
    (
        "float16",
        "float32",
        "float64",
        "bfloat16",
        "half",
        "float",
        "double",
        "bool",
        "complex32",
        "complex64",
        "complex128",
        "uint8",
        "int8",
        "int16",
        "int32",
        "int64",
        "short",
        "int",
        "long",
        "uint16",
        "uint32",
        "uint64",
        "qint8",
        "quint8",
        "qint32",
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float4_e2m1fn_x2",
    )
)
_STORAGES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "QInt8": "int8",
    "QUInt8": "uint8",
    "QInt32": "int32",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "Untyped": "uint8",
}


def _storage_type(path: str) -> str | None:
    """Name the type of numbers in a class of storages."""
    module, _, name = path.rpartition(".")
    is_storage = module in ("torch", "torch.cuda", "torch.storage") and name.endswith("Storage")
    return _STORAGES.get(name.removesuffix("Storage")) if is_storage else None


def _storage(key: Any) -> Storage:
    """Read what torch writes in place of a storage: ("storage", type, key, device, count, …)."""
    if not isinstance(key, tuple) or len(key) < 5 or _text(key[0]) != "storage":
        raise MalformedError("a reference to something other than a storage")
    if len(key) > 5 and key[5] is not None:
        raise MalformedError("a storage that is a view of another, as only torch 0.4 wrote it")
    dtype = _storage_type(key[1].path) if isinstance(key[1], Name) else None
    if dtype is None:
        raise MalformedError("a storage of an unknown type")
    return Storage(_text(key[2]), dtype, _count(key[4]))


def _made(name: Any, arguments: Any) -> Any:
    """Describe what calling `name` would have made."""
    if not isinstance(name, Name) or not isinstance(arguments, tuple):
        raise MalformedError("a call of something without a name")
    maker = _MAKERS.get(name.path)
    return maker(*arguments) if maker else Inert(name.path)


def _empty_dict(*_: Any) -> dict[Any, Any]:
    return {}


def _ordered_dict(pairs: Any = (), *_: Any) -> dict[Any, Any]:
    """OrderedDict and Counter, which Python 2 and 3 write with their items as the argument.

    Nothing is copied that could be copied again: a small pickle would grow without end.
    """
    if isinstance(pairs, dict):
        return pairs
    if not isinstance(pairs, list):
        return {}
    items = {_key(pair[0]): pair[1] for pair in pairs}
    pairs.clear()
    return items


def _list_of(items: Any = (), *_: Any) -> list[Any]:
    return items if isinstance(items, list) else []


def _rebuilt(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Strided:
    if not isinstance(storage, Storage):
        raise MalformedError("a tensor without a storage")
    # (requires_grad, hooks, metadata)
    metadata = rest[2] if len(rest) > 2 and isinstance(rest[2], dict) else {}
    if metadata.get("conj"):
        raise MalformedError("a conjugated tensor")
    is_negated = bool(metadata.get("neg"))
    dtype = storage.dtype
    return Strided(dtype, storage, _count(offset), _counts(shape), _counts(stride), is_negated)


def _rebuilt_v3(
    storage: Any,
    offset: Any,
    shape: Any,
    stride: Any,
    grad: Any,
    hooks: Any,
    dtype: Any,
    *rest: Any,
) -> Strided:
    plain = _rebuilt(storage, offset, shape, stride, grad, hooks, *rest)
    return Strided(_dtype(dtype), plain.storage, plain.offset, plain.shape, plain.stride)


def _rebuilt_sparse(layout: Any, parts: Any) -> Sparse:
    tensors = tuple(part for part in parts if isinstance(part, Strided))
    shapes = [part for part in parts if not isinstance(part, Strided) and isinstance(part, tuple)]
    if len(shapes) != 1 or len(tensors) < 2:
        raise MalformedError("a sparse tensor of unknown parts")
    return Sparse(_text(layout), tensors, _counts(shapes[0]), tensors[-1].dtype)


def _rebuilt_quantised(
    storage: Any, offset: Any, shape: Any, stride: Any, how: Any, *_: Any
) -> Quantised:
    codes = _rebuilt(storage, offset, shape, stride)
    kind, scale, zero_point, *axis = how
    if not isinstance(kind, Name) or not kind.path.endswith("_affine"):
        raise MalformedError("an unknown way of quantising")
    if not isinstance(scale, float | Strided) or not isinstance(zero_point, int | Strided):
        raise MalformedError("an unknown scale of quantised weights")
    return Quantised(codes, scale, zero_point, _count(axis[0]) if axis else None)


def _rebuilt_meta(dtype: Any, shape: Any, *_: Any) -> Meta:
    return Meta(_dtype(dtype), _counts(shape))


def _first(tensor: Any, *_: Any) -> Any:
    """Parameters are their data."""
    return tensor


def _rebuilt_from_type(function: Any, kind: Any, arguments: Any, *_: Any) -> Any:
    if not isinstance(kind, Name) or kind.path not in _PLAIN_TENSORS:
        raise MalformedError("a tensor of an unknown class")
    return _made(function, arguments)


_PLAIN_TENSORS = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")


def _layout(name: Any) -> str:
    return _text(name).removeprefix("torch.")


def _shape(items: Any = ()) -> tuple[int, ...]:
    return _counts(items)


def _encoded(text: Any, encoding: Any = "utf-8") -> Any:
    """Bytes, which the second protocol of pickles writes as a text to be encoded: left a text."""
    is_bytes = isinstance(text, str) and encoding in ("latin1", "latin-1")
    return text if is_bytes else Inert("builtins.bytes")


def _numpy_dtype(code: Any, *_: Any) -> _Dtype:
    return _Dtype(_text(code))


def _array(*_: Any) -> Array:
    return Array()


def _array_of_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    array = Array()
    _fill(array, (1, shape, dtype, order == "F", content))
    return array


def _fill(array: Array, state: Any) -> None:
    """Take the state of an array: (version, shape, type, whether in Fortran's order, bytes)."""
    _, shape, dtype, is_fortran, content = state
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes | bytearray | str):
        return  # of Python objects, which are no numbers
    array.dtype = ("<" if dtype.order in "=|" else dtype.order) + dtype.code.lstrip("<>|=")
    array.shape, array.is_fortran, array.content = _counts(shape), bool(is_fortran), content


_MAKERS: dict[str, Callable[..., Any]] = {
    "builtins.dict": _ordered_dict,
    "builtins.list": _list_of,
    "builtins.set": _list_of,
    "builtins.frozenset": _list_of,
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _ordered_dict,
    "collections.defaultdict": _empty_dict,
    "collections.deque": _list_of,
    "_codecs.encode": _encoded,
    "numpy.dtype": _numpy_dtype,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy._core.numeric._frombuffer": _array_of_buffer,
    "torch.Size": _shape,
    "torch.serialization._get_layout": _layout,
    "torch._utils._rebuild_tensor": _rebuilt,
    "torch._utils._rebuild_tensor_v2": _rebuilt,
    "torch._utils._rebuild_tensor_v3": _rebuilt_v3,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_sparse_tensor": _rebuilt_sparse,
    "torch._utils._rebuild_qtensor": _rebuilt_quantised,
    "torch._utils._rebuild_meta_tensor_no_storage": _rebuilt_meta,
    "torch._tensor._rebuild_from_type_v2": _rebuilt_from_type,
}


def _dtype(name: Any) -> str:
    if not isinstance(name, Name):
        raise MalformedError("a tensor of an unknown type")
    return name.path.removeprefix("torch.")


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes) or len(value) > _LONGEST_TEXT:
        raise MalformedError("a name that is no text, or a long one")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise MalformedError("a size that is no count")
    return value


def _counts(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 64:
        raise MalformedError("a shape that is none")
    return tuple(_count(value) for value in values)
