"""GGUF files (llama.cpp): tensors by name, floats as they are and blocks of codes turned into floats.

The header is read here and not by the package `gguf`, whose reader takes a header's word for how
long a list is; what its blocks of codes mean is the package's knowledge.
"""

import mmap
import struct
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ap3.errors import InvalidFileError, MissingPackageError
from ap3.files.described_tensors import MalformedError
from ap3.files.lazy_tensors import Entry
from ap3.files.safe_names import safe
from ap3.files.tensor_numbers import mapped

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
_WHOLE = {"I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64"}
# Of the values in the header, by their number there: bytes of one.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST, _UINT32 = 8, 9, 4
_ALIGNMENT, _MOST_DIMENSIONS = "general.alignment", 4


def read(path: Path) -> dict[str, Entry]:
    """Read which tensors a GGUF file holds; each is made when it is asked for.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    UserError
        If the package gguf is not installed, or the file is damaged.
    """
    try:
        import gguf
    except ImportError as error:
        raise MissingPackageError(
            f"{path} is a GGUF file, which needs the package gguf; run pip install gguf, or convert "
            "the file to safetensors."
        ) from error
    try:
        content = mapped(path)
        tensors = _Header(content).tensors()
        if not tensors:
            raise MalformedError("no tensors")
        if len({tensor.name for tensor in tensors}) < len(tensors):
            raise MalformedError("two tensors have one name")
        return {tensor.name: _entry(tensor, content, gguf, path) for tensor in tensors}
    except (MalformedError, struct.error, ValueError, LookupError) as error:
        raise InvalidFileError(
            f"{path} is a damaged GGUF file ({safe(str(error))}); copy or make it again."
        ) from error


@dataclass(frozen=True)
class _Tensor:
    """What the header says of a tensor: its shape as NumPy has it, and where its bytes begin."""

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int


class _Header:
    """The header, read from its first byte to its last."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.place, self.alignment = content, 0, 32

    def take(self, form: str) -> Any:
        (value,) = struct.unpack_from(f"<{form}", self.content, self.place)
        self.place += struct.calcsize(f"<{form}")
        return value

    def skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self.content):
            raise MalformedError("it ends within its header")

    def text(self) -> str:
        start, length = self.place + 8, self.take("Q")
        self.skip(length)
        return self.content[start : start + length].decode("utf-8", "replace")

    def value(self, kind: int) -> None:
        """Step over a value of the metadata."""
        if kind == _TEXT:
            self.text()
        elif kind == _LIST:
            inner, count = self.take("I"), self.take("Q")
            if inner in _SIZES:
                self.skip(_SIZES[inner] * count)
            elif inner == _TEXT:
                for _ in range(count):  # which ends with the file at the latest
                    self.skip(self.take("Q"))
            else:
                raise MalformedError("a list of lists in its metadata")
        else:
            self.skip(_SIZES[kind])

    def tensors(self) -> list[_Tensor]:
        self.skip(len(MAGIC))
        version = self.take("I")
        if version not in _VERSIONS:
            raise MalformedError(f"version {version} in place of 2 or 3")
        count, entries = self.take("Q"), self.take("Q")
        for _ in range(entries):
            key, kind = self.text(), self.take("I")
            if key == _ALIGNMENT and kind == _UINT32:
                (self.alignment,) = struct.unpack_from("<I", self.content, self.place)
            self.value(kind)
        described = [self._tensor() for _ in range(count)]
        if self.alignment < 1:
            raise MalformedError("an alignment of none")
        first = -(-self.place // self.alignment) * self.alignment
        return [_Tensor(t.name, t.shape, t.kind, first + t.start) for t in described]

    def _tensor(self) -> _Tensor:
        name, dimensions = self.text(), self.take("I")
        if dimensions > _MOST_DIMENSIONS:
            raise MalformedError(f"a tensor of {dimensions} dimensions")
        shape = tuple(self.take("Q") for _ in range(dimensions))
        return _Tensor(name, shape[::-1], self.take("I"), self.take("Q"))


def _entry(tensor: _Tensor, content: mmap.mmap, gguf: ModuleType, path: Path) -> Entry:
    """Check that a tensor's bytes are there; its numbers are made later."""
    kind = gguf.GGMLQuantizationType(tensor.kind)
    numbers, size = gguf.constants.GGML_QUANT_SIZES[kind]
    row = tensor.shape[-1] if tensor.shape else 1
    if row % numbers:
        raise MalformedError(f"{safe(tensor.name)} has rows of {row} in blocks of {numbers}")
    count = prod(tensor.shape) // numbers * size
    if tensor.start + count > len(content):
        raise MalformedError(f"it ends before the numbers of {safe(tensor.name)} do")
    if name := (_FLOATS | _WHOLE).get(kind.name):
        return Entry(tensor.shape, partial(_plain, tensor, content, name), name)
    make = partial(_dequantised, tensor, content, count, kind, gguf, path)
    return Entry(tensor.shape, make, "float32", codes=kind.name)


def _plain(tensor: _Tensor, content: mmap.mmap, name: str) -> torch.Tensor:
    dtype, count = getattr(torch, name), prod(tensor.shape)
    if count == 0:
        return torch.empty(tensor.shape, dtype=dtype)
    flat = torch.frombuffer(content, dtype=dtype, count=count, offset=tensor.start)
    return flat.reshape(tensor.shape)


def _dequantised(
    tensor: _Tensor, content: mmap.mmap, count: int, kind: Any, gguf: ModuleType, path: Path
) -> torch.Tensor:
    if count == 0:
        return torch.empty(tensor.shape)
    blocks = np.frombuffer(content, np.uint8, count, tensor.start)
    try:
        with np.errstate(all="ignore"):  # what is not finite is said by who uses it
            values = gguf.quants.dequantize(blocks.reshape(*tensor.shape[:-1], -1), kind)
    except NotImplementedError as error:
        raise InvalidFileError(
            f"{safe(tensor.name)} in {path} is of type {kind.name}, which the package gguf does not "
            "turn into floats; give a file of another type, such as Q8_0 or F16."
        ) from error
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).reshape(tensor.shape)
