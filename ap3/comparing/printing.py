"""Tables for a reader at the terminal, and for machines."""

import json
import sys

import pandas as pd

_DIGITS = 4


def show(table: pd.DataFrame) -> None:
    """Print a table: with rules on a terminal, as plain columns into a file or a pipe."""
    texts = table.map(_text)
    if not sys.stdout.isatty():
        print(texts.to_string(index=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD)
    for name in table.columns:
        is_number = pd.api.types.is_numeric_dtype(table[name])
        title = str(name).replace("_", " ")
        if is_number:
            shown.add_column(title, justify="right", overflow="fold")
        else:
            shown.add_column(title, overflow="fold", min_width=12)
    for row in texts.itertuples(index=False):
        shown.add_row(*row)
    Console().print(shown)


def as_json(table: pd.DataFrame) -> str:
    """Write a table as a JSON list of rows; what is missing is null.

    Examples
    --------
    >>> as_json(pd.DataFrame({"layer": ["fc"], "ap2": [float("nan")]}))
    '[{"layer": "fc", "ap2": null}]'
    """
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return json.dumps(rows)


def _text(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.{_DIGITS}g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
