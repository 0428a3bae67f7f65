"""Two classes of noise as a data set."""

import numpy as np

from ap3.datasets.images import Images


def small_images() -> Images:
    """Forty training and twenty test images of 16 × 16 pixels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 3, 16, 16), dtype=np.uint8)
    labels = np.arange(60) % 2
    return Images("noise", ("a", "b"), pixels[:40], labels[:40], pixels[40:], labels[40:])
