"""The digits, and how measurements train the small networks on them."""

import torch
from torch import Tensor

from ap3 import datasets

SIZE, CLASSES, BATCH = 16, 10, 32
TRAININGS = {
    "small_alexnet": (15, 0.03),
    "small_vgg": (7, 0.05),
    "small_resnet": (7, 0.1),
    "small_vit": (20, 0.03),
}
"""Epochs and learning rate of each."""


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Decode the digits: images and labels to train on, and to test on."""
    data = datasets.get("digits").decode(None)
    arrays = data.train_images, data.train_labels, data.test_images, data.test_labels
    return tuple(map(torch.from_numpy, arrays))
