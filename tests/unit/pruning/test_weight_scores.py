"""Criteria's scores against loops, and against what they approximate."""

import numpy as np
import pytest
import torch
from head_problems import problem
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ap3.errors import UserError
from ap3.latent import DiagonalFisherGaussian, SoftmaxCurvature
from ap3.pruning.weight_scores import lamp, obd, removed, snip, wanda

MADE = problem(2)
MASKS = np.random.default_rng(0).random((4, *MADE.weight.shape)) > 0.5


def torch_loss(flat):
    logits = torch.tensor(MADE.features) @ flat.reshape(MADE.weight.shape).T
    return torch.nn.functional.cross_entropy(
        logits + torch.tensor(MADE.bias), torch.tensor(MADE.labels)
    )


def test_obd_by_automatic_differentiation():
    flat = torch.tensor(MADE.weight.ravel())
    diagonal = torch.autograd.functional.hessian(torch_loss, flat).diagonal().numpy()
    curvature = SoftmaxCurvature(MADE.features, MADE.features @ MADE.weight.T + MADE.bias, 1e-300)
    scores = obd(MADE.weight, curvature.diagonal)
    exact = 0.5 * diagonal.reshape(scores.shape) * MADE.weight**2
    np.testing.assert_allclose(scores, exact, rtol=1e-11)
    law = DiagonalFisherGaussian(MADE.weight, curvature, scale=1.0)
    np.testing.assert_allclose(removed(scores, MASKS), law.kl_many(MADE.weight * MASKS), rtol=1e-10)


def test_snip_by_automatic_differentiation():
    flat = torch.tensor(MADE.weight.ravel(), requires_grad=True)
    torch_loss(flat).backward()
    gradient = MADE.loss.value_and_gradient(MADE.weight, MADE.bias)[1]
    exact = (flat.detach() * flat.grad).abs().numpy().reshape(gradient.shape)
    np.testing.assert_allclose(snip(MADE.weight, gradient), exact, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("block", [1, 2**22])
def test_wanda_by_loops(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    scores = wanda(MADE.weight, MADE.features)
    for (row, column), weight in np.ndenumerate(MADE.weight):
        norm = np.linalg.norm(MADE.features[:, column])
        assert scores[row, column] == pytest.approx(abs(weight) * norm, rel=1e-13)


@given(arrays(np.float64, (3, 4), elements=st.integers(-3, 3)))
def test_lamp_by_loops(weights):
    scores, flat = lamp(weights).ravel(), np.abs(weights.ravel())
    for i, weight in enumerate(flat):
        rest = [v for j, v in enumerate(flat) if v > weight or (v == weight and j >= i)]
        total = sum(v**2 for v in rest)
        assert scores[i] == pytest.approx(weight**2 / total if total else 0.0, rel=1e-12)


def test_lamp_keeps_the_digits_of_small_weights():
    weights = np.array([1e-12, 1e-3, 1.0])
    np.testing.assert_allclose(
        lamp(weights), [1e-24 / (1 + 1e-6), 1e-6 / (1 + 1e-6), 1], rtol=1e-15
    )


def test_lamp_ranks_a_layer_as_its_magnitudes_do():
    weights = np.random.default_rng(1).normal(size=50)
    np.testing.assert_array_equal(np.argsort(lamp(weights)), np.argsort(np.abs(weights)))


def test_what_masks_remove():
    scores = np.abs(MADE.weight)
    exact = [
        sum(s for s, keep in zip(scores.ravel(), m.ravel(), strict=True) if not keep) for m in MASKS
    ]
    np.testing.assert_allclose(removed(scores, MASKS), exact, rtol=1e-12)
    assert removed(scores, MASKS[0]) == pytest.approx(exact[0])
    assert removed(scores, np.ones_like(scores)) == 0
    with pytest.raises(UserError, match="shape of the scores"):
        removed(scores, MASKS[:, :, :-1])
