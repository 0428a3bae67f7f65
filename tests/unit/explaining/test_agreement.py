"""The counting of pairs, against scipy and by hand; the tables and the figure made of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from agreement_tables import VARIANTS, measures, noises, runs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau, spearmanr

from ap3.errors import UserError
from ap3.explaining import agreement, mode_contrast, ratio_choice
from ap3.explaining.rank_counts import centred_ranks, concordance, order, pairs, spearman
from ap3.explaining.trial_grids import runs_of
from ap3.figures.agreement import draw
from ap3.measuring.catalogue import SEES
from ap3.measuring.sampling_noise import Noise
from ap3.pruning.pruned import Origin
from ap3.stages.agreement import agreement as stage

OTHER = Origin("d", "other", 1, 0)
few = arrays(np.float64, 7, elements=st.integers(0, 4))
EVERY = pairs(np.arange(7), np.arange(7))["all"]


@given(few, few)
def test_scipy_counts_the_same_pairs(measure, difference):
    counted = concordance(order(measure, EVERY), order(difference, EVERY))
    constant = len(set(measure)) == 1 or len(set(difference)) == 1
    tau = np.nan if constant else kendalltau(measure, difference).statistic
    rho = np.nan if constant else spearmanr(measure, difference).statistic
    np.testing.assert_allclose(counted["tau_b"], tau, atol=1e-12)
    found = spearman(centred_ranks(measure), centred_ranks(difference))
    np.testing.assert_allclose(found, rho, atol=1e-12)


@given(few, few)
def test_agreement_by_hand(measure, difference):
    right, decided = 0.0, 0
    for i, j in EVERY:
        if difference[i] != difference[j]:
            decided += 1
            same = (measure[i] - measure[j]) * (difference[i] - difference[j])
            right += 0.5 if same == 0 else same > 0
    counted = concordance(order(measure, EVERY), order(difference, EVERY))
    assert counted["decided"] == decided
    np.testing.assert_allclose(counted["agreement"], right / decided if decided else np.nan)


def test_differences_within_their_noise_are_ties():
    compared = np.array([[0, 1], [0, 2], [1, 2]])
    error = np.array([5.0, 3.4, 1.5])
    assert order(np.array([0.0, 5.0, 3.5]), compared, error).tolist() == [0, -1, 0]


def test_kinds_of_pairs():
    modes = np.repeat(["lowest", "highest", "random"], 4)
    ratios = np.tile([0.1, 0.3, 0.5, 0.8], 3)
    made = pairs(modes, ratios)
    assert {name: len(found) for name, found in made.items()} == {
        "modes": 4 * 3,
        "ratios": 3 * 6,
        "all": 66,
    }
    assert (ratios[made["modes"]][:, 0] == ratios[made["modes"]][:, 1]).all()
    assert (modes[made["ratios"]][:, 0] == modes[made["ratios"]][:, 1]).all()


def test_a_table_of_known_agreement():
    table = agreement.agreement(runs(measures()))
    mean = table.groupby(["measure", "among"])["agreement"].mean()
    assert (mean["ap2"] == 1).all()
    assert (mean["taylor"] == 1).all()  # its size counts
    assert (mean["cosine_distance"] == 0).all()
    assert mean["ratio", "modes"] == 0.5
    assert mean["ratio", "ratios"] == 1
    assert 0.5 < mean["ratio", "all"] < 1
    ends = table[(table["measure"] == "cosine_distance") & (table["epoch"] == 2)]
    assert (ends["tau_b"] == -1).all()
    assert (ends["gain"] == -1).all()
    assert (table.loc[table["measure"] == "ap2", "gain"] == 0).all()
    assert (ends["rho"] == -1).all()
    assert set(table["reference"]) == {"baseline", "control"}
    from_control = table[table["reference"] == "control"]
    assert set(from_control["measure"]) == {"ratio", "magnitude_pruned", "ap2"}
    assert set(table["sees"]) == {"weights", "features"}


def test_the_control_takes_away_what_all_share():
    made = runs(measures())[0]
    signed, own = (made.difference("test_pd_loss", name) for name in ("control", "baseline"))
    drift = made.grids["test_pd_loss_signed@control"]
    assert drift.shape == (2, 3, 1)
    np.testing.assert_allclose(signed, own - drift)
    again = made.difference_resampled("test_pd_loss", "control")
    assert again.shape == (60, 2, 2, 6)
    np.testing.assert_allclose(again[0], signed[:, [0, -1]], atol=1e-5)


@pytest.mark.parametrize("reference", ["baseline", "control"])
def test_the_error_of_a_gap_is_that_of_the_paired_examples(reference):
    """Against the standard error of the signed differences themselves, example by example."""
    rng = np.random.default_rng(0)
    outcomes = rng.normal(size=(len(VARIANTS), 500)) + rng.normal(size=500)
    outcomes -= np.array([0, 3, -3, 1, 2, 4, 0.5])[:, None]  # of which one PD is negative
    made = measures(trials=1)
    made["test_pd_loss_signed"] = np.repeat(outcomes.mean(1), 3)
    (noise,) = noises(made)
    noise.covariance["test_pd_loss"][:] = np.cov(outcomes) / 500
    (found,) = runs_of(made, [noise])
    pairs_of = np.array([[0, 1], [1, 4], [3, 5]])
    error = found.gap_error("test_pd_loss", reference, pairs_of)[0, 0]
    each = outcomes[1:] - (outcomes[0] if reference == "control" else 0)
    each *= np.sign(each.mean(1))[:, None]
    for (first, second), value in zip(pairs_of, error, strict=True):
        expected = (each[first] - each[second]).std(ddof=1) / np.sqrt(500)
        assert value == pytest.approx(expected, rel=1e-9)


def test_unknown_pairing_counts_as_independent():
    made = measures(trials=1)
    (noise,) = noises(made, shared=0.9)
    noise.covariance["train_pd_loss"][1:] = np.nan
    noise.resampled["train_pd_loss"][:] = np.nan
    (found,) = runs_of(made, [noise])
    error = found.gap_error("train_pd_loss", "baseline", np.array([[0, 1]]))[0, :, 0]
    np.testing.assert_allclose(error, 1e-6 * np.sqrt([0.2, 2, 2]))
    intervals = agreement.bootstrapped([found])
    assert "train_pd_loss" not in set(intervals["pd"])
    table = agreement.agreement([found])
    summary = agreement.summarise(table, intervals)
    assert len(summary) == len(agreement.STATISTICS) * len(table) * 2 / 3
    assert summary.loc[summary["pd"] == "train_pd_loss", "low"].isna().all()
    assert agreement.bootstrapped([]).empty


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t[1:],
        lambda t: pd.concat([t, t[:1]]),
        lambda t: t[t["mode"] != "control"],
        lambda t: t[t["mode"] == "control"],
        lambda t: t[(t["trial"] == 1) | (t["ratio"] != 0.5)],
    ],
)
def test_incomplete_measures_are_refused(spoil):
    with pytest.raises(UserError, match="n on d must hold the same variants"):
        runs_of(spoil(measures()), noises(measures()))


@pytest.mark.parametrize(
    "spoil",
    [lambda n: n[1:], lambda n: [*n[1:], Noise(n[0].origin, n[0].variants[1:], {}, {})]],
)
def test_a_trial_without_noise_is_refused(spoil):
    with pytest.raises(UserError, match="noise of n on d must be known for every trial"):
        runs_of(measures(), spoil(noises(measures())))


def test_row_order_does_not_matter():
    made = measures()
    shuffled = made.sample(frac=1, random_state=0)
    for one, two in zip(runs(made), runs_of(shuffled, noises(made)), strict=True):
        places = [
            np.flatnonzero((two.modes == m) & (two.ratios == r)).item()
            for m, r in zip(one.modes, one.ratios, strict=True)
        ]
        np.testing.assert_array_equal(one.grids["ap2"], two.grids["ap2"][..., places])
        first, second = (r.difference_resampled("test_pd_loss", "control") for r in (one, two))
        np.testing.assert_array_equal(first, second[..., places])


@pytest.mark.parametrize(("trials", "interval"), [(3, "examples"), (10, "trials")])
def test_intervals(trials, interval):
    made = runs(measures(trials, noise=0.1))
    table, intervals = agreement.agreement(made), agreement.bootstrapped(made)
    summary = agreement.summarise(table, intervals)
    assert set(summary["interval"]) == {interval}
    assert set(summary["epoch"]) == {0, 2}
    known = summary.dropna(subset="mean")
    assert (known["low"] <= known["high"]).all()
    inside = (known["low"] <= known["mean"] + 1e-9) & (known["mean"] <= known["high"] + 1e-9)
    assert inside.mean() > 0.95
    assert (known["n"] <= trials).all()
    assert known["n"].max() == trials
    own = agreement.with_intervals(table, intervals)
    assert len(own) == len(table)
    ends = own[own["epoch"] != 1]
    assert ends[["agreement_low", "gain_high"]].notna().all(axis=None)
    assert own.loc[own["epoch"] == 1, "agreement_low"].isna().all()


def test_networks_may_have_different_trials_and_epochs():
    three = measures(3, noise=0.1)
    one = measures(1).assign(model="other")
    one = one[one["epoch"] < 2]
    every = runs(three) + runs_of(one, [replace(n, origin=OTHER) for n in noises(one)])
    both = agreement.summarise(agreement.agreement(every), agreement.bootstrapped(every))
    alone = agreement.summarise(agreement.agreement(every[:1]), agreement.bootstrapped(every[:1]))
    found = both[both["model"] == "n"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, alone, check_dtype=False)
    assert set(both.loc[both["model"] == "other", "epoch"]) == {0, 1}
    assert both.loc[both["model"] == "other", "n"].max() == 1


def test_without_fine_tuning_there_is_one_end():
    made = measures()
    made = made[made["epoch"] == 0]
    every = runs(made)
    intervals = agreement.bootstrapped(every)
    summary = agreement.summarise(agreement.agreement(every), intervals)
    for table in (intervals, summary, mode_contrast.contrast(every), ratio_choice.choice(every)):
        assert len(table)
        assert not table.drop(columns=["low", "high"], errors="ignore").duplicated().any()


def test_an_interval_over_trials_shrinks_like_a_mean():
    values = np.random.default_rng(0).normal(size=(1, 400))
    low, high = agreement._over_trials(values)
    assert (high - low)[0] == pytest.approx(2 * 1.96 / 20, rel=0.15)


@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_quantiles_leave_nan_out():
    values = np.random.default_rng(0).normal(size=(3, 41, 2))
    values[0, 5:9], values[1, :40, 0], values[2, :, 1] = np.nan, np.nan, np.nan
    for q in (0.025, 0.5, 0.975):
        found = agreement._quantile(np.sort(values, axis=1), q)
        np.testing.assert_allclose(found, np.nanquantile(values, q, axis=1), rtol=1e-12)


def test_noise_of_the_examples_widens_the_interval_unless_it_is_shared():
    widths = {}
    for error, shared in [(1e-6, 0.0), (0.2, 0.0), (0.2, 1.0)]:
        made = measures()
        for name in [name for name in made if name.endswith("_se")]:
            made[name] = error
        every = runs(made, shared=shared)
        summary = agreement.summarise(agreement.agreement(every), agreement.bootstrapped(every))
        chosen = summary[
            (summary["measure"] == "ap2")
            & (summary["among"] == "all")
            & (summary["reference"] == "control")
            & (summary["statistic"] == "agreement")
        ]
        widths[error, shared] = (chosen["high"] - chosen["low"]).mean()
    assert widths[1e-6, 0.0] == 0
    assert widths[0.2, 0.0] > 0.05
    assert widths[0.2, 1.0] < 1e-3  # what moves the control as well moves no difference to it


def test_contrast():
    table = mode_contrast.contrast(runs(measures()))
    first = table[(table["epoch"] == 0) & (table["measure"] == "ap2")]
    np.testing.assert_allclose(first["contrast"], -1)  # lowest over highest, a tenth
    np.testing.assert_allclose(first["pd_contrast"], -1)
    np.testing.assert_allclose(first["pd_gap_se"], np.hypot(1e-6, 1e-6))
    assert len(first) == 2 * 3
    ratio = table[table["measure"] == "ratio"]
    assert (ratio["contrast"] == 0).all()
    summary = mode_contrast.summarise(table)
    assert set(summary["n"]) == {2}
    of_pd = summary[(summary["measure"] == "test_pd_loss") & (summary["epoch"] == 0)]
    np.testing.assert_allclose(of_pd["mean"], -1)
    made = measures()
    made["ap3_gaussian"] = 0.37 * made["ap2"]
    both = mode_contrast.contrast(runs(made)).pivot_table(
        "contrast", ["trial", "epoch", "ratio"], "measure"
    )
    np.testing.assert_allclose(both["ap3_gaussian"], both["ap2"], atol=1e-12)


@pytest.mark.parametrize("ratios", [(0.1, 0.5, 0.8), (0.1,)])
def test_a_single_mode_or_variant_has_nothing_to_compare(ratios):
    made = measures()
    kept = made[(made["mode"] == "control") | (made["mode"] == "lowest")]
    kept = kept[kept["ratio"].isin([0.0, *ratios])]
    every = runs_of(kept, noises(made))
    table = mode_contrast.contrast(every)
    assert table.empty
    assert list(table.columns) == list(mode_contrast.contrast(runs(made)).columns)
    assert mode_contrast.summarise(table).empty
    counted = agreement.agreement(every)
    modes = counted[counted["among"] == "modes"]
    assert (modes["pairs"] == 0).all()
    assert modes["agreement"].isna().all()
    summary = agreement.summarise(counted, agreement.bootstrapped(every))
    assert summary.loc[summary["statistic"] == "agreement", "n"].max() == (2 if ratios[1:] else 0)
    draw(counted)


def test_a_contrast_with_zero_is_missing():
    made = measures()
    made.loc[made["mode"] == "lowest", "ap2"] = 0.0
    table = mode_contrast.contrast(runs(made))
    assert table.loc[table["measure"] == "ap2", "contrast"].isna().all()


def test_choice():
    """Of lowest 0.01, 0.05, 0.08 and of highest 0.1, 0.5, 0.8 are the PDs, and AP2 is the PD."""
    table = (
        ratio_choice.choice(runs(measures()), tolerance=0.06)
        .set_index(["measure", "epoch", "mode"])
        .sort_index()
    )
    ap2 = table.loc[("ap2", 0)]
    # What was safe at 0.0505 in the first trial does not allow 0.051 in the second.
    assert ap2.loc["lowest", "chosen"].tolist() == [0.5, 0.1]
    assert ap2.loc["lowest", "best"].tolist() == [0.5, 0.5]
    assert (ap2.loc["highest", ["best", "chosen", "pd_chosen"]] == 0).all(axis=None)
    # One ratio for all modes must be small enough for the worst of them.
    assert (table.loc[("ratio", 0), "chosen"] == 0).all()
    # A measure that falls as the PD grows allows nothing, or what is not safe.
    wrong = table.loc[("cosine_distance", 0)]
    assert (wrong["chosen"] == 0).all()
    summary = ratio_choice.summarise(table.reset_index()).set_index(["measure", "epoch"])
    assert summary.loc[("ap2", 0), ["n", "safe", "chosen", "best"]].tolist() == [4, 1, 0.15, 0.25]


def test_no_threshold_without_other_trials():
    table = ratio_choice.choice(runs(measures(trials=1)))
    assert table.empty
    assert ratio_choice.summarise(table).empty
    assert list(table.columns) == list(ratio_choice.choice(runs(measures())).columns)


def test_a_threshold_comes_from_the_other_trials_only():
    made = measures(trials=3)
    changed = made.copy()
    changed.loc[changed["trial"] == 1, "ap2"] *= 0.5
    one, two = (
        ratio_choice.choice(runs(table), 0.06)
        .set_index(["measure", "trial", "epoch", "mode"])["threshold"]
        .sort_index()
        for table in (made, changed)
    )
    pd.testing.assert_series_equal(one["ap2", 1], two["ap2", 1])
    assert (one["ap2", 2] != two["ap2", 2]).any()


def test_figure():
    table = agreement.agreement(runs(measures()))
    figure = draw(table)
    axes = {panel.get_gid(): panel for panel in figure.axes}
    assert list(axes) == [
        "d/n/before fine-tuning",
        "d/n/epoch 2, from the baseline",
        "d/n/epoch 2, from the control",
    ]
    drawn = {line.get_gid(): line for panel in figure.axes for line in panel.lines}
    heights = list(reversed(SEES))
    first = drawn["d/n/before fine-tuning/all"]
    values = {heights[round(y)]: x for x, y in first.get_xydata()}
    assert values["ap2"] == 1
    assert values["cosine_distance"] == 0
    trials = drawn["d/n/before fine-tuning/all/trials"]
    assert len(trials.get_xydata()) == 2 * len(values)


def test_stage(tmp_path):
    made = measures()
    paths = []
    for trial, part in made.groupby("trial"):
        paths.append(tmp_path / f"{trial}.csv")
        part.to_csv(paths[-1], index=False)
        noises(part)[0].save(paths[-1].with_suffix(".safetensors"))
    stage(paths, tmp_path / "tables", tmp_path / "agreement.pdf", tmp_path / "agreement.png")
    names = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert names == {
        f"{name}{ending}"
        for name in ("agreement", "contrast", "choice")
        for ending in ("", "_summary")
    }
    written = pd.read_csv(tmp_path / "tables" / "agreement.csv")
    counted = agreement.agreement(runs(made))
    pd.testing.assert_frame_equal(written[counted.columns], counted, check_dtype=False)
    assert (tmp_path / "agreement.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "agreement.png").exists()


@pytest.mark.parametrize("column", ["ap2", "ap2_from_control"])
@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda part, column: part.drop(columns=column), "lacks the columns {column}; delete"),
        (lambda part, column: part.assign(**{column: np.nan}), "where a value belongs.*{column}"),
    ],
)
def test_nothing_is_counted_without_ap2(tmp_path, column, spoil, refusal):
    path = tmp_path / "measures.csv"
    spoil(measures(), column).to_csv(path, index=False)
    with pytest.raises(UserError, match=refusal.format(column=column)):
        stage([path], tmp_path / "tables", tmp_path / "agreement.pdf")
    assert [*tmp_path.iterdir()] == [path]
