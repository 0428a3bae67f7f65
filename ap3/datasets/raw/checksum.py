"""Telling whether a file is the one that the table of sources means."""

import hashlib
from pathlib import Path

from ap3.datasets.sources import RemoteFile
from ap3.errors import InvalidFileError, MissingFileError


def matches(path: Path, file: RemoteFile) -> bool:
    """Tell whether what lies at `path` is `file`, byte for byte."""
    return path.is_file() and _sha256(path).startswith(file.sha256)


def check(path: Path, file: RemoteFile, origin: object = None) -> None:
    """Refuse what lies at `path` if it is not `file`; `origin` names it in the message.

    Raises
    ------
    UserError
        If it is missing or its digest differs.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; fetch it first.")
    found = _sha256(path)
    if not found.startswith(file.sha256):
        size = f"{file.size} bytes and " if file.size else ""
        raise InvalidFileError(
            f"{origin or path.resolve()} is refused, as it is not (all of) the {file.name} of {file.dataset}:"
            f" it has {path.stat().st_size} bytes and SHA-256 {found}, expected were "
            f"{size}{' or '.join(file.sha256)}; get it again."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
