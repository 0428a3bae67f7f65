"""What CIFAR-10 and CIFAR-100 share: pickled batches of 32×32 colour images in a tar.gz."""

import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.datasets.images import Images

_SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class Layout:
    """Where a CIFAR archive keeps what.

    Attributes
    ----------
    archive
        Name of the tar.gz file.
    train, test, meta
        Its members: batches to train and to test on, and the one that names the classes.
    labels, classes
        Keys of the labels in a batch, and of the class names in `meta`.
    """

    archive: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels: bytes
    classes: bytes


def read(name: str, raw: Path, layout: Layout) -> Images:
    """Read the data set `name` from the archive in the folder `raw`, whose digest was checked."""
    parts = _unpickled(raw / layout.archive, {*layout.train, layout.test, layout.meta})
    classes = tuple(text.decode() for text in parts[layout.meta][layout.classes])
    train = [_images(parts[member], layout.labels) for member in layout.train]
    pixels, labels = (np.concatenate(batches) for batches in zip(*train, strict=True))
    return Images(name, classes, pixels, labels, *_images(parts[layout.test], layout.labels))


def _unpickled(archive: Path, wanted: set[str]) -> dict[str, Any]:
    """Return what the members `wanted` hold, by name, in one pass through the archive."""
    with tarfile.open(archive, "r|gz") as members:
        # A pickle can run code. These run none: the archive's digest is that of the published one.
        return {
            member.name: pickle.load(stream, encoding="bytes")
            for member in members
            if member.name in wanted and (stream := members.extractfile(member))
        }


def _images(batch: dict[bytes, Any], key: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return batch[b"data"].reshape(-1, *_SHAPE), np.array(batch[key], np.int64)
