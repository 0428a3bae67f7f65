"""The command line as a process: how it starts and ends, and what it says when something is wrong."""

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from ap3.errors import SystemRefusedError, UserError
from ap3.machine import interruption


def main() -> None:
    """Be a process that runs the command line: quick to start and to end.

    Importing torch makes a million objects that stay. Python's collector would look at them again
    and again, and take them apart one by one at the end: a third of the time of a short stage.
    """
    gc.set_threshold(100_000, 20, 100)
    _end(run())


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
            return _typed()
    except UserError as error:
        return _complain(str(error), error.status)
    except BrokenPipeError:
        return 1  # whoever reads the output has had enough
    except OSError as error:
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
    from ap3.cli.commands import app  # takes long enough for somebody to interrupt it

    status: str | int | None = 0
    try:
        app()
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
