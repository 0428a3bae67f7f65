"""Whose a results folder is: one workflow's at a time, that which took it last.

The lock dies with its process, however that ends. A job that outlived its workflow may still be
running when the next one takes the folder; what it would write then is dropped.
"""

import errno
import os
import socket
import sys
import uuid
from pathlib import Path
from typing import IO

from ap3.errors import InvalidValueError, SystemRefusedError, UserError

_LOCK = ".lock"
_RUN = "AP3_RUN"  # the token and the lock file of the workflow that started this process


class TakenError(UserError, BlockingIOError):
    """Another workflow is writing to the results folder."""


class SupersededError(UserError):
    """A later workflow has taken the results folder, so this process may no longer write."""


_held: list[IO[str]] = []  # open files, so that their locks last as long as this process


def take(folder: Path) -> None:
    """Take `folder` for this process and those that it starts, until it ends.

    Raises
    ------
    UserError
        If another living process holds it, or it cannot be written to.
    """
    import fcntl  # which only Unix has, as the workflow does

    path = folder.absolute() / _LOCK
    if folder.is_symlink() and not folder.exists():
        raise InvalidValueError(
            f"{folder} is a link to {folder.readlink()}, which does not exist; bring that folder "
            "back, or remove the link."
        )
    if path.is_symlink():
        raise InvalidValueError(
            f"{path} is a link, and what it leads to would be overwritten; remove the link."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder)  # which an old lock in it does not tell
        file = os.fdopen(
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+", encoding="utf-8"
        )
    except UserError:
        raise
    except OSError as error:
        raise _closed(folder, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        _, _, owner = file.read().strip().partition(" ")
        file.close()
        raise TakenError(
            f"another workflow is writing to {folder} ({owner or 'just started'}); wait until it "
            "ends, or stop it."
        ) from error
    except OSError as error:
        print(f"{folder}: this file system has no locks ({error.strerror}).", file=sys.stderr)
    token = uuid.uuid4().hex
    try:
        file.truncate(0)
        file.write(f"{token} process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
    except OSError as error:
        raise SystemRefusedError(
            f"{path} cannot be written ({error.strerror}); make room."
        ) from error
    os.environ[_RUN] = f"{token} {path}"
    _held.append(file)


def check_writable(folder: Path) -> None:
    """Refuse a folder that this process may not write to, or could not make.

    Raises
    ------
    SystemRefusedError
        If so.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise _closed(there, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _closed(folder: Path, error: OSError) -> SystemRefusedError:
    return SystemRefusedError(
        f"{folder} cannot be written to ({error.strerror}); make it writable, or run in another "
        "folder."
    )


def check() -> None:
    """Refuse to go on in a process whose workflow was replaced by a later one.

    Raises
    ------
    SupersededError
        If the folder was taken again since.
    """
    token, _, path = os.environ.get(_RUN, "").partition(" ")
    try:
        current = Path(path).read_text(encoding="utf-8") if token else ""
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return  # nobody holds what is not there
        raise
    if not current.startswith(token):
        raise SupersededError(
            f"a later workflow has taken {Path(path).parent}; this job of an earlier one ends "
            "without writing."
        )
