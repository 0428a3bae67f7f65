"""How long fine-tuning the last layer alone takes on this machine, that of all variants at once."""

import io
from collections.abc import Sequence
from contextlib import redirect_stderr

import numpy as np
import torch

from ap3.config.variants import CONTROL, Variant
from ap3.finetuning.head_scope import through_head
from ap3.models.checkpoint import Checkpoint
from ap3.models.head import linear
from ap3.planning.clock import seconds
from ap3.planning.line import along_a_line
from ap3.planning.random_features import random_split
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
    study: Study,
    variants: Sequence[Variant],
    network: Checkpoint,
    train: int,
    test: int,
    device: torch.device,
) -> float:
    """Foresee the seconds of fine-tuning the last layer of variants of one baseline.

    It runs on random features of few examples, for few epochs: what it takes grows with the examples
    along a line, and with the states of the layer, one more than epochs.

    Parameters
    ----------
    study
        What says how.
    variants
        All that are tuned together.
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
        features = _random_features(rows, -(-rows * test // train), whole.weight.shape)
        pruned = _pruned(study, variants, baseline, features.splits["train"])
        with redirect_stderr(io.StringIO()):  # of its progress
            return seconds(lambda: through_head(pruned, baseline, features, short, device), device)

    fixed, each = along_a_line(seconds_of, _FEWEST, train, _LONG_ENOUGH)
    return (fixed + each * train) * (recipe["epochs"] + 1) / (_EPOCHS + 1)


def _random_features(train: int, test: int, shape: tuple[int, ...]) -> Features:
    draws = np.random.default_rng(0)
    rows = {"train": train, "test": test}
    splits = {name: random_split(count, shape, draws) for name, count in rows.items()}
    return Features(splits, torch.from_numpy(splits["train"].features)[None])


def _pruned(
    study: Study, variants: Sequence[Variant], baseline: PrunedNetwork, train: Split
) -> list[PrunedNetwork]:
    examples = study.settings["latent"]["examples"]
    trained = trained_layer(baseline, train, examples) if study.looks_at_data else None
    return [prune_network(baseline, variant, trained) for variant in variants]
