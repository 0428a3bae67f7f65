"""Stage `figure`: one figure from tables of measures, in the study's form or in any other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ap3.figures import descriptions
from ap3.stages import endings, several

if TYPE_CHECKING:
    from pandas import DataFrame

    from ap3.figures import Roles

_OTHER = "Other sizes and columns"

_SIZES: dict[str, dict[str, float]] = {
    "page": {"width": 7.16},
    "column": {"width": 3.5},
    "slide": {"width": 5.6, "height": 1.5},
}
"""Inches: the text of a page of two columns, one of them, and a slide, where letters are to be large."""


def figure(
    description: Annotated[
        str,
        typer.Argument(
            help="fig01 to fig18, or the path of a YAML description of your own.",
            autocompletion=descriptions.names,
        ),
    ],
    pdf: Annotated[Path, typer.Option(help="Where the figure goes, as vectors.")],
    measures: Annotated[
        list[Path] | None,
        typer.Argument(help="Tables of measures (CSV): every trial of what is drawn."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="The network to draw, or ROLE=NAME for each role of the figure, such as vgg=vgg16."
            " May be left out where the tables hold one."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="The data set to draw, or SLOT=NAME for each slot, such as ten_classes=cifar10."
        ),
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Where it goes as PNG as well.")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="page, column (of two) or slide.", rich_help_panel=_OTHER),
    ] = None,
    width: Annotated[
        float | None, typer.Option(help="Width of the page in inches.", rich_help_panel=_OTHER)
    ] = None,
    height: Annotated[
        float | None, typer.Option(help="Height of a panel in inches.", rich_help_panel=_OTHER)
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Column drawn beside the PD, such as ap3_fisher; two in fig07 and fig18.",
            rich_help_panel=_OTHER,
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Splits of the PD: train, test, or train,test.", rich_help_panel=_OTHER),
    ] = None,
    mode: Annotated[
        list[str] | None, typer.Option(help="Only these modes.", rich_help_panel=_OTHER)
    ] = None,
    ratio: Annotated[
        list[str] | None, typer.Option(help="Only these ratios.", rich_help_panel=_OTHER)
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="KEY=VALUE of the description, such as pd=loss or first_epoch=0.",
            rich_help_panel=_OTHER,
        ),
    ] = None,
) -> None:
    """Draw one figure from tables of measures: PDF with embedded fonts, PNG beside it.

    Add --size column for one column of a paper's two, --size slide for a talk, --metric ap3_fisher
    for another measure, --set pd=loss for the other PD.

    Example: ap3 figure fig03 measures.csv --pdf fig03.pdf --png fig03.png
    """
    from pandas import DataFrame

    from ap3.figures import Roles, describe, draw, save
    from ap3.figures.measures import read

    sizes = _size(size)
    endings.refuse_others("--pdf", pdf, ".pdf")
    endings.refuse_others("--png", png, ".png")
    options: dict[str, object] = {"width": width, "height": height}
    options |= {"metrics": several.texts(metric), "splits": several.texts(split)}
    options |= {"modes": several.texts(mode), "ratios": several.numbers(ratio, "--ratio")}
    given = {key: value for key, value in options.items() if value not in (None, [])}
    described = describe(description, changes=sizes | given | _changes(change or []))
    roles = Roles.parse(network or [], data or [])
    table = read(measures or []) if described.networks else DataFrame()
    if described.networks:
        roles = _completed(roles, table)
    save(draw(described, table, roles), pdf, png)


def _size(name: str | None) -> dict[str, float]:
    from ap3.config.schema import nearest
    from ap3.errors import InvalidValueError

    if name is not None and name not in _SIZES:
        raise InvalidValueError(
            f"the size is {name!r}, but must be one of {', '.join(_SIZES)}{nearest(name, _SIZES)}"
        )
    return _SIZES[name] if name else {}


def _completed(roles: "Roles", table: "DataFrame") -> "Roles":
    """Let the only network, or data set, of the tables play every role, where none was named."""
    from ap3.figures import Roles
    from ap3.figures.roles import ANY

    def only(mapped: dict[str, str], column: str) -> dict[str, str]:
        names = set(table[column]) if column in table else set()
        return mapped if mapped or len(names) != 1 else {ANY: names.pop()}

    return Roles(only(dict(roles.networks), "model"), only(dict(roles.data), "dataset"))


def _changes(entries: list[str]) -> dict[str, object]:
    import yaml

    from ap3.errors import InvalidValueError

    changes = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not equals:
            raise InvalidValueError(
                f"--set expects KEY=VALUE, such as pd=loss, and found {entry!r}; write it so."
            )
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InvalidValueError(
                f"--set {key}: {value!r} is no YAML value; write it as in the description."
            ) from error
    return changes
