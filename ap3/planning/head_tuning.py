"""How long fine-tuning the last layer alone takes on this machine, all variants at once."""

import io
from collections.abc import Mapping
from contextlib import redirect_stderr

import numpy as np
import torch

from ap3.config.variants import CONTROL, Variant
from ap3.finetuning.head_scope import through_head
from ap3.models.checkpoint import Checkpoint
from ap3.models.head import linear
from ap3.planning.clock import seconds
from ap3.planning.line import along_a_line
from ap3.pruning.masks import prune_network, trained_layer
from ap3.pruning.pruned import Origin, PrunedLayer, PrunedNetwork
from ap3.study.settings import Study
from ap3.training.features import Features
from ap3.training.sgd import Recipe
from ap3.training.splits import Split

_EPOCHS = 2
_FEWEST = 256  # training examples
_LONG_ENOUGH = 2.0  # seconds


def head_tuning_seconds(
    study: Study, network: Checkpoint, train: int, test: int, device: torch.device
) -> float:
    """Foresee the seconds of stage `finetune` in scope `head`, for one baseline.

    It runs on random features of few examples, for few epochs: what it takes grows with the examples
    along a line, and with the states of the layer, one more than epochs.

    Parameters
    ----------
    study
        Whose variants these are.
    network
        A network of the study.
    train, test
        How many examples the splits have.
    """
    identity = network.identity
    recipe = study.finetuning_recipe(identity.dataset, identity.model)
    head = linear(network.model, identity.head)
    origin = Origin(identity.dataset, identity.model, identity.trial, identity.seed)
    bias = None if head.bias is None else head.bias.detach().cpu().numpy()
    whole = PrunedLayer.whole(head.weight.detach().cpu().numpy(), bias)
    baseline = PrunedNetwork(origin, Variant(CONTROL, 0.0), {identity.head: whole})
    short = Recipe(**recipe | {"epochs": _EPOCHS})

    def seconds_of(rows: int) -> float:
        features = _drawn({"train": rows, "test": -(-rows * test // train)}, whole.weight.shape)
        variants = _pruned(study, baseline, features.splits["train"])
        with redirect_stderr(io.StringIO()):  # of its progress
            return seconds(
                lambda: through_head(variants, baseline, features, short, device), device
            )

    fixed, each = along_a_line(seconds_of, _FEWEST, train, _LONG_ENOUGH)
    return (fixed + each * train) * (recipe["epochs"] + 1) / (_EPOCHS + 1)


def _drawn(rows: Mapping[str, int], shape: tuple[int, ...]) -> Features:
    """Draw what a last layer of a shape, (classes, width), might see of each split."""
    classes, width = shape
    draws = np.random.default_rng(0)
    splits = {
        name: Split(draws.random((count, width), dtype=np.float32), np.arange(count) % classes)
        for name, count in rows.items()
    }
    return Features(splits, torch.from_numpy(splits["train"].features)[None])


def _pruned(study: Study, baseline: PrunedNetwork, train: Split) -> list[PrunedNetwork]:
    examples = study.settings["latent"]["examples"]
    trained = trained_layer(baseline, train, examples) if study.looks_at_data else None
    return [prune_network(baseline, variant, trained) for variant in study.variants]
