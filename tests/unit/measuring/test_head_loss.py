"""The loss of a last layer against automatic differentiation."""

import numpy as np
import pytest
import torch
from head_problems import problem
from hypothesis import given
from hypothesis import strategies as st

from ap3.errors import UserError
from ap3.measuring.head_loss import HeadLoss, top_eigenvalue

MADE = problem(3)


def torch_loss(weight, bias):
    features, labels = torch.tensor(MADE.features), torch.tensor(MADE.labels)
    return torch.nn.functional.cross_entropy(features @ weight.T + bias, labels)


def dense_hessian(weight, bias):
    shape = weight.shape
    hessian = torch.autograd.functional.hessian(
        lambda flat: torch_loss(flat.reshape(shape), torch.tensor(bias)),
        torch.tensor(weight.ravel()),
    )
    return hessian.numpy()


@pytest.mark.parametrize("block", [1, 33, 2**22])
def test_automatic_differentiation(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    weight = torch.tensor(MADE.weight, requires_grad=True)
    loss = torch_loss(weight, torch.tensor(MADE.bias))
    loss.backward()
    value, gradient = MADE.loss.value_and_gradient(MADE.weight, MADE.bias)
    assert value == pytest.approx(loss.item(), rel=1e-13)
    np.testing.assert_allclose(gradient, weight.grad.numpy(), rtol=1e-11, atol=1e-15)
    eigenvalues, eigenvectors = np.linalg.eigh(dense_hessian(MADE.weight, MADE.bias))
    top, vector = MADE.loss.top_eigenvalue(MADE.weight, MADE.bias)
    assert top == pytest.approx(eigenvalues[-1], rel=1e-6)
    assert abs(vector @ eigenvectors[:, -1]) == pytest.approx(1, abs=1e-5)


def test_a_start_and_single_precision_change_no_digit_that_counts():
    exact = np.linalg.eigvalsh(dense_hessian(MADE.weight, MADE.bias))[-1]
    single = HeadLoss(MADE.features.astype(np.float32), MADE.labels)
    near = np.random.default_rng(0).normal(size=MADE.weight.size)
    for loss in (MADE.loss, single):
        assert loss.top_eigenvalue(MADE.weight, MADE.bias, near)[0] == pytest.approx(
            exact, rel=1e-5
        )


@pytest.mark.parametrize(("inputs", "classes"), [(1, 2), (2, 2), (3, 2)])
def test_layers_smaller_than_a_krylov_space(inputs, classes):
    made = problem(1, inputs=inputs, classes=classes)
    p = np.full((len(made.features), classes), 1 / classes)
    moment = made.features.T @ made.features / len(made.features)
    exact = np.linalg.eigvalsh(moment)[-1] / classes
    assert top_eigenvalue(made.features, p)[0] == pytest.approx(exact, rel=1e-9)
    assert made.loss.curvature_bound == pytest.approx(0.5 * exact * classes, rel=1e-9)


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5))
def test_no_curvature_exceeds_the_bound(seed, classes):
    made = problem(seed, examples=12, inputs=3, classes=classes)
    scale = 10 ** np.random.default_rng(seed).uniform(-2, 1.5)
    top, _ = made.loss.top_eigenvalue(scale * made.weight, made.bias)
    assert top <= made.loss.curvature_bound * (1 + 1e-9)


def test_the_bound_is_met_by_two_even_classes():
    loss = HeadLoss([[3.0]], [0])
    top, _ = loss.top_eigenvalue(np.zeros((2, 1)), np.zeros(2))
    assert top == pytest.approx(loss.curvature_bound, rel=1e-12)


@pytest.mark.parametrize(
    ("features", "labels"), [(np.ones(3), [0, 1, 1]), (np.ones((3, 2)), [0, 1])]
)
def test_misfits_are_refused(features, labels):
    with pytest.raises(UserError, match="one label per example"):
        HeadLoss(features, labels)


@pytest.mark.parametrize("start", [None, np.eye(8)[0]])
def test_a_layer_that_is_sure_of_everything_has_no_curvature(start):
    features, sure = np.ones((5, 4), np.float32), np.tile([1.0, 0.0], (5, 1))
    value, vector = top_eigenvalue(features, sure, start)
    assert value == 0
    assert np.linalg.norm(vector) == pytest.approx(1)


def test_a_guess_without_curvature_is_replaced():
    features = np.eye(4)
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    value, _ = top_eigenvalue(features, probabilities, np.eye(8)[0])
    assert value == pytest.approx(0.5 / 4, rel=1e-6)
