"""CIFAR-100: 32×32 pixels, colour, a hundred classes (Krizhevsky 2009), the fine labels."""

from pathlib import Path

from ap3.datasets.cifar import Layout, read
from ap3.datasets.images import Images

_FOLDER = "cifar-100-python"
_LAYOUT = Layout(
    archive="cifar-100-python.tar.gz",
    train=(f"{_FOLDER}/train",),
    test=f"{_FOLDER}/test",
    meta=f"{_FOLDER}/meta",
    labels=b"fine_labels",
    classes=b"fine_label_names",
)


def decode(raw: Path) -> Images:
    """Read the archive in the folder `raw`, whose digest was checked."""
    return read("cifar100", raw, _LAYOUT)
