"""The descriptions of figures: read, checked against a closed schema, asked what they need."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from ap3.config.schema import mistakes, nearest
from ap3.errors import InvalidFileError, InvalidValueError
from ap3.figures.roles import Roles

KINDS = ("curves", "comparison", "schematic")


@dataclass(frozen=True)
class Row:
    """One row of panels: what it groups by, the metric drawn, and the PD beside it (a column)."""

    panels: str
    metric: str
    split: str | None = None
    pd: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns of the measures that the row draws."""
        return [self.metric, *([self.pd] if self.pd else [])]


@dataclass(frozen=True)
class Description:
    """One figure, said in roles.

    A block is drawn for each network on each data set; a block has a row of panels for each split
    (or, in a comparison, for each metric) and each way of grouping.
    """

    name: str
    kind: str
    title: str
    caption: str
    networks: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    panels: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    ratios: tuple[float, ...] = ()
    control: bool = True
    first_epoch: int = 1
    pd: str = "accuracy"
    width: float = 7.16  # inches: the text width of a two-column page
    height: float = 1.35  # inches: of one panel

    def blocks(self, roles: Roles) -> list[tuple[str, str]]:
        """Return the (network, data set) pairs in drawing order, each once.

        Two roles that a study maps to the same name give one block, not two identical ones.

        Raises
        ------
        UserError
            If `roles` does not map a role of this figure.
        """
        networks = [roles.network(role, self.name) for role in self.networks]
        data = [roles.data_set(role, self.name) for role in self.data]
        return list(dict.fromkeys(product(networks, data)))

    def needs(self, roles: Roles) -> set[tuple[str, str]]:
        """Return the (network, data set) pairs whose measures the figure is drawn from.

        >>> roles = Roles({"vgg": "vgg16"}, {"ten_classes": "digits", "hundred_classes": "digits"})
        >>> describe("fig03").needs(roles)
        {('vgg16', 'digits')}
        >>> describe("fig01").needs(Roles({}, {}))
        set()
        """
        return set(self.blocks(roles))

    def rows(self) -> list[Row]:
        """Return the rows of a block, from the top down."""
        if self.kind == "comparison":
            return [Row(panels, metric) for panels in self.panels for metric in self.metrics]
        return [
            Row(panels, metric, split, f"{split}_pd_{self.pd}")
            for metric in self.metrics
            for split in self.splits
            for panels in self.panels
        ]


def names() -> list[str]:
    """Return the names of the paper's figures, in order.

    >>> names()[:3], len(names())
    (['fig01', 'fig02', 'fig03'], 18)
    """
    found = (Path(entry.name) for entry in files("ap3.figures").iterdir())
    return sorted(path.stem for path in found if path.match("fig*.yaml"))


def describe(figure: str | Path, changes: Mapping[str, Any] | None = None) -> Description:
    """Read a figure's description: one of the package's by name, or any other by its path.

    `changes` replace keys of the description before it is checked.

    Raises
    ------
    UserError
        If there is no such figure, or its description is not one.

    Examples
    --------
    >>> describe("fig05").metrics
    ('ap3_student_t',)
    >>> describe("fig05", {"width": 3.5}).width
    3.5
    """
    path = Path(figure)
    if path.suffix not in (".yaml", ".yml"):
        return (
            _parse(path.name, _packaged(str(figure)), changes) if changes else _plain(str(figure))
        )
    try:
        return _parse(path.stem, path.read_text(encoding="utf-8"), changes or {})
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFileError(
            f"the figure description {path} cannot be read ({error}); correct the path or the file."
        ) from error


@cache  # a plan asks for each of them in every study
def _plain(name: str) -> Description:
    return _parse(name, _packaged(name), {})


def _packaged(name: str) -> str:
    if name not in names():
        number = name.removeprefix("fig").zfill(2)
        full = f"fig{number}"
        known = [] if number.isdigit() and full not in names() else names()
        raise InvalidValueError(
            f"there is no figure {name!r}; the figures are {names()[0]} to {names()[-1]}, or give "
            f"the path of a YAML file of your own{nearest(full, known)}"
        )
    return (files("ap3.figures") / f"{name}.yaml").read_text(encoding="utf-8")


def _parse(name: str, text: str, changes: Mapping[str, Any]) -> Description:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidFileError(
            f"{name}: the description is no YAML ({' '.join(str(error).split())})."
        ) from error
    if isinstance(content, dict):
        content = {**content, **changes}
    _check(name, content)
    return Description(name=name, **{key: _frozen(value) for key, value in content.items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check(name: str, content: Any) -> None:
    """Refuse, a sentence for each mistake, what the schema of the description's kind does not allow."""
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in KINDS:
        raise InvalidFileError(
            f"{name}: expected a mapping whose key 'kind' is one of {', '.join(KINDS)}, and found "
            f"{kind!r}{nearest(kind, KINDS)}"
        )
    if wrong := mistakes(content, _schemas()[kind], whole="the description"):
        raise InvalidFileError(f"{name}: {' '.join(wrong)}")


@cache
def _schemas() -> dict[str, Any]:
    return yaml.safe_load((files("ap3.figures") / "schema.yaml").read_text(encoding="utf-8"))[
        "kinds"
    ]
