"""Order within a ratio against planted answers and plain implementations."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr
from scipy.stats import t as student

from ap3.explaining.trial_grids import runs_of
from ap3.explaining.within_ratio import Masks, _rounded, within_ratio
from ap3.explaining.within_summary import summarise
from ap3.measuring.sampling_noise import Noise
from ap3.pruning.pruned import Origin

RATIOS, DRAWS, EXAMPLES = (0.3, 0.5), 12, 400
VARIANTS = [("control", 0.0)] + [
    (mode, ratio)
    for ratio in RATIOS
    for mode in ("lowest", "obd", *(f"random.{number}" for number in range(1, DRAWS + 1)))
]
PDS = ("test_pd_loss", "train_pd_loss", "test_pd_accuracy", "train_pd_accuracy")
NOISE = 0.01


def study(trials=3, models=("net",)):
    """Measures and noise in which `ap2` knows the ratio alone, `kl_predictions` the PD itself."""
    tables, noises = [], []
    for model in models:
        for trial in range(1, trials + 1):
            rng = np.random.default_rng([trial, len(model)])
            damage = np.array([0.0] + [ratio + rng.normal() for _, ratio in VARIANTS[1:]])
            rows = []
            for epoch in (0, 20):
                signed = damage if epoch == 0 else -damage
                for (mode, ratio), pd_value in zip(VARIANTS, signed, strict=True):
                    row = {"dataset": "blobs", "model": model, "trial": trial, "mode": mode}
                    row |= {"ratio": ratio, "epoch": epoch, "ap2": ratio, "ap2_from_control": ratio}
                    row |= {"kl_predictions": pd_value + 5, "snip": -pd_value - 9}
                    for name in PDS:
                        row |= {name: abs(pd_value), f"{name}_signed": pd_value}
                        row |= {f"{name}_se": NOISE}
                    row |= {"train_examples": EXAMPLES, "test_examples": EXAMPLES}
                    rows.append(row)
            tables.append(pd.DataFrame(rows))
            names = [f"{m}-{r}" if r else m for m, r in VARIANTS]
            covariance = np.broadcast_to(NOISE**2 * np.eye(len(names)), (2, *[len(names)] * 2))
            resampled = np.zeros((2, len(names), 1), np.float32)
            noises.append(
                Noise(
                    Origin("blobs", model, trial, 0),
                    names,
                    dict.fromkeys(PDS, covariance),
                    dict.fromkeys(PDS, resampled),
                )
            )
    return runs_of(pd.concat(tables, ignore_index=True), noises)


@pytest.fixture(scope="module")
def table():
    return within_ratio(study())


def chosen(table, **where):
    for name, value in where.items():
        table = table[table[name].isna() if value is None else table[name] == value]
    return table


SIGNED = {"pd": "test_pd_loss_signed", "reference": "baseline"}


def test_a_measure_that_knows_the_pd_is_perfect_and_one_of_the_ratio_says_nothing(table):
    at_ratios = chosen(table, **SIGNED)[lambda rows: rows["ratio"].notna()]
    epochs = {0: 1.0, 20: 1.0}
    for epoch, expected in epochs.items():
        rows = chosen(at_ratios, epoch=epoch, measure="kl_predictions")
        assert len(rows) == 3 * len(RATIOS) * 2
        assert rows["rho"].to_numpy() == pytest.approx(expected)
        assert rows["agreement"].to_numpy() == pytest.approx(1.0)
    assert chosen(at_ratios, measure="snip")["rho"].to_numpy() == pytest.approx(-1.0)
    assert chosen(at_ratios, measure="ap2")["rho"].isna().all()
    assert chosen(at_ratios, measure="ap2")["agreement"].to_numpy() == pytest.approx(0.5)


def test_masks_are_fewer_than_all_variants_of_a_ratio(table):
    rows = chosen(table, measure="kl_predictions", ratio=0.3, epoch=0, **SIGNED)
    decided = {among: mine["decided"].max() for among, mine in rows.groupby("among")}
    assert decided["masks"] <= DRAWS * (DRAWS - 1) / 2 < decided["all"]


def test_spearman_and_the_partial_correlation_by_plain_implementations(table):
    (runs,) = study()
    signed = runs.grids["test_pd_loss_signed"][1, 0]
    masks = Masks.of(runs.modes, runs.ratios)
    at = masks.members(0.5, "all")
    rows = chosen(table, measure="kl_predictions", trial=2, epoch=0, pd="test_pd_loss")
    absolute = chosen(rows, ratio=0.5, among="all", reference="baseline")["rho"].item()
    kl = runs.grids["kl_predictions"][1, 0]
    assert absolute == pytest.approx(spearmanr(kl[at], abs(signed[at])).statistic)
    left = []
    for values in (kl, abs(signed)):
        ranks = rankdata(values)
        for group in np.unique(masks.groups):
            ranks[masks.groups == group] -= ranks[masks.groups == group].mean()
        left.append(ranks)
    partial = chosen(rows, ratio=None, reference="baseline")["partial_rho"].item()
    assert partial == pytest.approx(pearsonr(*left).statistic)


def test_the_granulated_coefficient_holds_all_but_one_setting(table):
    (runs,) = study()
    rows = chosen(table, measure="ap2", trial=1, epoch=0, ratio=None, **SIGNED)
    names = zip(runs.modes, runs.ratios, strict=True)
    signed = dict(zip(names, runs.grids["test_pd_loss_signed"][0, 0], strict=True))
    by_hand = [
        np.sign(signed[mode, 0.5] - signed[mode, 0.3])
        * (abs(signed[mode, 0.5] - signed[mode, 0.3]) > 1.959964 * NOISE * 2**0.5)
        for mode in np.unique(runs.modes)
    ]
    assert rows["kendall_ratio"].item() == pytest.approx(np.mean(by_hand))
    assert rows["kendall_mask"].item() == 0
    assert rows["kendall"].item() == pytest.approx(rows["kendall_ratio"].item() / 3)


def test_a_mask_alone_is_what_differs_between_draws():
    masks = Masks.of(
        np.array(["random", "random.1", "obd", "random.1"]), np.array([1, 1, 1, 2]) / 4
    )
    assert masks.kinds.tolist() == ["random", "random", "obd", "random"]
    assert masks.draws.tolist() == [0, 1, 0, 1]
    assert masks.compared.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3]]
    assert masks.members(0.25, "masks").tolist() == [0, 1]
    assert masks.members(0.25, "all").tolist() == [0, 1, 2]


def test_after_tuning_the_control_is_a_reference_too(table):
    assert set(table.loc[table["epoch"] == 0, "reference"]) == {"baseline"}
    assert set(table.loc[table["epoch"] == 20, "reference"]) == {"baseline", "control"}
    assert set(table["pd"]) == {*PDS, *(f"{name}_signed" for name in PDS)}


def test_what_differs_by_rounding_is_a_tie():
    np.testing.assert_array_equal(_rounded(np.array([1.0, 1.0 + 1e-13])), [1.0, 1.0])
    np.testing.assert_array_equal(
        _rounded(np.array([0.0, -2.5e-7, np.nan])), [0.0, -2.5e-7, np.nan]
    )
    assert len(set(_rounded(np.array([1.0, 1.0 + 1e-8])))) == 2


def test_means_have_students_intervals_and_gains_over_ap2():
    table = within_ratio(study(trials=4, models=("net", "other")))
    summary = summarise(table)
    where = {"measure": "kl_predictions", "statistic": "kendall_ratio", "epoch": 0, **SIGNED}
    own = chosen(table, measure="kl_predictions", epoch=0, model="net", ratio=None, **SIGNED)
    base = chosen(table, measure="ap2", epoch=0, model="net", ratio=None, **SIGNED)
    gains = own["kendall_ratio"].to_numpy() - base["kendall_ratio"].to_numpy()
    row = chosen(summary, model="net", **where).iloc[0]
    half = student.ppf(0.975, 3) * gains.std(ddof=1) / 2
    assert row["n"] == 4
    assert row["gain"] == pytest.approx(gains.mean())
    assert row["gain_high"] - row["gain"] == pytest.approx(half)
    # All networks together: the mean over the networks in every trial.
    every = chosen(table, measure="kl_predictions", epoch=0, ratio=None, **SIGNED)
    means = every.groupby("trial")["kendall_ratio"].mean()
    pooled = chosen(summary, model="all", **where).iloc[0]
    assert pooled["mean"] == pytest.approx(means.mean())
    end = means.mean() + student.ppf(0.975, 3) * means.std(ddof=1) / 2
    assert pooled["high"] == pytest.approx(min(end, 1.0))


def test_all_networks_together_are_of_the_trials_that_all_have():
    table = within_ratio(study(trials=3, models=("net", "other")))
    fewer = table[(table["model"] == "net") | (table["trial"] < 3)]
    summary = summarise(fewer)
    counts = summary[summary["statistic"] == "kendall_ratio"].groupby("model")["n"].max()
    assert counts.to_dict() == {"all": 2, "net": 3, "other": 2}


def test_all_networks_together_are_of_the_trials_in_which_all_have_a_value():
    """A measure that says nothing of one network is not held against AP2 of both."""
    table = within_ratio(study(trials=3, models=("net", "other")))
    silent = (table["measure"] == "kl_predictions") & (table["model"] == "other")
    table.loc[silent & (table["trial"] > 1), "kendall_ratio"] = np.nan
    where = {"measure": "kl_predictions", "statistic": "kendall_ratio", "model": "all"}
    assert set(chosen(summarise(table), **where)["n"]) == {1}
    table.loc[silent, "kendall_ratio"] = np.nan
    assert chosen(summarise(table), **where).empty


def test_no_interval_reaches_beyond_what_can_be():
    summary = summarise(within_ratio(study()))
    shares = summary["statistic"] == "agreement"
    assert (summary.loc[shares, "low"] >= 0).all()
    assert (summary.loc[shares, "high"] <= 1).all()
    other = ~summary["statistic"].isin(["agreement", "decided"])
    assert (summary.loc[other, "low"] >= -1).all()
    assert (summary.loc[other, "high"] <= 1).all()


def test_ap2_has_no_gain_over_itself():
    summary = summarise(within_ratio(study()))
    own = chosen(summary, measure="ap2")
    assert (own["gain"] == 0).all()
    assert own[["p_value", "holm"]].isna().all(axis=None)
    assert set(summary["model"]) == {"net"}  # one network alone is not pooled
    assert not summary["mean"].isna().any()
