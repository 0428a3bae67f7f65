"""Pairs decided by exact tests and paired errors, against the single outcomes; nothing by rounding."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from agreement_tables import VARIANTS, measures
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from ap3.explaining.agreement import STATISTICS, cases
from ap3.explaining.decided_pairs import critical_sum, limits, order_differences
from ap3.explaining.example_intervals import example_intervals
from ap3.explaining.paired_accuracies import LEVEL, discordant, mcnemar, sign_flips
from ap3.explaining.trial_grids import DIFFERENCES, runs_of
from ap3.measuring.sampling_noise import Noise, covariance_of_means, resampled_means
from ap3.pruning.pruned import Origin

EXAMPLES = 400
PAIRS = np.array([[i, j] for i in range(6) for j in range(i + 1, 6)])


def evaluated(seed=0, trials=2, epochs=3):
    """Measures and noise of networks whose answers to every single example are drawn.

    Returns the runs, the correct answers (T, E, V + 1, N), the control last, and the baselines' (T, N).
    """
    rng = np.random.default_rng(seed)
    table = measures(trials)
    table[["train_examples", "test_examples"]] = EXAMPLES
    right, own, found = [], [], []
    for trial in range(1, trials + 1):
        hard = rng.random(EXAMPLES)
        baseline = (hard < 0.9).astype(np.float32)
        skill = 0.9 + rng.uniform(-0.12, 0.05, (len(VARIANTS), epochs, 1))
        correct = hard + 0.04 * rng.normal(size=(len(VARIANTS), epochs, EXAMPLES)) < skill
        correct = correct.astype(np.float32)
        loss = rng.normal(size=correct.shape) * 0.1 + (0.9 - skill) + 0.1 * (hard - 0.5)
        names = [f"{m}-{r}" if m != "control" else m for m, r in VARIANTS]
        covariance, resampled = {}, {}
        each = [np.stack([x, baseline - c]) for x, c in zip(loss, correct, strict=True)]
        ends = np.stack([made[:, [0, -1]] for made in each], axis=2)
        for split in ("test", "train"):
            both = [f"{split}_pd_loss", f"{split}_pd_accuracy"]
            covariance |= dict(zip(both, covariance_of_means(each), strict=True))
            resampled |= dict(zip(both, resampled_means(ends, 50, 1), strict=True))
            for variant, made in zip(VARIANTS, each, strict=True):
                rows = (table["trial"] == trial) & (table["mode"] == variant[0])
                rows &= table["ratio"] == variant[1]
                for name, values in zip(both, made, strict=True):
                    table.loc[rows, f"{name}_signed"] = values.mean(-1)
        found.append(Noise(Origin("d", "n", trial, 0), names, covariance, resampled))
        right.append(np.concatenate([correct[1:], correct[:1]]).swapaxes(0, 1))
        own.append(baseline)
    (runs,) = runs_of(table, found)
    return runs, np.array(right), np.array(own)


def orders(runs, name, reference, absolute):
    signed = runs.difference(name, reference)
    return order_differences(signed, PAIRS, limits(runs, name, reference, PAIRS), absolute)[0]


@pytest.mark.parametrize("reference", ["baseline", "control"])
def test_signed_accuracies_are_decided_by_mcnemars_test(reference):
    runs, right, _ = evaluated()
    counts = discordant(right[:, :, :-1])
    first, second = PAIRS.T
    better, worse = counts[..., first, second], counts[..., second, first]
    expected = np.where(mcnemar(better, worse) <= LEVEL, np.sign(worse - better), 0)
    assert 0 < np.abs(expected).mean() < 1
    found = orders(runs, "test_pd_accuracy", reference, absolute=False)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("reference", ["baseline", "control"])
def test_sizes_of_accuracies_are_decided_by_flips_of_signs(reference):
    runs, right, own = evaluated()
    from_what = own[:, np.newaxis] if reference == "baseline" else right[:, :, -1]
    off = from_what[:, :, np.newaxis] - right[:, :, :-1]
    found = orders(runs, "test_pd_accuracy", reference, absolute=True)
    opposite = 0
    for trial, epoch, pair in np.ndindex(found.shape):
        one, two = (off[trial, epoch, i] for i in PAIRS[pair])
        turned = one.sum() * two.sum() < 0
        opposite += turned
        signs = np.where(one.sum() < 0, -one, one), np.where(two.sum() < 0, -two, two)
        gap = (signs[0] - signs[1]) if one.sum() and two.sum() else (one - two)
        p_value = sign_flips(*(int((gap == value).sum()) for value in (1, -1, 2, -2)))
        size = abs(one.sum()) - abs(two.sum())
        assert found[trial, epoch, pair] == (np.sign(size) if p_value <= LEVEL else 0)
    assert opposite > 5


@pytest.mark.parametrize("reference", ["baseline", "control"])
def test_losses_are_decided_by_the_error_of_the_paired_examples(reference):
    """Against the standard error of the signed differences themselves, example by example."""
    rng = np.random.default_rng(0)
    outcomes = rng.normal(size=(len(VARIANTS), 500)) + rng.normal(size=500)
    outcomes -= np.array([0, 3, -3, 1, 2, 4, 0.5])[:, None]  # of which one PD is negative
    runs, *_ = evaluated(trials=1)
    ordered = np.concatenate([outcomes[1:], outcomes[:1]])
    runs.covariance["test_pd_loss"][:] = np.cov(ordered) / 500
    limit = limits(runs, "test_pd_loss", reference, PAIRS)
    each = outcomes[1:] - (outcomes[0] if reference == "control" else 0)
    for sign, found in ((-1, limit.same), (1, limit.opposite)):
        for (first, second), value in zip(PAIRS, found[0, 0], strict=True):
            error = (each[first] + sign * each[second]).std(ddof=1) / np.sqrt(500)
            assert value == pytest.approx(norm.isf(LEVEL / 2) * error, rel=1e-6)


@given(st.integers(0, 60), st.integers(0, 30), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_critical_sum_is_where_the_exact_test_rejects(ones, twos, level):
    found = critical_sum(ones, twos, level)
    most = ones + 2 * twos
    for total in range(most % 2, most + 1, 2):
        pair = next(
            (
                (x, y)
                for y in range(-twos, twos + 1, 2)
                for x in range(-ones, ones + 1, 2)
                if x + 2 * y == total
            ),
            None,
        )
        if pair is None:  # no signs give this sum
            continue
        counts = (
            (ones + pair[0]) // 2,
            (ones - pair[0]) // 2,
            (twos + pair[1]) // 2,
            (twos - pair[1]) // 2,
        )
        rejected = total > 0 and sign_flips(*counts) <= level
        assert rejected == (total >= found)


def test_a_great_many_discordant_examples_are_nearly_normal():
    assert critical_sum(20_000, 0) == pytest.approx(1.96 * np.sqrt(20_000), rel=0.02)
    assert critical_sum(20_000, 9_000) == pytest.approx(1.96 * np.sqrt(56_000), rel=0.02)


def scaled(runs, seed):
    """Runs whose every loss is another by 1 ± 1e-12, with the errors; accuracies by rounding alone."""
    rng = np.random.default_rng(seed)
    grids = dict(runs.grids)
    for name in DIFFERENCES:
        level = 2.0 if name.endswith("loss") else 1e-3
        for key in (f"{name}_signed", f"{name}_signed@control"):
            grids[key] = grids[key] + level * 1e-12 * rng.uniform(-1, 1, grids[key].shape)
    near = {
        part: {
            key: values * (1 + 1e-12 * rng.uniform(-1, 1, values.shape))
            for key, values in getattr(runs, part).items()
        }
        for part in ("covariance", "resampled")
    }
    return replace(runs, grids=grids, **near)


def with_twins(runs):
    """Runs whose second variant is the same network as the first: rounding must not choose."""
    grids = {name: values.copy() for name, values in runs.grids.items()}
    covariance = {name: values.copy() for name, values in runs.covariance.items()}
    resampled = {name: values.copy() for name, values in runs.resampled.items()}
    for name in DIFFERENCES:
        signed, shared, again = grids[f"{name}_signed"], covariance[name], resampled[name]
        signed[..., 1] = signed[..., 0]
        shared[..., 1, :] = shared[..., 0, :]
        shared[..., 1] = shared[..., 0]
        again[:, :, 1] = again[:, :, 0]
    return replace(runs, grids=grids, covariance=covariance, resampled=resampled)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000))
def test_nothing_hangs_on_rounding(seed):
    runs = with_twins(evaluated(seed % 3)[0])
    near = scaled(runs, seed)
    for one, two in zip(cases(runs, truths=False), cases(near, truths=False), strict=True):
        before, after = one.counts(), two.counts()
        for name in STATISTICS:
            np.testing.assert_allclose(after[name], before[name], rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(after["decided"], before["decided"])
        np.testing.assert_array_equal(after["agreement"], before["agreement"])
    again = [example_intervals([each]) for each in (runs, near)]
    pd.testing.assert_frame_equal(*again, rtol=1e-6)
