"""Sec. 5.1's protocol: the schedule, and which epoch's parameters are the best."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_data import blobs
from torch import nn

from ap3.config.seeds import derive
from ap3.errors import UserError
from ap3.models.preprocessing import View
from ap3.training import baseline
from ap3.training.baseline import split, train_baseline
from ap3.training.sgd import Epoch, Recipe, optimise

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.1)


def trained(data, validation=0.25, recipe=RECIPE):
    return train_baseline(data, "small_vgg", 16, recipe, validation, 1, 0, CPU)


def test_the_learning_rate_falls_along_half_a_cosine():
    _, history = trained(blobs(), validation=0.0)
    expected = [0.1 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert [row["learning_rate"] for row in history] == pytest.approx(expected, rel=1e-12)


def test_the_optimiser_is_sgd_with_momentum():
    recipe = Recipe(3, 8, learning_rate=0.1, momentum=0.9, weight_decay=0.01)
    weight = torch.tensor([2.0], requires_grad=True)
    optimizer, _ = optimise([weight], recipe)
    velocity, by_hand = 0.0, 2.0
    for gradient in (1.0, -0.5):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        velocity = 0.9 * velocity + gradient + 0.01 * by_hand
        by_hand -= 0.1 * velocity
        assert weight.item() == pytest.approx(by_hand, rel=1e-6)


# "The best parameters of each trial"


def test_the_test_split_never_influences_a_baseline():
    data = blobs()
    other = blobs(test=60, seed=9)
    swapped = replace(data, test_images=other.test_images, test_labels=1 - other.test_labels)
    (one, first), (two, second) = trained(data), trained(swapped)
    assert first == second
    states = one.model.state_dict(), two.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("accuracies", "best"), [([0.2, 0.9, 0.4, 0.5], 2), ([0.7, 0.7, 0.7, 0.6], 1), ([0.1] * 4, 1)]
)
def test_the_best_epoch_is_kept_the_earliest_of_equals(monkeypatch, accuracies, best):
    follow_script(monkeypatch, accuracies)
    checkpoint, history = trained(blobs())
    assert marks(checkpoint) == {float(best)}
    assert [row["validation_accuracy"] for row in history] == accuracies


def test_without_a_validation_split_the_last_epoch_is_kept(monkeypatch):
    follow_script(monkeypatch, [0.9, 0.1, 0.1, 0.1])
    checkpoint, history = trained(blobs(), validation=0.0)
    assert marks(checkpoint) == {4.0}
    assert "validation_accuracy" not in history[0]


def follow_script(monkeypatch, accuracies) -> None:
    """Stand in for training: epoch t sets every parameter to t and validates as the script says."""

    def train(network, *_):
        for epoch in range(1, len(accuracies) + 1):
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.fill_(epoch)
            yield Epoch(epoch, 0.1, 1.0, 0.5)

    script = iter(accuracies)
    monkeypatch.setattr(baseline, "train", train)
    monkeypatch.setattr(
        baseline,
        "_validate",
        lambda *_: {"validation_loss": 1.0, "validation_accuracy": next(script)},
    )


def marks(checkpoint) -> set[float]:
    return {value for p in checkpoint.model.parameters() for value in p.flatten().tolist()}


def test_the_kept_parameters_have_the_accuracy_that_the_log_calls_best():
    data = blobs(train=80)
    checkpoint, history = trained(data)
    _, held_out = split(80, 0.25, derive(0, data.name, "validation"))
    images = torch.from_numpy(data.train_images)[held_out]
    labels = torch.from_numpy(data.train_labels)[held_out]
    found = baseline._validate(checkpoint.model, images, labels, View(16), CPU)
    assert found["validation_accuracy"] == max(row["validation_accuracy"] for row in history)


def test_what_is_held_out_is_never_trained_on(monkeypatch):
    data = blobs()
    seen = []

    def train(network, images, labels, *_):
        seen.append(images)
        yield Epoch(1, 0.1, 1.0, 0.5)

    monkeypatch.setattr(baseline, "train", train)
    trained(data)
    kept, held_out = split(40, 0.25, derive(0, data.name, "validation"))
    assert torch.equal(seen[0], torch.from_numpy(data.train_images)[kept])
    assert len(held_out) == 10


def test_a_split_parts_every_index_once_and_depends_on_its_seed_alone():
    kept, held_out = split(1000, 0.1, 3)
    assert len(held_out) == 100
    assert sorted(torch.cat([kept, held_out]).tolist()) == list(range(1000))
    assert torch.equal(split(1000, 0.1, 3)[1], held_out)
    assert not torch.equal(split(1000, 0.1, 4)[1], held_out)
    assert len(split(1000, 0.0, 3)[1]) == 0


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_split_that_leaves_a_side_empty_is_refused(share):
    with pytest.raises(UserError, match="leaves one side empty; change validation"):
        split(10, share, 0)


def test_validation_is_made_in_evaluation_mode_without_augmentation():
    network = nn.Sequential(nn.Dropout(0.9), nn.Flatten(), nn.LazyLinear(2)).train()
    images = torch.from_numpy(blobs().train_images)
    labels = torch.from_numpy(np.arange(40) % 2)
    first = baseline._validate(network, images, labels, View(16), CPU)
    assert baseline._validate(network.train(), images, labels, View(16), CPU) == first
