"""A small data set of coloured noise that a network can learn, in two splits."""

import numpy as np
import torch

from ap3.datasets.images import Images


def blobs(
    train: int = 40, test: int = 20, classes: int = 2, size: int = 16, seed: int = 0
) -> Images:
    """Noise whose brightness tells the class."""
    draw = np.random.default_rng(seed)

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count, dtype=np.int64) % classes
        level = (labels + 1) * 255 // (classes + 1)
        noise = draw.integers(-40, 41, (count, 3, size, size))
        return np.clip(level[:, None, None, None] + noise, 0, 255).astype(np.uint8), labels

    names = tuple(f"class {number}" for number in range(classes))
    return Images("blobs", names, *split(train), *split(test))


def batches(shape, classes=5, count=2):
    """Draw (input, label) batches."""
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(shape, generator=generator),
            torch.randint(classes, shape[:1], generator=generator),
        )
        for _ in range(count)
    ]
