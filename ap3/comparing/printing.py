"""Tables for a reader at the terminal, and for machines."""

import json
import sys

import pandas as pd

from ap3.comparing.cells import cut, spelled
from ap3.comparing.comparison import Comparison, with_totals

_LONGEST_DETAIL = 30
_FORMULAS = ("=", "+", "-", "@")


def show(table: Comparison) -> None:
    """Print a table and its totals: for a reader on a terminal, as plain columns into a file or a pipe.

    Parameters
    ----------
    table
        As `ap3.compare` returns it.
    """
    if sys.stdout.isatty():
        from rich.console import Console

        from ap3.comparing.terminal_table import lines

        console = Console(highlight=False)
        is_unicode = (console.encoding or "").lower().startswith("utf")
        for line in lines(table, console.width, is_unicode):
            console.print(line, soft_wrap=True)
        return
    rows = with_totals(table)
    if "detail" in rows and not rows["detail"].any():
        rows = rows.drop(columns="detail")
    elif "detail" in rows:
        rows["detail"] = [cut(text, _LONGEST_DETAIL) for text in rows["detail"]]
    print(rows.map(spelled).to_string(index=False))


def as_json(table: pd.DataFrame) -> str:
    """Write a table as a JSON list of rows; what is missing is null.

    Parameters
    ----------
    table
        Of any columns.

    Examples
    --------
    >>> as_json(pd.DataFrame({"layer": ["fc"], "ap2": [float("nan")]}))
    '[{"layer": "fc", "ap2": null}]'
    """
    table = pd.DataFrame(table)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return json.dumps(rows)


def as_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV, in which no text is a formula to a spreadsheet.

    Parameters
    ----------
    table
        Of any columns.

    Examples
    --------
    >>> print(as_csv(pd.DataFrame({"layer": ["=1+1"], "ap2": [0.5]})), end="")
    layer,ap2
    '=1+1,0.5
    """
    return str(pd.DataFrame(table).map(_harmless).to_csv(index=False))


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value
