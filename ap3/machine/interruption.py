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
    """Raise `Interrupted` at either signal within the `with` block, unless it is ignored already.

    Once it is raised, further signals are ignored, for this process is cleaning up and about to
    end: a workflow that is stopped may pass on what its jobs got as well.
    """
    heeded = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) != signal.SIG_IGN
    ]

    def stop(number: int, frame: FrameType | None) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted

    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) == stop:
                signal.signal(number, handler)
