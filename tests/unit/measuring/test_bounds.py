"""The table of bounds: each law's spread against dense matrices, and what the table says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from head_problems import laws_of, layer_of, log_of, problem, tuned
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ap3.figures.bounds import draw
from ap3.latent import GaussianLaw, Law, StudentT
from ap3.measuring.bounds import BOUNDS, ON_TEST, bounds_of, summarise
from ap3.measuring.direct_bounds import DIRECT
from ap3.training.splits import Split

MADE = problem(2)
REFERENCE = MADE.reference()
TUNED = tuned(MADE)
LOG = log_of(MADE, TUNED)
HELD_OUT = problem(6, examples=30)
TEST = Split(HELD_OUT.features, HELD_OUT.labels)
TABLE = bounds_of(REFERENCE, [(TUNED, LOG)], TEST)


def of(law, table=TABLE):
    return table[table["law"] == law].reset_index()


@pytest.mark.parametrize("name", ["gaussian", "nondiagonal", "fisher", "fisher_diagonal"])
def test_spread_of_gaussian_laws(name):
    law = laws_of(REFERENCE)[name]
    assert isinstance(law, GaussianLaw)
    G = np.stack([law.whiten(unit) for unit in np.eye(law.weights.size)], axis=1)
    eigenvalues = np.linalg.eigvalsh(G.T @ G)
    spread = law.spread
    assert spread.precision_min == pytest.approx(eigenvalues[0], rel=1e-6)
    assert spread.precision_max == pytest.approx(eigenvalues[-1], rel=1e-6)
    if name != "fisher":
        assert spread.trace == pytest.approx((1 / eigenvalues).sum(), rel=1e-9)
    assert spread.gaussian
    assert spread.sees_every_weight


@pytest.mark.parametrize(("groups", "full"), [(None, True), (4, True), (3, False)])
def test_spread_of_student_t(groups, full):
    spread = StudentT(np.arange(4.0), df=6, scale=2.0, groups=groups).spread
    dim = 3 if groups == 3 else 4
    assert spread.trace == pytest.approx(dim * 6.0)  # 4 · df/(df − 2)
    assert spread.precision_min == spread.precision_max == pytest.approx(1 / 6)
    assert not spread.gaussian
    assert spread.sees_every_weight is full


@pytest.mark.parametrize("df", [0.5, 2.0])
def test_a_student_t_without_covariance_has_no_trace(df):
    spread = StudentT(np.arange(4.0), df=df, groups=None).spread
    assert np.isnan([spread.trace, spread.precision_min, spread.precision_max]).all()


def test_no_spread_of_an_unknown_law():
    class Silent(StudentT):
        spread = Law.spread

    spread = Silent(np.arange(4.0), groups=None).spread
    assert np.isnan([spread.trace, spread.precision_min, spread.precision_max]).all()
    assert (spread.gaussian, spread.sees_every_weight) == (False, False)


def test_rows():
    assert len(TABLE) == 5 * 3
    np.testing.assert_allclose(TABLE["pd_loss"], TABLE["train_pd_loss"], rtol=1e-6)
    for name, law in laws_of(REFERENCE).items():
        np.testing.assert_allclose(
            of(name)["epsilon"], law.kl_many(layer_of(TUNED).weight), rtol=1e-6
        )
    assert (of("gaussian")["bias_bound"][1:] > 0).all()
    assert TABLE["lambda_bound"].min() >= TABLE["lambda_max"].max()


def test_the_smallest_bound_is_the_smallest():
    for suffix in ("", "_test"):
        others = [f"{name}{suffix}" for name in DIRECT if name != "best"]
        np.testing.assert_allclose(TABLE[f"best{suffix}"], TABLE[others].min(axis=1))
    assert (TABLE["chain"] <= TABLE["lipschitz"]).all()
    assert (TABLE["two_ends"] <= TABLE["convexity"] * (1 + 1e-6)).all()


def test_a_seven_digit_table_keeps_what_is_rederived_above_the_pd():
    for bound in ("lemma31", "cor32"):
        ratio = TABLE[f"{bound}_over_pd"].dropna()
        assert len(ratio)
        assert (ratio >= 1).all()
    gaussian = of("gaussian")
    expected = gaussian["cor32"] / gaussian["pd_loss"]
    np.testing.assert_allclose(gaussian["cor32_over_pd"], expected, rtol=1e-5)


def test_the_isotropic_law_is_the_tightest_that_corollary_3_2_knows():
    """ε/λ_min(Σ⁻¹) ≥ ½‖Δ‖², with equality where Σ = σ²I."""
    least = of("gaussian")["cor32"]
    for law in ("nondiagonal", "fisher", "fisher_diagonal"):
        assert (of(law)["cor32"] >= least * (1 - 1e-6)).all()


def test_a_grouped_law_bounds_nothing_and_a_full_one_does():
    grouped = of("student_t")
    assert grouped[["lemma31", "lemma31_one_point", "eq16", "cor26", "cor32"]].isna().all(axis=None)
    assert grouped["lemma31_printed"].notna().all()
    full = of("student_t", bounds_of(MADE.reference(groups=None), [(TUNED, LOG)], TEST))
    assert full["lemma31"].notna().all()
    assert (full["lemma31_over_pd"] >= 1).all()
    assert full["cor32"].isna().all()


def test_once_the_trunk_has_moved_nothing_is_bounded():
    table = bounds_of(REFERENCE, [(TUNED, LOG)], TEST, frozen=False)
    later = table[table["epoch"] > 0]
    assert not later["same_trunk"].any()
    assert later[["pd_loss", "lambda_max", *BOUNDS]].isna().all(axis=None)
    through_the_last = ["along_fine_tuning", "along_fine_tuning_over_pd"]
    first, whole = (
        each[each["epoch"] == 0].reset_index(drop=True).drop(columns=through_the_last)
        for each in (table, TABLE)
    )
    pd.testing.assert_frame_equal(first, whole)


def test_where_other_layers_were_pruned_nothing_is_bounded():
    both = replace(TUNED, layers={**TUNED.layers, "below": layer_of(TUNED)})
    table = bounds_of(REFERENCE, [(both, LOG)], TEST)
    assert not table["same_trunk"].any()
    assert table[["pd_loss", *BOUNDS, *ON_TEST]].isna().all(axis=None)


def test_summary_counts_what_fails():
    made = TABLE.assign(mode="random")
    made.loc[(made["law"] == "gaussian") & (made["epoch"] == 2), "cor32_over_pd"] = 0.5
    made.loc[made["law"] == "gaussian", "lemma31_over_pd"] = np.inf
    summary = summarise(pd.concat([made, made.assign(mode="control")])).set_index(
        ["law", "bound", "phase"]
    )
    assert summary.loc[("gaussian", "cor32", "tuned"), ["n", "failing"]].tolist() == [2, 1]
    assert summary.loc[("gaussian", "cor32", "pruned"), "failing"] == 0
    assert summary.loc[("gaussian", "lemma31", "tuned"), "infinite"] == 2
    assert ("student_t", "cor32", "tuned") not in summary.index


def test_figure():
    table = TABLE.assign(mode="lowest")
    table.loc[(table["law"] == "gaussian") & (table["epoch"] == 2), "cor32"] = 1e-9
    figure = draw(table)
    axes = {panel.get_gid(): panel for panel in figure.axes}
    assert list(axes) == list(BOUNDS)
    crossed = {line.get_gid(): line.get_xydata() for panel in figure.axes for line in panel.lines}
    last = of("gaussian").iloc[-1]
    np.testing.assert_allclose(crossed["cor32/fails"], [[last["pd_loss"], 1e-9]])
    assert not len(crossed["lemma31/fails"])
    drawn = {tuple(point) for line in axes["cor32_printed"].lines for point in line.get_xydata()}
    first = of("gaussian").iloc[0]
    assert (first["pd_loss"], first["cor32_printed"]) in drawn


def test_words_of_the_figure_stand_below_its_points_however_far_a_row_spans():
    table = pd.concat(
        TABLE.assign(mode="lowest", pd_loss=pd_loss, bennett=2 * pd_loss, self_concordance=10.0**35)
        for pd_loss in np.geomspace(1e-5, 1, 30)
    )
    figure = draw(table)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    panel = {panel.get_gid(): panel for panel in figure.axes}["bennett"]
    (words,) = panel.texts
    top = words.get_window_extent(renderer).y1
    points = np.concatenate([line.get_xydata() for line in panel.lines])
    assert (panel.transData.transform(points)[:, 1] > top).all()


def test_the_difference_is_the_slope_plus_the_kl_of_predictions_on_both_splits():
    layer = layer_of(TUNED)
    base = MADE.weight, MADE.bias
    rows = of("gaussian")
    for suffix, made in (("", MADE), ("_test", HELD_OUT)):
        loss = made.loss
        start, _ = loss.value_and_gradient(*base)
        signed = [
            loss.value_and_gradient(*state)[0] - start
            for state in zip(layer.weight, layer.shift, strict=True)
        ]
        terms = rows[f"slope_term{suffix}"] + rows[f"kl_term{suffix}"]
        np.testing.assert_allclose(terms, signed, rtol=1e-5, atol=1e-9)  # of seven digits each


@pytest.mark.parametrize("seed", range(12))
def test_what_is_proved_holds_on_both_splits(seed):
    made, other = problem(seed), problem(seed + 50, examples=25)
    network = tuned(made, seed)
    split = Split(other.features, other.labels)
    found = bounds_of(made.reference(), [(network, log_of(made, network))], split)
    proved = ["lemma31", "cor32", "two_point", "along_fine_tuning", *DIRECT, *ON_TEST]
    for name in proved:
        ratio = found[f"{name}_over_pd"].dropna()
        assert len(ratio)
        assert (ratio >= 1 - 1e-6).all(), name
