"""One process that has imported the libraries: stages fork from it, and so start at once.

Importing torch takes longer than a short stage works. This process imports once, and forks for every
stage that `handing_over` sends to its socket; while nobody asks it imports what is left. It ends when
its standard input does, with the workflow that started it, or at SIGTERM: once the stages that it has
forked have ended. On Linux only.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from ap3.cli import process
from ap3.cli.handing_over import STARTED, belongs_here

LIBRARIES = (
    *("ap3.cli.commands", "torch", "torchvision", "torch._dynamo", "pandas", "safetensors.torch"),
    *("scipy.stats", "scipy.sparse.linalg", "threadpoolctl", "pyro.distributions"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf"),
    *("fontTools.subset", "PIL.PngImagePlugin"),
)
"""What stages wait for, in the order in which a study asks for it."""

Handler = Callable[[int, FrameType | None], Any] | int | None

_PR_SET_PDEATHSIG = 1  # of prctl: the signal that a process gets when its parent ends


class WarmProcess:
    """Waits for stages at a socket, and for the ends of those that it has forked.

    Parameters
    ----------
    place
        Of the socket, in a folder of its own.
    """

    def __init__(self, place: Path) -> None:
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(place))
        self.listening.listen(128)
        # A stage does at a signal what it would do had it been started by itself.
        self.heeded: dict[int, Handler] = {
            number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
        }
        self.left = list(LIBRARIES)
        self.stages: dict[int, tuple[int, socket.socket]] = {}  # by the file that tells of the end
        self.poll = select.poll()
        self.ends = [sys.stdin.fileno(), _readable_at_sigterm()]
        for source in (self.listening.fileno(), *self.ends):
            self.poll.register(source, select.POLLIN)

    def serve(self) -> None:
        """Fork for whoever asks, until it is time to end."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while self.ends or self.stages:
            ready = [source for source, _ in self.poll.poll(0 if self.left else None)]
            for source in ready:
                self._look_at(source)
            if not ready and self.left:
                with suppress(ImportError):  # stages that need it say that it is not installed
                    importlib.import_module(self.left.pop(0))

    def _look_at(self, source: int) -> None:
        if source in self.stages:
            self._tell_of_end(source)
        elif source in self.ends:
            for each in (self.listening.fileno(), *self.ends):
                self.poll.unregister(each)
            self.left, self.ends = [], []
            self.listening.close()
        elif source == self.listening.fileno():
            self._fork_for(self.listening.accept()[0])
        for stage, line in self.stages.values():
            if line.fileno() == source:  # whoever asked is gone
                self.poll.unregister(line)
                os.kill(stage, signal.SIGKILL)

    def _fork_for(self, line: socket.socket) -> None:
        gc.freeze()
        stage = os.fork()
        if stage == 0:
            for _, other in self.stages.values():
                other.close()
            self.listening.close()
            _become_what_is_asked_for(line, self.heeded)
        ended = os.pidfd_open(stage)
        self.stages[ended] = stage, line
        self.poll.register(ended, select.POLLIN)
        self.poll.register(line, 0)  # tells when the other end is closed

    def _tell_of_end(self, ended: int) -> None:
        stage, line = self.stages.pop(ended)
        status = os.waitstatus_to_exitcode(os.waitpid(stage, 0)[1])
        self.poll.unregister(ended)
        os.close(ended)
        with suppress(KeyError):  # whoever asked was gone before
            self.poll.unregister(line)
        with line, suppress(OSError):
            line.sendall(f"{status}\n".encode())


def _readable_at_sigterm() -> int:
    """Return a file that can be read once SIGTERM has come."""
    readable, written = os.pipe()
    signal.signal(signal.SIGTERM, lambda number, frame: os.write(written, b"."))
    return readable


def _become_what_is_asked_for(line: socket.socket, heeded: dict[int, Handler]) -> None:
    """Be the process that asked, with all that is imported already."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for number, handler in heeded.items():
            signal.signal(number, handler)
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
        process.main()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


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
        setattr(sys, name, after)


def main() -> None:
    """Serve at the socket that the last argument names, in a folder that is removed at the end."""
    process.open_streams()
    place = Path(sys.argv[-1])
    WarmProcess(place).serve()
    with suppress(OSError):
        place.unlink()
        place.parent.rmdir()
