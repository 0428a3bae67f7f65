"""The published tables of studies over all layers: how measures order and predict the damage."""

from typing import Any

import pandas as pd

from said.tables import LOSS, plain, row, rows, signed

ALL = "all networks"
DIGITS = ("small_alexnet", "small_vgg", "small_resnet", "small_vit")
FASHION, CONVERGED = "fashion_network", "fashion_converged_network"
PRETRAINED = "pretrained_network"
AP2, GAUSSIAN = "ap2", "ap3_gaussian"
DIAGONAL, JOINT, CALIBRATED = "ap3_gauss_newton_diagonal", "ap3_gauss_newton", "ap3_calibrated"
SINGLE, PREDICTIONS, CEILING = "kl_single_layers", "kl_predictions", "ceiling"
WITHIN = "within ratios"


def of_state(found: pd.DataFrame, state: str) -> pd.DataFrame:
    """Take the rows of a state of BatchNorm, and those of networks without it."""
    return found[found["batch_norm"].isin([state, "none"])]


def ranked(
    study: str, measure: str, model: str = ALL, state: str = "estimated", **where: Any
) -> pd.Series:
    """Take a row of ranking_summary: of ρ within ratios by the test loss, unless told otherwise."""
    usual = {
        "mode": "lowest",
        "epoch": 0,
        "pd": LOSS,
        "among": WITHIN,
        "statistic": "rho",
    }
    where = usual | {"model": model, "measure": measure} | where
    return row(of_state(rows(study, "ranking_summary", **where), state))


def rho(
    study: str, measure: str, model: str = ALL, state: str = "estimated", **where: Any
) -> tuple[str, str, str]:
    """Write ρ and its range over the trainings."""
    found = ranked(study, measure, model, state, **where)
    return plain(found["mean"]), plain(found["min"]), plain(found["max"])


def gain(
    study: str, measure: str, model: str = ALL, state: str = "estimated", **where: Any
) -> tuple[str, str, str]:
    """Write ρ less that of AP2 and its interval."""
    found = ranked(study, measure, model, state, statistic="gain", **where)
    return plain(found["mean"]), signed(found["low"]), signed(found["high"])


def best(study: str, model: str, state: str = "estimated", among: str = WITHIN) -> float:
    """Return the largest ρ of the measures that do not run the variant."""
    found = rows(
        study,
        "ranking_summary",
        model=model,
        pd=LOSS,
        among=among,
        statistic="rho",
    )
    found = of_state(found, state)
    apart = found["sees"].isin(["weights", "features"])
    return float(found[apart | found["measure"].isin([CALIBRATED, SINGLE])]["mean"].max())


def sized(
    study: str, measure: str, state: str = "estimated", how: str = "fitted", model: str = ALL
) -> pd.Series:
    """Take a row of size_summary."""
    found = rows(study, "size_summary", model=model, measure=measure, how=how)
    return row(of_state(found, state))


def decades(study: str, measure: str, model: str = ALL) -> tuple[str, str, str]:
    """Write how far a fitted measure is off, and the interval of that."""
    found = sized(study, measure, model=model)
    return plain(found["decades"]), plain(found["decades_low"]), plain(found["decades_high"])


def added(study: str, model: str | None = None) -> pd.DataFrame:
    """Take additivity_summary with the factor of layers together over their sum."""
    found = rows(study, "additivity_summary", **({"model": model} if model else {}))
    return found.assign(factor=10 ** found["log10_together_to_sum"])


def factor(study: str, model: str, low: float, state: str = "estimated") -> float:
    """Return what layers do together ÷ the sum, of damage from `low` nats up to ten times that."""
    found = added(study, model)
    return float(row(of_state(found[found["from"] == low], state))["factor"])
