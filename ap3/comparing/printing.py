"""Tables for a reader at the terminal, and for machines."""

import json
import sys

import pandas as pd

from ap3.comparing.comparison import narrow, spelled

_FORMULAS = ("=", "+", "-", "@")


def show(table: pd.DataFrame) -> None:
    """Print a table: with rules on a terminal, as plain columns into a file or a pipe.

    Parameters
    ----------
    table
        As `ap3.compare` returns it.
    """
    table = pd.DataFrame(table)
    if "detail" in table and not table["detail"].any():
        table = table.drop(columns="detail")
    if not sys.stdout.isatty():
        print(table.map(spelled).to_string(index=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD)
    console = Console()
    texts = table.map(spelled) if console.width >= _width(table) else narrow(table)
    for name in texts.columns:
        is_number = pd.api.types.is_numeric_dtype(table[name])
        title = str(name).replace("_", " ")
        shown.add_column(title, justify="right" if is_number else "left", overflow="fold")
    for row in texts.itertuples(index=False):
        # Plain texts: what looks like markup in a name is a part of the name.
        shown.add_row(*(Text(cell) for cell in row))
    console.print(shown)


def _width(table: pd.DataFrame) -> int:
    """Width of the whole table with its rules."""
    return (
        max(map(len, table.map(spelled).to_string(index=False).splitlines())) + 2 * table.shape[1]
    )


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
