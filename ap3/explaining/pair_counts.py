"""Counts and ranks of many orders of the same pairs at once, by products of matrices."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ap3.explaining.rank_counts import pairs
from ap3.latent.vectors import Vector

Floats = NDArray[np.floating[Any]]
"""In the precision of the PDs' order: single is enough for whole numbers."""

KINDS = ("modes", "ratios", "all")
COUNTED = ("decided", "agreement", "tau_b", "rho")


@dataclass(frozen=True, eq=False)
class Pairing:
    """All pairs of V variants, and what kinds each belongs to.

    Attributes
    ----------
    compared : array of shape (P, 2)
    member : array of shape (A, P)
        1 where a pair is of a kind: modes at one ratio, ratios at one mode, any two.
    groups
        Of each kind, the variants among which ranks are taken.
    """

    compared: NDArray[np.int64]
    member: Vector
    groups: list[list[NDArray[np.int64]]]

    @classmethod
    def of(cls, modes: NDArray[Any], ratios: NDArray[Any]) -> Self:
        """Pair the variants of a study, given the mode and the ratio of each, (V,)."""
        found = pairs(modes, ratios)
        every = found["all"]
        places = {tuple(pair): place for place, pair in enumerate(every.tolist())}
        member = np.zeros((len(KINDS), len(every)))
        for row, kind in zip(member, KINDS, strict=True):
            row[[places[tuple(pair)] for pair in found[kind].tolist()]] = 1
        groups = [
            [np.flatnonzero(ratios == ratio) for ratio in np.unique(ratios)],
            [np.flatnonzero(modes == mode) for mode in np.unique(modes)],
            [np.arange(len(modes))],
        ]
        return cls(every, member, groups)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """How many pairs there are of each kind, (A,)."""
        return self.member.sum(axis=1).astype(np.int64)

    def ranks(self, kind: int) -> Vector:
        """Matrix (V, P) from the order of the pairs to the centred ranks within the groups."""
        first, second = self.compared.T
        variants = sum(len(group) for group in self.groups[-1])
        half = np.zeros((variants, len(self.compared)))
        half[first, np.arange(len(first))] = 0.5
        half[second, np.arange(len(second))] = -0.5
        return half * self.member[kind]


def count(pairing: Pairing, measures: Floats, decided: Floats, exact: Floats) -> dict[str, Vector]:
    """Compare how M measures and how B sets of PDs order the same pairs, L times over.

    Parameters
    ----------
    pairing
        The pairs.
    measures : array of shape (L, M, P)
        How the measures order the pairs: −1, 0, 1; NaN where a measure is not known.
    decided : array of shape (L, P, B)
        How the PDs order them, 0 where noise leaves it open.
    exact : array of shape (L, P, B)
        How the PDs order them as they are: for ranks.

    Returns
    -------
    dict of arrays of shape (L, M, A, B)
        As `rank_counts.concordance` counts, for each kind of pair: `decided`, `agreement`, `tau_b`;
        and Spearman's `rho`, the mean over the kind's groups. NaN where there is nothing.

    Examples
    --------
    >>> pairing = Pairing.of(np.array(["a", "b", "a"]), np.array([0.1, 0.1, 0.5]))
    >>> measure, pd = np.array([[[1, 1, -1.0]]]), np.array([[[1], [-1], [-1.0]]])
    >>> count(pairing, measure, pd, pd)["agreement"].ravel().round(3).tolist()
    [1.0, 0.0, 0.667]
    """
    layers, number, _ = measures.shape
    kinds = pairing.member.astype(decided.dtype)
    kernel = measures[:, :, np.newaxis].astype(decided.dtype) * kinds
    net = kernel.reshape(layers, number * len(kinds), kernel.shape[-1]) @ decided
    net = net.reshape(layers, number, len(kinds), decided.shape[-1])
    told = kinds @ np.abs(decided)
    ordered = np.abs(kernel).sum(axis=-1)[..., np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "decided": np.broadcast_to(told[:, np.newaxis], net.shape),
            "agreement": 0.5 + 0.5 * net / told[:, np.newaxis],
            "tau_b": net / np.sqrt(told[:, np.newaxis] * ordered),
        }
    rho = [_rho(pairing, kind, measures, exact) for kind in range(len(kinds))]
    return found | {"rho": np.stack(rho, axis=2)}


def _rho(pairing: Pairing, kind: int, measures: Floats, exact: Floats) -> Vector:
    to_ranks = pairing.ranks(kind).astype(exact.dtype)
    of_measures = measures.astype(exact.dtype) @ to_ranks.T
    of_differences = to_ranks @ exact
    found = []
    for group in pairing.groups[kind]:
        one, two = of_measures[..., group], of_differences[:, group]
        size = (one * one).sum(axis=-1)[..., np.newaxis] * (two * two).sum(axis=1)[:, np.newaxis]
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(one @ two / np.sqrt(size))
    with quiet():
        return np.nanmean(found, axis=0)


@contextmanager
def quiet() -> Iterator[None]:
    """NaN where there is nothing to average is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
