"""One at a time: downloads of one user from one host, across processes."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def turn(host: str) -> Iterator[None]:
    """Wait until nobody else has the turn for `host`, then hold it.

    The lock belongs to the process and dies with it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "ap3" / "hosts"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{host.replace(':', '_')}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another download from {host} to end", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
