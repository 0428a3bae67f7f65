"""Tensors on disk: safetensors with a digest of their content, written whole or not at all.

Every artefact of a study that holds numbers in bulk goes through this module. NumPy only, so that
stages which need no torch need not import it.
"""

import glob
import hashlib
import json
import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ap3.errors import (
    InvalidFileError,
    InvalidValueError,
    MissingFileError,
    SystemRefusedError,
    UserError,
)
from ap3.files import results_lock
from ap3.files.content import ContentError

Arrays = dict[str, NDArray[Any]]

# Digest and metadata share one entry of the header, because safetensors writes several in an order
# that differs from run to run, and same content should be same bytes.
ENTRY = "ap3"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it onto `path`.

    A reader sees the old file or the whole new one. When `write` fails, nothing is left behind;
    what a killed process left of the same file is removed.

    Raises
    ------
    SystemRefusedError
        If the disk is full, or the folder cannot be written to.
    SupersededError
        If the folder belongs to a later workflow.
    """
    try:
        _remove_leftovers(path)
        partial = _temporary_beside(path)
        try:
            write(partial)
            partial.chmod(0o666 & ~_umask())
            results_lock.check()
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except UserError:
        raise
    except (OSError, SafetensorError) as error:
        # Without the name of the temporary file, which an OSError would add.
        why = getattr(error, "strerror", None) or error
        raise SystemRefusedError(
            f"{path} could not be written ({why}); make room there, or choose another folder that "
            "can be written to."
        ) from error


def save(path: Path, arrays: Mapping[str, NDArray[Any]], **metadata: Any) -> None:
    """Write named arrays and JSON-able `metadata` to the safetensors file `path`."""
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    described = json.dumps(metadata)
    entry = {ENTRY: f"{_digest(arrays, described)} {described}"}
    write_atomically(path, lambda partial: save_file(arrays, partial, metadata=entry))


def is_ours(path: Path) -> bool:
    """Tell by its header whether `save` wrote the file `path`."""
    try:
        with safe_open(path, framework="numpy") as file:
            return ENTRY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def digest_of(path: Path) -> str:
    """Tell the content of a file: by its header where `save` wrote it, else by all its bytes."""
    if is_ours(path):
        with safe_open(path, framework="numpy") as file:
            return str(file.metadata()[ENTRY].partition(" ")[0])
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load(path: Path, only: Collection[str] | None = None) -> tuple[Arrays, dict[str, Any]]:
    """Read what `save` wrote: the arrays and the metadata.

    With `only`, no array of another name is read; the digest, being of the whole, is not checked
    then: `ap3.files.streams.load` does that, little by little.
    A file that is refused is named by where it lies, be it a link into a cache or not.

    Raises
    ------
    UserError
        If the file is missing, is no safetensors file of ours, or differs from what was written.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            entry = (file.metadata() or {}).get(ENTRY)
            names = [name for name in file.keys() if only is None or name in only]  # noqa: SIM118
            arrays = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{path} does not exist; make it first, or correct the path."
        ) from error
    except (SafetensorError, OSError, AttributeError, TypeError, ValueError) as error:
        # The last three: numbers of a type that NumPy has not.
        raise InvalidFileError(
            f"{path.resolve()} cannot be read as a safetensors file ({error}); give one that ap3 "
            "wrote; if it did write this one, delete it and make it again."
        ) from error
    if entry is None:
        raise InvalidFileError(
            f"{path.resolve()} carries no content digest, so ap3 did not write it; give a file made "
            "by ap3."
        )
    expected, _, described = entry.partition(" ")
    if only is None and _digest(arrays, described) != expected:
        raise InvalidFileError(
            f"{path.resolve()} is damaged: its content does not match the digest in its header; "
            "delete it and make it again."
        )
    with holding(path, "metadata"):
        return arrays, _metadata(described)


def _metadata(described: str) -> dict[str, Any]:
    try:
        found = json.loads(described)
    except ValueError as error:
        raise ContentError(str(error)) from error
    if not isinstance(found, dict):
        raise ContentError("they are no mapping")
    return found


@contextmanager
def holding(path: Path, what: str) -> Iterator[None]:
    """Say that the file `path` holds no `what`, if it lacks something within the `with` block.

    Raises
    ------
    UserError
        In place of what the checks of `ap3.files.content` raise, and of a value that does not fit.
        Any other exception is a defect of ours, and stays one.
    """
    try:
        yield
    except (ContentError, InvalidValueError) as error:
        said = " ".join(str(error).split()).removesuffix(".")
        raise InvalidFileError(
            f"{path.resolve()} holds no {what} ({said}); delete it and make it again."
        ) from error


def _temporary_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{_prefix(path)}{os.getpid()}."
    with NamedTemporaryFile(
        dir=path.parent, prefix=prefix, suffix=path.suffix, delete=False
    ) as handle:
        return Path(handle.name)


def _prefix(path: Path) -> str:
    return f".{path.stem}.{socket.gethostname()}."


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` whose process, on this machine, is no more."""
    prefix = _prefix(path)
    for leftover in path.parent.glob(f"{glob.escape(prefix)}*{glob.escape(path.suffix)}"):
        process = leftover.name.removeprefix(prefix).partition(".")[0]
        if process.isdigit() and not _lives(int(process)):
            leftover.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def announced(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Say which array comes next in the digest of a file, before its bytes."""
    return f"{name}:{dtype.str}:{shape};".encode()


def _digest(arrays: Mapping[str, NDArray[Any]], described: str) -> str:
    digest = hashlib.sha256(described.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(announced(name, array.dtype, array.shape))
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
