"""What the columns of a study's tables hold, their units, and where they are defined.

`columns.yaml` says it of columns that a table names itself; the catalogue of measures and the table
of bounds say it of theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from ap3.measuring import catalogue

_SPLITS = {"train": "training", "test": "test"}
_OVER = "_over_pd"
_OF_NETWORKS = ("variants", "sensitivity")


@dataclass(frozen=True)
class Column:
    """A column: its name, what it holds (one sentence), its unit, and the file that defines it."""

    name: str
    holds: str
    unit: str
    where: str


@dataclass(frozen=True)
class Table:
    """A table: its name, what has a row, the file that makes it, its columns in order.

    A pattern stands for the columns of the measures, which follow from the catalogue.
    """

    name: str
    rows: str
    where: str
    columns: tuple[Column, ...]


def names() -> list[str]:
    """Name the tables."""
    return list(_declared()["tables"])


def table(name: str) -> Table:
    """Return what a table holds.

    Examples
    --------
    >>> table("baselines").rows
    'loss and accuracy of every baseline, over the trials'
    """
    declared = _declared()["tables"][name]
    where = declared["where"]
    own = [
        Column(column, holds, unit, where) for column, (holds, unit) in declared["columns"].items()
    ]
    more = {
        "measures": measures,
        "draws": measures,
        "bounds": bounds,
        "variants": network_measures,
    }.get(name)
    return Table(name, declared["rows"], where, (*own, *(more() if more else ())))


def column(table_name: str, name: str) -> Column | None:
    """Return what a column of a table holds, or nothing where it is not documented.

    Examples
    --------
    >>> column("measures", "test_pd_loss").unit, column("measures", "ap2_from_control").unit
    ('nats', 'weight²')
    >>> column("measures", "tets_pd_loss") is None
    True
    """
    place = table(table_name)
    of_table = {each.name: each for each in place.columns}
    return (
        of_table.get(name)
        or _shared(place.where).get(name)
        or (_of_network().get(name) if table_name in _OF_NETWORKS else None)
        or _own_law(name)
    )


def measures() -> list[Column]:
    """Return the columns of the measures, in the order of the catalogue."""
    return [
        each for measure in catalogue.MEASURES if measure.column != "ratio" for each in _of(measure)
    ]


def network_measures() -> list[Column]:
    """Return the columns of the measures that only a network of several layers has."""
    place = "ap3/measuring/network_catalogue.py"
    declared = _declared()["network_measures"].items()
    return [Column(name, holds, unit, place) for name, (holds, unit) in declared]


def bounds() -> list[Column]:
    """Return the columns of the bounds of `bounds.csv`."""
    from ap3.measuring.bounds import BOUNDS, ON_TEST

    where = "ap3/measuring/bounds.py"
    found = [
        Column(name, f"Bound on the PD of the training loss: {title}.", "nats", where)
        for name, title in BOUNDS.items()
    ]
    for name in ON_TEST:
        title = BOUNDS[name.removesuffix("_test")]
        found.append(Column(name, f"Bound on the PD of the test loss: {title}.", "nats", where))
    ratios = [Column(f"{c.name}{_OVER}", f"`{c.name}` ÷ PD.", "ratio", where) for c in found]
    return found + ratios


def shared() -> list[Column]:
    """Return the columns that mean the same in every table."""
    return list(_shared("").values())


@cache
def _declared() -> dict[str, Any]:
    text = (files("ap3.study") / "columns.yaml").read_text(encoding="utf-8")
    declared: dict[str, Any] = yaml.safe_load(text)
    return declared


@cache
def _shared(where: str) -> dict[str, Column]:
    found = {
        name: Column(name, holds, unit, where)
        for name, (holds, unit) in _declared()["shared"].items()
    }
    for pattern, (holds, unit) in _declared()["families"].items():
        for split, title in _SPLITS.items():
            name = pattern.format(split=split)
            place = "ap3/finetuning/performance.py"
            found[name] = Column(name, holds.format(split=title), unit, place)
    return found


@cache
def _of_network() -> dict[str, Column]:
    """Return the columns of all measures of a whole network."""
    return {each.name: each for each in (*network_measures(), *measures())}


def _of(measure: catalogue.Measure) -> Iterator[Column]:
    """Return the columns of a measure: from the baseline, from the control, its law's numbers."""
    address = measure.law or measure.of
    where = f"{address.partition(':')[0].replace('.', '/')}.py"
    unit = _unit(measure.column)
    title = measure.title or f"{measure.name[0].upper()}{measure.name[1:]}"
    said = _first_sentence(address)
    yield Column(measure.column, f"{title}. {said}", unit, where)
    if measure.from_control:
        from_control = f"{measure.name} from the control at the same epoch, not from the baseline."
        yield Column(catalogue.from_control(measure.column), from_control, unit, where)
    for scale, attribute in measure.scales.items():
        told = f"The {attribute} of the law of `{measure.column}`, from the baseline alone."
        yield Column(scale, told, _unit(scale), where)


def _unit(name: str) -> str:
    return str(_declared()["units"].get(name, ""))


def _first_sentence(address: str) -> str:
    """Return how the function behind a measure is described, without the shape of its result."""
    text = " ".join((catalogue.function(address).__doc__ or "").partition("\n\n")[0].split())
    return text.removesuffix(": (E,).") + "." if text.endswith(": (E,).") else text


def _own_law(name: str) -> Column | None:
    """Return the column of a latent law of the user's own."""
    base = name.removesuffix("_from_control")
    if base == name and not catalogue.own_columns([name]):
        return None
    if base != name and not catalogue.own_columns([base]):
        return None
    return Column(name, f"{catalogue.named(base).name}, a latent law of your own.", "nats", "")
