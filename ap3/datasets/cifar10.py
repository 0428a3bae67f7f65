"""CIFAR-10: 32×32 pixels, colour, ten classes (Krizhevsky 2009)."""

from pathlib import Path

from ap3.datasets.cifar import Layout, read
from ap3.datasets.images import Images

_FOLDER = "cifar-10-batches-py"
_LAYOUT = Layout(
    archive="cifar-10-python.tar.gz",
    train=tuple(f"{_FOLDER}/data_batch_{number}" for number in range(1, 6)),
    test=f"{_FOLDER}/test_batch",
    meta=f"{_FOLDER}/batches.meta",
    labels=b"labels",
    classes=b"label_names",
)


def decode(raw: Path) -> Images:
    """Read the archive in the folder `raw`, whose digest was checked."""
    return read("cifar10", raw, _LAYOUT)
