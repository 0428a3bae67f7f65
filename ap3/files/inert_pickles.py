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

from ap3.files.described_tensors import Array, ArrayType, MalformedError, RefusedError, Storage
from ap3.files.inert_calls import called, fill, key_of, known, storage_of, text_of
from ap3.files.safe_names import safe

_MIB = 2**20
_LONG = 2**12  # bytes of an array's numbers; a shorter piece may be an object like any other


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


def read_limited(
    file: BinaryIO,
    size: int,
    storages: dict[str, Storage] | None = None,
    holds_numbers: bool = False,
) -> Any:
    """Read one pickle in a file of torch.save, as `read` does, and no more than such a file has.

    Parameters
    ----------
    file
        Open at the pickle's first byte; left behind its last.
    size
        Bytes of the file: what describes tensors is a small part of it.
    storages
        As `read` takes them.
    holds_numbers
        Whether arrays may stand in it, uncompressed: their bytes are not counted.

    Raises
    ------
    RefusedError
        If the pickle names what is not known to be inert.
    MalformedError
        If it is no pickle, or too long a one.
    """
    limited: Any = _Limited(file, _MIB + size // 16, size if holds_numbers else 0)
    return read(limited, storages)


class _Limited:
    """A file of which no more than `limit` bytes are read, and `numbers` more in long pieces."""

    def __init__(self, file: BinaryIO, limit: int, numbers: int) -> None:
        self.file, self.left, self.numbers = file, limit, numbers

    def read(self, count: int) -> bytes:
        if _LONG <= count <= self.numbers:
            self.numbers -= count
            return self.file.read(count)
        return self._taken(self.file.read(min(count, self.left + 1)))

    def readline(self) -> bytes:
        return self._taken(self.file.readline(self.left + 1))

    def _taken(self, content: bytes) -> bytes:
        self.left -= len(content)
        if self.left < 0:
            raise MalformedError("more Python objects than such a file of weights has")
        return content

    def tell(self) -> int:
        return 0  # pickletools tells where an operation stands, which nobody asks for here


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,  # members may be endless to hash, so a set is a list here
    "EMPTY_TUPLE": tuple,
}
_VALUES = frozenset(
    ("int", "long", "int_or_bool", "float", "str", "bytes_or_str", "bytes", "bytearray", "unicode")
)
_NUMBERS_AND_TEXTS = frozenset(
    each.name
    for each in pickletools.opcodes
    if each.arg and not each.stack_before and {kind.name for kind in each.stack_after} & _VALUES
)
"""Operations that put their argument on the stack."""
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
                (key_of(key), value) for key, value in zip(items[::2], items[1::2], strict=True)
            )

    def _global(self, address: str) -> None:
        self.stack.append(known(*address.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(known(module, name))

    def _binpersid(self, _: Any) -> None:
        storage = storage_of(self.stack.pop())
        self.storages[storage.key] = storage
        self.stack.append(storage)

    def _reduce(self, _: Any) -> None:
        arguments, made = self.stack.pop(), self.stack.pop()
        self.stack.append(called(made, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()
        self._reduce(_)

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Array):
            fill(self.stack[-1], state)
        elif isinstance(self.stack[-1], ArrayType):
            self.stack[-1].order = text_of(state[1])
