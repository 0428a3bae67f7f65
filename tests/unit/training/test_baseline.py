import errno
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_data import blobs

from ap3.errors import UserError
from ap3.files import storage
from ap3.models.checkpoint import Checkpoint
from ap3.models.preprocessing import View
from ap3.models.pretrained import Pretrained
from ap3.models.registry import build
from ap3.stages.baseline import baseline
from ap3.training.baseline import train_baseline
from ap3.training.evaluation import logits_of
from ap3.training.sgd import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=20, learning_rate=0.05)


def trained(data=None, model="small_resnet", size=16, recipe=RECIPE, **options):
    wanted = {"validation": 0.0, "trial": 1, "seed": 0, "device": CPU} | options
    return train_baseline(data or blobs(), model, size, recipe, **wanted)


def state_of(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in checkpoint.model.state_dict().items()}


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    first, second = state_of(one), state_of(other)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_network_learns_and_its_log_has_a_row_per_epoch():
    recipe = Recipe(epochs=8, batch_size=20, learning_rate=0.05)
    checkpoint, history = trained(recipe=recipe)
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2
    data = blobs()
    logits = logits_of(checkpoint.model, torch.from_numpy(data.test_images), View(16), CPU)
    assert (logits.argmax(1).numpy() == data.test_labels).all()


def test_the_same_names_give_the_same_bits_and_another_trial_others():
    assert equal(trained()[0], trained()[0])
    assert not equal(trained()[0], trained(trial=2)[0])
    assert not equal(trained()[0], trained(seed=1)[0])


def test_a_checkpoint_is_read_back_whole(tmp_path):
    checkpoint, _ = trained()
    checkpoint.save(tmp_path / "c.safetensors")
    back = Checkpoint.load(tmp_path / "c.safetensors", CPU)
    assert back.identity.view == checkpoint.identity.view == View(16)
    assert back.identity.head == "fc"
    assert equal(checkpoint, back)


def test_a_baseline_starts_from_pretrained_weights_and_sees_as_they_did(tmp_path):
    torch.manual_seed(5)
    source = build("small_resnet", 1000, 24)
    view = View(24, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    weights = Pretrained("Source.FIRST", source.state_dict(), view)
    still = Recipe(epochs=0, batch_size=20, learning_rate=0.05)

    checkpoint, _ = trained(size=None, recipe=still, pretrained=weights)
    state = state_of(checkpoint)
    assert checkpoint.identity.weights == "Source.FIRST"
    assert checkpoint.identity.view == view
    assert state["fc.weight"].shape == (2, 128)
    assert all(
        torch.equal(state[name], tensor)
        for name, tensor in source.state_dict().items()
        if not name.startswith("fc.")
    )
    checkpoint.save(tmp_path / "c.safetensors")
    assert Checkpoint.load(tmp_path / "c.safetensors", CPU).identity == checkpoint.identity

    smaller, _ = trained(size=16, recipe=still, pretrained=weights)
    assert smaller.identity.view == replace(view, size=16)


def test_a_checkpoint_serves_as_weights_of_the_next(tmp_path):
    first, _ = trained(size=24)
    first.save(tmp_path / "first.safetensors")
    weights = Pretrained.load(tmp_path / "first.safetensors")
    assert weights.view == View(24)
    still = Recipe(epochs=0, batch_size=20, learning_rate=0.05)
    assert equal(first, trained(size=None, recipe=still, pretrained=weights, trial=2)[0])


def test_without_weights_the_input_size_must_be_given(tmp_path):
    with pytest.raises(UserError, match="the input size of small_vgg is not known"):
        trained(model="small_vgg", size=None)


def test_a_training_that_diverges_is_stopped():
    with pytest.raises(UserError, match="lower the learning rate, which is 1e\\+20"):
        trained(recipe=Recipe(epochs=3, batch_size=20, learning_rate=1e20))


def test_the_stage_writes_checkpoint_and_history(tmp_path):
    blobs().save(tmp_path / "data.safetensors")
    source = build("small_vgg", 5, 16)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    baseline(
        data=tmp_path / "data.safetensors",
        model="small_vgg",
        checkpoint=tmp_path / "c.safetensors",
        history=tmp_path / "h.csv",
        image_size=16,
        weights=tmp_path / "w.pth",
        epochs=1,
        batch_size=20,
        learning_rate=0.01,
        validation=0.25,
        device="cpu",
    )
    assert Checkpoint.load(tmp_path / "c.safetensors", CPU).identity.weights == "w.pth"
    header, *rows = (tmp_path / "h.csv").read_text(encoding="utf-8").splitlines()
    assert "validation_accuracy" in header
    assert len(rows) == 1


def test_a_full_disk_leaves_no_half_checkpoint_and_spares_the_finished_one(tmp_path, monkeypatch):
    checkpoint, _ = trained()
    path = tmp_path / "c.safetensors"
    checkpoint.save(path)
    finished = path.read_bytes()

    def fill_the_disk(arrays, partial, metadata):
        partial.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "save_file", fill_the_disk)
    with pytest.raises(UserError, match=r"c.safetensors could not be written .*No space left"):
        checkpoint.save(path)
    assert path.read_bytes() == finished
    assert list(tmp_path.iterdir()) == [path]


def test_grey_images_are_seen_in_three_equal_channels():
    grey = blobs()
    grey = replace(
        grey,
        train_images=np.ascontiguousarray(grey.train_images[:, :1]),
        test_images=np.ascontiguousarray(grey.test_images[:, :1]),
    )
    checkpoint, _ = trained(grey)
    assert checkpoint.model.stem[0].in_channels == 3
