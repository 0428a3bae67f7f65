"""Draw one figure from tables of measures."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def figures(
    description: Annotated[
        str, Argument(help="fig01 to fig18, or the path of a YAML description of your own.")
    ],
    pdf: Annotated[Path, Option(help="Where to write the figure.")],
    measures: Annotated[
        list[Path] | None, Argument(help="Tables of measures (CSV): every trial of what is drawn.")
    ] = None,
    network: Annotated[
        list[str] | None,
        Option(help="ROLE=NAME: the network that stands for a role, such as vgg=vgg16."),
    ] = None,
    data: Annotated[
        list[str] | None,
        Option(help="ROLE=NAME: the data set that stands for a slot, such as ten_classes=cifar10."),
    ] = None,
    png: Annotated[Path | None, Option(help="Where to write it as PNG as well.")] = None,
    change: Annotated[
        list[str] | None,
        Option(
            "--set", help="KEY=VALUE of the description, such as width=3.5 or ratios=[0.1,0.5]."
        ),
    ] = None,
) -> None:
    """Draw one figure from tables of measures.

    Example: ap3 figures fig03 measures/*.csv --network vgg=vgg16 --data ten_classes=cifar10
    --data hundred_classes=cifar100 --pdf fig03.pdf
    """
    from pandas import DataFrame

    from ap3.figures import Roles, describe, draw, save
    from ap3.figures.measures import read

    described = describe(description, changes=_changes(change or []))
    roles = Roles.parse(network or [], data or [])
    needed = described.needs(roles)  # a role that is not mapped is refused before any table is read
    table = read(measures or []) if needed else DataFrame()
    save(draw(described, table, roles), pdf, png)


def _changes(entries: list[str]) -> dict[str, object]:
    import yaml

    from ap3.errors import UserError

    changes = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not equals:
            raise UserError(
                f"--set expects KEY=VALUE, such as width=3.5, and found {entry!r}; write it so."
            )
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(
                f"--set {key}: {value!r} is no YAML value; write it as in the description."
            ) from error
    return changes
