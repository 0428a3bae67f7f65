"""Named tensors that are made when they are asked for, so that one layer is held at a time."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ap3.errors import InvalidFileError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """A tensor that is not there yet.

    Attributes
    ----------
    shape
        Its shape.
    make
        Makes it: a torch tensor or what NumPy reads.
    dtype
        Its type as torch calls it, `float32`; empty where it is not known before.
    memory
        Equal for two tensors that are the same memory (tied weights); None for all others.
    problem
        Why its numbers cannot be had: the sentence that refuses who asks for them; empty if they
        can.
    codes
        What kind of codes the numbers are made of, such as Q8_0; empty if they are floats.
    """

    shape: Shape
    make: Callable[[], Any]
    dtype: str = ""
    memory: Hashable = None
    problem: str = ""
    codes: str = ""


class StateDict(Mapping[str, Any]):
    """Tensors by name, each made when it is asked for.

    Parameters
    ----------
    entries
        What makes each tensor.
    remarks
        Sentences on what was done to get at the tensors, for the reader of the numbers.

    Examples
    --------
    >>> import torch
    >>> StateDict({"weight": Entry((2,), lambda: torch.zeros(2))})["weight"]
    tensor([0., 0.])
    """

    def __init__(self, entries: Mapping[str, Entry], remarks: tuple[str, ...] = ()) -> None:
        self.entries = entries
        self.remarks = remarks

    @classmethod
    def of(cls, tensors: Mapping[str, Any]) -> "StateDict":
        """Wrap tensors or arrays that are there already.

        Parameters
        ----------
        tensors
            By name; what is neither a tensor nor an array (the extra state of a module) is left
            out.
        """
        if isinstance(tensors, cls):
            return tensors
        return cls(
            {
                str(name): _entry_of(value)
                for name, value in tensors.items()
                if hasattr(value, "dtype") or isinstance(value, list | tuple)
            }
        )

    def __getitem__(self, name: str) -> Any:
        entry = self.entries[name]
        if entry.problem:
            raise InvalidFileError(entry.problem)
        return entry.make()

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def _entry_of(value: Any) -> Entry:
    shape, dtype = tuple(np.shape(value)), dtype_of(value)
    if getattr(value, "is_quantized", False):
        return Entry(shape, value.dequantize, "float32", codes=dtype)
    return Entry(shape, partial(_itself, value), dtype, _memory(value))


def _itself(value: Any) -> Any:
    return value


def dtype_of(value: Any) -> str:
    """Name the type of a tensor or an array as torch does; empty where it has none.

    Parameters
    ----------
    value
        A tensor, an array, or something else.

    Examples
    --------
    >>> dtype_of(np.zeros(2)), dtype_of([1.0])
    ('float64', '')
    """
    return str(getattr(value, "dtype", "")).removeprefix("torch.")


def _memory(value: Any) -> Hashable:
    """Tell which memory a tensor is, so that tied weights are found."""
    if str(getattr(value, "layout", "")) != "torch.strided" or value.is_meta:
        return None
    place = value.data_ptr()
    return (place, tuple(value.shape), value.stride(), value.dtype) if place else None
