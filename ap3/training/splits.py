"""What the last layer sees of the training and of the test examples, as `ap3 features` left it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ap3.errors import InvalidFileError, InvalidValueError
from ap3.files import content, storage

SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs of the last layer, (N, d), and the labels of the examples, (N,).

    `head` is the `fingerprint` of the layer that sees them; empty where nobody says which that is.
    """

    features: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]
    head: str = ""

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.labels.shape != self.features.shape[:1]:
            raise InvalidValueError(f"shapes {self.features.shape} and {self.labels.shape}")
        if self.features.dtype.kind != "f" or self.labels.dtype.kind not in "iu":
            raise InvalidValueError(f"types {self.features.dtype} and {self.labels.dtype}")

    def sample(self, examples: int | None, seed: int) -> Self:
        """Draw some of the examples, in their order; all if there are no more, or if None."""
        count = len(self.labels)
        if examples is None or examples >= count:
            return self
        rows = np.sort(np.random.default_rng(seed).choice(count, examples, replace=False))
        return type(self)(self.features[rows], self.labels[rows], self.head)

    def check_layer(self, weight: NDArray[Any]) -> None:
        """Refuse a last layer, by its weights (C, d), that is known to see other features.

        Raises
        ------
        UserError
            If the features are those of another network, or of another training of it.
        """
        if self.head not in ("", fingerprint(weight)):
            raise InvalidValueError(
                "the features are those of another network or training than the checkpoint; give what "
                "ap3 features made of this checkpoint."
            )


def fingerprint(weight: NDArray[Any]) -> str:
    """Name a training by the weights of its last layer, in single precision.

    Examples
    --------
    >>> fingerprint(np.eye(2)) == fingerprint(np.eye(2, dtype="float32")) != fingerprint(np.ones((2, 2)))
    True
    """
    return hashlib.sha256(np.ascontiguousarray(weight, "<f4").tobytes()).hexdigest()


def read_splits(path: Path) -> dict[str, Split]:
    """Read both splits out of the file `path`, by name.

    Raises
    ------
    UserError
        If the file is missing, damaged, or holds something else.
    """
    arrays, metadata = storage.load(path)
    if set(arrays) != {f"{name}{part}" for name in SPLITS for part in ("", "_labels")}:
        raise InvalidFileError(f"{path} holds no features; give a file made by ap3 features.")
    with storage.holding(path, "features with their labels"):
        head = content.entry({"head": ""} | metadata, "head", str)
        return {
            name: Split(
                content.array(arrays, name, ndim=2),
                content.array(arrays, f"{name}_labels", "iu", 1),
                head,
            )
            for name in SPLITS
        }
