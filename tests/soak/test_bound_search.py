"""A short cut of the search for counterexamples; `bound_search.py` draws millions."""

from dataclasses import replace

import bound_search
import numpy as np
import pytest

from ap3.measuring.spectral_chain import spectral_chain
from ap3.measuring.two_ends import jeffreys


@pytest.mark.parametrize("seed", range(3))
def test_no_bound_is_broken(seed):
    found = bound_search.search(6_000, seed=seed, batch=3_000)
    assert len(found) == 28
    assert all(cases >= 6_000 for cases, _, _ in found.values())
    assert {name: worst for name, (_, _, worst) in found.items() if worst > 1} == {}


@pytest.mark.parametrize(
    ("name", "false"),
    [
        ("self_concordant_upper", lambda made: 0.5 * made.centred[..., 0] ** 2),
        ("bennett_lower", lambda made: made.centred.max(axis=-1)),
        ("two_ends_upper", lambda made: 0.5 * jeffreys(made)),
    ],
)
def test_a_false_enclosure_is_found(name, false, monkeypatch):
    monkeypatch.setitem(bound_search.ENCLOSURES, name, false)
    found = bound_search.search(2_000, seed=0, batch=2_000)
    assert max(worst for _, _, worst in found.values()) > 1e6


def test_a_false_law_on_two_points_is_found(monkeypatch):
    one_percent = lambda distance2, variance: 1.01 * distance2 / (4 * variance)  # noqa: E731
    monkeypatch.setattr(bound_search, "two_point_kl", one_percent)
    assert bound_search.search(2_000, seed=0, batch=2_000)["two-point law"][2] > 1e6


def test_a_constant_that_is_too_small_is_found(monkeypatch):
    monkeypatch.setattr(
        bound_search, "lipschitz_bound", lambda norm, distance2, shift: 0.9 * norm * distance2**0.5
    )
    assert bound_search.search(2_000, seed=0, batch=2_000)["Lipschitz, spectral"][2] > 1e6


def test_a_chain_of_the_wrong_norms_is_found(monkeypatch):
    def unpruned(steps):
        return spectral_chain([replace(step, norm=0 * step.norm) for step in steps])

    monkeypatch.setattr(bound_search, "spectral_chain", unpruned)
    assert bound_search.search(2_000, seed=0, batch=2_000)["Thm 3.5, as a chain of norms"][2] > 1e6


def test_what_is_no_number_counts_as_broken():
    [(_, _, excess, relative)] = bound_search.worst(
        iter([("name", np.array([np.nan]), np.ones(1), np.ones(1))])
    )
    assert excess == relative == np.inf
