"""What the choice of the evaluated examples does to the PDs of one baseline's variants.

All variants are evaluated on the same examples, so their PDs rise and fall together, and what tells
two of them apart is their paired difference. Two things are kept of the single examples' outcomes:
the covariance of the PDs at every epoch, from which the standard error of any such difference
follows; and PDs resampled, as they come out on examples drawn with replacement, before fine-tuning
and at its end. A resample is the same for every variant, epoch, network and trial of a data set.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ap3.config.seeds import derive
from ap3.errors import InvalidFileError
from ap3.files import content, storage
from ap3.latent.vectors import Vector, slices
from ap3.measuring.reference import Reference
from ap3.pruning.pruned import Origin, PrunedNetwork
from ap3.training.outcomes import Outcomes
from ap3.training.splits import Split

Differences = NDArray[np.float32]
"""PD of every single example, of the loss and of the accuracy, at every epoch: (2, E, N)."""

RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Noise:
    """How the signed PDs of V variants vary together, by the PD's name, such as `test_pd_loss`.

    NaN where the outcomes of single examples are not known: in scope `all`, for the training split
    after epoch 0, and for the test split between epoch 0 and the last.

    Attributes
    ----------
    origin
        The baseline.
    variants
        Names of the V variants.
    covariance
        Of the PDs, (E, V, V) for each.
    resampled
        PDs on resampled examples at the first and at the last epoch, (2, V, B) for each.
    """

    origin: Origin
    variants: Sequence[str]
    covariance: Mapping[str, Vector]
    resampled: Mapping[str, NDArray[np.float32]]

    def save(self, path: Path) -> None:
        """Write the noise to the safetensors file `path`."""
        parts: dict[str, Mapping[str, NDArray[Any]]]
        parts = {"covariance": self.covariance, "resampled": self.resampled}
        arrays = {
            f"{part}.{name}": values for part, of in parts.items() for name, values in of.items()
        }
        storage.save(path, arrays, origin=asdict(self.origin), variants=list(self.variants))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        UserError
            If the file is missing, damaged, or holds something else.
        """
        arrays, metadata = storage.load(path)
        parts: dict[str, dict[str, Any]] = {"covariance": {}, "resampled": {}}
        for key, values in arrays.items():
            kind, _, name = key.partition(".")
            parts.get(kind, {})[name] = values
        if not all(parts.values()) or "variants" not in metadata:
            raise InvalidFileError(f"{path} holds no noise of PDs; give what ap3 measure wrote.")
        with storage.holding(path, "noise of PDs"):
            origin = content.record(metadata, "origin", Origin)
            return cls(origin, content.entry(metadata, "variants", tuple[str, ...]), **parts)


class Evaluation:
    """Gathers the outcomes of a baseline's variants, one variant after the other.

    It holds a number per variant, epoch, example and PD: 150 MB for 13 variants, 20 epochs and
    Fashion-MNIST.

    Parameters
    ----------
    reference
        The baseline.
    splits
        What it sees of the examples, by split.
    """

    def __init__(self, reference: Reference, splits: Mapping[str, Split]) -> None:
        self.reference, self.splits = reference, splits
        layer = reference.layer
        one = layer.weight[np.newaxis], layer.shift[np.newaxis]
        self._own = {name: Outcomes.of(*one, split) for name, split in splits.items()}
        self._differences: dict[str, list[Differences]] = {name: [] for name in splits}
        self._variants: list[str] = []

    def add(self, tuned: PrunedNetwork, last: Outcomes | None = None) -> None:
        """Evaluate a variant's states.

        Parameters
        ----------
        tuned
            The variant, its layers with a leading axis of epochs.
        last
            Test outcomes at the last epoch, where the layers below have moved (scope `all`) and
            nothing but epoch 0 follows from the features.
        """
        known = slice(None) if last is None else slice(1)
        layer = tuned.layers[self.reference.head]
        for name, split in self.splits.items():
            found = Outcomes.of(layer.weight[known], layer.shift[known], split)
            own, made = self._own[name], np.full((2, len(layer.weight), len(split.labels)), np.nan)
            made[:, known] = found.loss - own.loss, own.correct - found.correct
            if last is not None and name == "test":
                made[:, -1:] = last.loss - own.loss, own.correct - last.correct
            self._differences[name].append(made.astype(np.float32))
        self._variants.append(str(tuned.variant))

    def noise(self, resamples: int = RESAMPLES) -> Noise:
        """Covariances and resampled PDs of all variants that were added."""
        origin = self.reference.origin
        covariance: dict[str, Vector] = {}
        resampled: dict[str, NDArray[np.float32]] = {}
        for split, differences in self._differences.items():
            names = [f"{split}_pd_loss", f"{split}_pd_accuracy"]
            covariance |= zip(names, covariance_of_means(differences), strict=True)
            ends = np.stack([made[:, [0, -1]] for made in differences], axis=2)
            seed = derive(origin.seed, origin.dataset, "examples drawn again", split)
            resampled |= zip(names, resampled_means(ends, resamples, seed), strict=True)
        return Noise(origin, self._variants, covariance, resampled)


def covariance_of_means(differences: Sequence[Differences]) -> Vector:
    """Covariance of the means over paired examples: V times (K, E, N) → (K, E, V, V).

    Examples
    --------
    >>> covariance_of_means([np.array([[[0.0, 2.0]]]), np.array([[[1.0, -1.0]]])])
    array([[[[ 1., -1.],
             [-1.,  1.]]]])
    """
    kinds, epochs, count = differences[0].shape
    each = [
        np.cov([made[kind, epoch] for made in differences], dtype=np.float64)
        for kind in range(kinds)
        for epoch in range(epochs)
    ]
    return np.reshape(each, (kinds, epochs, len(differences), -1)) / count


def resampled_means(
    values: NDArray[np.floating[Any]], resamples: int, seed: int
) -> NDArray[np.float32]:
    """Means over examples drawn with replacement, the same ones for all: (…, N) → (…, B)."""
    count = values.shape[-1]
    flat = values.reshape(-1, count).T.astype(np.float64)
    drawn = [counts @ flat for counts in _counts(count, resamples, seed)]
    means = np.concatenate(drawn) / count
    return means.T.reshape(*values.shape[:-1], resamples).astype(np.float32)


def _counts(count: int, resamples: int, seed: int) -> Iterator[Vector]:
    """How often each of `count` examples is drawn, some resamples at a time: (b, N)."""
    rng = np.random.default_rng(seed)
    for rows in slices(resamples, count):
        some = range(resamples)[rows]
        drawn = [np.bincount(rng.integers(count, size=count), minlength=count) for _ in some]
        yield np.array(drawn, dtype=np.float64)
