"""Every stage of a study as a plain function of paths, one after the other, without Snakemake."""

import resource
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from pypdf import PdfReader
from small_data import blobs

from ap3.errors import UserError
from ap3.measuring import catalogue
from ap3.measuring.sampling_noise import Noise
from ap3.pruning.pruned import Pruned, read_unpruned
from ap3.stages.agreement import agreement
from ap3.stages.baseline import baseline
from ap3.stages.bounds import bounds
from ap3.stages.covariance import covariance
from ap3.stages.data import data as decode
from ap3.stages.draws import draws
from ap3.stages.features import features
from ap3.stages.figure import figure
from ap3.stages.finetune import finetune
from ap3.stages.measure import measure
from ap3.stages.prune import prune
from ap3.stages.subset import subset
from ap3.stages.tables import tables
from ap3.stages.theory import theory
from ap3.stages.within import within
from ap3.training.features import Features

VARIANTS = ["control", "highest-0.5", "lowest-0.5", "random-0.5"]
CRITERIA = ["obd-0.5", "obs-0.5", "snip-0.5", "wanda-0.5", "per_class-0.5"]
EPOCHS = 2
LEARNING = {"batch_size": 20, "learning_rate": 0.05, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run the stages up to the measures, for two trials."""
    folder = tmp_path_factory.mktemp("stages")
    blobs().save(folder / "data.safetensors")
    for trial in (1, 2):
        _measured(folder / f"trial{trial}", folder / "data.safetensors", trial)
    return folder


def _measured(run, data, trial):
    checkpoint, seen = run / "baseline.safetensors", run / "features.safetensors"
    names = {"model": "small_resnet", "image_size": 16, "trial": trial}
    baseline(
        data, checkpoint=checkpoint, history=run / "baseline.csv", epochs=4, **names, **LEARNING
    )
    features(data, checkpoint, seen, device="cpu")
    prune([",".join(VARIANTS[:2]), *VARIANTS[2:]], checkpoint, run / "pruned.safetensors")
    finetune(
        run / "pruned.safetensors",
        checkpoint,
        run / "finetuned.safetensors",
        EPOCHS,
        features=seen,
        **LEARNING,
    )
    covariance(checkpoint, run / "covariance.safetensors")
    measure(*known(run), run / "measures.csv", monte_carlo=100)
    bounds(*known(run), run / "bounds.csv")
    recipe = {"epochs": EPOCHS, "masks": 5, **LEARNING}
    draws([",".join(VARIANTS), *CRITERIA], *known(run)[1:], run / "draws.csv", **recipe)


def tuned(run):
    return run / "finetuned.safetensors"


def known(run):
    inputs = [run / f"{name}.safetensors" for name in ("baseline", "features", "covariance")]
    return (tuned(run), *inputs)


def of_trials(folder, name):
    return [folder / f"trial{trial}" / name for trial in (1, 2)]


def test_the_features_are_those_of_every_image(folder):
    seen = Features.load(folder / "trial1/features.safetensors")
    assert {name: len(split.labels) for name, split in seen.splits.items()} == {
        "train": 40,
        "test": 20,
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_what_was_pruned_is_zero_at_every_epoch(folder, name):
    run = folder / "trial1"
    (before,) = read_unpruned(run / "baseline.safetensors").layers.values()
    (after,) = Pruned(tuned(run))[name].layers.values()
    kept = after.mask
    assert after.weight.shape == (EPOCHS + 1, *before.weight.shape)
    assert (~kept).sum() == (0 if name == "control" else kept.size // 2)
    assert not after.weight[:, ~kept].any()
    np.testing.assert_array_equal(after.weight[0][kept], before.weight[kept])


def test_ap2_is_the_squared_distance_to_the_baseline(folder):
    run = folder / "trial2"
    (whole,) = read_unpruned(run / "baseline.safetensors").layers.values()
    before = whole.weight.astype(float)
    measured = pd.read_csv(run / "measures.csv")
    for name, network in Pruned(tuned(run)).items():
        (layer,) = network.layers.values()
        after = layer.weight.astype(float)
        rows = measured[measured["mode"] == name.partition("-")[0]].sort_values("epoch")
        expected = np.square(after - before).sum(axis=(1, 2))
        np.testing.assert_allclose(rows["ap2"], expected, rtol=1e-12)


def test_the_log_starts_before_fine_tuning(folder):
    log = pd.read_csv(folder / "trial1/finetuned.csv")
    assert list(log["epoch"]) == [0, 1, 2] * len(VARIANTS)
    log = log[log["mode"] == "control"]
    assert (log.loc[0, ["train_pd_loss", "test_pd_loss", "test_pd_accuracy"]] == 0).all()


def test_the_tables_gather_every_trial_variant_and_epoch(folder):
    tables(of_trials(folder, "measures.csv"), folder / "tables")
    gathered = pd.read_csv(folder / "tables/measures.csv")
    parts = pd.concat([pd.read_csv(path) for path in of_trials(folder, "measures.csv")])
    assert len(gathered) == 2 * len(VARIANTS) * (EPOCHS + 1)
    assert gathered["ap3_student_t"].sum() == pytest.approx(parts["ap3_student_t"].sum(), rel=1e-12)


def test_the_bounds_are_held_against_every_variant(folder):
    theory(of_trials(folder, "bounds.csv"), folder / "tables", folder / "bounds.pdf")
    held = pd.read_csv(folder / "tables/bounds.csv")
    assert set(held["trial"]) == {1, 2}
    assert len(PdfReader(folder / "bounds.pdf").pages) == 1


def test_the_agreement_counts_pairs(folder):
    agreement(of_trials(folder, "measures.csv"), folder / "tables", folder / "agreement.pdf")
    counted = pd.read_csv(folder / "tables/agreement.csv")
    assert counted["tau_b"].dropna().between(-1, 1).all()
    assert len(PdfReader(folder / "agreement.pdf").pages) == 1


def test_a_figure_is_drawn_from_the_tables(folder):
    figure("fig03", folder / "fig03.pdf", of_trials(folder, "measures.csv"))
    text = PdfReader(folder / "fig03.pdf").pages[0].extract_text()
    assert "AP2" in text
    assert "PD test" in text
    assert "one trial" in text


def test_random_masks_are_measured_at_the_ends_as_a_whole_study_measures_them(folder):
    """What `draws` says of a variant is what `prune`, `finetune` and `measure` say of it."""
    drawn = pd.read_csv(folder / "trial1/draws.csv")
    names = drawn["mode"].drop_duplicates().tolist()
    assert names[-5:] == [f"random.{number}" for number in range(1, 6)]
    assert len(drawn) == 2 * (len(VARIANTS) + len(CRITERIA) + 5)
    assert set(drawn["epoch"]) == {0, EPOCHS}
    assert drawn.loc[drawn["mode"].str.startswith("random."), "ap2"].nunique() > 5
    whole = pd.read_csv(folder / "trial1/measures.csv")
    both = drawn.merge(whole, on=["mode", "ratio", "epoch"], suffixes=("", "_whole"))
    assert len(both) == 2 * len(VARIANTS)
    for column in drawn.select_dtypes("number").columns.drop(["ratio", "epoch"]):
        np.testing.assert_allclose(both[column], both[f"{column}_whole"], rtol=1e-12, atol=1e-15)


def test_the_noise_of_drawn_masks_knows_them_all(folder):
    noise = Noise.load(folder / "trial2/draws.safetensors")
    count = len(VARIANTS) + len(CRITERIA) + 5
    assert {one.shape for one in noise.covariance.values()} == {(2, count, count)}


def test_what_measures_say_among_masks_of_one_ratio(folder):
    within(of_trials(folder, "draws.csv"), folder / "tables", folder / "within.pdf")
    table = pd.read_csv(folder / "tables/within.csv", keep_default_na=False, na_values=[""])
    assert set(table["among"].dropna()) == {"masks", "all"}
    assert set(catalogue.SEES) - set(table["measure"]) == set()
    before = table[(table["epoch"] == 0) & (table["among"] == "masks")]
    assert before.loc[before["measure"] == "ap2", "rho"].dropna().between(-1, 1).all()
    text = PdfReader(folder / "within.pdf").pages[0].extract_text()
    assert "signed PD" in text
    assert "KL of predictions" in text


# Inputs that do not go together


def test_features_of_another_data_set_are_refused(folder, tmp_path):
    blobs(classes=4).save(tmp_path / "other.safetensors")
    checkpoint = folder / "trial1/baseline.safetensors"
    with pytest.raises(UserError, match=r"on blobs .2 classes., but the data is blobs .4 classes"):
        features(tmp_path / "other.safetensors", checkpoint, tmp_path / "f.safetensors")
    with pytest.raises(UserError, match="give the data set of the checkpoint"):
        tune(folder, data=tmp_path / "other.safetensors")
    assert not (tmp_path / "f.safetensors").exists()


@pytest.mark.parametrize("options", [{"classes": 4}, {"size": 24, "model": "small_vit"}])
def test_features_that_the_layer_does_not_see_are_refused(folder, tmp_path, options):
    model = options.pop("model", "small_resnet")
    blobs(**options).save(tmp_path / "data.safetensors")
    checkpoint = tmp_path / "b.safetensors"
    size = {"epochs": 0, "image_size": 24}
    baseline(
        tmp_path / "data.safetensors", model, checkpoint, tmp_path / "b.csv", **size, **LEARNING
    )
    features(tmp_path / "data.safetensors", checkpoint, tmp_path / "f.safetensors", device="cpu")
    with pytest.raises(UserError, match="tells 2 classes, but the features are of"):
        tune(folder, features=tmp_path / "f.safetensors")


def refuse_all(refusal, run, checkpoint, seen, rotation, out):
    """Have the layers of a run refused by every stage that reads them beside a checkpoint."""
    for stage in (measure, bounds):
        with pytest.raises(UserError, match=refusal):
            stage(tuned(run), checkpoint, seen, rotation, out / "out.csv")
    pruned, made = run / "pruned.safetensors", out / "finetuned.safetensors"
    with pytest.raises(UserError, match=refusal):
        finetune(pruned, checkpoint, made, 1, features=seen, **LEARNING)
    assert not (out / "out.csv").exists()
    assert not made.exists()


def test_layers_of_another_baseline_are_refused(folder, tmp_path):
    refusal = (
        "was pruned from blobs small_resnet trial 1 .* checkpoint is blobs small_resnet trial 2"
    )
    refuse_all(refusal, folder / "trial1", *known(folder / "trial2")[1:], tmp_path)
    assert not list(tmp_path.iterdir())


def test_features_of_another_training_are_refused(folder, tmp_path):
    one, other = folder / "trial1", folder / "trial2/features.safetensors"
    _, checkpoint, _, rotation = known(one)
    refusal = "another network or training than the checkpoint"
    refuse_all(refusal, one, checkpoint, other, rotation, tmp_path)
    with pytest.raises(UserError, match=refusal):
        prune(["obd-0.3"], checkpoint, tmp_path / "p.safetensors", features=other)
    assert not list(tmp_path.iterdir())


def test_another_training_of_the_same_name_is_refused(folder, tmp_path):
    again = {"model": "small_resnet", "image_size": 16, "epochs": 0} | LEARNING
    checkpoint, seen = tmp_path / "b.safetensors", tmp_path / "f.safetensors"
    baseline(
        folder / "data.safetensors", checkpoint=checkpoint, history=tmp_path / "b.csv", **again
    )
    features(folder / "data.safetensors", checkpoint, seen, device="cpu")
    refusal = "was pruned from another training of blobs small_resnet trial 1 than the checkpoint"
    one = folder / "trial1"
    refuse_all(refusal, one, checkpoint, seen, known(one)[3], tmp_path)


def test_layers_that_were_not_fine_tuned_are_told_from_those_that_were(folder, tmp_path):
    trial = folder / "trial1"
    for stage in (measure, bounds):
        with pytest.raises(UserError, match=r"no log of fine-tuning .* give what ap3 finetune"):
            stage(trial / "pruned.safetensors", *known(trial)[1:], tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", [tables, lambda *given: agreement(*given, given[1] / "a.pdf")])
def test_a_table_of_another_kind_is_refused(folder, tmp_path, stage):
    with pytest.raises(UserError, match=r"bounds.csv lacks the columns .* make it again"):
        stage([folder / "trial1/bounds.csv"], tmp_path)
    assert not list(tmp_path.iterdir())


# A disk without room


def train(folder):
    run = folder / "trial1"
    outputs = {"checkpoint": run / "baseline.safetensors", "history": run / "baseline.csv"}
    names = {"model": "small_resnet", "image_size": 16, "epochs": 1}
    baseline(folder / "data.safetensors", **outputs, **names, **LEARNING)


def tune(folder, **what):
    run = folder / "trial1"
    pruned, out = run / "pruned.safetensors", run / "finetuned.safetensors"
    finetune(pruned, run / "baseline.safetensors", out, 1, **what, **LEARNING)


WRITERS = {
    "data": lambda folder: decode("digits", folder / "digits.safetensors"),
    "subset": lambda folder: subset(
        folder / "data.safetensors", 20, folder / "data.20.safetensors"
    ),
    "baseline": train,
    "features": lambda folder: features(
        folder / "data.safetensors",
        folder / "trial1/baseline.safetensors",
        folder / "trial1/features.safetensors",
        device="cpu",
    ),
    "prune": lambda folder: prune(
        VARIANTS, folder / "trial1/baseline.safetensors", folder / "trial1/pruned.safetensors"
    ),
    "finetune": lambda folder: tune(folder, features=folder / "trial1/features.safetensors"),
    "finetune all": lambda folder: tune(folder, data=folder / "data.safetensors"),
    "covariance": lambda folder: covariance(
        folder / "trial1/baseline.safetensors", folder / "trial1/covariance.safetensors"
    ),
    "measure": lambda folder: measure(*known(folder / "trial1"), folder / "trial1/measures.csv"),
    "bounds": lambda folder: bounds(*known(folder / "trial1"), folder / "trial1/bounds.csv"),
    "tables": lambda folder: tables(of_trials(folder, "measures.csv"), folder / "tables"),
    "theory": lambda folder: theory(
        of_trials(folder, "bounds.csv"), folder / "tables", folder / "bounds.pdf"
    ),
    "agreement": lambda folder: agreement(
        of_trials(folder, "measures.csv"), folder / "tables", folder / "agreement.pdf"
    ),
    "figure": lambda folder: figure(
        "fig03", folder / "fig03.pdf", of_trials(folder, "measures.csv")
    ),
}


@contextmanager
def no_file_beyond(size):
    """Let the system refuse to make any file longer, as it does where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_gets_one_sentence_and_spares_what_was_finished(folder, writer, capsys):
    before = contents(folder)
    with no_file_beyond(100), pytest.raises(UserError) as refusal:
        WRITERS[writer](folder)
    assert "could not be written" in str(refusal.value)
    assert "File too large" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert contents(folder) == before
