"""The performance difference as slope and KL, exactly, and between its two slopes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_pairs import losses, pair

from ap3.errors import UserError
from ap3.measuring.logit_change import means
from ap3.measuring.predictive_law import DIVERGENCES
from ap3.measuring.slopes import SLOPES

problems = {
    "seed": st.integers(0, 100_000),
    "scale": st.floats(0.01, 10),
    "size": st.floats(1e-6, 10),
    "classes": st.integers(2, 12),
    "examples": st.integers(1, 6),
}


def slopes(made):
    return means(*made.parts, SLOPES, made.labels)


def difference(made):
    before, after = made.logits
    return losses(after, made.labels) - losses(before, made.labels)


@given(**problems)
def test_the_identity_to_the_last_digits(**shape):
    made = pair(**shape)
    found, law = slopes(made), means(*made.parts, DIVERGENCES)
    true = difference(made)
    np.testing.assert_allclose(found["before"] + law["forward"], true, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(found["after"] - law["reverse"], true, rtol=1e-13, atol=1e-12)
    halves = found["trapezoid"] + 0.5 * (law["forward"] - law["reverse"])
    np.testing.assert_allclose(halves, true, rtol=1e-13, atol=1e-12)
    assert (found["before"] <= true + 1e-12).all()
    assert (true <= found["after"] + 1e-12).all()


def test_automatic_differentiation():
    made = pair(3)
    layers = torch.tensor(made.reference), torch.tensor(made.others)
    x, labels = torch.tensor(made.features), torch.tensor(made.labels)

    def gradient(layer):
        layer = layer.clone().requires_grad_(True)
        logits = x @ layer[:, :-1].T + layer[:, -1]
        torch.nn.functional.cross_entropy(logits, labels).backward()
        return layer.grad

    found = slopes(made)
    for number, other in enumerate(layers[1]):
        change = other - layers[0]
        ends = [(gradient(layer) * change).sum().item() for layer in (layers[0], other)]
        assert found["before"][number] == pytest.approx(ends[0], rel=1e-12)
        assert found["after"][number] == pytest.approx(ends[1], rel=1e-12)
        assert found["trapezoid"][number] == pytest.approx(sum(ends) / 2, rel=1e-12)


def test_the_trapezoid_is_of_third_order():
    errors = []
    for size in (1e-1, 1e-2):
        made = pair(5, others=1, size=size)
        found = slopes(made)
        errors.append(abs(found["trapezoid"] - difference(made))[0])
    assert 500 < errors[0] / errors[1] < 2000


def test_a_certain_answer_keeps_its_slope():
    reference, other = np.array([[0.0, 0.0], [0.0, -60.0]]), np.array([[0.0, 0.0], [0.0, -59.0]])
    found = means(np.ones((1, 1)), reference, other[np.newaxis], SLOPES, [0])
    assert found["before"][0] == pytest.approx(np.exp(-60), rel=1e-12)


def test_labels_are_needed():
    made = pair()
    with pytest.raises(UserError, match="a label for each"):
        means(*made.parts, SLOPES, made.labels[:3])
