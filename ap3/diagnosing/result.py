"""What the three functions return: a table, a sentence, and remarks; printed, as CSV, in a notebook."""

from html import escape
from os import PathLike
from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd

from ap3.files.storage import write_atomically

_WIDTH = 80
_DIGITS = 4


class Result:
    """A table with the sentences that belong to it.

    Attributes
    ----------
    table
        A tidy `pandas.DataFrame`.
    verdict
        What it says, in one sentence; ± are 95 % intervals.
    remarks
        What a reader has to know.
    """

    shown: tuple[str, ...] = ()
    """Columns that are printed; all are in the table."""

    def __init__(self, table: pd.DataFrame, verdict: str, remarks: list[str]) -> None:
        self.table, self.verdict, self.remarks = table, verdict, remarks

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table as a list of rows, each a dictionary by column."""
        return [dict(row) for row in self.table.to_dict("records")]

    def to_csv(self, path: str | PathLike[str] | None = None) -> str | None:
        """Write the table as CSV, or return it as text.

        Parameters
        ----------
        path
            Of the file; None returns the text.
        """
        text = self.table.to_csv(index=False)
        if path is None:
            return str(text)
        write_atomically(Path(path), lambda partial: partial.write_text(str(text), "utf-8"))
        return None

    def narrow(self) -> pd.DataFrame:
        """Return the columns that are printed, each cell as text."""
        shown = [name for name in self.shown if name in self.table]
        return pd.DataFrame(
            {name: [cell(value) for value in self.table[name]] for name in shown or self.table}
        )

    def __str__(self) -> str:
        text = self.narrow().to_string(index=False)
        return "\n".join(
            [fill(self.verdict, _WIDTH), text, *(fill(r, _WIDTH) for r in self.remarks)]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        remarks = "".join(f"<p>{escape(remark)}</p>" for remark in self.remarks)
        return f"<p><b>{escape(self.verdict)}</b></p>{self.narrow().to_html(index=False)}{remarks}"


def cell(value: object) -> str:
    """Spell a cell: four digits, thousands separated, a dash for what is missing.

    Examples
    --------
    >>> cell(0.123456), cell(1200), cell(float("nan")), cell(True)
    ('0.1235', '1,200', '–', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.{_DIGITS}g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
