"""Fashion-MNIST: 28×28 pixels, grey, ten kinds of clothing (Xiao et al. 2017), in IDX files."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.datasets.images import Images
from ap3.datasets.raw.archives import gunzip
from ap3.errors import InvalidFileError

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
_UNSIGNED_BYTES = 8
_LIMIT = 64 * 2**20


def decode(raw: Path) -> Images:
    """Read the four IDX files in the folder `raw`."""
    return Images("fashion-mnist", _CLASSES, *_split(raw, "train"), *_split(raw, "t10k"))


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes with `ndim` axes.

    Its header is two zero bytes, the type, the number of axes, and each axis' length as a
    big-endian 32-bit integer.

    Raises
    ------
    UserError
        If the file is cut short, has another header, or another length than its header says.
    """
    content = gunzip(path, _LIMIT)
    start = 4 + 4 * ndim
    header = bytes([0, 0, _UNSIGNED_BYTES, ndim])
    if not content.startswith(header) or len(content) < start:
        raise InvalidFileError(f"{path} is no IDX file of bytes with {ndim} axes; fetch it again.")
    shape = struct.unpack(f">{ndim}I", content[4:start])
    pixels = np.frombuffer(content, np.uint8, offset=start)
    try:
        return pixels.reshape(shape)
    except ValueError as error:
        raise InvalidFileError(
            f"{path} must hold {'×'.join(map(str, shape))} bytes as its header says, but holds "
            f"{len(pixels)}; fetch it again."
        ) from error


def _split(raw: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    images = read_idx(raw / f"{name}-images-idx3-ubyte.gz", ndim=3)
    labels = read_idx(raw / f"{name}-labels-idx1-ubyte.gz", ndim=1)
    return images[:, None], labels.astype(np.int64)
