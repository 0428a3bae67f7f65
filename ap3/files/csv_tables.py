"""Tidy tables as CSV: written whole, read back to the last bit, refused where they are damaged."""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ap3.errors import InvalidFileError, InvalidValueError, MissingFileError
from ap3.files.safe_names import safe
from ap3.files.storage import write_atomically

ROW = ("dataset", "model", "trial", "mode", "ratio", "epoch")
"""What tells the rows of a study's tables apart."""

_NAMES = {
    *("dataset", "model", "mode", "allocation", "batch_norm"),
    *("layer", "measure", "law", "bound"),
    *("pd", "reference", "among", "statistic", "sees", "phase", "other", "interval", "how"),
}
"""Columns of names, texts even where they look like numbers; all others hold numbers or truths."""


def write(table: pd.DataFrame, path: Path) -> None:
    """Write `table` without its index; floats in the shortest form that reads back exactly."""
    write_atomically(path, lambda partial: table.to_csv(partial, index=False))


def read(path: Path, *keys: str, values: Collection[str] = ()) -> pd.DataFrame:
    """Read a table and see that it holds what is needed.

    Parameters
    ----------
    keys
        Columns without a gap.
    values
        Columns that must be there; values may be missing in some rows.

    Raises
    ------
    UserError
        If the file is missing, is no table, lacks a column, or has words among numbers.
    """
    try:
        table = pd.read_csv(path, low_memory=False, dtype=dict.fromkeys(_NAMES, "str"))
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{path} does not exist; make it first, or correct the path."
        ) from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise InvalidFileError(f"{path} is no file, but a table is needed; name one.") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise InvalidFileError(
            f"{path} is no CSV table ({said}); delete it and make it again."
        ) from error
    missing = [column for column in (*keys, *values) if column not in table.columns]
    if missing:
        raise InvalidFileError(
            f"{path} lacks the columns {', '.join(missing[:3])}{', …' if missing[3:] else ''}; give the "
            "table that holds them or, if this is it, delete it and make it again."
        )
    for column in keys:
        _refuse(path, column, table[column].isna(), table[column], "a value belongs")
    for column in table.columns[~table.dtypes.map(pd.api.types.is_numeric_dtype)]:
        cells = table[column]
        if column in _NAMES or pd.api.types.infer_dtype(cells) == "boolean":
            continue
        numbers = pd.to_numeric(cells, errors="coerce")
        _refuse(path, column, numbers.isna() & cells.notna(), cells, "a number belongs")
        table[column] = numbers  # read_csv leaves very long ones as text
    return table


def read_all(
    paths: Iterable[Path], *keys: str, values: Collection[str] = (), may_be_empty: bool = False
) -> pd.DataFrame:
    """Read several tables, each as `read` does, into one; `keys` tell its rows apart.

    Parameters
    ----------
    keys, values
        As `read` has them.
    may_be_empty
        Whether a table without a row is none that was damaged.

    Raises
    ------
    UserError
        Also if there is none, not one row in any of them, or one row twice.
    """
    paths = list(paths)
    found = [read(path, *keys, values=values) for path in paths]
    for path, table in zip(paths, found, strict=True):
        if table.empty and not may_be_empty:
            raise InvalidValueError(f"{path} has no rows; delete it and make it again.")
    if not found:
        raise InvalidValueError("expected at least one table, and found none; give the CSV files.")
    joined = pd.concat(found, ignore_index=True)
    twice = joined.duplicated([*keys])
    if twice.any():
        path = np.repeat([*map(str, paths)], [len(table) for table in found])[twice][0]
        row = ", ".join(safe(str(value)) for value in joined.loc[twice.idxmax(), [*keys]])
        raise InvalidFileError(
            f"{path} has a row that was there before ({row}); give each table once, and none "
            "but tables of the kind that is asked for."
        )
    return joined


def _refuse(path: Path, column: str, wrong: pd.Series, cells: pd.Series, belongs: str) -> None:
    """Refuse a table for the first cell of a column that is `wrong`, if any is."""
    if wrong.any():
        place = int(wrong.to_numpy().argmax())
        raise InvalidFileError(
            f"{path} is damaged: where {belongs}, in line {place + 2} of the column {safe(column)}, "
            f"it has {str(cells.iloc[place])[:40]!r}; delete it and make it again."
        )
