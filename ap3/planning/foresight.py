"""What each stage of a study will take: images times seconds an image, timed on this machine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ap3.config import compressions
from ap3.datasets.images import Images
from ap3.measuring.covariance import chosen, dense_seconds
from ap3.models.checkpoint import Checkpoint
from ap3.planning.head_measuring import measuring_seconds
from ap3.planning.head_tuning import head_tuning_seconds
from ap3.planning.network_speed import Speed, measure_speed
from ap3.pruning.network_layers import choose
from ap3.study.settings import Study
from ap3.training import baseline, batch_norm
from ap3.training.sgd import Recipe

USUAL_SIZE = 224
"""Pixels, where a study leaves the size to pretrained weights: that of nearly all of them."""

_FORWARD_MODE = 3
"""Passes that a forward-mode product is counted as."""


@dataclass(frozen=True)
class Foreseen:
    """One stage for one network on one data set: how many jobs, and seconds of each."""

    stage: str
    dataset: str
    model: str
    pixels: int
    jobs: int
    seconds: float


def foresee(
    study: Study, dataset: str, model: str, data: Images, device: torch.device
) -> Iterator[Foreseen]:
    """Time a network of a study on this machine, and foresee its stages, in their order.

    Parameters
    ----------
    dataset, model
        One of the study's pairs.
    data
        The images that the pair uses.
    device
        Where networks run, held by `ap3.machine.device.processor`.
    """
    size = study.image_size(dataset, model) or USUAL_SIZE
    network = baseline.untrained(data, model, size, trial=1, seed=0)
    recipe = study.recipe(dataset, model)
    speed = measure_speed(network, data, Recipe(**recipe), device)
    train, test = len(data.train_labels), len(data.test_labels)
    held = round(study.settings["validation"] * train)
    training = recipe["epochs"] * ((train - held) / speed.trained + held / speed.passed)
    seconds = {"baseline": training}
    if study.over_layers:
        seconds["evaluate"] = _evaluate(study, network, data, speed)
    else:
        seconds["features"] = (train + test) / speed.passed
        seconds |= _last_layer(study, network, data, speed, device)
    for stage, taken in seconds.items():
        jobs = 1 if stage == "covariance" else len(study.trials)
        yield Foreseen(stage, dataset, model, size, jobs, taken)


def _last_layer(
    study: Study, network: Checkpoint, data: Images, speed: Speed, device: torch.device
) -> dict[str, float]:
    """Foresee the stages of a study of the last layer, behind its features."""
    tuning, latent = study.settings["finetuning"], study.settings["latent"]
    train, test = len(data.train_labels), len(data.test_labels)
    seconds = {}
    if study.has_views:
        seconds["views"] = tuning["views"] * train / speed.passed
    head = network.model.get_parameter(f"{network.identity.head}.weight").numel()
    if chosen(latent["rotation"], head) == "dense":
        seconds["covariance"] = dense_seconds(head)
    if tuning["scope"] == "head":
        tuned = study.variants
        seconds["finetune"] = head_tuning_seconds(study, tuned, network, train, test, device)
    else:
        epochs = tuning["epochs"]
        judged = (epochs + 1) * (train + test) / speed.passed
        seconds["finetune"] = len(study.variants) * (epochs * train / speed.trained + judged)
    measuring = measuring_seconds(study, network, train, test)
    if "draws" in measuring:
        masked = study.with_random_masks
        measuring["draws"] += head_tuning_seconds(study, masked, network, train, test, device)
    return seconds | measuring


def _evaluate(study: Study, network: Checkpoint, data: Images, speed: Speed) -> float:
    """Foresee stage `evaluate`: passes of every variant, and its fine-tuning."""
    pruning, tuning = study.settings["pruning"], study.settings["finetuning"]
    train, test = len(data.train_labels), len(data.test_labels)
    seen = min(study.settings["latent"]["examples"] or train, train)
    layers = choose(network.model, network.identity.head, pruning["layers"])
    shared, alone = variants_of_network(pruning, len(layers))
    has_norms = bool(batch_norm.norms(network.model))
    judged, again = test + seen, 0
    if has_norms and pruning["batch_norm"] != "kept":
        again = seen  # a pass that estimates the statistics
        judged *= 2 if pruning["batch_norm"] == "both" else 1
    seconds = (shared + alone) * (judged + again + _FORWARD_MODE * seen) / speed.passed
    if tuning["scope"] == "all":
        seconds += shared * tuning["epochs"] * train / speed.trained
        seconds += shared * (test + seen + _FORWARD_MODE * seen) / speed.passed
    return seconds


def variants_of_network(pruning: Mapping[str, Any], layers: int) -> tuple[int, int]:
    """Count the variants of a network of which any layers are pruned.

    Parameters
    ----------
    pruning
        The settings of a study.
    layers
        How many are pruned.

    Returns
    -------
    int
        Variants by an allocation, and the control.
    int
        Layers pruned alone.

    Examples
    --------
    >>> drawn = {"layers": "all", "modes": ["lowest"], "ratios": [0.3, 0.5], "alone": [0.5]}
    >>> variants_of_network(drawn | {"allocation": {"random": 20}}, layers=21)
    (41, 21)
    """
    how, modes = pruning["allocation"], len(pruning["modes"])
    drawn = 1 if isinstance(how, str) else compressions.drawn(how)
    alone = 0 if pruning["layers"] == "last" else len(pruning["alone"])
    return modes * len(pruning["ratios"]) * drawn + 1, modes * alone * layers
