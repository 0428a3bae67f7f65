"""How far a download is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from ap3.machine.terminal import console


@contextmanager
def progress(name: str, size: int, have: int) -> Iterator[Callable[[int], object]]:
    """Give a function that is told of all bytes beyond the first `have`, of `size`, as they come.

    It draws a bar on a terminal; elsewhere, in a log, it writes a line for every tenth.
    """
    if not sys.stderr.isatty():
        yield _tenths(name, size, have)
        return
    numbers = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    columns = (*Progress.get_default_columns()[:2], *numbers)
    with Progress(*columns, console=console()) as bar:
        task = bar.add_task(name, total=size, completed=have)
        yield partial(bar.advance, task)


def _tenths(name: str, size: int, have: int) -> Callable[[int], None]:
    done = have

    def advance(count: int) -> None:
        nonlocal done
        before, done = done * 10 // size, (done + count)
        if done * 10 // size > before:
            percent = done * 100 // size
            print(f"{name}: {percent} % of {size / 1e6:.1f} MB", file=sys.stderr)

    return advance
