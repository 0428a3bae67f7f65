"""The demo's data and trainings, as the measurements of small networks take them."""

from pathlib import Path

import torch
import yaml
from torch import Tensor

from ap3 import datasets

SIZE, CLASSES = 16, 10
CONFIG = Path(__file__).parents[1] / "config.yaml"


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Decode the digits: images and labels to train on, and to test on."""
    data = datasets.get("digits").decode(None)
    arrays = data.train_images, data.train_labels, data.test_images, data.test_labels
    return tuple(map(torch.from_numpy, arrays))


def trainings() -> dict[str, tuple[int, float]]:
    """Read how long, in epochs, and at which learning rate the demo trains each network."""
    demo = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["studies"]["demo"]
    return {
        one["model"]: (one["epochs"], one["learning_rate"]) for one in demo["networks"].values()
    }
