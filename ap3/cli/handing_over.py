"""Let a warm process run what was typed, where there is one; `warm_process` says what that is.

The workflow starts it and names its socket in an environment variable. Where it does not answer, or
belongs to another installation, the command runs as always.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from ap3.machine.warm import PLACE

STARTED = b"+%d\n"
"""The first line of an answer: which process has started. The second is its exit status."""


def run_elsewhere() -> int | None:
    """Have the command line run by the warm process; returns its exit status, or None without one.

    It gets our standard streams, folder, environment and signals. If a signal ends it, that ends us.
    """
    place = os.environ.get(PLACE)
    if not place:
        return None
    with socket.socket(socket.AF_UNIX) as line, line.makefile("rb") as answer:
        try:
            line.connect(place)
            socket.send_fds(line, [b"."], [0, 1, 2])
            line.sendall(json.dumps(_asked()).encode())
            line.shutdown(socket.SHUT_WR)
            started = answer.readline()
        except OSError:
            return None
        if not started.startswith(STARTED[:1]):
            return None
        _pass_signals_on(int(started[1:]))
        status = int(answer.readline() or -signal.SIGKILL)  # without an answer both were killed
    if status < 0:
        with suppress(OSError):  # SIGKILL can do nothing else
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def belongs_here(asked: dict[str, Any]) -> bool:
    """Tell whether this process imports the same modules as the one that asked."""
    return bool(asked["installation"] == _installation())


def _asked() -> dict[str, Any]:
    return {
        "arguments": sys.argv,
        "folder": str(Path.cwd()),
        "environment": {name: value for name, value in os.environ.items() if name != PLACE},
        "installation": _installation(),
    }


def _installation() -> list[Any]:
    """Return what decides which modules an import finds, and how Python runs them."""
    python = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    return [sys.prefix, sys.version, __file__, python]


def _pass_signals_on(stage: int) -> None:
    def tell(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):  # it has ended just now
            os.kill(stage, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, tell)
