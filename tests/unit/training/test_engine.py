"""How training multiplies, where its data stand, and that a card is never waited for."""

import numpy as np
import pytest
import torch
from small_data import blobs
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ap3.errors import UserError
from ap3.machine import device as devices
from ap3.machine.device import processor, resident, take
from ap3.models.preprocessing import View
from ap3.models.small import small_resnet, small_vgg
from ap3.stages.baseline import baseline
from ap3.training import evaluation, sgd
from ap3.training.features import Features, write, write_views
from ap3.training.running import running
from ap3.training.sgd import Recipe, train

CPU = torch.device("cpu")
RECIPE = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05}


def trained(recipe, **where):
    data = blobs(classes=3)
    torch.manual_seed(0)
    model = small_resnet(3, 16)
    draws = torch.Generator().manual_seed(1)
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    with processor("cpu", **where):
        history = list(train(model, images, labels, View(16), recipe, draws))
    return model, history


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_bfloat16_learns_with_weights_in_float32():
    exact, _ = trained(Recipe(**RECIPE))
    rounded, history = trained(Recipe(**RECIPE), precision="bfloat16")
    assert history[-1].train_loss < history[0].train_loss
    assert {parameter.dtype for parameter in rounded.parameters()} == {torch.float32}
    difference = (weights(exact) - weights(rounded)).norm() / weights(exact).norm()
    assert 1e-4 < difference < 0.2


def test_an_unknown_precision_is_refused():
    with (
        pytest.raises(UserError, match="must be one of float32, tf32, bfloat16"),
        processor("cpu", precision="half"),
    ):
        pass


def test_channels_last_changes_the_rounding_only():
    plain, _ = trained(Recipe(**RECIPE))
    turned, _ = trained(Recipe(**RECIPE, channels_last=True))
    assert turned.layer1.conv2.weight.is_contiguous(memory_format=torch.channels_last)
    assert (weights(turned) - weights(plain)).norm() < 1e-3 * weights(plain).norm()


@pytest.fixture
def translations(monkeypatch):
    """What the compiler's first half translates; the second needs a C++ compiler and a minute."""
    whole, found = torch.compile, []

    def backend(graph, examples):
        found.append(graph)
        return graph.forward

    def first_half(model, **options):
        assert options == {"dynamic": False}
        return whole(model, backend=backend, **options)

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", first_half)
    return found


def test_a_compiled_network_learns_the_same(translations):
    """An epoch of 40 images has two batches of 13 and one of 14: two translations."""
    plain, _ = trained(Recipe(**RECIPE))
    translated, _ = trained(Recipe(**RECIPE, compile=True))
    assert torch.equal(weights(plain), weights(translated))
    assert isinstance(translated, nn.Sequential)
    assert len(translations) == 2


def test_an_odd_last_batch_is_not_translated_by_itself(monkeypatch, translations):
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 16)
    images, model = torch.from_numpy(blobs().train_images), small_vgg(3, 16)
    plain = evaluation.logits_of(model, images, View(16), CPU)
    found = evaluation.logits_of(running(model, compile=True), images, View(16), CPU)
    assert len(images) % 16
    torch.testing.assert_close(found, plain)
    assert len(translations) == 1


def test_without_a_compiler_a_translation_is_refused(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="compile needs a C compiler"):
        running(small_vgg(3, 16), compile=True)


def test_batches_prepared_together_are_those_prepared_alone(monkeypatch):
    together, _ = trained(Recipe(**RECIPE))
    monkeypatch.setattr(sgd, "_PIXELS_AT_ONCE", 1)
    alone, _ = trained(Recipe(**RECIPE))
    assert torch.equal(weights(together), weights(alone))


def test_data_stay_on_the_cpu_where_they_would_fill_the_card(monkeypatch):
    images, card = torch.zeros(100, dtype=torch.uint8), torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (150, 1000))
    assert resident(images, card) is images


@pytest.fixture
def card(monkeypatch):
    """A card that has no values: to ask for one is an error, as waiting for a card would be."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield torch.device("cuda", 0)


def test_data_are_sent_to_the_card_batch_by_batch(card):
    images, rows = torch.zeros(100, 3, 4, 4), torch.arange(10)
    for where in (CPU, card):
        assert take(images.to(where), rows, card).device == card


@pytest.mark.parametrize("place", ["cpu", "cuda:0"])
def test_no_step_asks_the_card_for_a_value(card, monkeypatch, place):
    """Data resident or streamed. Backward, which needs a real card, is left out."""
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: None)
    with card:
        model = small_vgg(3, 16).train()
    images = torch.zeros(50, 3, 8, 8, dtype=torch.uint8, device=place)
    labels = torch.zeros(50, dtype=torch.int64, device=place)
    recipe = Recipe(1, 16, 0.1, augmentation="crop-flip")
    optimizer, _ = sgd.optimise(list(model.parameters()), recipe)
    draws = torch.Generator().manual_seed(0)
    sums = torch.zeros(2, dtype=torch.float64, device=card)
    for pixels, answers in sgd._batches(images, labels, View(16), recipe, draws, card):
        sums += sgd._step(model, optimizer, pixels, answers, 1)
    assert sums.device == card


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_no_step_waits_for_a_real_card():
    with processor("cuda", precision="bfloat16") as where:
        model = small_vgg(3, 16).to(where)
        data = blobs(classes=3)
        images = torch.from_numpy(data.train_images)
        labels = torch.from_numpy(data.train_labels).to(where)
        recipe = Recipe(1, 16, 0.1, augmentation="crop-flip", channels_last=True)
        optimizer, _ = sgd.optimise(list(model.parameters()), recipe)
        draws = torch.Generator().manual_seed(0)
        for split in (images, images.to(where)):
            torch.cuda.set_sync_debug_mode("error")
            try:
                for pixels, answers in sgd._batches(split, labels, View(16), recipe, draws, where):
                    sgd._step(model, optimizer, pixels, answers, 1)
            finally:
                torch.cuda.set_sync_debug_mode("default")


def features_of(folder, dtype, views=3, augmentation="crop-flip"):
    from ap3.models.checkpoint import Checkpoint

    blobs().save(folder / "data.safetensors")
    baseline(
        folder / "data.safetensors",
        "small_resnet",
        folder / "c.safetensors",
        folder / "h.csv",
        image_size=16,
        device="cpu",
        **RECIPE | {"epochs": 1},
    )
    network = Checkpoint.load(folder / "c.safetensors", CPU)
    seen, path = folder / "features.safetensors", folder / f"{dtype}.safetensors"
    write(seen, network, blobs(), CPU)
    if augmentation == "none":
        return Features.load(seen), seen
    write_views(path, network, blobs(), views, augmentation, CPU, dtype)
    return Features.load(seen, path), path


def test_views_are_read_from_the_disk_one_by_one(tmp_path):
    whole, path = features_of(tmp_path, "float32")
    half, small = features_of(tmp_path, "float16")
    assert len(whole.views) == len(half.views) == 3
    assert whole.views[0].dtype == torch.float32
    assert half.views[0].dtype == torch.float16
    assert not torch.equal(whole.views[0], whole.views[1])
    torch.testing.assert_close(half.views[2].float(), whole.views[2], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(*(found.splits["train"].features for found in (whole, half)))
    assert path.stat().st_size - small.stat().st_size == whole.views[0].numel() * 3 * 2


def test_without_augmentation_the_images_are_the_view(tmp_path):
    found, _ = features_of(tmp_path, "float32", augmentation="none")
    assert len(found.views) == 1
    np.testing.assert_array_equal(found.views[0], found.splits["train"].features)


def test_there_is_no_autocast_outside_its_block():
    with processor("cpu", precision="bfloat16"):
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")
    assert "bfloat16" in devices.PRECISIONS
