"""A training that was stopped goes on, and ends with the same bits as one that never was."""

import copy
from dataclasses import replace

import pytest
import torch
from small_data import blobs

from ap3.config.variants import Variant
from ap3.errors import UserError
from ap3.files.storage import load
from ap3.finetuning.head_scope import through_head
from ap3.finetuning.network_scope import through_network
from ap3.models.checkpoint import Checkpoint
from ap3.pruning.masks import prune_network
from ap3.pruning.pruned import read_unpruned
from ap3.training import resume
from ap3.training.baseline import train_baseline
from ap3.training.features import Features, write, write_views
from ap3.training.resume import Resume
from ap3.training.sgd import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(4, 20, 0.05, weight_decay=1e-3, augmentation="crop-flip")


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    monkeypatch.setenv(resume.SECONDS, "0")
    monkeypatch.setattr(resume, "_LARGEST_SHARE", float("inf"))


@pytest.fixture
def stop_after(monkeypatch):
    """Kills this training once it has gone through so many epochs."""

    original = Resume.keep

    def arm(epochs):
        def keep(self, epoch):
            original(self, epoch)
            keep.left -= 1
            if keep.left == 0:
                raise Killed

        keep.left = epochs
        monkeypatch.setattr(Resume, "keep", keep)

    return arm


def trained(path=None, key="", model="small_vgg", recipe=RECIPE, validation=0.25):
    options = {"validation": validation, "trial": 1, "seed": 0, "device": CPU}
    return train_baseline(blobs(), model, 16, recipe, **options, resume=Resume(path, key))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("model", ["small_alexnet", "small_resnet", "small_vit"])
@pytest.mark.parametrize(("validation", "epochs"), [(0.0, 1), (0.25, 3), (0.25, 4)])
def test_a_baseline_goes_on_with_the_same_bits(tmp_path, stop_after, model, validation, epochs):
    whole, history = trained(model=model, validation=validation)
    path = tmp_path / "b.resume.safetensors"
    stop_after(epochs)
    with pytest.raises(Killed):
        trained(path, "k", model, validation=validation)
    again, rows = trained(path, "k", model, validation=validation)
    assert same(whole.model, again.model)
    assert rows == history


def test_a_training_that_is_stopped_again_and_again_arrives(tmp_path, stop_after):
    whole, history = trained()
    path = tmp_path / "b.resume.safetensors"
    for _ in range(RECIPE.epochs):
        stop_after(1)
        with pytest.raises(Killed):
            trained(path, "k")
    again, rows = trained(path, "k")
    assert same(whole.model, again.model)
    assert rows == history


def pruned_layers(folder):
    checkpoint, _ = trained(model="small_vgg")
    checkpoint.save(folder / "c.safetensors")
    baseline = read_unpruned(folder / "c.safetensors")
    layers = [prune_network(baseline, Variant.parse(name)) for name in ("control", "lowest-0.5")]
    return checkpoint, baseline, layers


def assert_same_trajectories(some, others):
    for one, other in zip(some, others, strict=True):
        assert one.log == other.log
        assert one.depth == other.depth
        for name, layer in one.tuned.layers.items():
            assert (layer.weight == other.tuned.layers[name].weight).all()
            assert (layer.bias == other.tuned.layers[name].bias).all()


@pytest.mark.parametrize("epochs", [2, 4, 6])
def test_a_network_of_each_variant_goes_on_with_the_same_bits(tmp_path, stop_after, epochs):
    checkpoint, _, layers = pruned_layers(tmp_path)

    def run(*resumes):
        network = Checkpoint(copy.deepcopy(checkpoint.model), checkpoint.identity)
        return through_network(layers, network, blobs(), RECIPE, CPU, resumes)

    def files():
        return [Resume(tmp_path / f"{layer.variant}.r.safetensors", "k") for layer in layers]

    whole = run()
    stop_after(epochs)
    with pytest.raises(Killed):
        run(*files())
    assert_same_trajectories(whole, run(*files()))


def test_a_variant_that_is_done_is_not_trained_again(tmp_path, monkeypatch):
    checkpoint, _, layers = pruned_layers(tmp_path)

    def run():
        files = [Resume(tmp_path / f"{layer.variant}.r.safetensors", "k") for layer in layers]
        network = Checkpoint(copy.deepcopy(checkpoint.model), checkpoint.identity)
        return through_network(layers, network, blobs(), RECIPE, CPU, files)

    first = run()
    _, about = load(tmp_path / "control.r.safetensors")
    assert set(about["parts"]) == {"trajectory"}
    monkeypatch.setattr("ap3.training.sgd._step", None)
    assert_same_trajectories(first, run())


def test_all_heads_go_on_with_the_same_bits(tmp_path, stop_after):
    checkpoint, baseline, layers = pruned_layers(tmp_path)
    seen, views = tmp_path / "f.safetensors", tmp_path / "v.safetensors"
    write(seen, checkpoint, blobs(), CPU)
    write_views(views, checkpoint, blobs(), 2, "flip", CPU)
    features = Features.load(seen, views)

    def run(resume=None):
        return through_head(layers, baseline, features, RECIPE, CPU, resume)

    whole = run()
    path = tmp_path / "heads.resume.safetensors"
    stop_after(3)
    with pytest.raises(Killed):
        run(Resume(path, "k"))
    assert_same_trajectories(whole, run(Resume(path, "k")))


def test_what_was_written_for_something_else_is_not_used(tmp_path, stop_after, capsys):
    path = tmp_path / "b.resume.safetensors"
    stop_after(2)
    with pytest.raises(Killed):
        trained(path, "other", recipe=replace(RECIPE, learning_rate=0.01))
    whole, _ = trained()
    again, rows = trained(path, "k")
    assert same(whole.model, again.model)
    assert len(rows) == RECIPE.epochs
    printed = capsys.readouterr().err
    assert f"{path} is not used: it was written with other settings, inputs or code." in printed


def test_a_damaged_file_is_not_used(tmp_path, stop_after, capsys):
    path = tmp_path / "b.resume.safetensors"
    stop_after(2)
    with pytest.raises(Killed):
        trained(path, "k")
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    whole, _ = trained()
    assert same(whole.model, trained(path, "k")[0].model)
    assert "is not used" in capsys.readouterr().err


def test_a_full_disk_does_not_stop_a_training(tmp_path, monkeypatch, capsys):
    def fill_the_disk(arrays, partial, metadata):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ap3.files.storage.save_file", fill_the_disk)
    again, _ = trained(tmp_path / "b.resume.safetensors", "k")
    monkeypatch.undo()
    assert same(again.model, trained()[0].model)
    assert capsys.readouterr().err.count("without a file to go on from") == 1
    assert not list(tmp_path.iterdir())


def test_by_itself_a_short_training_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv(resume.SECONDS)
    trained(tmp_path / "b.resume.safetensors", "k")
    assert not list(tmp_path.iterdir())


def test_a_key_tells_what_decides_a_training(monkeypatch):
    assert resume.key_of(a=1, b=[2]) == resume.key_of(b=[2], a=1)
    assert resume.key_of(a=1) != resume.key_of(a=2)
    before = resume.key_of(a=1)
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert resume.key_of(a=1) != before


def test_a_pause_that_is_no_number_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv(resume.SECONDS, "soon")
    with pytest.raises(UserError, match="AP3_RESUME_SECONDS holds a number of seconds"):
        Resume(tmp_path / "resume.safetensors", "key")
