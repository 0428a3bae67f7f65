"""Every measure of a pruned layer against its own definition."""

import numpy as np
import pandas as pd
import pytest
import torch
from head_problems import ORIGIN, laws_of, layer_of, log_of, problem, tuned

from ap3.errors import UserError
from ap3.files import storage
from ap3.measuring.laws import AUTO, Scales
from ap3.measuring.logit_change import means
from ap3.measuring.measure import measures_of
from ap3.measuring.predictive_law import DIVERGENCES
from ap3.measuring.reference import Reference
from ap3.metrics import ap2, cosine_distance
from ap3.stages.latent_options import is_head, scales
from ap3.training import splits
from ap3.training.splits import Split

MADE = problem(2)
REFERENCE = MADE.reference()
TUNED, CONTROL = tuned(MADE), tuned(MADE, seed=7, name="control")
LAYER, CONTROL_LAYER = layer_of(TUNED), layer_of(CONTROL)
LOG = log_of(MADE, TUNED)
TABLE = measures_of(REFERENCE, TUNED, LOG, CONTROL)
LAWS = laws_of(REFERENCE)


def test_every_law_and_distance():
    assert list(TABLE["epoch"]) == [0, 1, 2]
    assert set(TABLE["mode"]) == {"random"}
    assert TABLE["pruned"].unique() == (~LAYER.mask).sum()
    np.testing.assert_array_equal(TABLE["ap2"], ap2(MADE.weight, LAYER.weight))
    np.testing.assert_array_equal(
        TABLE["cosine_distance"], cosine_distance(MADE.weight, LAYER.weight)
    )
    np.testing.assert_allclose(
        TABLE["relative_frobenius"], np.sqrt(TABLE["ap2"]) / np.linalg.norm(MADE.weight)
    )
    for name, law in LAWS.items():
        exact = [law.kl(law.at(weight)) for weight in LAYER.weight]
        np.testing.assert_allclose(TABLE[f"ap3_{name}"], exact, rtol=1e-12)
    np.testing.assert_array_equal(TABLE["train_pd_loss"], LOG["train_pd_loss"])


def test_scales_are_recorded_and_say_the_laws():
    row = TABLE.iloc[-1]
    assert row["ap3_gaussian"] == pytest.approx(row["ap2"] / (2 * row["gaussian_variance"]))
    assert row["fisher_damping"] == pytest.approx(1e-3 * LAWS["fisher"].curvature.trace / 15)
    everything = LAWS["fisher"].kl(LAWS["fisher"].at(0 * MADE.weight))
    assert everything == pytest.approx(1.9)
    assert row["fisher_scale"] == LAWS["fisher"].scale


def test_scales_may_be_numbers():
    given = Scales(variance=0.5, beta=0.25, fisher_scale=3.0, damping=0.125, share="scale")
    asked = Reference.of(ORIGIN, "fc", {"fc": MADE.layer(scales=given)}, MADE.loss)
    assert asked.scales == {
        "gaussian_variance": 0.5,
        "nondiagonal_scale": 0.25,
        "student_t_scale": pytest.approx(LAWS["student_t"].scale * 2**0.5),
        "fisher_scale": 3.0,
        "fisher_diagonal_scale": 3.0,
        "fisher_damping": 0.125,
    }


def test_scales_on_the_command_line():
    assert scales("auto", "auto", "auto", "auto", "covariance") == AUTO
    assert scales("2e-3", "auto", "1", "auto", "scale") == Scales(2e-3, None, 1.0, None, "scale")
    for wrong in ("0", "-1", "nan", "inf", "automatic"):
        with pytest.raises(UserError, match=f"beta is '{wrong}', but must be auto or a number"):
            scales("auto", wrong, "auto", "auto", "covariance")
    with pytest.raises(UserError, match="share is 'both'"):
        scales("auto", "auto", "auto", "auto", "both")


def test_share_of_the_magnitude_that_was_pruned():
    expected = np.square(MADE.weight[~LAYER.mask]).sum() / np.square(MADE.weight).sum()
    assert TABLE["magnitude_pruned"].unique() == pytest.approx([expected])
    # Before fine-tuning it is the relative AP2.
    assert TABLE["relative_frobenius"][0] ** 2 == pytest.approx(expected)


def test_taylor_against_automatic_differentiation():
    features, labels = torch.tensor(MADE.features), torch.tensor(MADE.labels)

    def loss(flat):
        weight = flat.reshape(MADE.weight.shape)
        return torch.nn.functional.cross_entropy(
            features @ weight.T + torch.tensor(MADE.bias), labels
        )

    start = torch.tensor(MADE.weight.ravel(), requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(start), start)
    hessian = torch.autograd.functional.hessian(loss, start.detach())
    for value, weight in zip(TABLE["taylor"], LAYER.weight, strict=True):
        delta = torch.tensor((weight - MADE.weight).ravel())
        exact = gradient @ delta + 0.5 * delta @ hessian @ delta
        assert value == pytest.approx(exact.item(), rel=1e-9, abs=1e-14)


def test_taylor_fisher_and_predictions_agree_for_small_changes():
    """All three are ½ΔᵀFΔ to second order, Taylor with the slope added."""
    step = 1e-4 * np.random.default_rng(0).normal(size=MADE.weight.shape)
    network = tuned(MADE, epochs=1, name="control")
    layer_of(network).weight[0] = MADE.weight + step
    row = measures_of(REFERENCE, network, log_of(MADE, network)).iloc[0]
    slope = float((REFERENCE.gradient * step).sum())
    bend = row["ap3_fisher"] / row["fisher_scale"] - 0.5 * row["fisher_damping"] * row["ap2"]
    assert row["taylor"] - slope == pytest.approx(bend, rel=1e-6)
    assert row["kl_predictions"] == pytest.approx(bend, rel=1e-2)


def with_bias(layer):
    return np.concatenate([layer.weight, layer.bias[..., None]], axis=-1)


def test_predictions():
    exact = means(MADE.features, with_bias(REFERENCE.layer), with_bias(LAYER), DIVERGENCES)[
        "forward"
    ]
    np.testing.assert_array_equal(TABLE["kl_predictions"], exact)
    moved = measures_of(REFERENCE, TUNED, LOG, CONTROL, frozen=False)
    assert moved[["kl_predictions", "kl_predictions_from_control"]].isna().all(axis=None)


def test_from_the_control_is_between_the_two_layers():
    np.testing.assert_allclose(
        TABLE["ap2_from_control"],
        [ap2(one, two) for one, two in zip(CONTROL_LAYER.weight, LAYER.weight, strict=True)],
    )
    for name, law in LAWS.items():
        exact = [
            law.at(one).kl(law.at(two))
            for one, two in zip(CONTROL_LAYER.weight, LAYER.weight, strict=True)
        ]
        np.testing.assert_allclose(TABLE[f"ap3_{name}_from_control"], exact, rtol=1e-9)
    exact = means(MADE.features, with_bias(CONTROL_LAYER), with_bias(LAYER), DIVERGENCES)["forward"]
    np.testing.assert_array_equal(TABLE["kl_predictions_from_control"], exact)
    own = measures_of(REFERENCE, CONTROL, log_of(MADE, CONTROL), CONTROL)
    columns = [name for name in own if name.endswith("_from_control")]
    assert len(columns) == 6 + 8
    rounded = "cka_distance_from_control"
    assert (own[columns].drop(columns=rounded) == 0).all(axis=None)
    assert own[rounded].between(0, 1e-15).all()
    assert not [n for n in measures_of(REFERENCE, TUNED, LOG) if n.endswith("_from_control")]


def test_monte_carlo_at_the_last_epoch_only():
    table = measures_of(REFERENCE, TUNED, LOG, points=2000)
    again = measures_of(REFERENCE, TUNED, LOG, points=2000)
    pd.testing.assert_frame_equal(table, again)
    assert table["ap3_student_t_mc"].notna().tolist() == [False, False, True]
    last = table.iloc[-1]
    gap = abs(last["ap3_student_t_mc"] - last["ap3_student_t"])
    assert gap < 4 * last["ap3_student_t_mc_se"]


def test_a_log_of_another_length():
    with pytest.raises(UserError, match="0 to 2, but has 2 rows"):
        measures_of(REFERENCE, TUNED, LOG[:2])


def test_scope():
    assert is_head("head")
    assert not is_head("all")
    with pytest.raises(UserError, match="must be head or all"):
        is_head("haed")


def written(folder):
    """Checkpoint and covariance of a baseline, as the stages before leave them."""
    identity = {"dataset": "blobs", "model": "net", "trial": 1, "seed": 0, "head": "fc"}
    checkpoint = folder / "baseline.safetensors"
    storage.save(checkpoint, {"fc.weight": MADE.weight, "fc.bias": MADE.bias}, identity=identity)
    covariance = folder / "covariance.safetensors"
    storage.save(covariance, {"spectrum": np.ones(15)}, rotation="fast", seed=0)
    return checkpoint, covariance


def test_reading_a_sample(tmp_path):
    checkpoint, covariance = written(tmp_path)
    given = checkpoint, Split(MADE.features, MADE.labels), covariance
    whole, some = Reference.read(*given), Reference.read(*given, examples=10)
    np.testing.assert_array_equal(whole.loss.features, MADE.features)
    rows = [np.flatnonzero((MADE.features == x).all(axis=1)).item() for x in some.loss.features]
    assert len(rows) == 10
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(some.loss.labels, MADE.labels[rows])
    again = Reference.read(*given, examples=10)
    np.testing.assert_array_equal(again.loss.features, some.loss.features)
    assert whole.origin == ORIGIN


def test_features_of_another_layer(tmp_path):
    checkpoint, covariance = written(tmp_path)
    other = Split(np.ones((4, 6)), np.zeros(4, int))
    with pytest.raises(UserError, match=r"shape .4, 6., but the last layer of .* sees 5 numbers"):
        Reference.read(checkpoint, other, covariance)


def test_splits_are_read_whole(tmp_path):
    arrays = {"train": np.ones((4, 2)), "train_labels": np.arange(4)}
    arrays |= {"test": np.zeros((3, 2)), "test_labels": np.arange(3)}
    path = tmp_path / "features.safetensors"
    storage.save(path, arrays)
    for name, split in splits.read_splits(path).items():
        np.testing.assert_array_equal(split.features, arrays[name])
        np.testing.assert_array_equal(split.labels, arrays[f"{name}_labels"])
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match=f"{path} is damaged: "):
        splits.read_splits(path)
    for wrong in ({"train": arrays["train"]}, arrays | {"test_labels": np.arange(2)}):
        storage.save(path, wrong)
        with pytest.raises(UserError, match="holds no features"):
            splits.read_splits(path)
