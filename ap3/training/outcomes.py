"""How single examples fare under a last layer's states, computed again from what the layer sees.

Nothing of the size of examples by epochs is kept on disk where the layers below are frozen: the
features and the layer's states say it all. Where the whole network was fine-tuned they don't, and
the outcomes at the last epoch are stored, 33 bits an example.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ap3.errors import InvalidFileError
from ap3.files import content, storage
from ap3.latent.vectors import FloatArray, slices
from ap3.training.splits import Split

Single = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Cross-entropy `loss` and `correct`, 0 or 1, of every example at every epoch: (E, N) each."""

    loss: Single
    correct: Single

    @classmethod
    def of(cls, weight: FloatArray, bias: FloatArray, split: Split) -> Self:
        """Evaluate layers (E, C, d) with biases (E, C), in single precision and bounded memory.

        Examples
        --------
        >>> weight = np.array([[[0.0], [0.0]], [[0.0], [np.log(3)]]])
        >>> found = Outcomes.of(weight, np.zeros((2, 2)), Split(np.array([[1.0]]), np.array([1])))
        >>> [round(float(loss), 4) for loss in found.loss[:, 0]], found.correct.tolist()
        ([0.6931, 0.2877], [[0.0], [1.0]])
        """
        epochs, classes, inputs = weight.shape
        flat = weight.reshape(-1, inputs).astype(np.float32, copy=False)
        shift = bias[:, :, np.newaxis].astype(np.float32, copy=False)
        made = np.empty((2, epochs, len(split.labels)), np.float32)
        for rows in slices(len(split.labels), epochs * classes + inputs):
            x = split.features[rows].astype(np.float32, copy=False)
            logits = (flat @ x.T).reshape(epochs, classes, -1) + shift
            made[:, :, rows] = _judge(logits, split.labels[rows])
        return cls(*made)


BASELINE = "baseline"
"""Under which the outcomes of the network that was pruned lie among those of its variants."""


def of_network(mode: str, ratio: float, allocation: str, epoch: int, statistics: str) -> str:
    """Name the outcomes of a variant of a whole network.

    Examples
    --------
    >>> of_network("lowest", 0.5, "random 3", 0, "kept")
    'lowest-0.5 random 3 0 kept'
    """
    return f"{mode}-{float(ratio)} {allocation} {epoch} {statistics}"


def write_outcomes(path: Path, outcomes: Mapping[str, Outcomes]) -> None:
    """Write the outcomes of several variants, by name, a bit each for what is correct."""
    arrays: storage.Arrays = {}
    for name, found in outcomes.items():
        arrays[f"loss.{name}"] = found.loss.astype(np.float32)
        arrays[f"correct.{name}"] = np.packbits(found.correct.astype(bool), axis=-1)
    storage.save(path, arrays)


def read_outcomes(path: Path) -> dict[str, Outcomes]:
    """Read what `write_outcomes` wrote.

    Raises
    ------
    UserError
        If the file is missing, damaged, or holds something else.
    """
    arrays, _ = storage.load(path)
    names = [name.removeprefix("loss.") for name in arrays if name.startswith("loss.")]
    if set(arrays) != {f"{part}.{name}" for part in ("loss", "correct") for name in names}:
        raise InvalidFileError(f"{path} holds no outcomes; give a file made by ap3 finetune.")
    with storage.holding(path, "outcomes"):
        return {
            name: _unpacked(
                content.array(arrays, f"loss.{name}"), content.array(arrays, f"correct.{name}", "u")
            )
            for name in names
        }


def _unpacked(loss: Single, bits: NDArray[np.uint8]) -> Outcomes:
    if bits.dtype != np.uint8 or bits.shape != (*loss.shape[:-1], -(-loss.shape[-1] // 8)):
        raise content.ContentError("losses and correctness are of different examples")
    correct = np.unpackbits(bits, axis=-1, count=loss.shape[-1])
    return Outcomes(loss, correct.astype(np.float32))


def _judge(logits: Single, labels: NDArray[Any]) -> tuple[Single, NDArray[Any]]:
    """Cross-entropy and correctness for logits (E, C, N)."""
    own = logits[:, labels, np.arange(len(labels))]
    correct = logits.argmax(axis=1) == labels
    top = logits.max(axis=1)
    logits -= top[:, np.newaxis]
    return np.log(np.exp(logits, out=logits).sum(axis=1)) + (top - own), correct
