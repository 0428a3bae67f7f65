"""Files of torch.save from before torch 1.6: a row of pickles, and the numbers behind them."""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ap3.files.described_tensors import MalformedError, Storage
from ap3.files.inert_pickles import read_limited
from ap3.files.tensor_numbers import mapped

_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass
class Behind:
    """The numbers of an old file, one storage behind the other after the pickles."""

    places: Mapping[str, tuple[int, int]]
    mapped: mmap.mmap

    def bytes_of(self, storage: Storage) -> tuple[Any, int, int]:
        """Return a buffer, where in it the storage begins, and how many bytes it holds.

        Parameters
        ----------
        storage
            Which of them.
        """
        start, count = self.places.get(storage.key, (0, -1))
        if count != storage.count:
            raise MalformedError("its numbers are missing")
        return self.mapped, start, count * getattr(torch, storage.dtype).itemsize


def read(path: Path) -> tuple[Any, Behind | None]:
    """Read magic number, version, machine, content, keys, and where the numbers begin.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    content, numbers
        No numbers if it is a pickle of plain Python objects.

    Raises
    ------
    MalformedError
        If it is no pickle, or is not what torch wrote.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = read_limited(file, size, holds_numbers=True)
        if first != _MAGIC:
            return first, None
        read_limited(file, size)
        machine = read_limited(file, size)
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise MalformedError("it was written on a big-endian machine")
        storages: dict[str, Storage] = {}
        content, keys = read_limited(file, size, storages), read_limited(file, size)
        places = {}
        for key in keys:
            storage = storages.get(key)
            (count,) = struct.unpack("<q", file.read(8))
            start = file.tell()
            if storage is None or count != storage.count:
                raise MalformedError("numbers that belong to no tensor")
            end = start + count * getattr(torch, storage.dtype).itemsize
            if end > size:
                raise MalformedError("the file ends before its numbers do")
            places[str(key)] = (start, count)
            file.seek(end)
    return content, Behind(places, mapped(path))
