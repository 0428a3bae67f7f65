"""Outcomes of single examples, and what resampling them does to the PDs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from head_problems import ORIGIN, layer_of, problem, tuned

from ap3.errors import UserError
from ap3.files import storage
from ap3.finetuning import performance
from ap3.measuring.sampling_noise import Evaluation, Noise, covariance_of_means, resampled_means
from ap3.training.evaluation import PerExample
from ap3.training.outcomes import Outcomes, read_outcomes, write_outcomes
from ap3.training.splits import Split

MADE = problem(4, examples=70)
HELD_OUT = problem(5, examples=50)


@pytest.fixture
def evaluation():
    splits = {
        "train": Split(MADE.features.astype(np.float32), MADE.labels),
        "test": Split(HELD_OUT.features.astype(np.float32), HELD_OUT.labels),
    }
    return Evaluation(MADE.reference(), splits)


def judged(weight, bias, split):
    logits = torch.tensor(split.features).double() @ torch.tensor(weight).T + torch.tensor(bias)
    return PerExample.of(logits, torch.tensor(split.labels))


@pytest.mark.parametrize("block", [7, 2**22])
def test_outcomes_are_those_of_fine_tuning(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    layer = layer_of(tuned(MADE))
    found = Outcomes.of(layer.weight, layer.bias, Split(MADE.features, MADE.labels))
    for epoch in range(3):
        expected = judged(layer.weight[epoch], layer.bias[epoch], MADE)
        np.testing.assert_allclose(found.loss[epoch], expected.loss, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found.correct[epoch], expected.correct)


def test_equal_logits_count_for_the_first_class():
    split = Split(np.ones((2, 1)), np.array([0, 1]))
    found = Outcomes.of(np.zeros((1, 2, 1)), np.zeros((1, 2)), split)
    assert found.correct.tolist() == [[1, 0]]


def test_outcomes_survive_the_disk(tmp_path):
    path, rng = tmp_path / "o.safetensors", np.random.default_rng(0)
    made = Outcomes(rng.random((1, 13)), rng.integers(2, size=(1, 13)).astype(float))
    write_outcomes(path, {"lowest-0.3": made, "control": made})
    assert set(read_outcomes(path)) == {"lowest-0.3", "control"}
    again = read_outcomes(path)["control"]
    np.testing.assert_array_equal(again.loss, made.loss.astype(np.float32))
    np.testing.assert_array_equal(again.correct, made.correct)
    storage.save(path, {"mask": np.zeros(3)})
    with pytest.raises(UserError, match="holds no outcomes"):
        read_outcomes(path)
    with pytest.raises(UserError, match="holds no noise"):
        Noise.load(path)


def test_ten_thousand_outcomes_fit_beside_a_variant(tmp_path):
    path = tmp_path / "o.safetensors"
    write_outcomes(path, {"control": Outcomes(np.ones((1, 10_000)), np.ones((1, 10_000)))})
    assert path.stat().st_size < 50_000


def test_covariances_give_the_standard_errors_of_the_log(evaluation):
    networks = [tuned(MADE, name="control"), tuned(MADE, seed=3)]
    for network in networks:
        evaluation.add(network)
    layers = [layer_of(network) for network in networks]
    noise = evaluation.noise(resamples=10)
    assert noise.variants == ["control", "random-0.4"]
    for split, made in (("train", MADE), ("test", HELD_OUT)):
        baseline = judged(MADE.weight, MADE.bias, made)
        for epoch in (1, 2):
            after = [judged(layer.weight[epoch], layer.bias[epoch], made) for layer in layers]
            for place, outcome in enumerate(after):
                row = performance.columns(split, baseline, outcome)
                for what in ("loss", "accuracy"):
                    variance = noise.covariance[f"{split}_pd_{what}"][epoch, place, place]
                    expected = row[f"{split}_pd_{what}_se"]
                    assert np.sqrt(variance) == pytest.approx(expected, rel=1e-4, abs=1e-9)
            covariance = noise.covariance[f"{split}_pd_loss"][epoch]
            gap = (after[0].loss - after[1].loss).std() / len(made.labels) ** 0.5
            found = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
            assert np.sqrt(found) == pytest.approx(gap.item(), rel=1e-4)


def test_a_resample_is_a_resample(evaluation):
    """The mean over the resamples is the PD, their spread its standard error."""
    layer = layer_of(tuned(MADE))
    evaluation.add(tuned(MADE))
    noise = evaluation.noise(resamples=4000)
    found = noise.resampled["test_pd_loss"][1, 0]
    assert found.shape == (4000,)
    own = judged(MADE.weight, MADE.bias, HELD_OUT).loss
    signed = (judged(layer.weight[-1], layer.bias[-1], HELD_OUT).loss - own).mean().item()
    error = noise.covariance["test_pd_loss"][-1, 0, 0] ** 0.5
    assert found.mean() == pytest.approx(signed, abs=4 * error / 4000**0.5)
    # np.std of a bootstrap lacks the factor √(n/(n − 1)).
    assert found.std() == pytest.approx(error * np.sqrt(49 / 50), rel=0.05)
    correct = noise.resampled["test_pd_accuracy"][:, 0] * 50
    np.testing.assert_allclose(correct, correct.round(), atol=1e-4)


@pytest.mark.parametrize("block", [100, 2**22])
def test_every_variant_sees_the_same_resample_whatever_the_others(block, monkeypatch):
    values = np.random.default_rng(0).normal(size=(3, 2, 40)).astype(np.float32)
    alone = resampled_means(values[1:2], 25, seed=1)
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    together = resampled_means(values, 25, seed=1)
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-6)
    assert (resampled_means(values, 25, seed=2) != together).any()
    # A difference of two is the difference's own resample: they are paired.
    paired = resampled_means(values[0] - values[1], 25, seed=1)
    np.testing.assert_allclose(together[0] - together[1], paired, atol=1e-6)


def test_all_trials_see_the_same_resample(evaluation):
    evaluation.add(tuned(MADE))
    one = evaluation.noise(resamples=5)
    evaluation.reference = replace(evaluation.reference, origin=replace(ORIGIN, trial=2))
    two = evaluation.noise(resamples=5)
    np.testing.assert_array_equal(one.resampled["test_pd_loss"], two.resampled["test_pd_loss"])
    assert (one.resampled["train_pd_loss"][1] != one.resampled["test_pd_loss"][1]).any()


def test_where_the_trunk_has_moved_only_the_ends_are_known(evaluation):
    layer, rng = tuned(MADE), np.random.default_rng(0)
    last = Outcomes(rng.random((1, 50)), rng.integers(2, size=(1, 50)).astype(float))
    evaluation.add(layer, last)
    noise = evaluation.noise(resamples=3)
    known = {name: ~np.isnan(c[:, 0, 0]) for name, c in noise.covariance.items()}
    for what in ("loss", "accuracy"):
        assert known[f"test_pd_{what}"].tolist() == [True, False, True]
        assert known[f"train_pd_{what}"].tolist() == [True, False, False]
    own = judged(MADE.weight, MADE.bias, HELD_OUT)
    variance = np.var(last.loss[0] - own.loss.numpy(), ddof=1) / 50
    assert noise.covariance["test_pd_loss"][-1, 0, 0] == pytest.approx(variance, rel=1e-4)
    assert not np.isnan(noise.resampled["test_pd_loss"]).any()
    assert np.isnan(noise.resampled["train_pd_loss"][1]).all()


def test_noise_survives_the_disk(evaluation, tmp_path):
    evaluation.add(tuned(MADE))
    made = evaluation.noise(resamples=4)
    made.save(tmp_path / "n.safetensors")
    again = Noise.load(tmp_path / "n.safetensors")
    assert (again.origin, list(again.variants)) == (ORIGIN, ["random-0.4"])
    for part in ("covariance", "resampled"):
        assert getattr(made, part).keys() == getattr(again, part).keys()
        for name, values in getattr(made, part).items():
            np.testing.assert_array_equal(values, getattr(again, part)[name])


def test_covariance_against_numpy():
    values = np.random.default_rng(0).normal(size=(3, 2, 4, 30)).astype(np.float32)
    found = covariance_of_means(list(values))
    expected = np.cov(values[:, 1, 2].astype(float)) / 30
    np.testing.assert_allclose(found[1, 2], expected, rtol=1e-9)
