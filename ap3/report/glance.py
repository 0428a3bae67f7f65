"""The study at a glance: how much of it there is, and what it found, in a few numbers."""

from dataclasses import dataclass

import pandas as pd

from ap3.config.variants import CONTROL
from ap3.explaining.trial_grids import SIGNED
from ap3.figures import look
from ap3.measuring import catalogue, network_catalogue
from ap3.report.results import Results
from ap3.study.settings import Study

_VARIANT = ("mode", "ratio", "allocation")
_PD = "test_pd_loss"
_ORDERED = [measure.column for measure in catalogue.MEASURES if measure.headline]
_ORDERED += [yardstick.column for yardstick in catalogue.YARDSTICKS]


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
    pruned = measures[measures["mode"] != CONTROL][
        [name for name in _VARIANT if name in measures]
    ].drop_duplicates()
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
            f" of {'the layers' if study.over_layers else 'the last layer'}, and the control",
        ),
        _tuning(study, rows),
    ]


def _tuning(study: Study, rows: pd.DataFrame) -> Fact:
    tuning = study.settings["finetuning"]
    where = "pruned layers" if study.over_layers else "last layer"
    epochs = 0 if tuning["scope"] == "none" else tuning["epochs"]
    return Fact(str(epochs), "epochs of fine-tuning", f"{_weights(rows)} weights in the {where}")


def _examples(rows: pd.DataFrame) -> str:
    each = rows.drop_duplicates("dataset")
    return "; ".join(
        f"{look.name_title(row.dataset)}: {row.train_examples:,} to train, {row.test_examples:,} "
        "to test"
        for row in each.itertuples()
    )


def _weights(rows: pd.DataFrame) -> str:
    counts = sorted({int(rows["weights"].min()), int(rows["weights"].max())})
    return " to ".join(f"{count:,}" for count in counts)


def findings(results: Results) -> list[Fact]:
    """Say how often a few measures order two pruned networks right, after fine-tuning.

    By |PD|; the note has the same by the signed PD.
    """
    if results.study.over_layers:
        return _rankings(results.tables["ranking_summary"])
    table = results.tables["agreement_summary"]
    chosen = table[
        table["pd"].isin([_PD, f"{_PD}{SIGNED}"])
        & (table["among"] == "all")
        & (table["reference"] == "baseline")
        & (table["epoch"] == table["epoch"].max())
    ].dropna(subset=["mean"])
    facts = []
    for measure in _ORDERED:
        rows = chosen[chosen["measure"] == measure]
        shares = rows[rows["statistic"] == "agreement"]
        mine, signed = rows[rows["pd"] == _PD], shares[shares["pd"] != _PD]["mean"]
        means = mine[mine["statistic"] == "agreement"]["mean"]
        if len(means):
            decided = mine[mine["statistic"] == "decided"]["mean"]
            pairs = " to ".join(
                dict.fromkeys(f"{end:.0f}" for end in (decided.min(), decided.max()))
            )
            networks = f"{means.min():.0%} to {means.max():.0%} over {len(means)} networks"
            note = f"{networks if len(means) > 1 else 'one network'}, {pairs} pairs in a trial"
            note += f"; by the signed PD {signed.mean():.0%}"
            facts.append(Fact(f"{means.mean():.0%}", look.measure_name(measure), note))
    return facts


def _rankings(table: pd.DataFrame) -> list[Fact]:
    """Say how well a few measures order the pruned networks: Spearman's ρ, all ratios together."""
    chosen = table[
        (table["pd"] == "test_pd_loss") & (table["among"] == "all") & (table["statistic"] == "rho")
    ].dropna(subset=["mean"])
    facts = []
    for measure in (*_ORDERED, "ap3_calibrated"):
        means = chosen[chosen["measure"] == measure]["mean"]
        if len(means):
            name = network_catalogue.named(measure).name
            note = f"{means.min():.2f} to {means.max():.2f} over networks"
            facts.append(Fact(f"{means.mean():.2f}", name, note if len(means) > 1 else ""))
    return facts
