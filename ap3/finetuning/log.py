"""The log of fine-tuning: one table of how each variant of a baseline did, epoch by epoch.

It needs no torch, and what only reads a log need not wait for it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ap3.errors import MissingFileError
from ap3.files import csv_tables
from ap3.pruning.pruned import PrunedNetwork


def read_log(path: Path, *values: str) -> pd.DataFrame:
    """Read the log beside what `trajectory.save` wrote to `path`.

    Parameters
    ----------
    path
        The fine-tuned layers.
    values
        Further columns that the log must have.

    Raises
    ------
    UserError
        If it is missing or no such table.
    """
    log = path.with_suffix(".csv")
    if not log.exists():
        raise MissingFileError(
            f"{path} has no log of fine-tuning beside it, {log.name}; give what ap3 finetune wrote."
        )
    return csv_tables.read(log, *csv_tables.ROW, values=values)


def log_of(log: pd.DataFrame, network: PrunedNetwork) -> pd.DataFrame:
    """Take one variant's rows out of a log, numbered from 0."""
    variant = network.variant
    mine = log[(log["mode"] == variant.mode) & (log["ratio"] == variant.ratio)]
    return mine.reset_index(drop=True)


def joined(logs: Iterable[list[dict[str, Any]]]) -> pd.DataFrame:
    """Put the rows of several logs into one table."""
    return pd.DataFrame([row for log in logs for row in log])
