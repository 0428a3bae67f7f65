"""What has to hold on a card, tried on the stand-in; run by test_stand_in_card.py.

    python tests/unit/training/on_a_card.py

prints a JSON object: for each check an empty text, or the traceback of what went wrong.
"""

import io
import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from small_data import blobs  # noqa: E402
from stand_in_card import DEVICE, OnCard, card, counted_waits  # noqa: E402

from ap3.config.variants import Variant  # noqa: E402
from ap3.files.storage import load  # noqa: E402
from ap3.finetuning import head_scope, network_scope  # noqa: E402
from ap3.models.checkpoint import Checkpoint  # noqa: E402
from ap3.pruning.masks import prune_network  # noqa: E402
from ap3.pruning.pruned import read_unpruned  # noqa: E402
from ap3.training import features, resume, sgd  # noqa: E402
from ap3.training.baseline import train_baseline  # noqa: E402
from ap3.training.resume import Resume  # noqa: E402
from ap3.training.sgd import Recipe  # noqa: E402

CPU = torch.device("cpu")
FOLDER = Path(tempfile.mkdtemp())


def recipe(batch_size: int = 20) -> Recipe:
    return Recipe(
        2, batch_size, 0.05, weight_decay=1e-3, augmentation="crop-flip", channels_last=True
    )


def trained(device: torch.device, batch_size: int = 20, path: Path | None = None) -> Any:
    settings = {"validation": 0.25, "trial": 1, "seed": 0, "device": device}
    given = Resume(path, "key") if path else None
    return train_baseline(blobs(), "small_vgg", 16, recipe(batch_size), **settings, resume=given)


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same weights to the bit, wherever they are."""
    first, second = ({k: v.cpu() for k, v in m.state_dict().items()} for m in (one, other))
    return all(torch.equal(first[name], second[name]) for name in first)


@cache
def on_cpu() -> Any:
    return trained(CPU)


@cache
def files() -> Path:
    """A checkpoint, its features and views, made on the CPU."""
    on_cpu()[0].save(FOLDER / "c.safetensors")
    network = Checkpoint.load(FOLDER / "c.safetensors", CPU)
    features.write(FOLDER / "f.safetensors", network, blobs(), CPU)
    features.write_views(FOLDER / "v.safetensors", network, blobs(), 2, "crop-flip", CPU)
    return FOLDER


def variants() -> Any:
    baseline = read_unpruned(files() / "c.safetensors")
    names = ("control", "lowest-0.5")
    return baseline, [prune_network(baseline, Variant.parse(name)) for name in names]


def through_head(device: torch.device, batch_size: int = 20, path: Path | None = None) -> Any:
    baseline, several = variants()
    seen = features.Features.load(files() / "f.safetensors", files() / "v.safetensors")
    given = Resume(path, "key") if path else None
    return head_scope.through_head(several, baseline, seen, recipe(batch_size), device, given)


def through_network(device: torch.device, batch_size: int = 20) -> Any:
    _, several = variants()
    network = Checkpoint.load(files() / "c.safetensors", device)
    return network_scope.through_network(several, network, blobs(), recipe(batch_size), device)


def assert_same_logs(some: Any, others: Any) -> None:
    for one, other in zip(some, others, strict=True):
        assert one.log == other.log, (one.log[-1], other.log[-1])
        for name, layer in one.tuned.layers.items():
            assert (layer.weight == other.tuned.layers[name].weight).all()


def on_card(run: Any, batch_size: int = 20) -> Any:
    """Return what a run comes to on the card, and how often it was waited for."""
    with counted_waits() as waits:
        return run(DEVICE, batch_size), len(waits)


once = cache(on_card)


def assert_no_step_waits(run: Any, measure: Any = once) -> None:
    """With more steps, the card is waited for as often."""
    (_, few), (_, many) = measure(run, 20), measure(run, 8)
    assert few == many, f"{few} waits, {many} with more steps"


@contextmanager
def planted(owner: Any, name: str, change: Any) -> Iterator[None]:
    """Put a fault into ap3 within a `with` block."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *given, **options: change(original, *given, **options))
    try:
        yield
    finally:
        setattr(owner, name, original)


class Killed(BaseException):
    """Stands for a kill."""


@contextmanager
def killed_after(epochs: int) -> Iterator[None]:
    left = [epochs]

    def keep(original: Any, *given: Any) -> None:
        original(*given)
        left[0] -= 1
        if not left[0]:
            raise Killed

    with planted(Resume, "keep", keep):
        try:
            yield
        except Killed:
            return
    raise AssertionError("nothing was killed")


def check_training_is_the_cpus() -> None:
    network, history = once(trained)[0]
    assert isinstance(next(network.model.parameters()), OnCard)
    assert history == on_cpu()[1]
    assert same(network.model, on_cpu()[0].model)


def check_no_step_of_training_waits() -> None:
    assert_no_step_waits(trained)


def check_training_goes_on() -> None:
    path = FOLDER / "b.resume.safetensors"
    with counted_waits(), killed_after(1):
        trained(DEVICE, path=path)
    with counted_waits():
        network, history = trained(DEVICE, path=path)
    assert history == on_cpu()[1]
    assert same(network.model, on_cpu()[0].model)
    # The next attempt may be given another card: the file names none.
    parts = torch.load(io.BytesIO(load(path)[0]["parts"].tobytes()), weights_only=True)
    assert {type(tensor) for tensor in parts["model"].values()} == {torch.Tensor}
    assert "card" in parts["draws"]


def check_features_and_views_are_the_cpus() -> None:
    with counted_waits():
        network = Checkpoint.load(files() / "c.safetensors", DEVICE)
        features.write(FOLDER / "f2.safetensors", network, blobs(), DEVICE)
        features.write_views(FOLDER / "v2.safetensors", network, blobs(), 2, "crop-flip", DEVICE)
    for one, other in (("f", "f2"), ("v", "v2")):
        mine, theirs = (load(FOLDER / f"{name}.safetensors")[0] for name in (one, other))
        assert all((mine[name] == theirs[name]).all() for name in mine)


def check_last_layers_are_the_cpus() -> None:
    assert_same_logs(once(through_head)[0], through_head(CPU))


def check_no_step_of_last_layers_waits() -> None:
    assert_no_step_waits(through_head)


def check_last_layers_go_on() -> None:
    path = FOLDER / "h.resume.safetensors"
    with counted_waits(), killed_after(1):
        through_head(DEVICE, path=path)
    with counted_waits():
        found = through_head(DEVICE, path=path)
    assert_same_logs(found, once(through_head)[0])


def check_networks_are_the_cpus() -> None:
    assert_same_logs(once(through_network)[0], through_network(CPU))


def check_no_step_of_networks_waits() -> None:
    assert_no_step_waits(through_network)


def check_an_item_in_a_step_is_seen() -> None:
    def step(original: Any, *given: Any) -> Any:
        sums = original(*given)
        sums[0].item()
        return sums

    with planted(sgd, "_step", step), pytest.raises(AssertionError, match="with more steps"):
        assert_no_step_waits(trained, on_card)


def check_a_blocking_copy_in_a_step_is_seen() -> None:
    def take(original: Any, examples: Any, rows: Any, device: Any) -> Any:
        return examples[rows.to(device)]

    with planted(sgd, "take", take), pytest.raises(AssertionError, match="with more steps"):
        assert_no_step_waits(trained, on_card)


def check_a_mask_on_the_cpu_is_seen() -> None:
    def finetune(original: Any, model: Any, masks: Any, *given: Any) -> Any:
        return original(model, {name: mask.cpu() for name, mask in masks.items()}, *given)

    with (
        planted(network_scope, "finetune_network", finetune),
        pytest.raises(RuntimeError, match="on the same device"),
    ):
        on_card(through_network)


@contextmanager
def small_memory(error: Exception, room: int) -> Iterator[None]:
    """Let memory run out at the end of a backward pass over too many images."""
    too_many = [False]

    def step(original: Any, model: Any, optimizer: Any, pixels: Any, *given: Any) -> Any:
        too_many[0] = len(pixels) > room * given[-1]
        return original(model, optimizer, pixels, *given)

    def backward(original: Any, loss: Any) -> None:
        original(loss)
        if too_many[0]:
            raise error

    with planted(sgd, "_step", step), planted(torch.Tensor, "backward", backward):
        yield


def check_memory_that_runs_out_in_the_backward_pass() -> None:
    """Batch normalisation sees pieces then: the numbers are others, but training goes on."""
    for error in (
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ):
        before = card.cache_emptied
        with counted_waits(), small_memory(error, 5):
            _, history = trained(DEVICE)
        assert card.cache_emptied == before + 2  # into halves, then quarters
        losses = [row["train_loss"] for row in history]
        assert losses[0] > losses[1]


def main() -> None:
    """Run every check."""
    warnings.simplefilter("error")
    os.environ[resume.SECONDS] = "0"
    resume._LARGEST_SHARE = float("inf")
    sgd._PIXELS_AT_ONCE = 1  # each batch is prepared by itself, as large images are
    torch.set_num_threads(1)
    outcomes = {}
    for name, check in list(globals().items()):
        if name.startswith("check_") and (len(sys.argv) == 1 or name in sys.argv):
            try:
                check()
                outcomes[name] = ""
            except (Exception, pytest.fail.Exception):
                outcomes[name] = traceback.format_exc()
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main()
