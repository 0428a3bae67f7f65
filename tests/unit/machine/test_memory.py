"""A card with too little memory, played by networks that refuse more than so many images."""

import re

import numpy as np
import pytest
import torch
from small_data import blobs
from torch import nn

from ap3.config.variants import Variant
from ap3.errors import UserError
from ap3.finetuning.head_scope import through_head
from ap3.finetuning.heads import Heads
from ap3.machine.memory import Pieces
from ap3.models.preprocessing import View
from ap3.pruning.masks import prune_network
from ap3.pruning.pruned import read_unpruned
from ap3.training.baseline import train_baseline
from ap3.training.evaluation import logits_of
from ap3.training.features import Features, write
from ap3.training.sgd import Recipe, train

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=20, learning_rate=0.05, weight_decay=1e-3)


class Small(nn.Module):
    """Fits only so many images at a time."""

    def __init__(self, room: int, width: int = 4) -> None:
        super().__init__()
        self.room, self.seen = room, []
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, width), nn.ReLU())
        self.head = nn.Linear(width, 2)

    def forward(self, pixels):
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        if self.training:
            self.seen.append(len(pixels))
        return self.head(self.layers(pixels))


def trained(room):
    torch.manual_seed(0)
    model, data = Small(room), blobs()
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    generator = torch.Generator().manual_seed(1)
    epochs = list(train(model.double(), images, labels, Double(16), RECIPE, generator))
    return model, epochs


class Double(View):
    def _normalise(self, pixels):
        return super()._normalise(pixels).double()


@pytest.mark.parametrize("room", [10, 7, 5, 3])
def test_pieces_descend_as_the_whole_batch_does(room, capsys):
    (whole, epochs), (cut, cut_epochs) = trained(20), trained(room)
    assert max(cut.seen) <= room
    for one, other in zip(whole.parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    for one, other in zip(epochs, cut_epochs, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-6)
        assert one.train_accuracy == other.train_accuracy
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "every 20 images are computed in" in said[0]


@pytest.mark.parametrize("words", ["CUDA out of memory.", "CUDNN_STATUS_ALLOC_FAILED"])
def test_memory_that_runs_out_in_the_backward_pass_is_survived(words):
    """The gradients that are there by then do not count."""

    def fail(gradient):
        if len(gradient) > 5:
            raise RuntimeError(words)

    def listen(module, given, outputs):
        outputs.register_hook(fail)

    torch.manual_seed(0)
    model, data = Small(1000).double(), blobs()
    model.layers[1].register_forward_hook(lambda *given: listen(*given) if model.training else None)
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    draws = torch.Generator().manual_seed(1)
    list(train(model, images, labels, Double(16), RECIPE, draws))
    whole, _ = trained(1000)
    for one, other in zip(whole.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_other_errors_are_not_taken_for_too_little_memory():
    def run(count):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        Pieces("here").fit(run, 16)


def test_where_two_images_are_too_many_it_is_given_up_in_a_sentence():
    with pytest.raises(UserError, match="too small in training") as refusal:
        trained(1)
    assert "choose a smaller image_size or network, or device: cpu." in str(refusal.value)


def test_an_evaluation_in_pieces_gives_the_same_outputs(capsys):
    torch.manual_seed(0)
    model, images = Small(1000), torch.from_numpy(blobs().train_images)
    whole = logits_of(model, images, View(16), CPU)
    model.room = 11
    torch.testing.assert_close(whole, logits_of(model, images, View(16), CPU))
    assert capsys.readouterr().err.count("in evaluation, every 40 images") == 1


@pytest.fixture
def heads(tmp_path):
    """Tunes two variants of a last layer on a card with room for so many examples at a time."""
    options = {"validation": 0.0, "trial": 1, "seed": 0, "device": CPU}
    checkpoint, _ = train_baseline(blobs(), "small_vgg", 16, RECIPE, **options)
    checkpoint.save(tmp_path / "c.safetensors")
    write(tmp_path / "f.safetensors", checkpoint, blobs(), CPU)
    baseline = read_unpruned(tmp_path / "c.safetensors")
    layers = [prune_network(baseline, Variant.parse(name)) for name in ("control", "lowest-0.5")]
    features, logits = Features.load(tmp_path / "f.safetensors"), Heads.logits

    def tune(monkeypatch, room):
        def small(heads, seen):
            if len(seen) > room:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return logits(heads, seen)

        monkeypatch.setattr(Heads, "logits", small)
        return through_head(layers, baseline, features, RECIPE, CPU)

    return tune


@pytest.mark.parametrize("room", [10, 7, 3])
def test_all_heads_are_tuned_and_evaluated_in_pieces(heads, monkeypatch, capsys, room):
    whole = heads(monkeypatch, 1000)
    assert "memory is short" not in capsys.readouterr().err
    for one, other in zip(whole, heads(monkeypatch, room), strict=True):
        weights = [tuned.layers[tuned.only_layer].weight for tuned in (one.tuned, other.tuned)]
        np.testing.assert_allclose(*weights, rtol=1e-4, atol=1e-6)
        assert [row["test_accuracy"] for row in one.log] == [
            row["test_accuracy"] for row in other.log
        ]
    said = re.findall("memory is short: (.*), every", capsys.readouterr().err)
    assert said == ["in evaluating the last layers", "in fine-tuning the last layers"]


def test_heads_that_do_not_fit_by_twos_are_given_up_in_a_sentence(heads, monkeypatch):
    with pytest.raises(UserError, match=r"in evaluating the last layers, even with [23] "):
        heads(monkeypatch, 1)


def test_memory_that_runs_out_again_cuts_further():
    pieces = Pieces("here")
    room = [16, 8, 4]

    def run(count):
        if 16 // count > room[0]:
            raise torch.OutOfMemoryError
        return count

    assert pieces.fit(run, 16) == 1
    room[0] = 4
    assert pieces.fit(run, 16) == 4
    assert pieces.fit(run, 16) == 4


def test_one_piece_is_the_plain_step_to_the_bit(monkeypatch):
    """The gradient of a batch in one piece is its own mean's, whatever share it is multiplied by."""
    options = {"validation": 0.0, "trial": 1, "seed": 0, "device": CPU}
    recipe = Recipe(1, 20, 0.05)
    cut, _ = train_baseline(blobs(), "small_resnet", 16, recipe, **options)

    def plain(model, optimizer, pixels, labels, pieces):
        logits = model(pixels)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return torch.stack([loss.detach() * len(labels), (logits.argmax(1) == labels).sum()])

    monkeypatch.setattr("ap3.training.sgd._step", plain)
    whole, _ = train_baseline(blobs(), "small_resnet", 16, recipe, **options)
    for one, other in zip(cut.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)
