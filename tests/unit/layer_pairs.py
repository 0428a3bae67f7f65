"""Last layers and others near and far, with the features they see, for the tests of measures."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Pair:
    """Features (N, d), labels (N,), a layer (C, d + 1) and others (E, C, d + 1)."""

    features: np.ndarray
    labels: np.ndarray
    reference: np.ndarray
    others: np.ndarray

    @property
    def logits(self):
        """z, (N, 1, C), and z̃, (N, E, C), by a plain product."""
        x = np.concatenate([self.features, np.ones((len(self.features), 1))], axis=1)
        one = self.reference[np.newaxis]
        return tuple(np.einsum("nd,ecd->nec", x, layers) for layers in (one, self.others))

    @property
    def parts(self):
        return self.features, self.reference, self.others


def pair(seed=0, examples=30, inputs=4, classes=3, others=5, scale=1.0, size=0.5):
    """Draw layers with weights of the size `scale`, and others that are off by `size`."""
    rng = np.random.default_rng(seed)
    reference = scale * rng.normal(size=(classes, inputs + 1))
    change = size * rng.normal(size=(others, classes, inputs + 1))
    features = np.abs(rng.normal(size=(examples, inputs)))
    return Pair(features, rng.integers(classes, size=examples), reference, reference + change)


def losses(logits, labels):
    """Mean cross-entropy of logits (N, E, C), by hand: (E,)."""
    top = logits.max(axis=2, keepdims=True)
    partition = np.log(np.exp(logits - top).sum(axis=2)) + top[..., 0]
    return (partition - logits[np.arange(len(labels)), :, labels]).mean(axis=0)
