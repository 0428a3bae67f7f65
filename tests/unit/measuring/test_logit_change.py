"""Changes of logits: blocks, shapes and refusals."""

import numpy as np
import pytest
from layer_pairs import pair

from ap3.errors import UserError
from ap3.measuring.logit_change import LogitChange, centred, logit_changes, means


@pytest.mark.parametrize("block", [1, 300, 2**22])
def test_logits_by_hand(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    made = pair()
    blocks = list(logit_changes(*made.parts, made.labels))
    assert (len(blocks) == 1) == (block == 2**22)
    before, after = made.logits
    np.testing.assert_allclose(np.concatenate([b.before for b in blocks]), before, atol=1e-14)
    found = np.concatenate([b.before + b.change for b in blocks])
    np.testing.assert_allclose(found, after, atol=1e-14)
    np.testing.assert_array_equal(np.concatenate([b.labels for b in blocks]), made.labels)
    mean = means(*made.parts, {"first": lambda b: b.change[..., 0]})["first"]
    np.testing.assert_allclose(mean, (after - before)[..., 0].mean(0), rtol=1e-12)


def test_a_layer_for_each_of_the_others():
    made = pair()
    changes = list(logit_changes(made.features, made.others[::-1], made.others))
    assert changes[0].before.shape == changes[0].change.shape
    np.testing.assert_allclose(changes[0].before, made.logits[1][:, ::-1], atol=1e-14)


def test_a_small_change_keeps_its_digits():
    made = pair()
    others = made.reference + np.array([2.0**-45]).reshape(1, 1, 1)
    [found] = logit_changes(made.features, made.reference, others)
    exact = (others[0] - made.reference)[:, :-1] @ made.features.T
    exact = exact.T + (others[0] - made.reference)[:, -1]
    np.testing.assert_allclose(found.change[:, 0], exact, rtol=1e-14)


def test_the_likeliest_class_is_the_measure_of_all():
    p = np.array([1.0, 1e-30, 1e-40])
    v = centred(np.array([1e3, 1.0, 0.0]), p)
    np.testing.assert_allclose(v, [999e-30 + 1e-37, -999.0, -1000.0], rtol=1e-14)


def test_the_way_back_ends_where_it_began():
    [made] = logit_changes(*pair().parts)
    back = made.reverse
    np.testing.assert_allclose(back.q, np.broadcast_to(made.p, back.q.shape), rtol=1e-12)


def test_refusals():
    made = pair()
    x, one, others = made.parts
    with pytest.raises(UserError, match="last column"):
        list(logit_changes(x, one[:, :-1], others))
    with pytest.raises(UserError, match="last column"):
        list(logit_changes(x, one, one))
    with pytest.raises(UserError, match="what the last layer sees"):
        list(logit_changes(x[:, :-1], one, others))
    with pytest.raises(UserError, match="a label for each"):
        list(logit_changes(x, one, others, made.labels[:-1]))
    with pytest.raises(UserError, match="needs the labels"):
        _ = LogitChange(np.zeros((1, 1, 2)), np.zeros((1, 1, 2))).labels
    with pytest.raises(UserError, match="at least one"):
        means(x[:0], one, others, {})
    with pytest.raises(UserError, match="finite"):
        means(x * np.nan, one, others, {})
