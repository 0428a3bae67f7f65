"""Compressed files read in memory: never unpacked to disk, never larger than they may be."""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ap3.errors import InvalidFileError, MissingFileError, UserError

_BROKEN = (
    OSError,
    EOFError,
    RuntimeError,  # a zip member with a password, or packed in a way that Python cannot read
    ValueError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)


def gunzip(path: Path, limit: int) -> bytes:
    """Return the content of the gzip file `path`, which may be at most `limit` bytes.

    Raises
    ------
    UserError
        If the file is cut short, damaged, or inflates to more.
    """
    with _one_sentence(path), gzip.open(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise InvalidFileError(
            f"{path} inflates to more than {limit} bytes; delete it, fetch it again."
        )
    return content


def read_tar(path: Path, wanted: Collection[str], limit: int) -> dict[str, bytes]:
    """Return the members `wanted` of the tar.gz archive `path`, by name.

    Raises
    ------
    UserError
        If one is missing, the archive is damaged, inflates to more than `limit` bytes, or has a
        member that is a link or device, or whose path leads outside.
    """
    content = io.BytesIO(gunzip(path, limit))
    found: dict[str, bytes] = {}
    with _one_sentence(path), tarfile.open(fileobj=content, mode="r:") as archive:
        for member in archive:
            _refuse_outside(path, member.name, plain=_plain(member))
            stream = archive.extractfile(member) if member.name in wanted else None
            if stream is not None:
                found[member.name] = stream.read()
    for name in wanted:
        if name not in found:
            raise InvalidFileError(f"{path} holds no {name}; delete it and fetch it again.")
    return found


def _plain(member: tarfile.TarInfo) -> bool:
    # A sparse member may claim any size, in holes.
    return member.isdir() or (member.isfile() and not member.issparse())


class Zip:
    """A zip archive open for reading, one member at a time."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self.names = archive.namelist()

    def read(self, name: str) -> bytes:
        """Return the content of the member `name`.

        Raises
        ------
        UserError
            If it is missing or damaged.
        """
        with _one_sentence(self.path, name):
            try:
                return self._archive.read(name)
            except KeyError as error:
                raise InvalidFileError(
                    f"{self.path} holds no {name}; delete it and fetch it again."
                ) from error


@contextmanager
def open_zip(path: Path, limit: int) -> Iterator[Zip]:
    """Open the zip archive `path`, of whose members none may be larger than `limit` bytes.

    Raises
    ------
    UserError
        If it is damaged, or has a larger member, a link, or one whose path leads outside.
    """
    with _one_sentence(path):
        archive = zipfile.ZipFile(path)
    with archive:
        for member in archive.infolist():
            link = stat.S_ISLNK(member.external_attr >> 16)
            _refuse_outside(path, member.filename, plain=not link)
            _refuse_bomb(path, member, limit)
        yield Zip(path, archive)


def _refuse_outside(path: Path, name: str, *, plain: bool) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or not plain:
        raise InvalidFileError(
            f"{path} is refused: its member {name!r} is a link or leads outside of the archive; "
            "delete the file and fetch it again."
        )


def _refuse_bomb(path: Path, member: zipfile.ZipInfo, limit: int) -> None:
    # Python inflates the other methods without a bound on memory.
    bounded = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if member.file_size > limit or not bounded:
        raise InvalidFileError(
            f"{path} is refused: its member {member.filename!r} may inflate to more than {limit} "
            "bytes; delete the file and fetch it again."
        )


@contextmanager
def _one_sentence(path: Path, member: str = "") -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} does not exist; fetch it first.") from error
    except _BROKEN as error:
        where = f"{path} ({member})" if member else path
        raise InvalidFileError(
            f"{where} is cut short or damaged ({error}); delete it and fetch it again."
        ) from error
