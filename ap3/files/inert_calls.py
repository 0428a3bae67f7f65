"""What the calls in a pickle would have made, described: the names that it may hold, and no others."""

from collections.abc import Callable
from typing import Any

from ap3.files.described_tensors import (
    Array,
    ArrayType,
    Inert,
    MalformedError,
    Meta,
    Name,
    Quantised,
    RefusedError,
    Sparse,
    Storage,
    Strided,
)
from ap3.files.inert_names import is_inert, storage_type

_LONGEST_TEXT = 1000
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "numpy.core": "numpy._core"}


def known(module: Any, name: Any) -> Name:
    """Turn an address into a word, refused unless it is known to be inert.

    Parameters
    ----------
    module, name
        The two parts of the address.

    Raises
    ------
    RefusedError
        If it is not; the message is the address.
    """
    module, name = text_of(module), text_of(name)
    for old, new in _RENAMED.items():
        if module == old or module.startswith(f"{old}."):
            module = new + module.removeprefix(old)
    path = f"{module}.{name}"
    if path not in _MAKERS and not is_inert(path):
        raise RefusedError(path)
    return Name(path)


def storage_of(reference: Any) -> Storage:
    """Read what torch writes in place of a storage.

    Parameters
    ----------
    reference
        A tuple: "storage", type, key, device, count, …

    Raises
    ------
    MalformedError
        If it is something else.
    """
    key = reference
    if not isinstance(key, tuple) or len(key) < 5 or text_of(key[0]) != "storage":
        raise MalformedError("a reference to something other than a storage")
    if len(key) > 5 and key[5] is not None:
        raise MalformedError("a storage that is a view of another, as only torch 0.4 wrote it")
    dtype = storage_type(key[1].path) if isinstance(key[1], Name) else None
    if dtype is None:
        raise MalformedError("a storage of an unknown type")
    return Storage(text_of(key[2]), dtype, _count(key[4]))


def called(name: Any, arguments: Any) -> Any:
    """Describe what calling `name` would have made.

    Parameters
    ----------
    name
        Of the class or function.
    arguments
        Of the call, a tuple.

    Raises
    ------
    MalformedError
        If the arguments are not those that torch and NumPy write.
    """
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
    items = {key_of(pair[0]): pair[1] for pair in pairs}
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
    return Sparse(text_of(layout), tensors, _counts(shapes[0]), tensors[-1].dtype)


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
    return called(function, arguments)


_PLAIN_TENSORS = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")


def _layout(name: Any) -> str:
    return text_of(name).removeprefix("torch.")


def _shape(items: Any = ()) -> tuple[int, ...]:
    return _counts(items)


def _encoded(text: Any, encoding: Any = "utf-8") -> Any:
    """Bytes, which the second protocol of pickles writes as a text to be encoded: left a text."""
    is_bytes = isinstance(text, str) and encoding in ("latin1", "latin-1")
    return text if is_bytes else Inert("builtins.bytes")


def _numpy_dtype(code: Any, *_: Any) -> ArrayType:
    return ArrayType(text_of(code))


def _array(*_: Any) -> Array:
    return Array()


def _array_of_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    array = Array()
    fill(array, (1, shape, dtype, order == "F", content))
    return array


def fill(array: Array, state: Any) -> None:
    """Take the state of an array.

    Parameters
    ----------
    array
        The array, empty until now.
    state
        Version, shape, type, whether in Fortran's order, bytes.
    """
    _, shape, dtype, is_fortran, content = state
    if not isinstance(dtype, ArrayType) or not isinstance(content, bytes | bytearray | str):
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


def text_of(value: Any) -> str:
    """Take a short text, or bytes that stand for one.

    Parameters
    ----------
    value
        What the pickle holds in its place.

    Raises
    ------
    MalformedError
        If it is something else.
    """
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


def key_of(key: Any) -> Any:
    """Take texts and small numbers as keys; what may be endless to compare becomes a key of its own.

    Parameters
    ----------
    key
        Of a dictionary in the pickle.
    """
    if isinstance(key, str | bool | float | type(None)):
        return key
    return key if isinstance(key, int) and key.bit_length() <= 64 else object()
