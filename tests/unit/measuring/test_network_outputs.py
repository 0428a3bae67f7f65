"""What a changed network puts out: exact identities, closed forms, and differences of small steps."""

import numpy as np
import pytest
import torch
from torch import nn

from ap3.measuring.curvature_laws import fisher_before
from ap3.measuring.logit_change import means
from ap3.measuring.network_outputs import (
    changed,
    gauss_newton,
    identity,
    linear_change,
    output_measures,
)
from ap3.models.registry import build
from ap3.pruning.network_layers import layer_weights


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_pd_is_the_slope_and_the_kl():
    z, labels = random(50, 7), np.arange(50) % 7
    for size in (1e-6, 1.0, 30.0):
        made = changed(z, z + size * random(50, 7, seed=1), labels)

        def loss(logits):
            logits = logits - logits.max(1, keepdims=True)
            return np.log(np.exp(logits).sum(1)) - logits[np.arange(50), labels]

        exact = (loss(made.before[:, 0] + made.change[:, 0]) - loss(z)).mean()
        parts = identity(made)
        assert parts["slope"] + parts["kl"] == pytest.approx(exact, rel=1e-9, abs=1e-15)
        assert parts["kl"] == pytest.approx(output_measures(made)["kl_predictions"])


def test_of_one_linear_layer_it_is_its_fisher_law():
    model = nn.Linear(5, 4).double()
    x, change = torch.tensor(random(30, 5)), torch.tensor(0.1 * random(4, 5, seed=1))
    weights = {"weight": model.weight.detach()}
    moved = linear_change(model, x, weights, {"weight": change})
    np.testing.assert_allclose(moved, (x @ change.T).numpy(), atol=1e-14)
    z = model(x).detach().numpy()
    made = changed(z, z + moved, np.zeros(30, int))
    before = np.concatenate(
        [model.weight.detach().numpy(), model.bias.detach().numpy()[:, None]], 1
    )
    after = before.copy()
    after[:, :-1] += change.numpy()
    expected = means(x.numpy(), before, after[np.newaxis], {"fisher": fisher_before})["fisher"]
    assert gauss_newton(made)["ap3_gauss_newton"] == pytest.approx(expected[0], rel=1e-9)


@pytest.mark.parametrize("name", ["small_resnet", "small_vit"])
def test_the_first_order_change_is_that_of_a_small_step_in_all_layers(name):
    torch.manual_seed(0)
    model = build(name, 4, 16).double().eval()
    pixels = torch.tensor(random(3, 3, 16, 16))
    weights = {name: weight.detach() for name, weight in layer_weights(model).items()}
    known = dict(model.named_parameters())
    full = {n: n if n in known else f"{n}.weight" for n in weights}
    given = {full[n]: weight.clone() for n, weight in weights.items()}
    changes = {
        n: torch.tensor(random(*weight.shape, seed=place)) * weight.std()
        for place, (n, weight) in enumerate(given.items())
    }
    found = linear_change(model, pixels, given, changes)
    step = 1e-6

    def at(size: float) -> torch.Tensor:
        with torch.no_grad():
            for n, weight in given.items():
                known[n].copy_(weight + size * changes[n])
            return model(pixels)

    central = ((at(step) - at(-step)) / (2 * step)).numpy()
    np.testing.assert_allclose(found, central, rtol=1e-5, atol=1e-6 * np.abs(central).max())


def test_a_small_change_has_the_kl_of_its_quadratic_form():
    z, u = random(40, 5), random(40, 5, seed=1)
    ratios = []
    for size in (1e-2, 1e-3):
        made = changed(z, z + size * u, np.zeros(40, int))
        quadratic = gauss_newton(made)["ap3_gauss_newton"]
        ratios.append(abs(output_measures(made)["kl_predictions"] / quadratic - 1))
    assert ratios[1] == pytest.approx(ratios[0] / 10, rel=0.1)  # the next term is of third order
