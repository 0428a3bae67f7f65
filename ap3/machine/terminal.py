"""The one terminal that bars and wheels are drawn on, so that several can stand under one another."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

LONG = 2.0  # seconds: what takes longer says so on a terminal


@cache
def console() -> "Console":
    """Return standard error as a terminal; rich is imported when one is drawn on."""
    from rich.console import Console

    return Console(stderr=True)


_turning: list["Live"] = []


@contextmanager
def wheel(title: str) -> Iterator[None]:
    """Turn a wheel on a terminal, under which a stage may draw bars of its own.

    What is printed meanwhile goes where it belongs: rich, left alone, would send all of standard
    output to the terminal, even where it goes to a file.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.live import Live
    from rich.spinner import Spinner

    live = Live(Spinner("dots", title), console=console(), transient=True, redirect_stdout=False)
    with live:
        _turning.append(live)
        try:
            yield
        finally:
            _turning.remove(live)


def rest() -> None:
    """Take the wheel away, before results are printed."""
    for live in _turning:
        live.stop()
