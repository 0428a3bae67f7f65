"""Random numbers in place of what a last layer sees, to time work on."""

import numpy as np

from ap3.training.splits import Split


def random_split(rows: int, shape: tuple[int, ...], draws: np.random.Generator) -> Split:
    """Draw what a last layer of a shape, (classes, width), might see; the labels go through all classes.

    Examples
    --------
    >>> split = random_split(5, (3, 2), np.random.default_rng(0))
    >>> split.features.shape, split.labels.tolist()
    ((5, 2), [0, 1, 2, 0, 1])
    """
    classes, width = shape
    features = draws.random((rows, width), dtype=np.float32)
    return Split(features, np.arange(rows) % classes)
