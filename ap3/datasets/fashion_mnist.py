"""Fashion-MNIST: 28×28 pixels, grey, ten kinds of clothing (Xiao et al. 2017), in IDX files."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.datasets.images import Images

_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def decode(raw: Path) -> Images:
    """Read the four IDX files in the folder `raw`, whose digests were checked."""
    return Images("fashion-mnist", _CLASSES, *_split(raw, "train"), *_split(raw, "t10k"))


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes.

    Its header is two zero bytes, the type, the number of axes, and each axis' length as a
    big-endian 32-bit integer.
    """
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = struct.unpack_from(f">{axes}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _split(raw: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    images = _read_idx(raw / f"{name}-images-idx3-ubyte.gz")
    labels = _read_idx(raw / f"{name}-labels-idx1-ubyte.gz")
    return images[:, None], labels.astype(np.int64)
