"""Fisher laws at both ends and by Kronecker factors, against dense matrices."""

import numpy as np
import pytest
import torch
from layer_pairs import pair

from ap3.errors import UserError
from ap3.latent import SoftmaxCurvature
from ap3.measuring.curvature_laws import (
    fisher_after,
    fisher_before,
    fisher_both_ends,
    kronecker_fisher,
)
from ap3.measuring.logit_change import means
from ap3.measuring.predictive_law import DIVERGENCES

LAWS = {"before": fisher_before, "after": fisher_after, "both": fisher_both_ends}


def hessian_at(made, layer):
    """Of the mean loss in weights and bias, by automatic differentiation; it sees no label."""
    x = torch.cat([torch.tensor(made.features), torch.ones(len(made.features), 1)], dim=1)
    labels = torch.tensor(made.labels)
    loss = lambda flat: torch.nn.functional.cross_entropy(x @ flat.reshape(layer.shape).T, labels)  # noqa: E731
    return torch.autograd.functional.hessian(loss, torch.tensor(layer.ravel())).numpy()


@pytest.mark.parametrize("block", [1, 2**22])
def test_automatic_differentiation(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    made = pair(1)
    found = means(*made.parts, LAWS)
    before = hessian_at(made, made.reference)
    for number, other in enumerate(made.others):
        change = (other - made.reference).ravel()
        ends = [0.5 * change @ h @ change for h in (before, hessian_at(made, other))]
        assert found["before"][number] == pytest.approx(ends[0], rel=1e-11)
        assert found["after"][number] == pytest.approx(ends[1], rel=1e-11)
        assert found["both"][number] == pytest.approx(sum(ends) / 2, rel=1e-11)


def test_the_fisher_law_of_the_weights_where_no_bias_moves():
    made = pair(1)
    made.others[..., -1] = made.reference[:, -1]
    curvature = SoftmaxCurvature(made.features, made.logits[0][:, 0], damping=1e-300)
    change = (made.others - made.reference)[..., :-1].reshape(len(made.others), -1)
    exact = 0.5 * curvature.quadratic(change)
    np.testing.assert_allclose(means(*made.parts, LAWS)["before"], exact, rtol=1e-12)


def test_small_changes_have_the_predictive_law():
    made = pair(2, size=1e-5)
    found, law = means(*made.parts, LAWS), means(*made.parts, DIVERGENCES)
    for values in found.values():
        np.testing.assert_allclose(values, law["forward"], rtol=1e-3)
    symmetric = 0.5 * (law["forward"] + law["reverse"])
    np.testing.assert_allclose(found["both"], symmetric, rtol=1e-8)


@pytest.mark.parametrize("block", [1, 2**22])
def test_kronecker_factors_formed(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    made = pair(3, classes=4)
    x = np.concatenate([made.features, np.ones((len(made.features), 1))], axis=1)
    logits = made.logits[0][:, 0]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    g = np.mean([np.diag(row) - np.outer(row, row) for row in p], axis=0)
    kronecker = np.kron(g, x.T @ x / len(x))
    change = (made.others - made.reference).reshape(len(made.others), -1)
    exact = 0.5 * np.einsum("en,nm,em->e", change, kronecker, change)
    np.testing.assert_allclose(kronecker_fisher(*made.parts), exact, rtol=1e-12)
    one = pair(3, examples=1)  # of one example the factors are the matrix
    np.testing.assert_allclose(
        kronecker_fisher(*one.parts), means(*one.parts, LAWS)["before"], rtol=1e-12
    )


def test_one_layer_is_the_law_of_all():
    made = pair()
    with pytest.raises(UserError, match="those of one layer"):
        kronecker_fisher(made.features, made.others, made.others)
