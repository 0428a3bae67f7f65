"""The study at a glance: how much of it there is, and what it found, in a few numbers."""

from dataclasses import dataclass

import pandas as pd

from ap3.config.variants import CONTROL
from ap3.figures import look
from ap3.measuring import catalogue
from ap3.report.results import Results

_ORDERED = [measure.column for measure in catalogue.MEASURES if measure.headline]


@dataclass(frozen=True)
class Fact:
    """A number, what it counts, and what is to be known with it."""

    number: str
    what: str
    note: str = ""


def size(results: Results) -> list[Fact]:
    """Say how much was run."""
    study, measures = results.study, results.tables["measures"]
    networks, data = (dict.fromkeys(pair[i] for pair in study.pairs) for i in (1, 0))
    pruned = [variant for variant in study.variants if str(variant) != CONTROL]
    pruning = study.settings["pruning"]
    rows = measures.drop_duplicates(["dataset", "model"])
    return [
        Fact(str(len(networks)), "networks", ", ".join(map(look.name_title, networks))),
        Fact(str(len(data)), "data set" + "s" * (len(data) > 1), _examples(rows)),
        Fact(str(len(study.trials)), "trials of each", "independent trainings"),
        Fact(
            str(len(pruned)),
            "pruned variants",
            f"{', '.join(pruning['modes'])} × {', '.join(f'{r:g}' for r in pruning['ratios'])}"
            " of the last layer, and the control",
        ),
        Fact(str(study.settings["finetuning"]["epochs"]), "epochs of fine-tuning", _weights(rows)),
    ]


def _examples(rows: pd.DataFrame) -> str:
    each = rows.drop_duplicates("dataset")
    return "; ".join(
        f"{look.name_title(row.dataset)}: {row.train_examples:,} to train, {row.test_examples:,} "
        "to test"
        for row in each.itertuples()
    )


def _weights(rows: pd.DataFrame) -> str:
    counts = sorted({int(rows["weights"].min()), int(rows["weights"].max())})
    return " to ".join(f"{count:,}" for count in counts) + " weights in the last layer"


def findings(results: Results) -> list[Fact]:
    """Say how often a few measures order two pruned networks right, after fine-tuning."""
    table = results.tables["agreement_summary"]
    chosen = table[
        (table["pd"] == "test_pd_loss")
        & (table["among"] == "all")
        & (table["reference"] == "baseline")
        & (table["epoch"] == table["epoch"].max())
    ].dropna(subset=["mean"])
    facts = []
    for measure in _ORDERED:
        mine = chosen[chosen["measure"] == measure]
        means = mine[mine["statistic"] == "agreement"]["mean"]
        if len(means):
            pairs = mine[mine["statistic"] == "decided"]["mean"].mean()
            networks = f"{means.min():.0%} to {means.max():.0%} over {len(means)} networks"
            note = f"{networks if len(means) > 1 else 'one network'}, {pairs:.0f} pairs of each"
            facts.append(Fact(f"{means.mean():.0%}", look.measure_name(measure), note))
    return facts
