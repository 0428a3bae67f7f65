"""The published tables, and how their numbers are written in a sentence."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

RESULTS = Path(__file__).parents[1] / "results"
LEVEL = 0.05
"""Of a p-value, below which a gain is certain."""

LOSS, SIGNED = "test_pd_loss", "test_pd_loss_signed"
TRAIN, TRAIN_SIGNED = "train_pd_loss", "train_pd_loss_signed"
ACCURACY, ACCURACY_SIGNED = "test_pd_accuracy", "test_pd_accuracy_signed"

RESNET, SHUFFLENET, LITE = "resnet18", "shufflenet_v2_x0_5", "efficientnet_lite:lite0"

_WORDS = dict(
    enumerate(
        [
            "no",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ]
    )
) | {20: "twenty", 100: "hundred"}
_TIMES = {1: "once", 2: "twice"}


@cache
def table(study: str, name: str) -> pd.DataFrame:
    """Read a published table of a study, such as `agreement_summary`."""
    return pd.read_csv(next(RESULTS.joinpath(study).glob(f"{name}.csv*")))


def studies_with(name: str) -> list[str]:
    """Name the studies of which a table is published."""
    return sorted(path.parent.name for path in RESULTS.glob(f"*/{name}.csv*"))


def rows_of(found: pd.DataFrame, /, **where: Any) -> pd.DataFrame:
    """Choose the rows whose columns are equal to these."""
    for column, value in where.items():
        found = found[found[column] == value]
    return found


def rows(study: str, name: str, /, **where: Any) -> pd.DataFrame:
    """Choose the rows of a published table whose columns are equal to these."""
    return rows_of(table(study, name), **where)


def row(found: pd.DataFrame, /, **where: Any) -> pd.Series:
    """Return the one row that these choose.

    Raises
    ------
    ValueError
        If there are several, or none.
    """
    chosen = rows_of(found, **where)
    if len(chosen) != 1:
        raise ValueError(f"there are {len(chosen)} rows with {where}, not one.")
    return chosen.iloc[0]


def only(found: pd.DataFrame, column: str = "mean", /, **where: Any) -> float:
    """Return the one number that these choose."""
    return float(row(found, **where)[column])


def cell(column: str, study: str, name: str, /, **where: Any) -> float:
    """Return the one number of a published table that these choose."""
    return only(table(study, name), column, **where)


def plain(value: float, digits: int = 2) -> str:
    """Write a number with so many digits behind the point, and a real minus.

    Examples
    --------
    >>> plain(-0.126), plain(1280, 0), plain(-0.001)
    ('−0.13', '1,280', '0.00')
    """
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """Write a number with its sign."""
    return f"{value:+,.{digits}f}".replace("-", "−")


def percent(share: float, digits: int = 0) -> str:
    """Write a share in percent."""
    return plain(100 * share, digits)


def word(count: float) -> str:
    """Write a count up to twelve, and few larger ones, as a word, all others in digits.

    Examples
    --------
    >>> word(2), word(20), word(1797)
    ('two', 'twenty', '1,797')
    """
    return _WORDS.get(int(count), f"{count:,}")


def times(count: float) -> str:
    """Write how often something is done."""
    return _TIMES.get(int(count), f"{word(count)} times")


def ends(values: Iterable[float]) -> tuple[float, float]:
    """Return the smallest and the largest."""
    known = [*values]
    return min(known), max(known)


def alike(written: Iterable[str]) -> str:
    """Return what all of these are; fail if they are not alike."""
    (one,) = set(written)
    return one
