"""Tidy tables as CSV: written whole, read back to the last bit."""

from pathlib import Path

import pandas as pd

from ap3.errors import UserError
from ap3.storage import write_atomically


def write(table: pd.DataFrame, path: Path) -> None:
    """Write `table` without its index; floats in the shortest form that reads back exactly."""
    write_atomically(path, lambda partial: table.to_csv(partial, index=False))


def read(path: Path, *required: str) -> pd.DataFrame:
    """Read a table and see that it has the `required` columns.

    Raises
    ------
    UserError
        If the file is missing, is no table, or lacks a column.
    """
    try:
        table = pd.read_csv(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; make it first, or correct the path.") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is no CSV table ({error}); delete it and make it again."
        ) from error
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise UserError(
            f"{path} lacks the columns {', '.join(missing)}; make it again with this version."
        )
    return table
