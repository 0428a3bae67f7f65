"""Distances of outputs by hand."""

import numpy as np
import pytest
from layer_pairs import pair

from ap3.errors import UserError
from ap3.measuring.logit_change import means
from ap3.measuring.output_distances import flipped, logit_cka, squared_change


@pytest.mark.parametrize("block", [1, 2**22])
def test_by_hand(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    made = pair(4, classes=4, size=1.0)
    before, after = made.logits
    found = means(*made.parts, {"flips": flipped, "square": squared_change})
    for number in range(len(made.others)):
        pairs = list(zip(before[:, 0], after[:, number], strict=True))
        flips = np.mean([np.argmax(one) != np.argmax(two) for one, two in pairs])
        square = np.mean([np.sum((one - two) ** 2) for one, two in pairs])
        assert found["flips"][number] == flips
        assert found["square"][number] == pytest.approx(square, rel=1e-12)
    assert 0 < found["flips"].max() < 1


def test_without_a_bias_the_square_is_a_form_of_the_weights():
    made = pair(4)
    made.others[..., -1] = made.reference[:, -1]
    moment = made.features.T @ made.features / len(made.features)
    change = (made.others - made.reference)[..., :-1]
    exact = np.einsum("ecd,df,ecf->e", change, moment, change)
    found = means(*made.parts, {"square": squared_change})["square"]
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_flips_are_at_least_the_difference_of_the_accuracies():
    made = pair(8, size=2.0, classes=5)
    before, after = (logits.argmax(axis=2) == made.labels[:, np.newaxis] for logits in made.logits)
    gaps = np.abs(after.mean(axis=0) - before.mean(axis=0))
    assert (gaps <= means(*made.parts, {"flips": flipped})["flips"] + 1e-15).all()


def gram_cka(one, two):
    """The same from the examples' side: HSIC of linear kernels, (N, N)."""
    kernels = [(y - y.mean(axis=0)) @ (y - y.mean(axis=0)).T for y in (one, two)]
    return np.sum(kernels[0] * kernels[1]) / np.prod([np.linalg.norm(k) for k in kernels])


@pytest.mark.parametrize("block", [1, 2**22])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_cka_from_the_other_side(block, scale, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    made = pair(6, classes=4)
    made.reference[:, -1] += scale  # a bias that means nothing
    before, after = made.logits
    exact = [gram_cka(before[:, 0], after[:, number]) for number in range(len(made.others))]
    np.testing.assert_allclose(logit_cka(*made.parts), exact, rtol=1e-12 * scale)


def test_cka_does_not_see_rotations_scales_and_shifts():
    made = pair(6, classes=3)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    others = np.stack([5 * turn @ made.reference, made.reference])
    others[1, :, -1] += 7
    found = logit_cka(made.features, made.reference, others)
    np.testing.assert_allclose(found, 1, rtol=1e-12)
    assert (found <= 1).all()


def test_a_layer_that_says_the_same_of_all_has_no_cka():
    made = pair()
    others = np.zeros_like(made.others)
    assert np.isnan(logit_cka(made.features, made.reference, others)).all()
    with pytest.raises(UserError, match="at least one example"):
        logit_cka(made.features[:0], made.reference, made.others)
