"""One at a time: downloads of one user from one host, across processes."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from filelock import FileLock, Timeout


@contextmanager
def turn(host: str) -> Iterator[None]:
    """Wait until nobody else has the turn for `host`, then hold it.

    The lock belongs to the process and dies with it.
    """
    lock = FileLock(_folder() / f"{host.replace(':', '_')}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another download from {host} to end", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _folder() -> Path:
    """Make the folder of the locks: in the user's cache, which the nodes of a cluster share.

    Where that cannot be written, as in many containers, it is this machine's temporary folder.
    """
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        shared = cache / "ap3" / "hosts"
        shared.mkdir(parents=True, exist_ok=True)
        if os.access(shared, os.W_OK):
            return shared
    except (OSError, RuntimeError):  # no such home, or none at all
        pass
    own = Path(gettempdir()) / f"ap3-hosts-{os.getuid()}"
    own.mkdir(exist_ok=True)
    return own
