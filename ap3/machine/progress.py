"""How far a long step has come: one line on a terminal, one line at the end elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Self, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ap3.machine.terminal import LONG, console

T = TypeVar("T")


def counted(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Go through `items`; on a terminal a bar counts them as soon as that has taken long.

    Parameters
    ----------
    title
        What is being done.
    total
        How many there are; needed where `items` have no length.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    columns = (*Bar.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    bar = Bar(*columns, console=console(), transient=True)
    task = bar.add_task(title, total=len(items) if isinstance(items, Sized) else total)
    start = time.monotonic()
    try:
        for item in items:
            if time.monotonic() - start > LONG:
                bar.start()
            yield item
            bar.advance(task)
    finally:
        bar.stop()


class Progress:
    """Counts epochs; shows examples per second, loss, accuracy and the time left.

    Parameters
    ----------
    title
        What is being done.
    epochs
        How many there will be.
    examples
        Per epoch.
    """

    def __init__(self, title: str, epochs: int, examples: int) -> None:
        self.title, self.epochs, self.examples = title, epochs, examples
        self.done = 0
        self.note = ""
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("epoch {task.completed}/{task.total} {task.fields[note]}"),
            TimeRemainingColumn(),
            console=console(),
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        self.start = time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=self.epochs, note="")
        return self

    def advance(self, epoch: int, **figures: float) -> None:
        """Count one more epoch, now number `epoch`, and show `figures` by name."""
        self.done += 1
        rate = self.done * self.examples / (time.monotonic() - self.start)
        shown = [f"{name} {value:.4g}" for name, value in figures.items()]
        self.note = ", ".join([*shown, f"{rate:,.0f} examples/s"])
        self.bar.update(self.task, completed=epoch, note=self.note)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()
        if not sys.stderr.isatty() and kind is None:
            seconds = time.monotonic() - self.start
            print(
                f"{self.title}: {self.done} epochs in {seconds:.1f} s; {self.note}", file=sys.stderr
            )
