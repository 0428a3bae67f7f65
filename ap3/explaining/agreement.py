"""How well each measure of a pruned layer predicts its performance difference, in numbers.

The paper's claim is one of order: of two pruned networks the one with the smaller AP2 or AP3 has
the smaller PD. Here pairs of variants of one baseline are counted: of modes at one ratio, of ratios
at one mode, and all. A pair whose PDs the examples cannot tell apart is a tie (`decided_pairs`).

Everything is counted by |PD|, as Def. 2.8 has it, and by the PD with its sign, damage positive
(`…_signed`): |PD| counts an improvement as a difference like any other. And everything is measured
twice: from the baseline, and from the control at the same epoch, which leaves out what fine-tuning
alone does. Beside the measures stand two yardsticks, the look-up and the ceiling (`yardsticks`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ap3.explaining import yardsticks
from ap3.explaining.decided_pairs import Limits, limits, order_differences, order_measures
from ap3.explaining.pair_counts import COUNTED, KINDS, Pairing, count
from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.trial_grids import DIFFERENCES, REFERENCES, SIGNED, Runs
from ap3.explaining.yardsticks import CEILING, LOOKUP
from ap3.latent.vectors import Vector
from ap3.machine.progress import counted

STATISTICS = ("decided", "agreement", "gain", "over_lookup", "tau_b", "rho")
KEYS = ("dataset", "model", "epoch", "reference", "pd", "among", "measure")


def agreement(runs: Sequence[Runs], level: float = LEVEL) -> pd.DataFrame:
    """Count agreement for every trial, epoch, reference, PD, kind of pair and measure: a row each.

    Parameters
    ----------
    runs
        The trials of each network.
    level
        Of the tests by which pairs are decided.

    Returns
    -------
    DataFrame
        `pairs`, and of them `decided`; `agreement`; `gain`, the agreement less that of AP2 in the same
        case, and `over_lookup`, less that of the look-up; `tau_b` and `rho`. ρ takes the PDs as they
        are, without ties by noise; among modes or ratios it is the mean over the groups (the modes
        at each ratio, the ratios at each mode). The ceiling is known before fine-tuning and at its end.
    """
    rows = [
        table_of(case, case.counts())
        for each in counted(runs, "agreement")
        for case in cases(each, level)
    ]
    return pd.concat(rows, ignore_index=True)


@dataclass(frozen=True, eq=False)
class Case:
    """One network, reference and PD, with every measure that there is for them.

    Attributes
    ----------
    runs, name, reference, absolute
        Which PD of which network, from what, and whether its size is meant.
    pairing, limit
        The pairs, and up to which gap they are ties.
    measures : mapping of arrays of shape (T, E, P)
        How each measure orders the pairs; the look-up last.
    truths : mapping of arrays of shape (T, draws, V)
        Draws of the true PDs by the place of the epoch.
    """

    runs: Runs
    name: str
    reference: str
    absolute: bool
    pairing: Pairing
    limit: Limits
    measures: Mapping[str, Vector]
    truths: Mapping[int, Vector]

    @property
    def pd(self) -> str:
        """Name of the PD as it is compared."""
        return self.name if self.absolute else f"{self.name}{SIGNED}"

    @property
    def sees(self) -> dict[str, str]:
        """The measures of the case and what each may see, the ceiling last."""
        known = self.runs.sees | yardsticks.SEES
        return {name: known[name] for name in (*self.measures, CEILING)}

    def counts(self) -> dict[str, Vector]:
        """Count every statistic: (T, E, M + 1, A), the ceiling last."""
        signed = self.runs.difference(self.name, self.reference)
        decided, exact = order_differences(signed, self.pairing.compared, self.limit, self.absolute)
        measures = np.stack([*self.measures.values()], axis=2)
        shape = measures.shape[:2]
        orders, told, ranked = (
            each.reshape(np.prod(shape), *each.shape[2:]) for each in (measures, decided, exact)
        )
        found = count(self.pairing, orders, told[..., np.newaxis], ranked[..., np.newaxis])
        whole = {
            name: values[..., 0].reshape(*shape, -1, len(KINDS)) for name, values in found.items()
        }
        top = self._ceiling(decided, exact)
        return self.compared_with(
            {name: np.concatenate([whole[name], top[name]], axis=2) for name in COUNTED}
        )

    def compared_with(self, found: dict[str, Vector], axis: int = 2) -> dict[str, Vector]:
        """Add the gains over AP2 and over the look-up to statistics of all measures."""
        names = [*self.measures]
        for gain, base in (("gain", "ap2"), ("over_lookup", LOOKUP)):
            own = found["agreement"].take([names.index(base)], axis=axis)
            found[gain] = found["agreement"] - own
        return found

    def _ceiling(self, decided: Vector, exact: Vector) -> dict[str, Vector]:
        """Count how draws of the true PDs order the pairs, on average: (T, E, 1, A)."""
        shape = (*decided.shape[:2], 1, len(KINDS))
        found = {name: np.full(shape, np.nan) for name in COUNTED}
        compared = self.pairing.compared
        for at, truths in self.truths.items():
            drawn = order_measures(np.abs(truths) if self.absolute else truths, compared)
            told, ranked = (each[:, at, :, np.newaxis] for each in (decided, exact))
            counts = count(self.pairing, drawn, told, ranked)
            for name in COUNTED:
                found[name][:, at] = counts[name][..., 0].mean(axis=1, keepdims=True)
        return found


def cases(runs: Runs, level: float = LEVEL, truths: bool = True) -> Iterator[Case]:
    """Go through the references and PDs of a network, each by its size and with its sign.

    Parameters
    ----------
    runs
        All trials of a network.
    level
        Of the tests by which pairs are decided.
    truths
        Whether to draw the true PDs, for the ceiling.
    """
    pairing = Pairing.of(runs.modes, runs.ratios)
    all_drawn = yardsticks.drawn_truths(runs) if truths else {}
    for reference in REFERENCES:
        sizes, values = (
            _measured(runs, reference, pairing, absolute) for absolute in (True, False)
        )
        for name in DIFFERENCES:
            limit = limits(runs, name, reference, pairing.compared, level)
            drawn = {
                at: all_drawn[key]
                for at in runs.ends
                if (key := (name, reference, at)) in all_drawn
            }
            signed = runs.difference(name, reference)
            for absolute, measures in ((True, sizes), (False, values)):
                rival = order_measures(yardsticks.learned(signed, absolute), pairing.compared)
                every = {**measures, LOOKUP: rival}
                yield Case(runs, name, reference, absolute, pairing, limit, every, drawn)


def _measured(runs: Runs, reference: str, pairing: Pairing, absolute: bool) -> dict[str, Vector]:
    found = {name: runs.measure(name, reference, absolute) for name in runs.sees}
    return {
        name: order_measures(values, pairing.compared)
        for name, values in found.items()
        if values is not None
    }


def table_of(case: Case, counts: Mapping[str, Vector]) -> pd.DataFrame:
    """Write the statistics of a case, (T, E, M + 1, A), as rows."""
    runs, sees = case.runs, case.sees
    names: list[NDArray[np.generic]] = [
        np.array(KINDS),
        np.array([*sees]),
        np.asarray(runs.trials),
        np.asarray(runs.epochs),
    ]
    kind, measure, trial, epoch = (
        grid.ravel()
        for grid in np.meshgrid(*(np.arange(len(each)) for each in names), indexing="ij")
    )
    where = {
        "trial": names[2][trial],
        "epoch": names[3][epoch],
        "reference": case.reference,
        "pd": case.pd,
        "among": names[0][kind],
        "measure": names[1][measure],
        "sees": np.array([*sees.values()])[measure],
        "pairs": case.pairing.pairs[kind],
    }
    values = {name: counts[name].transpose(3, 2, 0, 1).ravel() for name in STATISTICS}
    table = pd.DataFrame(runs.about | where | values)
    ends = np.isin(epoch, [at % len(runs.epochs) for at in runs.ends])
    return table[ends | (table["measure"] != CEILING)]
