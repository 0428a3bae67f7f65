"""What came out of a study, in a few sentences for a terminal."""

from collections.abc import Iterator

import pandas as pd

from ap3.figures import look
from ap3.measuring import catalogue

_PD = "test_pd_loss"
_SIGNED = f"{_PD}_signed"
_SEEN = ("weights", "features")
_TIE = 1e-6
_LOOKUP = catalogue.YARDSTICKS[0].column


def sentences(agreement: pd.DataFrame) -> list[str]:
    """Say how often AP2 orders pruned networks as the PD does, and what does so best.

    Parameters
    ----------
    agreement
        `agreement_summary.csv` of a study.

    Returns
    -------
    list of str
        Before fine-tuning; after it; what orders more than AP2 and sees no outputs. Fewer where a
        study has no such numbers.
    """
    counted = agreement[
        (agreement["among"] == "all") & (agreement["statistic"] == "agreement")
    ].dropna(subset=["mean"])
    chosen, signed = (counted[counted["pd"] == name] for name in (_PD, _SIGNED))
    first, last = chosen["epoch"].min(), chosen["epoch"].max()
    return [*_before(chosen, first), *(_after(chosen, signed, last) if last > first else ())]


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


def _after(chosen: pd.DataFrame, signed: pd.DataFrame, epoch: int) -> Iterator[str]:
    share = _share(chosen, "ap2", epoch, "baseline")
    if share is None:
        return
    others = {
        "by the signed PD, where an improvement is less than no damage": (signed, "baseline"),
        "measured from the control, which was not pruned": (chosen, "control"),
    }
    beside = "".join(
        f"; {other:.0%} {how}"
        for how, (table, reference) in others.items()
        if (other := _share(table, "ap2", epoch, reference)) is not None
    )
    yield f"After fine-tuning it orders {share:.0%} by |PD|{beside}."
    yield _best(chosen, epoch, share)


def _best(chosen: pd.DataFrame, epoch: int, of_ap2: float) -> str:
    """Name what orders more pairs than AP2 and sees no outputs; beside it what sees no weight."""
    known = chosen[chosen["sees"].isin(_SEEN)]["measure"].unique()
    shares = {
        name: found
        for name in known
        if (catalogue.is_known(name) or catalogue.own_columns([name]))
        and (found := _share(chosen, name, epoch, "baseline")) is not None
    }
    most = max(shares.values(), default=of_ap2)
    if most - of_ap2 < _TIE:
        said = "No measure that sees no outputs does better than AP2 after fine-tuning"
    else:
        best = [look.measure_name(name) for name in shares if most - shares[name] < _TIE]
        named = " and ".join(best)
        said = f"Best after fine-tuning, of the measures that see no outputs: {named}, {most:.0%}"
    lookup = _share(chosen, _LOOKUP, epoch, "baseline")
    beside = "" if lookup is None else f"; a look-up, which sees no weight: {lookup:.0%}"
    return f"{said}{beside}."


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
