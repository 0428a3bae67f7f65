"""What came out of a study, in a few sentences for a terminal."""

from collections.abc import Iterator

import pandas as pd

from ap3.figures import look
from ap3.measuring import catalogue

_PD = "test_pd_loss"
_SEEN = ("weights", "features")


def sentences(agreement: pd.DataFrame) -> list[str]:
    """Say how often AP2 orders pruned networks as the PD does, and what does so best.

    Parameters
    ----------
    agreement
        `agreement_summary.csv` of a study.

    Returns
    -------
    list of str
        Before fine-tuning; after it; the best measure that sees no outputs. Fewer where a study has
        no such numbers.
    """
    chosen = agreement[
        (agreement["pd"] == _PD)
        & (agreement["among"] == "all")
        & (agreement["statistic"] == "agreement")
    ].dropna(subset=["mean"])
    first, last = chosen["epoch"].min(), chosen["epoch"].max()
    return [*_before(chosen, first), *(_after(chosen, last) if last > first else ())]


def _before(chosen: pd.DataFrame, epoch: int) -> Iterator[str]:
    share = _share(chosen, "ap2", epoch, "baseline")
    if share is not None:
        networks = len(chosen[["dataset", "model"]].drop_duplicates())
        trials = int(chosen["n"].max())
        yield (
            f"AP2 orders {share:.0%} of the pairs of pruned networks as the loss does, before "
            f"fine-tuning ({_count(networks, 'network')}, {_count(trials, 'trial')} of each; chance "
            "is 50%)."
        )


def _after(chosen: pd.DataFrame, epoch: int) -> Iterator[str]:
    share = _share(chosen, "ap2", epoch, "baseline")
    if share is None:
        return
    from_control = _share(chosen, "ap2", epoch, "control")
    beside = (
        f"; measured from the control, which was not pruned, {from_control:.0%}"
        if from_control is not None
        else ""
    )
    yield f"After fine-tuning it orders {share:.0%}{beside}."
    known = chosen[chosen["sees"].isin(_SEEN)]["measure"].unique()
    shares = {
        name: found
        for name in known
        if (catalogue.is_known(name) or catalogue.own_columns([name]))
        and (found := _share(chosen, name, epoch, "baseline")) is not None
    }
    best = max(shares, key=lambda name: shares[name])
    yield (
        f"The best measure after fine-tuning that sees no outputs is {look.measure_name(best)}: "
        f"{shares[best]:.0%}."
    )


def _share(chosen: pd.DataFrame, measure: str, epoch: int, reference: str) -> float | None:
    """Return the mean over the networks, or nothing where there is no number."""
    mine = chosen[
        (chosen["measure"] == measure)
        & (chosen["epoch"] == epoch)
        & (chosen["reference"] == reference)
    ]
    return float(mine["mean"].mean()) if len(mine) else None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
