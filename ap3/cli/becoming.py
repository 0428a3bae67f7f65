"""How a fork of a warm process becomes the command that asked for it, as if it had been started itself.

What a process keeps of its own, and a fork inherits, is put back: signals, streams, environment, folder,
what is cleaned up at the end, where temporary files go, threads.
"""

import atexit
import ctypes
import io
import json
import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from ap3.cli import process
from ap3.cli.handing_over import STARTED, belongs_here

Handler = Callable[[int, FrameType | None], Any] | int | None

_PR_SET_PDEATHSIG = 1  # of prctl: the signal that a process gets when its parent ends


def die_with(parent: int) -> None:
    """End with the process `parent`, whose fork this is, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def become_what_is_asked_for(line: socket.socket, heeded: Mapping[signal.Signals, Handler]) -> None:
    """Be the process that asked, with all that is imported already."""
    try:
        for number, handler in heeded.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
        _forget_ends()
        with line:
            _, streams, _, _ = socket.recv_fds(line, 1, 3)
            asked = json.loads(b"".join(iter(lambda: line.recv(1 << 16), b"")))
            if not belongs_here(asked):
                return
            line.sendall(STARTED % os.getpid())
        _take(streams)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv[:] = asked["arguments"]
        tempfile.tempdir = None  # asked for again, in this environment
        _set_threads()
        process.main()
    except BaseException as error:
        traceback.print_exception(error.with_traceback(error.__traceback__.tb_next))  # type: ignore[union-attr]
        with suppress(OSError, ValueError):  # nobody reads it
            sys.stdout.flush()
    finally:
        os._exit(1)


def _forget_ends() -> None:
    """Leave to the warm process what libraries clean up at its end; keep what a stage may need."""
    atexit._clear()
    for module, clean_up in (("logging", "shutdown"), ("multiprocessing.util", "_exit_function")):
        if module in sys.modules:
            atexit.register(getattr(sys.modules[module], clean_up))


def _set_threads() -> None:
    """Let libraries that counted threads when they were imported have as many as the stage may."""
    asked = os.environ.get("OPENBLAS_NUM_THREADS", "1")
    if asked.isdigit() and int(asked) > 1:
        from threadpoolctl import threadpool_limits

        threadpool_limits(int(asked), user_api="blas")


def _take(streams: list[int]) -> None:
    """Put the files `streams` in the places of the standard ones; how they are written stays."""
    for number, (stream, name) in enumerate(
        zip(streams, ("stdin", "stdout", "stderr"), strict=True)
    ):
        os.dup2(stream, number)
        os.close(stream)
        before, lines = getattr(sys, name), 1 if name == "stderr" else -1
        mode = "r" if name == "stdin" else "w"
        after = open(number, mode, lines, before.encoding, before.errors, closefd=False)  # noqa: SIM115
        if isinstance(after, io.TextIOWrapper):
            after.reconfigure(write_through=before.write_through)
        setattr(sys, name, after)
