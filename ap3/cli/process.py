"""The command line as a process: how it starts and ends, and what it says when something is wrong."""

import atexit
import errno
import gc
import io
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from ap3.cli import handing_over
from ap3.errors import SystemRefusedError, UserError
from ap3.machine import interruption


def main() -> None:
    """Be a process that runs the command line: quick to start and to end.

    Importing torch makes a million objects that stay. Python's collector would look at them again
    and again, and take them apart one by one at the end: a third of the time of a short stage.
    """
    gc.set_threshold(100_000, 20, 100)
    open_streams()
    _end(run())


def open_streams() -> None:
    """Take the places of standard streams that are closed, before a file of ours gets their number.

    What is said to a closed standard error is lost; what is printed to a closed standard output is
    refused by the system. Letters that the terminal lacks are escaped.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end(status: int) -> NoReturn:
    """End as Python does, in the same order, but for taking its modules apart."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError):  # there is none, or nobody reads it
            stream.flush()
    os._exit(status)


def run() -> int:
    """Run the command line and return its exit status; what goes wrong ends in one sentence."""
    try:
        with interruption.signals():
            elsewhere = handing_over.run_elsewhere()
            return _typed() if elsewhere is None else elsewhere
    except UserError as error:
        return _complain(str(error), error.status)
    except BrokenPipeError:
        return 1  # whoever reads the output has had enough
    except OSError as error:
        if error.errno == errno.EBADF and not error.filename:
            return _complain(
                "standard output is closed; give it a place, such as > FILE.",
                SystemRefusedError.status,
            )
        where = f" {error.filename!r}" if error.filename else ""
        return _complain(
            f"the system refused{where}: {error.strerror or error}.", SystemRefusedError.status
        )
    except RuntimeError as error:
        # torch's, which need not be imported to be recognised
        if type(error).__name__ != "OutOfMemoryError":
            raise
        return _complain(
            "the card has too little memory; choose device: cpu.", SystemRefusedError.status
        )
    except interruption.Interrupted:
        sentence = (
            "interrupted; nothing is half-written, and the same command makes what is missing."
        )
        return _complain(sentence, interruption.STATUS)
    except MemoryError:
        return _complain(
            "there is not enough memory; free some, or take less.", SystemRefusedError.status
        )


def _typed() -> int:
    """Run what was typed, until all that it says is out."""
    from ap3.cli.commands import command  # takes long enough for somebody to interrupt it

    status: str | int | None = 0
    try:
        command()
    except SystemExit as stopped:
        status = stopped.code
    print(end="", flush=True)
    if isinstance(status, str):
        print(status, file=sys.stderr)
        return 1
    return status or 0


def _complain(sentence: str, status: int) -> int:
    print(f"ap3: {sentence}", file=sys.stderr, flush=True)
    return status
