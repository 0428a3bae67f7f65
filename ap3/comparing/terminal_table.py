"""A comparison on a terminal of any width: numbers in columns, a coloured bar, what was done in words.

Where a line holds all of a layer, it has one; elsewhere its name and what was done to it stand on
one line, bar and numbers on the next.
"""

from textwrap import wrap
from typing import Any

import pandas as pd
from rich.text import Text

from ap3.comparing.cells import RANKED_BY, cut, spelled
from ap3.comparing.comparison import Comparison
from ap3.latent import FULL_PRUNING_KL

_WORDS = ("version", "layer", "kind", "detail", "fine_tuned")
_BAR = 10
_LONGEST_DETAIL = 60
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SLIGHT, _STRONG = 0.1, 0.5  # of what pruning the whole layer gives


def lines(table: Comparison, width: int, is_unicode: bool = True) -> list[Text]:
    """Lay a comparison out in lines.

    Parameters
    ----------
    table
        As `ap3.compare` returns it.
    width
        Of the terminal, in characters.
    is_unicode
        Whether it can show blocks of eighths.
    """
    totals = table.totals
    versions = list(dict.fromkeys(table["version"])) if "version" in table else [None]
    layout = _Layout(table, totals, width, is_unicode)
    shown = layout.header()
    for version in versions:
        rows, total = pd.DataFrame(table), totals
        if version is not None:
            shown.append(Text(str(version), style="bold underline"))
            rows, total = (part[part["version"] == version] for part in (rows, totals))
        for row in rows.to_dict("records"):
            shown += layout.row(row)
        for row in total.to_dict("records"):
            shown += layout.row(row, style="bold", has_bar=False)
    return shown


class _Layout:
    """Widths of the columns, and whether a layer has one line or two."""

    def __init__(
        self, table: Comparison, totals: pd.DataFrame, width: int, is_unicode: bool
    ) -> None:
        self.width, self.is_unicode = width, is_unicode
        rows = [*table.to_dict("records"), *totals.to_dict("records")]
        names = [str(name) for name in table.columns if name not in _WORDS]
        self.widths = {
            name: max([len(part) for part in _title(name)] + [len(spelled(r[name])) for r in rows])
            for name in names
        }
        self.name = max([len("layer"), *(len(str(row.get("layer", ""))) for row in rows)])
        words = max((len(_done(row)) for row in rows), default=0)
        numbers = sum(self.widths.values()) + 2 * len(names)
        self.is_one_line = self.name + numbers + 2 + _BAR + 1 + words <= width
        self.indent = self.name if self.is_one_line else _BAR + 2
        while not self.is_one_line and self._needed() > width and len(self.widths) > 1:
            self.widths.popitem()  # spelled beside the name
        self.beside = [name for name in names if name not in self.widths]
        values = [row.get(RANKED_BY, 0.0) for row in table.to_dict("records")]
        self.largest = max([v for v in values if v == v], default=0.0)

    def _needed(self) -> int:
        return self.indent + sum(self.widths.values()) + 2 * len(self.widths)

    def header(self) -> list[Text]:
        """Write the titles of the columns, in two lines."""
        found = []
        for place in (0, 1):
            title = "layer" if place == 1 else ""
            line = title.ljust(self.indent)
            line += "".join("  " + _title(n)[place].rjust(w) for n, w in self.widths.items())
            found.append(Text(line.rstrip(), style="dim"))
        return found

    def row(self, row: dict[str, Any], style: str = "", has_bar: bool = True) -> list[Text]:
        """Write a layer, or a total."""
        numbers = "".join("  " + spelled(row[n]).rjust(w) for n, w in self.widths.items())
        name = str(row.get("layer", ""))
        bar = self._bar(row) if has_bar else Text(" " * _BAR)
        if self.is_one_line:
            line = Text(name.ljust(self.name) + numbers + "  ", style=style)
            return [line.append_text(bar).append(f" {_done(row)}".rstrip())]
        extra = [f"{column} {spelled(row[column])}" for column in self.beside]
        words = "  ".join([name, *filter(None, [_done(row), *extra])])
        above = wrap(words, max(self.width, 2), subsequent_indent="  ") or [""]
        texts = [Text(line, style=style) for line in above]
        return [*texts, Text("  ").append_text(bar).append(numbers, style=style)]

    def _bar(self, row: dict[str, Any]) -> Text:
        """As long as the AP3 beside the largest; its colour says how much of the layer that is."""
        value = row.get(RANKED_BY, 0.0)
        if not value > 0 or not self.largest > 0:
            return Text(" " * _BAR)
        eighths = max(1, round(8 * _BAR * value / self.largest))
        whole, rest = divmod(eighths, 8)
        blocks = "█" * whole + (_EIGHTHS[rest] if rest else "")
        bar = blocks if self.is_unicode else "#" * -(-eighths // 8)
        share = value / FULL_PRUNING_KL
        colour = "green" if share < _SLIGHT else "yellow" if share < _STRONG else "red"
        return Text(bar.ljust(_BAR), style=colour)


def _title(name: str) -> tuple[str, str]:
    """Split a column's name into two lines, the second of which is never empty."""
    first, _, second = name.partition("_")
    return (first, second.replace("_", " ")) if second else ("", first)


def _done(row: dict[str, Any]) -> str:
    """Say what was done to a layer, in words."""
    kind, detail = str(row.get("kind", "")), str(row.get("detail", ""))
    detail = cut(detail, _LONGEST_DETAIL)
    tuned = "fine-tuned" if row.get("fine_tuned") and kind and kind != "fine-tuned" else ""
    return ", ".join(part for part in (f"{kind}: {detail}" if detail else kind, tuned) if part)
