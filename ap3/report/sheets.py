"""The tables as the page shows them: words for names, columns to filter and to sort by."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import pandas as pd
from markupsafe import Markup

from ap3.figures import look
from ap3.measuring import catalogue, network_catalogue
from ap3.measuring.bounds import BOUNDS
from ap3.study import captions, columns
from ap3.study.captions import Caption

_PERFORMANCE = {
    "train_pd_loss": "PD, training loss",
    "train_pd_accuracy": "PD, training accuracy",
    "test_pd_loss": "PD, test loss",
    "test_pd_accuracy": "PD, test accuracy",
    "train_pd_loss_signed": "PD, training loss, signed",
    "train_pd_accuracy_signed": "PD, training accuracy, signed",
    "test_pd_loss_signed": "PD, test loss, signed",
    "test_pd_accuracy_signed": "PD, test accuracy, signed",
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "test_loss": "test loss",
    "test_accuracy": "test accuracy",
}
_OF_THE_TEST_LOSS = ("test_pd_loss", "test_pd_loss_signed")
_ORDERS = {
    "rho": "Spearman's ρ among masks",
    "agreement": "agreement among masks",
    "partial_rho": "ρ given mode and ratio",
    "kendall": "granulated Kendall",
}
_PAIRS = {"modes": "modes at one ratio", "ratios": "ratios at one mode", "all": "any two"}
_PHASES = {"pruned": "before fine-tuning", "tuned": "after it"}
_LAWS = {one.law_name: one.name.removeprefix("AP3 ") for one in catalogue.MEASURES if one.law}
_HEADINGS = {"model": "network", "dataset": "data set", "pd": "PD of", "among": "pairs"}
_WORDS: dict[str, Callable[[Any], str]] = {
    "model": look.name_title,
    "dataset": look.name_title,
    "measure": lambda name: _PERFORMANCE.get(name) or network_catalogue.named(name).name,
    "pd": lambda name: _PERFORMANCE.get(name, name).removeprefix("PD, "),
    "statistic": lambda name: _ORDERS.get(name, name),
    "among": lambda name: _PAIRS.get(name, name),
    "phase": lambda name: _PHASES.get(name, name),
    "bound": lambda name: BOUNDS.get(name, name),
    "law": lambda name: _LAWS.get(name, name),
}


@dataclass(frozen=True)
class Sheet:
    """One table: headings, which of them to filter by and the first choice there, rows.

    Attributes
    ----------
    columns
        The columns as the table calls them.
    notes
        What each of them holds.
    rows
        The cells of each row, as HTML.
    """

    caption: Caption
    columns: list[str]
    notes: list[str]
    headings: list[str]
    numeric: list[bool]
    filters: Mapping[str, str]
    rows: list[Markup]


def sheets(tables: Mapping[str, pd.DataFrame]) -> list[Sheet]:
    """Return the tables of the page in their order."""
    if "ranking_summary" in tables:
        return _of_networks(tables)
    shares = _shares(tables["agreement_summary"])
    chosen = {"pairs": "any two", "PD of": "test loss", "reference": "baseline"}
    last = str(shares["epoch"].max()) if len(shares) else ""
    return [
        _sheet("baselines", tables["baselines"], {"measure": "test accuracy"}),
        _sheet("agreement_summary", shares, chosen | {"epoch": last}),
        _sheet("bounds_summary", tables["bounds_summary"], {"law": "Gaussian", "phase": ""}),
        _sheet("choice_summary", tables["choice_summary"].drop(columns="sees"), {"epoch": last}),
        *_contrasts(tables),
        *_within(tables),
        *_layers(tables),
        _sheet("summary", tables["summary"], {"measure": "AP2", "mode": "", "ratio": ""}),
    ]


def _of_networks(tables: Mapping[str, pd.DataFrame]) -> list[Sheet]:
    """Return the tables of a study over any layers."""
    ranking, single = tables["ranking_summary"], tables["sensitivity"]
    chosen = {"PD of": "test loss", "pairs": "any two", "statistic": "rho", "batch_norm": ""}
    told = ["dataset", "model", "trial", "mode", "ratio", "layer", "depth", "batch_norm", "ap2"]
    told += [name for name in ("test_pd_loss", "test_pd_accuracy") if name in single]
    return [
        _sheet("ranking_summary", ranking.drop(columns="sees", errors="ignore"), chosen),
        _sheet("size_summary", tables["size_summary"], {"how": "", "batch_norm": ""}),
        _sheet("additivity_summary", tables["additivity_summary"], {"batch_norm": ""}),
        _sheet("sensitivity", single[[name for name in told if name in single]], {"trial": ""}),
    ]


def _contrasts(tables: Mapping[str, pd.DataFrame]) -> Iterator[Sheet]:
    """Compare two modes, where a study has two."""
    table = tables.get("contrast_summary")
    if table is not None and len(table):
        first = {"measure": "AP2", "mode": "", "other": "", "epoch": str(table["epoch"].max())}
        yield _sheet("contrast_summary", table, first)


def _within(tables: Mapping[str, pd.DataFrame]) -> Iterator[Sheet]:
    """Say what measures tell among random masks of one ratio, where a study draws such masks."""
    table = tables.get("within_summary")
    if table is None:
        return
    shown = table[(table["reference"] == "baseline") & (table["among"].fillna("") != "all")]
    shown = shown[shown["pd"].isin(_OF_THE_TEST_LOSS) & shown["statistic"].isin(_ORDERS)]
    columns = ["dataset", "model", "epoch", "pd", "ratio", "measure", "statistic"]
    numbers = ["n", "mean", "low", "high", "gain", "holm"]
    first = {"statistic": _ORDERS["rho"], "PD of": "test loss, signed", "ratio": ""}
    yield _sheet("within_summary", shown[[*columns, *numbers]], first | {"epoch": ""})


def _layers(tables: Mapping[str, pd.DataFrame]) -> Iterator[Sheet]:
    """Say how the layers have moved, where the whole network was fine-tuned."""
    if "layers_summary" in tables:
        yield _sheet("layers_summary", tables["layers_summary"], {"trial": ""})


def _shares(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the agreement with its gain over AP2 and how sure that is, in one row each."""
    keys = ["dataset", "model", "epoch", "reference", "pd", "among", "measure"]
    shown = summary[summary["pd"] != "train_pd_accuracy"]
    shown = shown[shown["pd"] != "train_pd_accuracy_signed"]
    gains = shown.loc[shown["statistic"] == "gain", [*keys, "mean", "holm"]]
    shares = shown[shown["statistic"] == "agreement"]
    dropped = ["statistic", "sees", "min", "max", "p_value", "holm"]
    shares = shares.drop(columns=dropped, errors="ignore")
    shares = shares.merge(gains.rename(columns={"mean": "gain"}), how="left", on=keys)
    return shares.assign(flips=shares["flips"].map({True: "flips", False: ""}))


def _sheet(name: str, table: pd.DataFrame, filters: dict[str, str]) -> Sheet:
    table = table.dropna(axis="columns", how="all")
    headings = [_HEADINGS.get(column, column) for column in table.columns]
    several = {
        _HEADINGS[column]: ""
        for column in ("model", "dataset")
        if column in table and len(set(table[column])) > 1
    }
    numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns]
    cells = [
        _cells(table[column], _number_cell if is_number else partial(_cell, column))
        for column, is_number in zip(table.columns, numeric, strict=True)
    ]
    rows = [Markup("".join(row)) for row in zip(*cells, strict=True)]  # all is escaped
    there = {heading: first for heading, first in filters.items() if heading in headings}
    known = [columns.column(name, column) for column in table.columns]
    notes = [f"{one.holds} Unit: {one.unit}." if one else "" for one in known]
    caption, names = captions.read(name), list(table.columns)
    return Sheet(caption, names, notes, headings, numeric, several | there, rows)


def _cells(values: "pd.Series[Any]", write: Callable[[Any], Markup]) -> list[Markup]:
    """Write the cells of a column; equal ones, of which a long table has many, once."""
    which, distinct = pd.factorize(values, use_na_sentinel=False)
    written = [write(value) for value in distinct]
    return [written[one] for one in which]


def _number_cell(value: Any) -> Markup:
    """Write a number as it is read, with what it is sorted by."""
    key = "" if pd.isna(value) else float(value)
    return Markup(f'<td class="n" data-key="{key}">{_shown(value)}</td>')  # no sign to be escaped


def _cell(column: str, value: Any) -> Markup:
    """Write anything else, with what the table has there where that differs."""
    shown = _WORDS.get(column, _shown)(value)
    raw = _raw(column, value)
    if raw == shown:
        return Markup("<td>{}</td>").format(shown)
    return Markup('<td data-raw="{}">{}</td>').format(raw, shown)


def _raw(column: str, value: Any) -> str:
    if column in _WORDS or isinstance(value, str):
        return str(value)
    return "" if pd.isna(value) else repr(float(value))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "–" if pd.isna(value) else number(value)


def number(value: float) -> str:
    """Write a count whole, any other number in four digits.

    >>> number(60000), number(120.0), number(0.98765432), number(1272417.0), number(float("inf"))
    ('60,000', '120', '0.9877', '1.272e+06', '∞')
    """
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    return f"{value:,}" if isinstance(value, Integral) else f"{value:.4g}"
