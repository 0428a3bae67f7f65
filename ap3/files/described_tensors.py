"""What a pickle of torch describes: tensors, arrays and inert objects, none of which is made.

A description says where the numbers are and how they are laid out; `ap3.files.tensor_numbers` makes
tensors of it.
"""

from dataclasses import dataclass


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
class ArrayType:
    """The type of the numbers in an array of NumPy."""

    code: str
    order: str = "="
