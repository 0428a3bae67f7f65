"""A baseline and its variants are judged in one way: where nothing was changed, PD is exactly 0.

The control is fine-tuned with a learning rate of zero. Rounding would tell any two ways apart, as
the translation that stands for torch's own does: it also adds a little.
"""

import pytest
import torch
from small_data import blobs

from ap3.config.variants import Variant
from ap3.finetuning.head_scope import through_head
from ap3.finetuning.network_scope import through_network
from ap3.machine.device import processor
from ap3.models.checkpoint import Checkpoint
from ap3.pruning.masks import prune_network
from ap3.pruning.pruned import read_unpruned
from ap3.training.baseline import untrained
from ap3.training.features import Features, write
from ap3.training.sgd import Recipe

STILL = {"epochs": 2, "batch_size": 16, "learning_rate": 0.0}


@pytest.fixture
def translations(monkeypatch):
    """A compiler whose networks compute something else, on purpose; lists what it translates."""
    whole, found = torch.compile, []

    def backend(graph, examples):
        found.append(graph)
        return lambda *given: [1.001 * output for output in graph.forward(*given)]

    torch.compiler.reset()
    monkeypatch.setattr(
        torch, "compile", lambda model, **options: whole(model, backend=backend, **options)
    )
    return found


@pytest.fixture
def network(tmp_path):
    """A network without batch normalisation, whose averages would move without any step."""
    network = untrained(blobs(), "small_alexnet", 16, 1, 0)
    network.save(tmp_path / "c.safetensors")
    return network


def variants(folder, *names):
    baseline = read_unpruned(folder / "c.safetensors")
    return baseline, [prune_network(baseline, Variant.parse(name)) for name in names]


def distances(trajectory):
    return [
        row[f"{split}_pd_{quantity}"]
        for row in trajectory.log
        for split in ("train", "test")
        for quantity in ("loss", "accuracy")
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("last", [False, True])
def test_of_networks(tmp_path, network, precision, last):
    _, (control,) = variants(tmp_path, "control")
    with processor("cpu", precision=precision) as where:
        recipe = Recipe(**STILL, channels_last=last)
        (found,) = through_network([control], network, blobs(), recipe, where)
    assert distances(found) == [0.0] * 12


def test_of_translated_networks(tmp_path, network, translations):
    _, several = variants(tmp_path, "control", "lowest-0.5", "highest-0.5", "random-0.5")
    recipe = Recipe(**STILL, channels_last=True, compile=True)
    found = through_network(several, network, blobs(), recipe, torch.device("cpu"))
    assert distances(found[0]) == [0.0] * 12
    assert all(distances(one)[0] > 0 for one in found[1:])
    # Two splits to judge and two sizes of a batch to train on, whatever the number of variants.
    assert len(translations) == 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_of_last_layers(tmp_path, precision):
    """All judge the same features, in single precision whatever the network has."""
    untrained(blobs(), "small_alexnet", 16, 1, 0).save(tmp_path / "c.safetensors")
    baseline, (control,) = variants(tmp_path, "control")
    with processor("cpu", precision=precision) as where:
        network = Checkpoint.load(tmp_path / "c.safetensors", where, channels_last=True)
        write(tmp_path / "f.safetensors", network, blobs(), where)
    features = Features.load(tmp_path / "f.safetensors")
    (found,) = through_head([control], baseline, features, Recipe(**STILL), torch.device("cpu"))
    assert distances(found) == [0.0] * 12
