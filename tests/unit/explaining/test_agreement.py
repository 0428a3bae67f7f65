"""The counting of pairs, against scipy and by hand; the tables and the figure made of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from agreement_tables import measures, noises, runs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau, spearmanr

from ap3.errors import UserError
from ap3.explaining import agreement, mode_contrast, ratio_choice
from ap3.explaining.agreement_summary import summarise
from ap3.explaining.decided_pairs import limits
from ap3.explaining.example_intervals import example_intervals, symmetric_interval, with_intervals
from ap3.explaining.rank_counts import centred_ranks, concordance, order, pairs, spearman
from ap3.explaining.trial_grids import runs_of
from ap3.explaining.trial_intervals import holm
from ap3.explaining.yardsticks import CEILING, LOOKUP
from ap3.explaining.yardsticks import SEES as YARDSTICKS
from ap3.figures.agreement import draw
from ap3.measuring.catalogue import SAME_AS_AP2, SEES
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
    signed = table["pd"].str.endswith("_signed")
    mean = table[~signed].groupby(["measure", "among"])["agreement"].mean()
    assert (mean["ap2"] == 1).all()
    assert (mean["taylor"] == 1).all()  # its size counts
    with_sign = table[signed].groupby(["measure", "among"])["agreement"].mean()
    assert (with_sign["ap2"] == 1).all()
    assert (with_sign["taylor"] == 0).all()  # it predicts improvements
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
    assert set(from_control["measure"]) == {"ratio", "magnitude_pruned", "ap2", *YARDSTICKS}
    assert set(table["sees"]) == {"weights", "features", "other trials", "true PDs"}


def test_yardsticks():
    table = agreement.agreement(runs(measures(3)))
    assert (table.loc[table["measure"] == LOOKUP, "agreement"] == 1).all()  # trials are alike
    assert (table.loc[table["measure"] == LOOKUP, "over_lookup"] == 0).all()
    top = table[table["measure"] == CEILING]
    assert (top["agreement"] == 1).all()  # there is no noise
    assert set(top["epoch"]) == {0, 2}
    alone = agreement.agreement(runs(measures(1)))
    assert alone.loc[alone["measure"] == LOOKUP, "agreement"].isna().all()
    noisy = runs(measures(3, noise=0.1))
    summary = summarise(agreement.agreement(noisy), example_intervals(noisy))
    placed = summary.dropna(subset="place").set_index("measure")["place"]
    np.testing.assert_allclose(placed[LOOKUP], 0)
    np.testing.assert_allclose(placed[CEILING], 1)
    assert (placed["cosine_distance"] < 0).all()


def test_conclusions_that_flip_are_marked():
    made = measures(3)
    for split in ("train", "test"):
        for what in ("loss", "accuracy"):
            made[f"{split}_pd_{what}_signed"] *= -1  # the farther, the better
    every = runs(made)
    summary = summarise(agreement.agreement(every), example_intervals(every))
    own = summary[summary["statistic"] == "agreement"]
    own = own.set_index(["measure", "pd", "among"]).sort_index()
    assert (own.loc[("ap2", "test_pd_loss", "all"), "mean"] == 1).all()
    assert (own.loc[("ap2", "test_pd_loss_signed", "all"), "mean"] == 0).all()
    assert own.loc["ap2", "flips"].all()
    assert not own.loc["ratio"].xs("modes", level="among")["flips"].any()  # ½ on both sides


def test_certain_is_what_holms_correction_leaves():
    every = runs(measures(10, noise=0.1))
    summary = summarise(agreement.agreement(every), example_intervals(every))
    gains = summary[(summary["statistic"] == "gain") & (summary["pd"] == "test_pd_loss")]
    gains = gains[gains["among"] == "all"].set_index("measure")
    assert (gains["holm"].dropna() >= gains["p_value"][gains["holm"].notna()]).all()
    assert gains.loc[["lookup", "ceiling"], "holm"].isna().all()
    assert gains.loc["ap2", "p_value"].isna().all()  # nothing to test
    assert (gains.loc["cosine_distance", "holm"] < 0.05).all()
    others = summary[~summary["statistic"].isin(["gain", "over_lookup"])]
    assert others["p_value"].isna().all()


def test_one_test_under_two_names_is_corrected_for_once():
    """Before fine-tuning the control is the baseline; an alias of AP2 has AP2's gain over the look-up."""
    made = measures(10, noise=0.1)
    made["relative_frobenius"] = 2 * made["ap2"]
    made["ap2_from_control"] = made["ap2"].where(made["epoch"] == 0, made["ap2_from_control"])
    every = runs(made)
    summary = summarise(agreement.agreement(every), example_intervals(every))
    rows = summary[(summary["pd"] == "test_pd_loss_signed") & (summary["among"] == "all")]
    rows = rows[rows["p_value"].notna() & ~rows["measure"].isin([LOOKUP, CEILING])]
    for statistic in ("gain", "over_lookup"):
        mine = rows[rows["statistic"] == statistic]
        is_again = (mine["epoch"] == 0) & (mine["reference"] == "control")
        once = mine[~is_again & ~mine["measure"].isin(SAME_AS_AP2)]
        np.testing.assert_allclose(once["holm"], holm(once["p_value"]))
        corrected = once.set_index(["epoch", "reference", "measure"])["holm"]
        for row in mine[is_again].itertuples():
            measure = "ap2" if row.measure in SAME_AS_AP2 else row.measure
            assert row.holm == corrected[0, "baseline", measure]
    assert (rows["measure"] == "relative_frobenius").any()


def test_the_control_takes_away_what_all_share():
    made = runs(measures())[0]
    signed, own = (made.difference("test_pd_loss", name) for name in ("control", "baseline"))
    drift = made.grids["test_pd_loss_signed@control"]
    assert drift.shape == (2, 3, 1)
    np.testing.assert_allclose(signed, own - drift)
    again = made.difference_resampled("test_pd_loss", "control", -1)
    assert again.shape == (2, 6, 60)
    np.testing.assert_allclose(again[..., 0], signed[:, -1], atol=1e-5)


def test_unknown_pairing_counts_as_independent():
    made = measures(trials=1)
    (noise,) = noises(made, shared=0.9)
    noise.covariance["train_pd_loss"][1:] = np.nan
    noise.resampled["train_pd_loss"][:] = np.nan
    (found,) = runs_of(made, [noise])
    limit = limits(found, "train_pd_loss", "baseline", np.array([[0, 1]])).same[0, :, 0]
    np.testing.assert_allclose(limit, 1.959964e-6 * np.sqrt([0.2, 2, 2]), rtol=1e-6)
    intervals = example_intervals([found])
    assert "train_pd_loss" not in set(intervals["pd"])
    table = agreement.agreement([found])
    summary = summarise(table, intervals)
    ends = table[table["epoch"] != 1]
    assert len(summary) == len(agreement.STATISTICS) * len(ends)
    unknown = summary["pd"].str.startswith("train_pd_loss")
    assert summary.loc[unknown, "examples_low"].isna().all()
    assert summary.loc[~unknown & (summary["measure"] == "ap2"), "examples_low"].notna().any()
    assert example_intervals([]).empty


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
        first, second = (r.difference_resampled("test_pd_loss", "control", 0) for r in (one, two))
        np.testing.assert_array_equal(first, second[:, places])


@pytest.mark.parametrize("trials", [3, 10])
def test_no_interval_leaves_out_its_estimate(trials):
    made = measures(trials, noise=0.1)
    for name in [name for name in made if name.endswith("_se")]:
        made[name] = 0.1
    every = runs(made)
    table, intervals = agreement.agreement(every), example_intervals(every)
    summary = summarise(table, intervals)
    assert set(summary["epoch"]) == {0, 2}
    for ends in (("low", "high"), ("examples_low", "examples_high")):
        known = summary.dropna(subset=["mean", *ends])
        assert len(known) > 1000
        low, high = (known[end].to_numpy() for end in ends)
        assert ((low <= known["mean"] + 1e-6) & (known["mean"] <= high + 1e-6)).all()
        assert (high > low + 0.01).any()
    assert (summary["n"] <= trials).all()
    assert summary["n"].max() == trials
    own = with_intervals(table, intervals)
    assert len(own) == len(table)
    ends = own[(own["epoch"] != 1) & (own["measure"] != CEILING)]
    known = ends.dropna(subset="agreement")
    assert (known["agreement_low"] <= known["agreement"] + 1e-6).all()
    assert (known["gain_high"] >= known["gain"] - 1e-6).all()
    assert own.loc[own["epoch"] == 1, "agreement_low"].isna().all()


def test_networks_may_have_different_trials_and_epochs():
    three = measures(3, noise=0.1)
    one = measures(1).assign(model="other")
    one = one[one["epoch"] < 2]
    every = runs(three) + runs_of(one, [replace(n, origin=OTHER) for n in noises(one)])
    both = summarise(agreement.agreement(every), example_intervals(every))
    alone = summarise(agreement.agreement(every[:1]), example_intervals(every[:1]))
    found = both[both["model"] == "n"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, alone, check_dtype=False)
    assert set(both.loc[both["model"] == "other", "epoch"]) == {0, 1}
    assert both.loc[both["model"] == "other", "n"].max() == 1


def test_without_fine_tuning_there_is_one_end():
    made = measures()
    made = made[made["epoch"] == 0]
    every = runs(made)
    intervals = example_intervals(every)
    summary = summarise(agreement.agreement(every), intervals)
    for table in (intervals, summary, mode_contrast.contrast(every), ratio_choice.choice(every)):
        assert len(table)
        assert not table.drop(columns=["low", "high"], errors="ignore").duplicated().any()


def test_a_symmetric_interval_holds_its_share_and_leaves_nan_out():
    rng = np.random.default_rng(0)
    estimate, resampled = np.zeros(3), rng.normal(size=(3, 4000))
    resampled[1, :2000], resampled[2] = np.nan, np.nan
    low, high = symmetric_interval(estimate, resampled)
    np.testing.assert_allclose(high[:2], 1.96, rtol=0.06)
    np.testing.assert_array_equal(low, -high)
    assert np.isnan(high[2])


def test_noise_of_the_examples_widens_the_interval_unless_it_is_shared():
    widths = {}
    for error, shared in [(1e-6, 0.0), (0.2, 0.0), (0.2, 1.0)]:
        made = measures()
        for name in [name for name in made if name.endswith("_se")]:
            made[name] = error
        every = runs(made, shared=shared)
        summary = summarise(agreement.agreement(every), example_intervals(every))
        chosen = summary[
            (summary["measure"] == "ap2")
            & (summary["among"] == "all")
            & (summary["reference"] == "control")
            & (summary["statistic"] == "agreement")
        ]
        widths[error, shared] = (chosen["examples_high"] - chosen["examples_low"]).mean()
    assert widths[1e-6, 0.0] < 1e-6
    assert widths[0.2, 0.0] > 0.05
    assert widths[0.2, 1.0] < 1e-3  # what moves the control as well moves no difference to it


def test_contrast():
    table = mode_contrast.contrast(runs(measures()))
    first = table[(table["epoch"] == 0) & (table["measure"] == "ap2")]
    np.testing.assert_allclose(first["contrast"], -1)  # lowest over highest, a tenth
    np.testing.assert_allclose(first["pd_contrast"], -1)
    assert (first["pd_gap_decided"] == -1).all()
    np.testing.assert_allclose(first["pd_contrast_signed"], -1)
    assert len(first) == 2 * 3
    ratio = table[table["measure"] == "ratio"]
    assert (ratio["contrast"] == 0).all()
    summary = mode_contrast.summarise(table)
    assert set(summary["n"]) == {2}
    assert ((summary["low"] <= summary["mean"]) & (summary["mean"] <= summary["high"])).all()
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
    summary = summarise(counted, example_intervals(every))
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


def test_choice_counts_damage_only():
    made = measures(3)
    for epoch in (0, 2):
        made.loc[made["epoch"] == epoch, "test_pd_accuracy_signed"] *= -1
    table = ratio_choice.choice(runs(made), tolerance=0.01)
    assert (table["best"] == 0.8).all()
    assert (table.loc[table["measure"] == "ratio", "chosen"] == 0.8).all()
    assert (ratio_choice.summarise(table)["safe"] == 1).all()


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
        f"d/n/{phase}/{pd_name}"
        for phase in (
            "before fine-tuning",
            "epoch 2, from the baseline",
            "epoch 2, from the control",
        )
        for pd_name in ("|PD|", "signed PD")
    ]
    drawn = {line.get_gid(): line for panel in figure.axes for line in panel.lines}
    heights = list(reversed([*SEES, *YARDSTICKS]))
    first = drawn["d/n/before fine-tuning/|PD|/all"]
    values = {heights[round(y)]: x for x, y in first.get_xydata()}
    assert values["ap2"] == 1
    assert values["cosine_distance"] == 0
    trials = drawn["d/n/before fine-tuning/|PD|/all/trials"]
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
        (lambda part, column: part.drop(columns=column), "lacks the columns {column}; give"),
        (lambda part, column: part.assign(**{column: np.nan}), "where a value belongs.*{column}"),
    ],
)
def test_nothing_is_counted_without_ap2(tmp_path, column, spoil, refusal):
    path = tmp_path / "measures.csv"
    spoil(measures(), column).to_csv(path, index=False)
    with pytest.raises(UserError, match=refusal.format(column=column)):
        stage([path], tmp_path / "tables", tmp_path / "agreement.pdf")
    assert [*tmp_path.iterdir()] == [path]
