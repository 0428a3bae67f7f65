"""A decoded data set: bytes and labels, checked once, stored as safetensors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ap3.errors import InvalidFileError, InvalidValueError
from ap3.files import content, storage

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images in two splits, at the size they were published in.

    Attributes
    ----------
    name
        Of the data set, for messages.
    classes
        What each label means.
    train_images, test_images
        uint8, shape (N, C, H, W), 0 dark to 255 bright; C is 1 (grey) or 3 (red, green, blue).
    train_labels, test_labels
        int64, shape (N,), each an index into `classes`.

    Raises
    ------
    UserError
        If shapes or types disagree, a label is out of range, or a class lacks images.
    """

    name: str
    classes: tuple[str, ...]
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]

    @property
    def splits(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Images and labels of each split, by its name."""
        return {
            "train": (self.train_images, self.train_labels),
            "test": (self.test_images, self.test_labels),
        }

    def __post_init__(self) -> None:
        self._check_split("training", self.train_images, self.train_labels)
        self._check_split("test", self.test_images, self.test_labels)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise InvalidValueError(
                f"{self.name}: all images must have one size, but those for training are "
                f"{_size(self.train_images)} and those for testing {_size(self.test_images)}; "
                "bring them to one."
            )

    def save(self, path: Path) -> None:
        """Write everything to the safetensors file `path`."""
        arrays = {key: getattr(self, key) for key in _ARRAYS}
        storage.save(path, arrays, dataset=self.name, classes=list(self.classes))

    @classmethod
    def load(cls, path: Path) -> "Images":
        """Read what `save` wrote.

        Raises
        ------
        UserError
            If `path` is missing, damaged, or holds something else.
        """
        arrays, metadata = storage.load(path)
        if set(arrays) != set(_ARRAYS) or not {"dataset", "classes"} <= set(metadata):
            raise InvalidFileError(
                f"{path} holds no decoded data set; give a file made by `ap3 data`."
            )
        with storage.holding(path, "decoded data set"):
            name = content.entry(metadata, "dataset", str)
            return cls(name, content.entry(metadata, "classes", tuple[str, ...]), **arrays)

    def _check_split(
        self, split: str, images: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> None:
        problem = (
            _wrong_form(images, labels)
            or _wrong_labels(labels, len(self.classes))
            or _missing_class(labels, self.classes)
        )
        if problem:
            raise InvalidValueError(f"{self.name}, {split} split: {problem}; correct the data.")


def _wrong_form(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> str | None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        return f"images must be uint8 (N, 1 or 3, H, W), found {images.dtype} {images.shape}"
    if labels.dtype != np.int64 or labels.ndim != 1:
        return f"labels must be int64 (N,), found {labels.dtype} {labels.shape}"
    if len(images) != len(labels):
        return f"every image needs one label, found {len(images)} images and {len(labels)} labels"
    return None


def _wrong_labels(labels: NDArray[np.int64], classes: int) -> str | None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        return f"labels must be 0 to {classes - 1}, found {labels[wrong[0]]} at image {wrong[0]}"
    return None


def _missing_class(labels: NDArray[np.int64], classes: tuple[str, ...]) -> str | None:
    counts = np.bincount(labels, minlength=len(classes))
    if counts.all():
        return None
    label = int(counts.argmin())
    return f"every class needs images, but class {label} ({classes[label]}) has none"


def _size(images: NDArray[np.uint8]) -> str:
    return "×".join(map(str, images.shape[1:]))
