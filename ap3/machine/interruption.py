"""Ctrl-C, and the SIGTERM of a cluster that takes its machine back, as an exception that cleans up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = 130  # of a process that ends for it, as shells have it


class Interrupted(BaseException):
    """Somebody wants this process to end."""


@contextmanager
def signals() -> Iterator[None]:
    """Raise `Interrupted` at either signal within the `with` block, unless it is ignored already."""
    heeded = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    before = {number: signal.signal(number, _raise) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted
