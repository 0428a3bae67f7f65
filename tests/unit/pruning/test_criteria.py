"""Criteria against plain implementations, and against what they say they minimise."""

import numpy as np
import pytest
import torch
from head_problems import ORIGIN, problem

from ap3.config.variants import DATA_AWARE, Variant
from ap3.errors import UserError
from ap3.pruning.criteria import TrainedLayer, within_rows
from ap3.pruning.masks import prune_network, pruning_mask, trained_layer
from ap3.pruning.optimal_brain_surgeon import obs, softmax_hessian
from ap3.pruning.pruned import PrunedLayer, PrunedNetwork
from ap3.training.splits import Split

MADE = problem(5, examples=60, inputs=6, classes=4)
SEEN = Split(MADE.features, MADE.labels)
LAYER = TrainedLayer(MADE.weight, MADE.bias, SEEN)
BASELINE = PrunedNetwork(
    ORIGIN, Variant("control", 0.0), {"fc": PrunedLayer.whole(MADE.weight, MADE.bias)}
)


def torch_loss(flat):
    logits = torch.tensor(MADE.features) @ flat.reshape(MADE.weight.shape).T
    return torch.nn.functional.cross_entropy(
        logits + torch.tensor(MADE.bias), torch.tensor(MADE.labels)
    )


def torch_hessian():
    return torch.autograd.functional.hessian(torch_loss, torch.tensor(MADE.weight.ravel())).numpy()


def lowest(scores, count):
    """A mask by sorting (score, place) in plain Python."""
    flat = sorted((float(score), place) for place, score in enumerate(np.ravel(scores)))
    mask = np.ones(np.size(scores), bool)
    mask[[place for _, place in flat[:count]]] = False
    return mask.reshape(np.shape(scores))


def mask_of(mode, ratio):
    pruned = prune_network(BASELINE, Variant(mode, ratio), LAYER)
    return pruned.layers["fc"].mask


def test_the_hessian_by_automatic_differentiation(monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", 100)  # several blocks of examples
    formed = softmax_hessian(MADE.features, LAYER.logits, damping=0.0)
    np.testing.assert_allclose(formed, torch_hessian(), rtol=1e-10, atol=1e-13)


def test_obs_is_the_cheapest_way_to_remove_a_weight():
    """Solve min ½ δᵀHδ with δ_q = −w_q by its linear equations, for every q."""
    hessian = torch_hessian() + 0.01 * np.eye(MADE.weight.size)
    scores, flat = obs(MADE.weight, hessian).ravel(), MADE.weight.ravel()
    for q, weight in enumerate(flat):
        border = np.eye(len(flat))[q]
        equations = np.block([[hessian, border[:, None]], [border, 0]])
        step = np.linalg.solve(equations, np.append(np.zeros(len(flat)), -weight))[:-1]
        assert step[q] == pytest.approx(-weight, rel=1e-12)
        assert scores[q] == pytest.approx(0.5 * step @ hessian @ step, rel=1e-9)


def test_obs_of_a_diagonal_hessian_is_obd():
    hessian = np.diag(np.arange(1.0, 1 + MADE.weight.size))
    expected = 0.5 * hessian.diagonal() * MADE.weight.ravel() ** 2
    np.testing.assert_allclose(obs(MADE.weight, hessian).ravel(), expected, rtol=1e-13)


@pytest.mark.parametrize("hessian", [np.eye(3), -np.eye(MADE.weight.size)])
def test_obs_refuses_what_is_no_hessian_of_the_layer(hessian):
    with pytest.raises(UserError, match=r"must be (a square table|positive definite)"):
        obs(MADE.weight, hessian)


def test_a_layer_too_large_for_obs_is_refused_by_its_size():
    with pytest.raises(UserError, match=r"has 10000 weights.* at most 8192"):
        softmax_hessian(np.ones((1, 1000)), np.zeros((1, 10)), 1.0)


def test_obd_obs_and_snip_prune_by_independent_scores():
    hessian = torch_hessian()
    damping = 1e-3 * hessian.trace() / len(hessian)
    damped = hessian + damping * np.eye(len(hessian))
    leaf = torch.tensor(MADE.weight.ravel(), requires_grad=True)
    torch_loss(leaf).backward()
    scores = {
        "obd": MADE.weight**2 * hessian.diagonal().reshape(MADE.weight.shape) / 2,
        "obs": MADE.weight**2 / (2 * np.linalg.inv(damped).diagonal().reshape(MADE.weight.shape)),
        "snip": np.abs(MADE.weight * leaf.grad.numpy().reshape(MADE.weight.shape)),
    }
    for ratio in (0.3, 0.5):
        for mode, expected in scores.items():
            mask = lowest(expected, round(ratio * MADE.weight.size))
            np.testing.assert_array_equal(mask_of(mode, ratio), mask)


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.8])
def test_wanda_and_per_class_prune_every_row_alike(ratio):
    norms = [np.linalg.norm(column) for column in MADE.features.T]
    for mode, scores in (("per_class", abs(MADE.weight)), ("wanda", abs(MADE.weight) * norms)):
        mask, count = mask_of(mode, ratio), round(ratio * MADE.weight.size)
        assert (~mask).sum() == count
        fewer, more = divmod(count, len(mask))
        for row, (kept, ranked) in enumerate(zip(mask, scores, strict=True)):
            expected = sorted(range(len(ranked)), key=lambda j: ranked[j])[: fewer + (row < more)]
            assert sorted(np.flatnonzero(~kept)) == sorted(expected)


def test_per_class_is_told_by_the_public_function_too():
    mask = pruning_mask(torch.from_numpy(MADE.weight), "per_class", 0.5)
    np.testing.assert_array_equal(mask.bool().numpy(), mask_of("per_class", 0.5))


def test_equal_scores_of_a_row_go_in_their_order():
    np.testing.assert_array_equal(within_rows([[2.0, 2.0, 1.0]]), [[2, 3, 1]])


@pytest.mark.parametrize("mode", DATA_AWARE)
def test_criteria_that_look_at_data_ask_for_it(mode):
    with pytest.raises(UserError, match=r"looks at features.*--features"):
        prune_network(BASELINE, Variant(mode, 0.5))


def test_features_of_another_layer_are_refused():
    with pytest.raises(UserError, match="made of this baseline"):
        TrainedLayer(MADE.weight, MADE.bias, Split(np.ones((3, 2)), np.zeros(3, int)))


def test_the_examples_looked_at_are_those_that_measures_are_taken_on():
    layer = trained_layer(BASELINE, SEEN, examples=7)
    expected = SEEN.sample(7, ORIGIN.seed_of("examples"))
    assert len(layer.seen.labels) == 7
    np.testing.assert_array_equal(layer.seen.features, expected.features)


def test_drawn_masks_are_told_apart_by_their_number():
    masks = [mask_of(f"random.{number}", 0.5) for number in (1, 2, 3)] + [mask_of("random", 0.5)]
    assert len({mask.tobytes() for mask in masks}) == 4
    assert {int((~mask).sum()) for mask in masks} == {MADE.weight.size // 2}
    np.testing.assert_array_equal(masks[1], mask_of("random.2", 0.5))
