"""What a measure says among networks pruned by the same ratio: a test that AP3 can fail.

Over modes and ratios AP2 follows the damage by construction: at one ratio it orders lowest < random
< highest, at one mode it grows with the ratio. Among a hundred random masks of one ratio nothing is
built in. Here every measure is held against the PD there, and beside criteria that are not magnitude:

- at each ratio, among the random `masks` alone and among `all` variants of the ratio: Spearman's ρ, and the
  agreement of the pairs that the examples decide (`decided_pairs`);
- over all ratios: the partial Spearman's ρ given mode and ratio, in which a mode and ratio with a single
  mask says nothing; and the granulated Kendall coefficient, of pairs that differ in the mask alone, in
  the mode alone and in the ratio alone.

Each by |PD|, as Def. 2.8 has it, and by the PD with its sign, damage positive.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ap3.config.variants import Variant
from ap3.explaining.decided_pairs import limits, order_differences, order_measures
from ap3.explaining.granulated_kendall import granulated_kendall
from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.partial_correlation import partial_correlation
from ap3.explaining.rank_counts import centred_ranks, concordance, spearman
from ap3.explaining.trial_grids import DIFFERENCES, SIGNED, Runs
from ap3.latent.vectors import Vector
from ap3.machine.progress import counted

AMONG = ("masks", "all")
AT_ONE_RATIO = ("rho", "agreement", "decided")
OVER_RATIOS = ("partial_rho", "kendall_mask", "kendall_mode", "kendall_ratio", "kendall")
STATISTICS = (*AT_ONE_RATIO, *OVER_RATIOS)
_DIGITS = 9


@dataclass(frozen=True, eq=False)
class Masks:
    """The variants of a study with many random masks, (V,), and their pairs.

    Attributes
    ----------
    kinds
        The mode, which all random masks share.
    draws
        The number of a random mask; 0 for the one mask of a mode.
    ratios
    compared : array of shape (P, 2)
        Pairs at one ratio, and pairs of the same mode and number.
    """

    kinds: NDArray[Any]
    draws: NDArray[np.int64]
    ratios: NDArray[Any]
    compared: NDArray[np.int64]

    @classmethod
    def of(cls, modes: NDArray[Any], ratios: NDArray[Any]) -> Self:
        """Take the names of the variants apart.

        Examples
        --------
        >>> made = Masks.of(np.array(["obd", "random.1", "random.2"]), np.array([0.3, 0.3, 0.5]))
        >>> made.kinds.tolist(), made.draws.tolist(), made.compared.tolist()
        (['obd', 'random', 'random'], [0, 1, 2], [[0, 1]])
        """
        named = [Variant(str(mode), 0.0) for mode in modes]
        kinds, draws = (np.array([getattr(v, a) for v in named]) for a in ("kind", "draw"))
        every = np.array([*combinations(range(len(named)), 2)], dtype=np.int64).reshape(-1, 2)
        one, two = every.T
        same = (kinds[one] == kinds[two]) & (draws[one] == draws[two])
        return cls(kinds, draws, ratios, every[(ratios[one] == ratios[two]) | same])

    @property
    def settings(self) -> dict[str, NDArray[Any]]:
        """What tells the variants apart, for the granulated coefficient."""
        return {"mask": self.draws, "mode": self.kinds, "ratio": self.ratios}

    @property
    def groups(self) -> NDArray[np.int64]:
        """The mode and ratio of each variant, as a number."""
        names = [f"{kind} {ratio}" for kind, ratio in zip(self.kinds, self.ratios, strict=True)]
        return np.unique(names, return_inverse=True)[1]

    def members(self, ratio: float, among: str) -> NDArray[np.int64]:
        """Places of the variants of a ratio: of its random masks, or of all."""
        chosen = self.ratios == ratio
        return np.flatnonzero(chosen & (self.kinds == "random") if among == "masks" else chosen)


def within_ratio(runs: Sequence[Runs], level: float = LEVEL) -> pd.DataFrame:
    """Hold every measure against the PD among variants of one ratio, for every trial.

    Parameters
    ----------
    runs
        The trials of each network, with random masks among the variants.
    level
        Of the tests by which pairs are decided.

    Returns
    -------
    DataFrame
        A row per data set, network, epoch (first and last), reference, PD, measure, trial, and ratio
        with `among` (statistics of `AT_ONE_RATIO`), or no ratio (those of `OVER_RATIOS`). After
        fine-tuning the measures and PDs are taken from the baseline and from the control.
    """
    rows = [row for each in counted(runs, "within ratios") for row in _of_network(each, level)]
    return pd.concat(rows, ignore_index=True)


@dataclass(frozen=True, eq=False)
class _Measured:
    """All measures from one reference at one epoch, (M, T, V), and their orders, (M, T, P)."""

    names: list[str]
    measures: Vector
    orders: Vector

    @classmethod
    def of(cls, runs: Runs, masks: Masks, reference: str, absolute: bool, at: int) -> Self:
        found = {name: runs.measure(name, reference, absolute) for name in runs.sees}
        there = {name: values[:, at] for name, values in found.items() if values is not None}
        values = np.stack([*there.values()])
        return cls([*there], _rounded(values), order_measures(values, masks.compared))


def _of_network(runs: Runs, level: float) -> Iterator[pd.DataFrame]:
    masks = Masks.of(runs.modes, runs.ratios)
    phases = [("baseline", at) for at in runs.ends] + [("control", at) for at in runs.ends[1:]]
    for reference, at in phases:
        sizes, values = (_Measured.of(runs, masks, reference, a, at) for a in (True, False))
        for name in DIFFERENCES:
            limit = limits(runs, name, reference, masks.compared, level)
            every = runs.difference(name, reference)
            for absolute, measured in ((True, sizes), (False, values)):
                decided, _ = order_differences(every, masks.compared, limit, absolute)
                signed = every[:, at]
                difference = np.abs(signed) if absolute else signed
                about = {
                    **runs.about,
                    "epoch": runs.epochs[at],
                    "reference": reference,
                    "pd": name if absolute else f"{name}{SIGNED}",
                }
                found = _statistics(masks, measured, difference, decided[:, at])
                yield from _tables(runs, measured.names, about, found)


Key = tuple[float, str]
"""A ratio and among what; NaN and an empty text over all ratios."""


def _statistics(
    masks: Masks, measured: _Measured, difference: Vector, decided: Vector
) -> dict[Key, dict[str, Vector]]:
    """Every statistic, (M, T) each, of PDs (T, V) and of their decided pairs (T, P)."""
    found: dict[Key, dict[str, Vector]] = {}
    one, _ = masks.compared.T
    same_ratio = np.equal(*masks.ratios[masks.compared.T])
    random = (masks.kinds[masks.compared] == "random").all(axis=1)
    for ratio in np.unique(masks.ratios):
        for among in AMONG:
            chosen = masks.members(ratio, among)
            pairs = same_ratio & (masks.ratios[one] == ratio) & (random | (among == "all"))
            counted_pairs = concordance(measured.orders[..., pairs], decided[..., pairs])
            rho = spearman(
                centred_ranks(measured.measures[..., chosen]),
                centred_ranks(difference[..., chosen]),
            )
            counted_pairs["decided"] = np.broadcast_to(counted_pairs["decided"], rho.shape)
            found[ratio, among] = {"rho": np.clip(rho, -1, 1)} | {
                name: counted_pairs[name] for name in ("agreement", "decided")
            }
    granulated = granulated_kendall(measured.orders, decided, masks.compared, masks.settings)
    found[np.nan, ""] = {
        "partial_rho": partial_correlation(measured.measures, difference, masks.groups),
        **{f"kendall_{name}": granulated[name] for name in masks.settings},
        "kendall": granulated["mean"],
    }
    return found


def _tables(
    runs: Runs, names: list[str], about: Mapping[str, Any], found: Mapping[Key, dict[str, Vector]]
) -> Iterator[pd.DataFrame]:
    for (ratio, among), statistics in found.items():
        where = {
            **about,
            "ratio": ratio,
            "among": among,
            "measure": np.repeat(names, len(runs.trials)),
            "sees": np.repeat([runs.sees[name] for name in names], len(runs.trials)),
            "trial": np.tile(runs.trials, len(names)),
        }
        flat = {name: np.asarray(values, float).ravel() for name, values in statistics.items()}
        yield pd.DataFrame(where | {name: flat.get(name, np.nan) for name in STATISTICS})


def _rounded(values: Vector) -> Vector:
    """Values to nine digits, so that what differs by rounding alone is a tie of ranks."""
    with np.errstate(divide="ignore"):
        scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(values))))
    usable = np.isfinite(scale) & (values != 0)
    return np.where(usable, np.rint(values * np.where(usable, scale, 1.0)) / scale, values)
