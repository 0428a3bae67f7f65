"""Files of torch.save read without running any of their code, in memory bounded by their size.

A file is a zip archive (since torch 1.6) or a row of pickles with the numbers behind them (before).
Numbers stay where they are and are mapped into memory; those of a compressed archive are inflated
one storage at a time.
"""

import io
import lzma
import mmap
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import torch

from ap3.errors import InvalidFileError, UserError
from ap3.files import inert_pickles
from ap3.files.inert_pickles import Array, MalformedError, Meta, Quantised, Sparse, Storage, Strided
from ap3.files.lazy_tensors import Entry
from ap3.files.safe_names import safe

_MIB = 2**20
_AT_ONCE = 2**20
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class _Numbers(Protocol):
    """Where the numbers of a file's storages are."""

    def bytes_of(self, storage: Storage) -> tuple[Any, int, int]:
        """Return a buffer, where in it the storage begins, and how many bytes it holds."""


@dataclass
class TorchFile:
    """What a file of torch.save holds, and a way to its tensors.

    Attributes
    ----------
    path
        Of the file.
    size
        Bytes of the file.
    content
        As `ap3.files.inert_pickles.read` describes it.
    numbers
        Where the numbers are; None in a pickle of plain Python objects.
    """

    path: Path
    size: int
    content: Any
    numbers: _Numbers | None

    def entries(self, tensors: Mapping[str, Any]) -> dict[str, Entry]:
        """Turn descriptions of tensors into tensors to be made.

        Parameters
        ----------
        tensors
            Descriptions by name.

        Raises
        ------
        UserError
            If they claim more numbers than a file of this size can hold.
        """
        distinct = {_memory(tensor) or name: tensor for name, tensor in tensors.items()}
        claimed = sum(prod(t.shape) for t in distinct.values() if not isinstance(t, Meta))
        # A number takes a bit at least, in what is written on purpose.
        if claimed > 8 * self.size + _MIB:
            raise InvalidFileError(
                f"{self.path} claims {claimed:,} numbers in {self.size:,} bytes, more than can be "
                "true of weights; make dense, contiguous tensors of them before saving."
            )
        self._refuse_endless_inflation(distinct.values())
        return {name: self._entry(name, tensor) for name, tensor in tensors.items()}

    def _refuse_endless_inflation(self, tensors: Iterable[Any]) -> None:
        """Refuse a compressed archive whose storages would be inflated again and again."""
        if not isinstance(self.numbers, _Archive):
            return
        total, last = 0, None
        for storage in (part.storage for tensor in tensors for part in _parts(tensor)):
            if storage.key != last:
                total += self.numbers.inflated(storage)
            last = storage.key
        if total > _most_inflated(self.size):
            raise InvalidFileError(
                f"{self.path} is compressed and inflates to {total:,} bytes, more than can be true "
                "of weights; unpack it and save it again with torch.save."
            )

    def _entry(self, name: str, tensor: Any) -> Entry:
        shape, dtype = tensor.shape, _dtype(tensor)
        return Entry(shape, partial(self._make, name, tensor), dtype, _memory(tensor))

    def _make(self, name: str, tensor: Any) -> Any:
        try:
            return self._made(tensor)
        except MalformedError as error:
            raise InvalidFileError(
                f"{safe(name)} in {self.path} is damaged ({error}); copy or make the file again."
            ) from error

    def _made(self, tensor: Any) -> Any:
        if isinstance(tensor, Meta):
            return torch.empty(tensor.shape, dtype=getattr(torch, tensor.dtype), device="meta")
        if isinstance(tensor, Array):
            return _array(tensor)
        if isinstance(tensor, Sparse):
            return _sparse(tensor, [self._strided(part) for part in tensor.parts])
        if isinstance(tensor, Quantised):
            return self._dequantised(tensor)
        return self._strided(tensor)

    def _strided(self, tensor: Strided) -> torch.Tensor:
        """View numbers of the file as a tensor."""
        dtype = getattr(torch, tensor.dtype)
        if prod(tensor.shape) == 0:
            return torch.empty(tensor.shape, dtype=dtype)
        if self.numbers is None:
            raise MalformedError("a tensor without numbers")
        buffer, start, length = self.numbers.bytes_of(tensor.storage)
        count = length // dtype.itemsize
        _check_inside(tensor, count)
        flat = torch.frombuffer(buffer, dtype=dtype, count=count, offset=start)
        view = flat.as_strided(tensor.shape, tensor.stride, tensor.offset)
        return -view if tensor.is_negated else view

    def _dequantised(self, tensor: Quantised) -> torch.Tensor:
        codes = self._strided(tensor.codes).double()
        parts = []
        for part in (tensor.zero_point, tensor.scale):
            value = self._strided(part).double() if isinstance(part, Strided) else part
            if isinstance(value, torch.Tensor):
                if tensor.axis is None or tensor.axis >= codes.ndim:
                    raise MalformedError("codes with a scale of an unknown axis")
                if value.shape != (codes.shape[tensor.axis],):
                    raise MalformedError("codes and scales that don't fit")
                value = value.reshape([-1 if d == tensor.axis else 1 for d in range(codes.ndim)])
            parts.append(value)
        return ((codes - parts[0]) * parts[1]).float()


def read(path: Path, is_zip: bool) -> TorchFile:
    """Read what a file of torch.save holds, but for its numbers.

    Parameters
    ----------
    path
        Of the file.
    is_zip
        Whether it begins like a zip archive.

    Raises
    ------
    UserError
        If it is no such file, names what is not known to be inert, or would take more memory than
        its size allows.
    """
    try:
        content = _read_zip(path) if is_zip else _read_pickles(path)
    except UserError:
        raise
    except inert_pickles.RefusedError as error:
        raise _refused_class(path, str(error)) from error
    except (MalformedError, zipfile.BadZipFile, EOFError, struct.error, NotImplementedError) as e:
        raise no_checkpoint(path, safe(str(e))) from e
    except (zlib.error, lzma.LZMAError) as error:
        raise no_checkpoint(path, "it cannot be inflated") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError) as error:
        raise no_checkpoint(path) from error
    return content


def no_checkpoint(path: Path, why: str = "") -> UserError:
    """Say that a file is no checkpoint.

    Parameters
    ----------
    path
        Of the file.
    why
        What is wrong with it, if that is known.
    """
    return InvalidFileError(
        f"{path} is no checkpoint (neither safetensors nor a file of torch.save"
        f"{f': {why}' if why else ''}); give one that holds a state dict."
    )


def _refused_class(path: Path, name: str) -> UserError:
    return InvalidFileError(
        f"{path} holds pickled Python objects beside tensors ({safe(name)}), which are not loaded "
        "because they could run any code; where that class is at hand and the file is trusted, load it with "
        "torch.load(..., weights_only=False), save the network's state_dict() and give that."
    )


def _pickle_limit(size: int) -> int:
    """Bytes of pickle that a file of `size` bytes may hold: what describes tensors is small."""
    return _MIB + size // 16


def _most_inflated(size: int) -> int:
    """Bytes that a compressed file of `size` bytes may inflate to: zeros shrink a lot."""
    return 64 * _MIB + 64 * size


class _Limited:
    """A file of which no more than `limit` bytes are read."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self.file, self.left = file, limit

    def read(self, count: int) -> bytes:
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


def _pickle(file: BinaryIO, size: int, storages: dict[str, Storage] | None = None) -> Any:
    limited: Any = _Limited(file, _pickle_limit(size))
    return inert_pickles.read(limited, storages)


def _mapped(path: Path) -> mmap.mmap:
    """Map a file; private, because torch warns of memory that it cannot write to."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


@dataclass
class _Archive:
    """The numbers in a zip archive: mapped where they are stored as they are."""

    path: Path
    members: Mapping[str, zipfile.ZipInfo]
    mapped: mmap.mmap
    last: tuple[str, bytearray] = ("", bytearray())
    checked: set[str] = field(default_factory=set)

    def bytes_of(self, storage: Storage) -> tuple[Any, int, int]:
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
        """Bytes that are inflated to get at a storage."""
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


def _read_zip(path: Path) -> TorchFile:
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
            content = _pickle(io.BufferedReader(stream), size)  # type: ignore[type-var]
    return TorchFile(path, size, content, _Archive(path, members, _mapped(path)))


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


@dataclass
class _Behind:
    """The numbers of an old file, one storage behind the other after the pickles."""

    places: Mapping[str, tuple[int, int]]
    mapped: mmap.mmap

    def bytes_of(self, storage: Storage) -> tuple[Any, int, int]:
        start, count = self.places.get(storage.key, (0, -1))
        if count != storage.count:
            raise MalformedError("its numbers are missing")
        return self.mapped, start, count * getattr(torch, storage.dtype).itemsize


def _read_pickles(path: Path) -> TorchFile:
    """Read what torch wrote before 1.6: magic number, version, machine, content, keys, numbers."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = _pickle(file, size)
        if first != _LEGACY_MAGIC:
            return TorchFile(path, size, first, None)
        _pickle(file, size)
        machine = _pickle(file, size)
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise MalformedError("it was written on a big-endian machine")
        storages: dict[str, Storage] = {}
        content, keys = _pickle(file, size, storages), _pickle(file, size)
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
    return TorchFile(path, size, content, _Behind(places, _mapped(path)))


def _parts(tensor: Any) -> list[Strided]:
    """List the dense tensors that a tensor consists of."""
    if isinstance(tensor, Strided):
        return [tensor]
    if isinstance(tensor, Sparse):
        return list(tensor.parts)
    if isinstance(tensor, Quantised):
        parts = (tensor.codes, tensor.scale, tensor.zero_point)
        return [part for part in parts if isinstance(part, Strided)]
    return []


def _memory(tensor: Any) -> Any:
    return replace(tensor, is_negated=False) if isinstance(tensor, Strided) else None


def _dtype(tensor: Any) -> str:
    if isinstance(tensor, Quantised):
        return "float32"
    if isinstance(tensor, Array):
        return str(np.dtype(tensor.dtype)) if tensor.dtype else ""
    return str(tensor.dtype)


def _check_inside(tensor: Strided, count: int) -> None:
    """Check that no number of a tensor lies outside of its storage of `count` numbers."""
    if len(tensor.shape) != len(tensor.stride):
        raise MalformedError("a shape and strides that don't fit")
    steps = zip(tensor.shape, tensor.stride, strict=True)
    if tensor.offset + sum((size - 1) * step for size, step in steps) >= count:
        raise MalformedError("it reaches beyond its numbers")


def _array(array: Array) -> np.ndarray[Any, Any]:
    try:
        dtype = np.dtype(array.dtype)
        content = array.content
        content = content.encode("latin-1") if isinstance(content, str) else content
        if dtype.hasobject or len(content) != prod(array.shape) * dtype.itemsize:
            raise MalformedError("an array of another size than announced")
        flat = np.frombuffer(content, dtype)
        return flat.reshape(array.shape, order="F" if array.is_fortran else "C")
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        raise MalformedError("an array of an unknown type") from error


def _sparse(tensor: Sparse, parts: list[torch.Tensor]) -> torch.Tensor:
    makers: dict[str, Callable[..., torch.Tensor]] = {
        "sparse_coo": torch.sparse_coo_tensor,
        "sparse_csr": torch.sparse_csr_tensor,
        "sparse_csc": torch.sparse_csc_tensor,
        "sparse_bsr": torch.sparse_bsr_tensor,
        "sparse_bsc": torch.sparse_bsc_tensor,
    }
    if tensor.layout not in makers:
        raise MalformedError("a sparse tensor of an unknown layout")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's, on how well it does these
            made = makers[tensor.layout](*parts, tensor.shape, check_invariants=True)
            return made.to_dense()
    except (RuntimeError, TypeError, ValueError) as error:
        raise MalformedError("a sparse tensor whose parts don't fit") from error
