"""The one terminal that bars and wheels are drawn on, so that several can stand under one another."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

LONG = 2.0  # seconds: what takes longer says so on a terminal


@cache
def console() -> "Console":
    """Return standard error as a terminal; rich is imported when one is drawn on."""
    from rich.console import Console

    return Console(stderr=True)
