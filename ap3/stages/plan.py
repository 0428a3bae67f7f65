"""Stage `plan`: how long a study will take on this machine, and which stages take long."""

from pathlib import Path
from typing import Annotated

import typer


def plan(
    settings: Annotated[
        Path, typer.Argument(help="Settings of a study, such as results/demo/settings.json.")
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Decoded data set of each network, in the order of the study; one if all have the same."
        ),
    ],
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda; what the study says if not given.")
    ] = None,
) -> None:
    """Foresee how long each stage of a study takes here, by timing its networks on few images.

    All jobs of the study are foreseen, also those that are done already. Not foreseen is what takes
    seconds: pruning, tables, figures, the start of a job. Other work on the machine makes all of it
    take longer.

    Example: ap3 plan results/demo/settings.json --data results/data/digits.safetensors
    """
    from ap3.datasets.images import Images
    from ap3.errors import InvalidValueError
    from ap3.machine.device import processor
    from ap3.planning.foresight import Foreseen, foresee
    from ap3.planning.sentences import plan_of
    from ap3.study.stored import read_study

    study = read_study(settings)
    if len(data) == 1 and len({dataset for dataset, _ in study.pairs}) == 1:
        data = data * len(study.pairs)
    if len(data) != len(study.pairs):
        raise InvalidValueError(
            f"study {study.name} has {len(study.pairs)} networks with their data sets, but --data "
            f"names {len(data)} decoded data sets; name one for each, or one if all have the same."
        )
    threads = study.settings["threads"]
    found: list[Foreseen] = []
    device = device or study.settings.get("device", "auto")
    with processor(device, threads, study.settings["precision"]) as where:
        for (dataset, model), path in zip(study.pairs, data, strict=True):
            found += foresee(study, dataset, model, Images.load(path), where)
    print("\n".join(plan_of(study.name, found, where.type, threads)))
