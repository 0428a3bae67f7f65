"""Stage `ranking`: which measure explains the PD of whole networks, over all baselines of a study."""

from pathlib import Path
from typing import Annotated

import typer


def ranking(
    evaluated: Annotated[
        list[Path],
        typer.Argument(
            help="Measured variants, as `ap3 evaluate` writes them, single layers and outcomes beside them."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder for variants.csv, sensitivity.csv, ranking.csv and summaries."),
    ],
    figures: Annotated[Path, typer.Option(help="Folder for two figures, PDF and PNG.")],
) -> None:
    """Say which measure orders damage, how well its size is predicted, and whether it adds up.

    Example: ap3 ranking evaluated.csv --out tables --figures figures
    """
    from ap3.explaining import additivity, damage_size, network_ranking
    from ap3.figures import save
    from ap3.figures.networks import draw_prediction, draw_sensitivity
    from ap3.files import csv_tables
    from ap3.training.outcomes import read_outcomes

    keys = ("dataset", "model", "trial", "mode", "ratio", "allocation", "epoch", "batch_norm")
    table = csv_tables.read_all(evaluated, *keys, "ap2", *network_ranking.PDS)
    alone = [path.with_suffix(".single.csv") for path in evaluated]
    values = ("calibration",)
    single = csv_tables.read_all(alone, *keys, "layer", values=values, may_be_empty=True)
    outcomes = {}
    for path in evaluated:
        first = csv_tables.read(path, *keys[:3]).iloc[0]
        kept = read_outcomes(path.with_suffix(".outcomes.safetensors"))
        outcomes[first["dataset"], first["model"], int(first["trial"])] = kept
    ranked = network_ranking.ranking(table, outcomes)
    made = {
        "variants": table,
        "sensitivity": single,
        "ranking": ranked,
        "ranking_summary": network_ranking.summarise(ranked),
        "additivity_summary": additivity.summarise(additivity.additivity(table)),
        "size_summary": damage_size.summarise(damage_size.sizes(table)),
    }
    for name, made_table in made.items():
        csv_tables.write(made_table, out / f"{name}.csv")
    for name, figure in {
        "sensitivity": draw_sensitivity(single),
        "prediction": draw_prediction(table),
    }.items():
        save(figure, figures / f"{name}.pdf", figures / f"{name}.png")
