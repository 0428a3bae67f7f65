"""The stages of a study over any layers, one after the other, as plain functions of paths."""

import shutil

import numpy as np
import pandas as pd
import pytest
from small_data import blobs

from ap3.errors import UserError
from ap3.measuring.network_variants import Evaluator
from ap3.pruning import allocated
from ap3.pruning.pruned import Origin
from ap3.stages.allocations import allocations
from ap3.stages.baseline import baseline
from ap3.stages.evaluate import _code, evaluate
from ap3.stages.ranking import ranking
from ap3.study import code_digest
from ap3.training.outcomes import BASELINE, read_outcomes, write_outcomes

ORIGIN = Origin("blobs", "small_resnet", 1, 0)
LEARNING = {"batch_size": 20, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    blobs(classes=3).save(folder / "data.safetensors")
    baseline(
        folder / "data.safetensors",
        checkpoint=folder / "baseline.safetensors",
        history=folder / "baseline.csv",
        model="small_resnet",
        image_size=16,
        trial=1,
        epochs=2,
        device="cpu",
        **LEARNING,
    )
    allocations(
        folder / "baseline.safetensors",
        folder / "allocations.csv",
        ["lowest"],
        ["0.2,0.4"],
        ["stem.0", "layer1.*,fc"],
        "random:9",
        ["0.3", "0.6"],
    )
    evaluate(
        folder / "allocations.csv",
        folder / "baseline.safetensors",
        folder / "data.safetensors",
        folder / "evaluated.csv",
        batch_norm="both",
        groups=10,
        examples=30,
        device="cpu",
    )
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    return pd.read_csv(folder / "evaluated.csv")


def test_every_variant_is_measured_with_either_statistics(folder, rows):
    variants = allocated.read(folder / "allocations.csv", ORIGIN)
    assert len(variants) == 1 + 6 * 2 + 2 * 9
    assert len(rows) == 2 * len(variants)
    assert set(rows["batch_norm"]) == {"kept", "estimated"}
    measured = rows.drop(columns=["kl_single_layers", "ap3_calibrated"])
    assert not measured.isna().any().any()


def test_the_pd_is_the_slope_and_the_predictive_law(rows):
    for split in ("train", "test"):
        identity = rows[f"{split}_slope"] + rows[f"{split}_kl"]
        np.testing.assert_allclose(identity, rows[f"{split}_pd_loss_signed"], atol=1e-6)
    assert rows["train_examples"].unique().tolist() == [30]
    np.testing.assert_allclose(rows["train_kl"], rows["kl_predictions"], rtol=1e-12)


def test_the_network_is_the_sum_of_its_layers(folder, rows):
    layers = pd.read_csv(folder / "evaluated.layers.csv")
    keys = ["mode", "ratio", "allocation"]
    one = rows[rows["batch_norm"] == "kept"].set_index(keys)
    summed = ["ap2", "ap3_gaussian", "ap3_student_t", "ap3_gauss_newton_diagonal", "pruned"]
    sums = layers.groupby(keys)[summed].sum()
    for column in sums:
        np.testing.assert_allclose(one.loc[sums.index, column], sums[column], rtol=1e-12)
    joint = one[one.index.get_level_values("allocation").str.startswith("random")]
    np.testing.assert_allclose(
        joint["pruned"] / joint["weights"], joint.index.get_level_values("ratio"), atol=1e-3
    )


def test_the_control_is_the_baseline(rows):
    control = rows[(rows["mode"] == "control") & (rows["batch_norm"] == "kept")].iloc[0]
    nothing = ["ap2", "ap3_gaussian", "ap3_gauss_newton", "ap3_calibrated", "test_pd_loss", "flips"]
    assert (control[nothing] == 0).all()


def test_a_layer_alone_calibrates_its_law(folder, rows):
    single = pd.read_csv(folder / "evaluated.single.csv")
    assert list(single["layer"].unique()) == list(single.sort_values("depth")["layer"].unique())
    at = single[single["ratio"] == 0.6]  # the middle of two is the upper
    expected = at["kl_predictions"] / at["ap3_gaussian"]
    np.testing.assert_allclose(at["calibration"], expected, rtol=1e-12)
    np.testing.assert_allclose(at["ap3_calibrated"], at["kl_predictions"], rtol=1e-12)
    np.testing.assert_allclose(at["kl_single_layers"], at["kl_predictions"], rtol=1e-12)
    layers = pd.read_csv(folder / "evaluated.layers.csv")
    some = layers[layers["allocation"] == "random 3"]
    factors = at[at["batch_norm"] == "kept"].set_index("layer")["calibration"]
    ratio = some["ratio"].iloc[0]
    some = some[some["ratio"] == ratio]
    row = rows[
        (rows["allocation"] == "random 3")
        & (rows["batch_norm"] == "kept")
        & (rows["ratio"] == ratio)
    ]
    total = (some["layer"].map(factors) * some["ap3_gaussian"]).sum()
    np.testing.assert_allclose(row["ap3_calibrated"], total, rtol=1e-12)


def test_masks_are_held_in_fine_tuning(folder, tmp_path):
    allocations(
        folder / "baseline.safetensors",
        tmp_path / "some.csv",
        ["lowest"],
        ["0.5"],
        ["all"],
        "global",
    )
    evaluate(
        tmp_path / "some.csv",
        folder / "baseline.safetensors",
        folder / "data.safetensors",
        tmp_path / "tuned.csv",
        epochs=2,
        groups=10,
        device="cpu",
        **LEARNING,
    )
    rows = pd.read_csv(tmp_path / "tuned.csv")
    assert rows["epoch"].tolist() == [0, 2, 0, 2]
    assert rows["batch_norm"].tolist() == ["kept", "tuned"] * 2
    shot, tuned = rows.iloc[2], rows.iloc[3]
    assert shot["pruned"] == tuned["pruned"] == round(0.5 * shot["weights"])
    # What is held at zero is as far from the baseline as before, and the rest moves besides.
    assert tuned["ap2"] > shot["ap2"]
    identity = tuned["test_slope"] + tuned["test_kl"]
    assert identity == pytest.approx(tuned["test_pd_loss_signed"], abs=1e-6)


def test_tables_and_figures_are_made(folder, tmp_path):
    ranking([folder / "evaluated.csv"], tmp_path / "tables", tmp_path / "figures")
    made = {path.name for path in tmp_path.rglob("*.*")}
    tables = ["variants", "sensitivity", "ranking", "ranking_summary"]
    tables += ["additivity_summary", "size_summary"]
    figures = [
        f"{name}.{kind}" for name in ("sensitivity", "prediction") for kind in ("pdf", "png")
    ]
    assert made == {f"{name}.csv" for name in tables} | set(figures)
    ranked = pd.read_csv(tmp_path / "tables/ranking.csv")
    assert set(ranked["among"]) == {"all", "within ratios", "ratio 0.2", "ratio 0.4"}
    mine = ranked[ranked["measure"] == "ap2"]
    assert (mine["gain"].dropna() == 0).all()
    most = ranked[ranked["measure"] == "ceiling"]
    assert set(most["pd"]) == {pd for pd in ranked["pd"] if pd.startswith("test")}
    assert most["rho"].dropna().between(0, 1).all()
    assert most["gain"].notna().any()
    loss = most[(most["pd"] == "test_pd_loss") & (most["among"] == "all")]["rho"]
    assert (loss > 0.8).all()


def test_what_does_not_fit_is_refused(folder, tmp_path):
    given = folder / "baseline.safetensors", tmp_path / "never.csv"
    with pytest.raises(UserError, match="'conv' of the layers to prune matches none"):
        allocations(*given, ["lowest"], ["0.5"], ["conv"])
    with pytest.raises(UserError, match=r"layer stem\.0: n:4 prunes among 4 neighbours"):
        allocations(*given, ["n:4"], ["0.5"])
    with pytest.raises(UserError, match="the allocation is 'some'"):
        allocations(*given, ["lowest"], ["0.5"], ["all"], "some")
    with pytest.raises(UserError, match=r"the pruning ratio is 1\.5, but must lie between 0 and 1"):
        allocations(*given, ["lowest"], ["0.5,1.5"])
    with pytest.raises(UserError, match=r"--alone must be numbers such as .* but is 'x'"):
        allocations(*given, ["lowest"], ["0.5"], alone=["x"])
    with pytest.raises(UserError, match="batch_norm is 'new'"):
        evaluate(folder / "allocations.csv", given[0], folder / "data.safetensors", given[1], "new")
    assert not given[1].exists()


def test_a_job_that_was_killed_goes_on_with_the_same_bits(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AP3_RESUME_SECONDS", "0")
    given = {"batch_norm": "both", "groups": 10, "examples": 30, "device": "cpu"}
    inputs = [folder / f"{name}.safetensors" for name in ("baseline", "data")]
    put, count = Evaluator._put, iter(range(100))

    def dying(evaluator, variant):
        if next(count) == 10:
            raise KeyboardInterrupt
        return put(evaluator, variant)

    monkeypatch.setattr(Evaluator, "_put", dying)
    with pytest.raises(KeyboardInterrupt):
        evaluate(folder / "allocations.csv", *inputs, tmp_path / "evaluated.csv", **given)
    monkeypatch.setattr(Evaluator, "_put", put)
    evaluate(folder / "allocations.csv", *inputs, tmp_path / "evaluated.csv", **given)
    assert "going on after variant" in capsys.readouterr().err
    for name in ("evaluated.csv", "evaluated.layers.csv", "evaluated.outcomes.safetensors"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_one_more_ratio_measures_its_own_variants_and_no_other(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("AP3_RESUME_SECONDS", "0")
    put, measured = Evaluator._put, []

    def counting(evaluator, variant):
        measured.append(str(variant))
        return put(evaluator, variant)

    monkeypatch.setattr(Evaluator, "_put", counting)
    given = {"batch_norm": "both", "groups": 10, "examples": 30, "device": "cpu"}
    inputs = [folder / f"{name}.safetensors" for name in ("baseline", "data")]
    some = tmp_path / "some.csv"
    layers = ["stem.0", "layer1.*", "fc"]
    allocations(inputs[0], some, ["lowest"], ["0.2"], layers, "random:9", ["0.3,0.6"])
    evaluate(some, *inputs, tmp_path / "evaluated.csv", **given)
    first = len(measured)
    evaluate(folder / "allocations.csv", *inputs, tmp_path / "evaluated.csv", **given)
    assert measured[first:] == [f"lowest-0.4 random {number}" for number in range(1, 10)]
    for name in ("evaluated.csv", "evaluated.layers.csv", "evaluated.outcomes.safetensors"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
    evaluate(some, *inputs, tmp_path / "evaluated.csv", **(given | {"examples": 20}))
    assert len(measured) == first + 9 + first  # measured on other images


def test_outcomes_of_other_variants_are_refused(folder, tmp_path):
    for path in folder.glob("evaluated.*"):
        shutil.copy(path, tmp_path)
    kept = read_outcomes(tmp_path / "evaluated.outcomes.safetensors")
    del kept[BASELINE]
    write_outcomes(tmp_path / "evaluated.outcomes.safetensors", kept)
    with pytest.raises(UserError, match="outcomes of the test images lack those of 'baseline'"):
        ranking([tmp_path / "evaluated.csv"], tmp_path / "tables", tmp_path / "figures")


def test_an_edited_law_or_criterion_of_the_users_own_takes_up_nothing_kept(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = set()
    for scale in (1, 3):
        (tmp_path / "own_kept.py").write_text(f"SCALE = {scale}\n", encoding="utf-8")
        for remembered in vars(code_digest).values():
            if hasattr(remembered, "cache_clear"):
                remembered.cache_clear()
        found.add(_code({"lowest", "own_kept:law"}))
    assert len(found) == 2
    assert _code({"lowest"}) not in found
