"""The Fisher laws against a dense Hessian by automatic differentiation."""

import numpy as np
import pytest
import torch

from ap3.errors import UserError
from ap3.latent import DiagonalFisherGaussian, FisherGaussian, SoftmaxCurvature

EXAMPLES, INPUTS, CLASSES = 11, 4, 3
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(EXAMPLES, INPUTS))
WEIGHTS, PRUNED = RNG.normal(size=(2, CLASSES, INPUTS))
LOGITS = FEATURES @ WEIGHTS.T + RNG.normal(size=CLASSES)
N = CLASSES * INPUTS


def dense_hessian():
    features, bias = torch.tensor(FEATURES), torch.tensor(LOGITS[0] - FEATURES[0] @ WEIGHTS.T)
    labels = torch.arange(EXAMPLES) % CLASSES

    def loss(flat):
        logits = features @ flat.reshape(CLASSES, INPUTS).T + bias
        return torch.nn.functional.cross_entropy(logits, labels)

    flat = torch.tensor(WEIGHTS.ravel())
    return torch.autograd.functional.hessian(loss, flat).numpy()


@pytest.mark.parametrize("block", [1, 13, 2**22])
def test_dense_hessian(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.fisher.BLOCK", block)
    F, curvature = dense_hessian(), SoftmaxCurvature(FEATURES, LOGITS)
    stack = np.random.default_rng(1).normal(size=(5, N))
    damping = 1e-3 * np.trace(F) / N
    assert curvature.trace == pytest.approx(np.trace(F), rel=1e-12)
    assert curvature.damping == pytest.approx(damping, rel=1e-12)
    np.testing.assert_allclose(curvature.diagonal, np.diag(F), rtol=1e-12)
    exact = np.einsum("ei,ij,ej->e", stack, F + damping * np.eye(N), stack)
    np.testing.assert_allclose(curvature.quadratic(stack), exact, rtol=1e-12)
    for delta, value in zip(stack, exact, strict=True):
        assert np.square(curvature.whiten(delta)).sum() == pytest.approx(value, rel=1e-12)


def test_laws():
    F, curvature = dense_hessian(), SoftmaxCurvature(FEATURES, LOGITS, damping=0.2)
    delta = (WEIGHTS - PRUNED).ravel()
    law = FisherGaussian(WEIGHTS, curvature, scale=3.0)
    exact = 1.5 * delta @ (F + 0.2 * np.eye(N)) @ delta
    assert law.kl(law.at(PRUNED)) == pytest.approx(exact, rel=1e-12)
    diagonal = DiagonalFisherGaussian(WEIGHTS, curvature, scale=3.0)
    exact = 1.5 * delta @ ((np.diag(F) + 0.2) * delta)
    assert diagonal.kl(diagonal.at(PRUNED)) == pytest.approx(exact, rel=1e-12)


def test_second_order_of_the_kl_of_predictions():
    """The mean KL of the predictions tends to ½ΔᵀFΔ, with an error of third order."""
    curvature = SoftmaxCurvature(FEATURES, LOGITS, damping=1e-300)
    delta = np.random.default_rng(2).normal(size=(CLASSES, INPUTS))
    gaps = []
    for step in (1e-2, 1e-3):
        p, q = (
            torch.log_softmax(torch.tensor(logits), dim=1)
            for logits in (LOGITS, LOGITS + step * FEATURES @ delta.T)
        )
        kl = float((p.exp() * (p - q)).sum(dim=1).mean())
        gaps.append(abs(kl / (0.5 * curvature.quadratic(step * delta.reshape(1, -1))[0]) - 1))
    assert gaps[0] < 0.05
    assert gaps[1] < gaps[0] / 8


def test_predictions_that_are_all_but_certain():
    """With logits 0 and −L the curvature of x = 1 is e^−L, far below what 1 − p can resolve."""
    logits = [[0.0, -60.0]]
    curvature = SoftmaxCurvature([[1.0]], logits, damping=1e-300)
    assert curvature.trace == pytest.approx(2 * np.exp(-60), rel=1e-12)
    stack = np.array([[1.0, 0.0], [0.0, 1.0], [1e3 + 1.0, 1e3]])
    np.testing.assert_allclose(curvature.quadratic(stack), np.exp(-60), rtol=1e-12)


def test_a_shift_of_all_logits_is_not_seen():
    curvature = SoftmaxCurvature(FEATURES, LOGITS, damping=1e-300)
    shift = np.tile(np.random.default_rng(3).normal(size=INPUTS), (CLASSES, 1))
    assert curvature.quadratic(shift.reshape(1, -1))[0] < 1e-28


def test_half_precision_features():
    half = FEATURES.astype(np.float16)
    exact = SoftmaxCurvature(half.astype(float), LOGITS).diagonal
    np.testing.assert_array_equal(SoftmaxCurvature(half, LOGITS).diagonal, exact)
    tensors = torch.tensor(half), torch.tensor(LOGITS, requires_grad=True)
    np.testing.assert_array_equal(SoftmaxCurvature(*tensors).diagonal, exact)


def test_memory_is_bounded(monkeypatch):
    import tracemalloc

    monkeypatch.setattr("ap3.latent.fisher.BLOCK", 2**14)
    rng = np.random.default_rng(0)
    curvature = SoftmaxCurvature(
        rng.normal(size=(20_000, 20)).astype(np.float32), rng.normal(size=(20_000, 10))
    )
    curvature.damping  # noqa: B018 computed once, before the clock
    tracemalloc.start()
    curvature.quadratic(rng.normal(size=(8, 200)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20 < 20_000 * 8 * 10 * 8


@pytest.mark.parametrize(
    ("features", "logits", "found"),
    [
        (np.ones(3), np.ones((3, 2)), "tables"),
        (np.ones((3, 2)), np.ones((4, 2)), "one row per example"),
        (np.ones((0, 2)), np.ones((0, 2)), "empty"),
    ],
)
def test_tables_that_do_not_fit(features, logits, found):
    with pytest.raises(UserError, match=found):
        SoftmaxCurvature(features, logits)


def test_other_mistakes():
    with pytest.raises(UserError, match="features must be finite"):
        SoftmaxCurvature([[np.nan]], [[0.0, 1.0]]).trace  # noqa: B018
    with pytest.raises(UserError, match="damping"):
        SoftmaxCurvature([[0.0]], [[0.0, 1.0]]).damping  # noqa: B018
    for law in (FisherGaussian, DiagonalFisherGaussian):
        with pytest.raises(UserError, match=r"weights|variances"):
            law(np.ones(5), SoftmaxCurvature(FEATURES, LOGITS), 1.0)
