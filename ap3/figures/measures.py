"""The rows of the measures that a figure is drawn from: read, found complete, averaged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ap3.config.schema import nearest
from ap3.config.variants import CONTROL, mode_order
from ap3.errors import InvalidValueError
from ap3.figures.descriptions import Description
from ap3.figures.roles import Roles
from ap3.files import csv_tables

VARIANT = ["mode", "ratio"]
KEYS = [*csv_tables.ROW]


@dataclass(frozen=True)
class Block:
    """The rows of one network on one data set, every trial with the same variants and epochs."""

    network: str
    data_set: str
    rows: pd.DataFrame
    modes: list[str]
    ratios: list[float]
    trials: int
    control: bool

    def curve(
        self, mode: str, ratio: float, column: str
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the epochs (E,) and the values of `column` for one variant, (trials, E)."""
        chosen = self.rows[(self.rows["mode"] == mode) & (self.rows["ratio"] == ratio)]
        ordered = chosen.sort_values(["trial", "epoch"])
        return ordered["epoch"].unique(), ordered[column].to_numpy(float).reshape(self.trials, -1)


def read(paths: Iterable[Path]) -> pd.DataFrame:
    """Read tables of measures (CSV) into one.

    Raises
    ------
    UserError
        If no path is given, or one cannot be read as a table.
    """
    return csv_tables.read_all(paths, *csv_tables.ROW)


def blocks(description: Description, measures: pd.DataFrame, roles: Roles) -> list[Block]:
    """Return the blocks of a figure, each complete.

    Every block must hold the modes, ratios and trials found in any of them (or named by the
    description), so that a missing variant is refused and not left out of one panel.

    Raises
    ------
    UserError
        If a column or a row is missing, a row is there twice, or a value cannot be drawn.
    """
    drawn = list(dict.fromkeys(c for row in description.rows() for c in row.columns))
    _check_columns(description.name, measures, [*KEYS, *drawn])
    pairs = description.blocks(roles)
    rows = pd.concat([_rows_of(description, measures, *pair) for pair in pairs])[[*KEYS, *drawn]]
    _check_values(description.name, rows, drawn)
    modes, ratios, trials = _grid(description, rows)
    control = bool((rows["mode"] == CONTROL).any())
    made = []
    for network, data_set in pairs:
        mine = rows[(rows["model"] == network) & (rows["dataset"] == data_set)]
        _check_complete(description.name, mine, _variants(modes, ratios, control), trials)
        made.append(Block(network, data_set, mine, modes, ratios, len(trials), control))
    return made


def _rows_of(
    description: Description, measures: pd.DataFrame, network: str, data_set: str
) -> pd.DataFrame:
    mine = measures[(measures["model"] == network) & (measures["dataset"] == data_set)]
    mine = mine[mine["epoch"] >= description.first_epoch]
    if mine.empty:
        pairs = measures[["model", "dataset"]].drop_duplicates().itertuples(index=False)
        held = ", ".join(f"{model} on {dataset}" for model, dataset in pairs) or "no rows"
        raise InvalidValueError(
            f"{description.name} needs the measures of {network} on {data_set} from epoch "
            f"{description.first_epoch} on, and the tables given hold {held}; give those of that "
            "pair too."
        )
    _check_named(description.name, "mode", description.modes, mine["mode"])
    _check_named(description.name, "ratio", description.ratios, mine["ratio"])
    control = mine["mode"] == CONTROL
    kept, pruned = control & description.control, ~control
    if description.modes:
        pruned &= mine["mode"].isin(description.modes)
    if description.ratios:
        pruned &= mine["ratio"].isin(description.ratios)
    return mine[kept | pruned]


def _check_named(figure: str, what: str, wanted: Iterable[Any], held: pd.Series) -> None:
    """Refuse a mode or ratio that no row of a network has."""
    known = sorted(set(held))
    for one in wanted:
        if one not in known:
            raise InvalidValueError(
                f"{figure} is to draw the {what} {one}, but the measures hold {', '.join(map(str, known))}"
                f"{nearest(one, map(str, known))}"
            )


def _grid(description: Description, rows: pd.DataFrame) -> tuple[list[str], list[float], list[int]]:
    pruned = rows[rows["mode"] != CONTROL]
    modes = list(description.modes) or sorted(set(pruned["mode"]), key=mode_order)
    ratios = sorted(description.ratios or set(pruned["ratio"]))
    if not (modes and ratios):
        raise InvalidValueError(
            f"{description.name} finds no pruned variant in the measures; give tables that hold "
            "some, or name others in the description."
        )
    return modes, ratios, sorted(set(rows["trial"]))


def _variants(modes: list[str], ratios: list[float], control: bool) -> list[tuple[str, float]]:
    return [(mode, ratio) for mode in modes for ratio in ratios] + [(CONTROL, 0.0)] * control


def _check_columns(figure: str, measures: pd.DataFrame, needed: list[str]) -> None:
    for column in needed:
        if column not in measures:
            raise InvalidValueError(
                f"{figure} needs the column {column!r}, and the measures have none of that name; "
                "give the tables that ap3 measure or ap3 evaluate wrote, or correct the description"
                f"{nearest(column, measures.columns)}"
            )


def _check_values(figure: str, rows: pd.DataFrame, drawn: list[str]) -> None:
    for column in drawn:
        values = pd.to_numeric(rows[column], errors="coerce")
        bad = rows[~(np.isfinite(values) & (values >= 0))]
        if len(bad):
            raise InvalidValueError(
                f"{figure} draws finite values that are not negative, and {column} is "
                f"{bad.iloc[0][column]} for {_said(bad.iloc[0].to_dict())}; look at that run."
            )


def _check_complete(
    figure: str, rows: pd.DataFrame, variants: list[tuple[str, float]], trials: list[int]
) -> None:
    """Refuse a block that lacks a trial, a variant or an epoch, or holds one twice."""
    index = ["trial", *VARIANT, "epoch"]
    expected = {(t, *v, e) for t in trials for v in variants for e in rows["epoch"].unique()}
    found = pd.MultiIndex.from_frame(rows[index])
    if missing := sorted(expected - set(found)):
        first = rows.iloc[0].to_dict() | dict(zip(index, missing[0], strict=True))
        raise InvalidValueError(
            f"{figure} misses {len(missing)} rows of the measures, the first of them for "
            f"{_said(first)}; give every trial, mode and ratio, or name those to draw in the "
            "description."
        )
    if found.has_duplicates:
        twice = rows[found.duplicated()].iloc[0]
        raise InvalidValueError(
            f"{figure} finds {_said(twice.to_dict())} twice in the measures; give each table once."
        )


def _said(row: Mapping[str, Any]) -> str:
    return (
        f"{row['model']} on {row['dataset']}, trial {row['trial']}, mode {row['mode']}, "
        f"ratio {row['ratio']}, epoch {row['epoch']}"
    )
