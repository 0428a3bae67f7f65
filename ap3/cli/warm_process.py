"""One process that has imported the libraries: stages fork from it, and so start at once.

Importing torch takes longer than a short stage works. This process imports once, and forks for every
stage that `handing_over` sends to its socket. The first of them wait for what a training needs, since
each would import it by itself; what is left is imported while nobody asks. It ends when its standard
input does, with the workflow that started it, or at SIGTERM: once the stages that it has
forked have ended. On Linux only.
"""

import gc
import importlib
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from ap3.cli import becoming, process

OF_TRAINING = (
    *("ap3.cli.commands", "pydantic.fields", "pydantic.type_adapter"),
    *("torch", "torchvision", "torch._dynamo", "pandas", "safetensors.torch"),
)
"""What the first stages of a study wait for."""

LIBRARIES = (
    *("scipy.stats", "scipy.sparse.linalg", "threadpoolctl", "pyro.distributions"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf"),
    *("fontTools.subset", "PIL.PngImagePlugin", "PIL.JpegImagePlugin"),
    *("pandas.io.formats.csvs", "jsonschema"),
)
"""What later stages need, in the order in which a study asks for it."""

STAGES = ("baseline", "features", "finetune", "measure", "bounds", "figure", "agreement", "report")
"""Whose own modules are imported as well; they are nearly all that other stages import."""

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
        self.heeded = {number: signal.getsignal(number) for number in _ENDING}
        self.left: Iterator[str] | None = chain(LIBRARIES, modules_of(*STAGES))
        self.stages: dict[int, tuple[int, socket.socket]] = {}  # by the file that tells of the end
        self.poll = select.poll()
        self.pipe = os.pipe()  # written to when it is time to end
        for number in (signal.SIGTERM, signal.SIGHUP):
            if self.heeded[number] != signal.SIG_IGN:
                signal.signal(number, lambda number, frame: os.write(self.pipe[1], b"."))
        self.ends = [sys.stdin.fileno(), self.pipe[0]]
        for source in (self.listening.fileno(), *self.ends):
            self.poll.register(source, select.POLLIN)

    def serve(self) -> None:
        """Fork for whoever asks, until it is time to end."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        first = chain(OF_TRAINING, modules_of("baseline"))
        while self._import_one_of(first):
            pass
        while self.ends or self.stages:
            ready = [source for source, _ in self.poll.poll(0 if self.left else None)]
            for source in ready:
                self._look_at(source)
            if not ready and self.left and not self._import_one_of(self.left):
                self.left = None

    def _import_one_of(self, left: Iterator[str]) -> bool:
        """Import the next, and say whether to go on."""
        try:
            importlib.import_module(next(left))
        except StopIteration:
            return False
        except ImportError:
            pass  # stages that need it say that it is not installed
        except Exception:
            self._end()  # it is broken, which is for the stages that need it to say
            return False
        return True

    def _look_at(self, source: int) -> None:
        if source in self.stages:
            self._tell_of_end(source)
        elif source in self.ends:
            self._end()
        elif source == self.listening.fileno():
            self._fork_for(self.listening.accept()[0])
        for stage, line in self.stages.values():
            if line.fileno() == source:  # whoever asked is gone
                self.poll.unregister(line)
                os.kill(stage, signal.SIGKILL)

    def _end(self) -> None:
        """Take on nothing more."""
        for each in (self.listening.fileno(), *self.ends):
            self.poll.unregister(each)
        self.left, self.ends = None, []
        self.listening.close()

    def _fork_for(self, line: socket.socket) -> None:
        gc.freeze()
        parent = os.getpid()
        # They wait until the fork does at them what it should.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            stage = os.fork()
        except OSError:  # whoever asked sees no answer, and runs by itself
            line.close()
            return
        finally:
            if os.getpid() == parent:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        if stage == 0:
            becoming.die_with(parent)
            self._let_go()
            becoming.become_what_is_asked_for(line, self.heeded)
        ended = os.pidfd_open(stage)
        self.stages[ended] = stage, line
        self.poll.register(ended, select.POLLIN)
        self.poll.register(line, 0)  # tells when the other end is closed

    def _let_go(self) -> None:
        """Close, in a fork, what is the warm process's own."""
        self.listening.close()
        for each in (*self.pipe, *self.stages):
            os.close(each)
        for _, line in self.stages.values():
            line.close()

    def _tell_of_end(self, ended: int) -> None:
        stage, line = self.stages.pop(ended)
        status = os.waitstatus_to_exitcode(os.waitpid(stage, 0)[1])
        self.poll.unregister(ended)
        os.close(ended)
        with suppress(KeyError):  # whoever asked was gone before
            self.poll.unregister(line)
        with line, suppress(OSError):
            line.sendall(f"{status}\n".encode())


def modules_of(*stages: str) -> Iterator[str]:
    """Name what stages import of this package. Their digests then are known to every fork, too."""
    from ap3.study.code_digest import closure

    for name in sorted(closure(*(f"ap3.stages.{stage}" for stage in stages))):
        if name.startswith("ap3."):  # a library that somebody works on counts in digests as well
            yield name


def main() -> None:
    """Serve at the socket that the last argument names, in a folder that is removed at the end."""
    place = Path(sys.argv[-1])
    try:
        os.close(os.pidfd_open(os.getpid()))  # a system without it ends us here
        process.open_streams()
        WarmProcess(place).serve()
    finally:
        with suppress(OSError):
            place.unlink(missing_ok=True)
            place.parent.rmdir()
