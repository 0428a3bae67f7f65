"""Zip archives of torch.save (since torch 1.6): numbers mapped where they are stored as they are."""

import io
import mmap
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ap3.errors import InvalidFileError
from ap3.files.described_tensors import MalformedError, Storage
from ap3.files.inert_pickles import read_limited
from ap3.files.safe_names import safe
from ap3.files.tensor_numbers import mapped

_AT_ONCE = 2**20
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass
class Archive:
    """The numbers in a zip archive: mapped where they are stored as they are."""

    path: Path
    members: Mapping[str, zipfile.ZipInfo]
    mapped: mmap.mmap
    last: tuple[str, bytearray] = ("", bytearray())
    checked: set[str] = field(default_factory=set)

    def bytes_of(self, storage: Storage) -> tuple[Any, int, int]:
        """Return a buffer, where in it the storage begins, and how many bytes it holds.

        Parameters
        ----------
        storage
            Which of them.
        """
        member = self._member(storage)
        if member.compress_type == zipfile.ZIP_STORED:
            start = self._start(member)
            self._check(member, start)
            return self.mapped, start, member.file_size
        if self.last[0] != storage.key:
            self.last = (storage.key, self._inflated(member))
        return self.last[1], 0, member.file_size

    def _check(self, member: zipfile.ZipInfo, start: int) -> None:
        """Check a member's bytes once against the checksum of the archive, if it has one."""
        if member.CRC is None or member.filename in self.checked:
            return
        checksum = 0
        for first in range(start, start + member.file_size, _AT_ONCE):
            last = min(first + _AT_ONCE, start + member.file_size)
            checksum = zlib.crc32(self.mapped[first:last], checksum)
        if checksum != member.CRC:
            raise MalformedError("its numbers do not match the checksum of the archive")
        self.checked.add(member.filename)

    def inflated(self, storage: Storage) -> int:
        """Bytes that are inflated to get at a storage.

        Parameters
        ----------
        storage
            Which of them.
        """
        member = self.members.get(f"data/{storage.key}")
        is_stored = member is None or member.compress_type == zipfile.ZIP_STORED
        return 0 if is_stored or member is None else member.file_size

    def _member(self, storage: Storage) -> zipfile.ZipInfo:
        member = self.members.get(f"data/{storage.key}")
        expected = storage.count * getattr(torch, storage.dtype).itemsize
        if member is None:
            raise MalformedError("its numbers are missing")
        if member.file_size != expected:
            raise MalformedError(f"it has {member.file_size:,} bytes in place of {expected:,}")
        return member

    def _start(self, member: zipfile.ZipInfo) -> int:
        """Find where a member's bytes begin: behind its own header, whose length varies."""
        header = self.mapped[member.header_offset : member.header_offset + _LOCAL_HEADER.size]
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\3\4":
            raise MalformedError("no header stands before its numbers")
        _, name, extra = _LOCAL_HEADER.unpack(header)
        start = member.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)
        if start + member.file_size > len(self.mapped):
            raise MalformedError("the file ends before its numbers do")
        return start

    def _inflated(self, member: zipfile.ZipInfo) -> bytearray:
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(member) as stream:
                content = bytearray(stream.read(member.file_size))
                is_whole = len(content) == member.file_size and not stream.read(1)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
            raise MalformedError(safe(str(error))) from error
        except Exception as error:  # zlib, lzma and bz2 have errors of their own
            raise MalformedError("it cannot be inflated") from error
        if not is_whole:
            raise MalformedError("it inflates to another size than announced")
        return content


def read(path: Path) -> tuple[Any, Archive]:
    """Read what an archive holds, and where its numbers are.

    Parameters
    ----------
    path
        Of the archive.

    Raises
    ------
    UserError
        If it is another tool's archive.
    MalformedError
        If it is none of torch.save.
    """
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        _refuse_other_archives(path, names)
        roots = [n.removesuffix("data.pkl") for n in names if f"/{n}".endswith("/data.pkl")]
        if len(roots) != 1:
            raise MalformedError("an archive without one data.pkl")
        root = roots[0]
        members = {i.filename.removeprefix(root): i for i in infos if i.filename.startswith(root)}
        if len(set(names)) != len(names):
            raise MalformedError("two members of the archive have one name")
        if any(info.flag_bits & 1 for info in infos):
            raise MalformedError("the archive is encrypted")
        for info in infos:
            if info.CRC == 0 and info.file_size:  # torch.save was told to leave it out
                info.CRC = None  # type: ignore[assignment]
        if any(max(info.compress_size, info.header_offset) > size for info in infos):
            raise MalformedError("a member of the archive is larger than the archive")
        if "byteorder" in members:
            with archive.open(members["byteorder"]) as order:
                if order.read(9) == b"big":
                    raise MalformedError("it was written on a big-endian machine")
        with archive.open(members["data.pkl"]) as stream:
            content = read_limited(io.BufferedReader(stream), size)  # type: ignore[type-var]
    return content, Archive(path, members, mapped(path))


def _refuse_other_archives(path: Path, names: list[str]) -> None:
    """Name the archives that begin like one of torch.save."""
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends or any("/code/" in f"/{name}" for name in names):
        raise InvalidFileError(
            f"{path} is a TorchScript archive, whose code is not run here; write its weights with "
            f"torch.save(torch.jit.load({path.name!r}).state_dict(), 'weights.pt') and give that."
        )
    if "archive_format" in ends or "serialized_exported_program.json" in ends:
        raise InvalidFileError(
            f"{path} is a program of torch.export; write its weights with "
            f"torch.save(torch.export.load({path.name!r}).state_dict, 'weights.pt') and give that."
        )
    if names and all(name.endswith(".npy") for name in names):
        raise InvalidFileError(
            f"{path} is an archive of NumPy arrays; write them with safetensors.numpy.save_file("
            f"dict(numpy.load({path.name!r})), 'weights.safetensors') and give that."
        )
    if "model.weights.h5" in ends:
        raise InvalidFileError(
            f"{path} is a network of Keras; write its weights with safetensors.numpy.save_file({{w.path: "
            "w.numpy() for w in model.weights}, 'weights.safetensors') and give that."
        )
