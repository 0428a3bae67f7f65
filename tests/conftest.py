"""What holds for all tests."""

import contextlib
import os
import pty
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from ap3.machine.terminal import console

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Let the processes that tests start be interrupted, and those beside each other compute by one thread.

    A shell starts its background jobs with SIGINT ignored, and their children inherit that. Threads
    beyond the cores wait for each other in loops, which takes four times as long.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


WORKFLOW = Path(__file__).parent / "workflow"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what Snakemake runs: of two workers the first takes it, and makes its study once."""
    items.sort(key=lambda item: WORKFLOW not in item.path.parents)


@pytest.fixture
def on_terminal(monkeypatch):
    """Call a function with a terminal as standard error; give what it shows there."""
    monkeypatch.setenv("TERM", "xterm")

    def call(step):
        master, slave = pty.openpty()
        with os.fdopen(slave, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", terminal)
            # Settled when it was made, away from any terminal.
            patch.setattr(console(), "is_interactive", True)
            step()
        pieces = []
        # Linux ends a terminal that nobody writes to any more with an error.
        with contextlib.suppress(OSError):
            while piece := os.read(master, 65_536):
                pieces.append(piece)
        os.close(master)
        return b"".join(pieces).decode()

    return call
