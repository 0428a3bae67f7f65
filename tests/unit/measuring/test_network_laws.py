"""Distances of a whole network's weights, from sums over its layers."""

import mpmath
import numpy as np
import pytest

from ap3.measuring.network_laws import NetworkLaws
from ap3.metrics import cosine_distance
from ap3.pruning.pruned import Origin


def weights(seed=0):
    draw = np.random.default_rng(seed)
    return {"a": draw.normal(size=(4, 3)), "b": 0.1 * draw.normal(size=(2, 4))}


def measured(before, after):
    laws = NetworkLaws(Origin("blobs", "net", 1, 0), before)
    return laws.of_network({name: laws.of_layer(name, after[name]) for name in before})


@pytest.mark.parametrize("change", [1.0, 1e-3, 1e-7])
def test_the_cosine_distance_keeps_its_digits(change):
    before = weights()
    after = {name: one + change * weights(1)[name] for name, one in before.items()}
    one, two = (
        [mpmath.mpf(float(value)) for part in given.values() for value in part.ravel()]
        for given in (before, after)
    )
    with mpmath.workdps(50):
        inner = mpmath.fsum(a * b for a, b in zip(one, two, strict=True))
        norms = [mpmath.sqrt(mpmath.fsum(a * a for a in part)) for part in (one, two)]
        expected = float(1 - inner / (norms[0] * norms[1]))
    found = measured(before, after)["cosine_distance"]
    assert found == pytest.approx(expected, rel=1e-6, abs=0)
    joined = [
        np.concatenate([part.ravel() for part in given.values()]) for given in (before, after)
    ]
    assert found == pytest.approx(cosine_distance(*joined), rel=1e-6, abs=0)


def test_a_network_with_nothing_left_has_no_angle():
    before = weights()
    found = measured(before, {name: np.zeros_like(one) for name, one in before.items()})
    assert np.isnan(found["cosine_distance"])
    assert found["relative_frobenius"] == 1
