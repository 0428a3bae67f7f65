"""Arrays too large for memory: written block by block and read row by row.

The files are what `ap3.files.storage.save` would have written, digest and all.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray
from safetensors import SafetensorError, safe_open

from ap3.errors import InvalidFileError
from ap3.files import storage
from ap3.files.content import ContentError
from ap3.files.storage import ENTRY, Arrays, announced, write_atomically

Shape = tuple[int, ...]
Form = tuple[Shape, DTypeLike]
"""Shape and type of an array."""

_KINDS = {"<f2": "F16", "<f4": "F32", "<f8": "F64", "<i8": "I64", "|u1": "U8"}
_AT_ONCE = 1 << 24  # bytes


def save(
    path: Path,
    forms: Mapping[str, Form],
    blocks: Iterable[tuple[str, NDArray[Any]]],
    **metadata: Any,
) -> None:
    """Write arrays of known shape to the safetensors file `path` while their blocks come in.

    Parameters
    ----------
    forms
        Shape and type of each array, by name.
    blocks
        Pieces of the arrays, by name: those of one array in order, several arrays in any order.
        No more than one is held in memory.
    metadata
        As `ap3.files.storage.save` takes it.
    """
    described = json.dumps(metadata)
    places, size = _places(forms)

    def write(partial: Path) -> None:
        with partial.open("w+b") as file:
            start = file.write(_header(forms, places, "0" * 64, described))
            file.truncate(start + size)
            cursors = {name: start + place for name, place in places.items()}
            for name, block in blocks:
                file.seek(cursors[name])
                cursors[name] += file.write(np.ascontiguousarray(block, forms[name][1]).data)
            _check_filled(cursors, forms, places, start)
            digest = _digest(file, forms, places, start, described)
            file.seek(0)
            file.write(_header(forms, places, digest, described))

    write_atomically(path, write)


def load(path: Path, only: Collection[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read some arrays of the file `path`, and its metadata, after a check of the whole.

    Raises
    ------
    UserError
        If the file is missing, is none of ours, or differs from what was written.
    """
    arrays, metadata = storage.load(path, only)
    with storage.holding(path, "arrays that ap3 can check"):
        verify(path)
    return arrays, metadata


def verify(path: Path) -> None:
    """Check all arrays in the file `path` against its digest, little by little.

    Raises
    ------
    UserError
        If they differ from what was written.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        expected, _, described = header.pop("__metadata__")[ENTRY].partition(" ")
        types = {kind: code for code, kind in _KINDS.items()}
        for name, found in header.items():
            if found["dtype"] not in types:
                raise ContentError(f"{name!r} is of type {found['dtype']}")
        forms = {
            name: (tuple(found["shape"]), types[found["dtype"]]) for name, found in header.items()
        }
        places = {name: found["data_offsets"][0] for name, found in header.items()}
        if _digest(file, forms, places, 8 + length, described) != expected:
            raise InvalidFileError(
                f"{path.resolve()} is damaged: its content does not match the digest in its "
                "header; delete it and make it again."
            )


def row(path: Path, name: str, index: int) -> NDArray[Any]:
    """Read one entry of the first axis of an array in the file `path`, and no more of it."""
    try:
        with safe_open(path, framework="numpy") as file:
            read: NDArray[Any] = file.get_slice(name)[index]
    except (SafetensorError, OSError) as error:
        raise InvalidFileError(
            f"{path} cannot be read as a safetensors file ({error}); if ap3 wrote it, delete it and make it again."
        ) from error
    return read


def _places(forms: Mapping[str, Form]) -> tuple[dict[str, int], int]:
    """Lay arrays out one behind the other, the widest types first; returns their starts and the end."""
    places, end = {}, 0
    for name in sorted(forms, key=lambda name: (-np.dtype(forms[name][1]).itemsize, name)):
        places[name], end = end, end + _bytes(forms[name])
    return places, end


def _bytes(form: Form) -> int:
    shape, dtype = form
    return prod(shape) * np.dtype(dtype).itemsize


def _header(
    forms: Mapping[str, Form], places: Mapping[str, int], digest: str, described: str
) -> bytes:
    """Write what stands before the data: a length, then JSON padded to whole words."""
    entries: dict[str, Any] = {"__metadata__": {ENTRY: f"{digest} {described}"}}
    for name, start in places.items():
        shape, dtype = forms[name]
        entries[name] = {
            "dtype": _KINDS[np.dtype(dtype).str],
            "shape": list(shape),
            "data_offsets": [start, start + _bytes(forms[name])],
        }
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _check_filled(
    cursors: Mapping[str, int], forms: Mapping[str, Form], places: Mapping[str, int], start: int
) -> None:
    for name, form in forms.items():
        found = cursors[name] - start - places[name]
        if found != _bytes(form):
            raise ValueError(f"{name} has {found} bytes, but {_bytes(form)} were announced")


def _digest(
    file: BinaryIO,
    forms: Mapping[str, Form],
    places: Mapping[str, int],
    start: int,
    described: str,
) -> str:
    """Compute the digest of `ap3.files.storage` from the file."""
    digest = hashlib.sha256(described.encode())
    for name in sorted(forms):
        shape, dtype = forms[name]
        digest.update(announced(name, np.dtype(dtype), shape))
        file.seek(start + places[name])
        left = _bytes(forms[name])
        while left:
            block = file.read(min(_AT_ONCE, left))
            if not block:
                raise OSError("the file ends too early")
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
