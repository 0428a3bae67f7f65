"""What CIFAR-10 and CIFAR-100 share: pickled batches of 32×32 colour images in a tar.gz."""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.datasets.images import Images
from ap3.datasets.raw.archives import read_tar
from ap3.errors import InvalidFileError

_LIMIT = 256 * 2**20
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
    """Read the data set `name` from the archive in the folder `raw`.

    Raises
    ------
    UserError
        If the archive is damaged or holds something else than CIFAR's batches.
    """
    archive = raw / layout.archive
    members = read_tar(archive, (*layout.train, layout.test, layout.meta), _LIMIT)
    try:
        classes = tuple(text.decode() for text in _unpickle(members[layout.meta])[layout.classes])
        train = [_batch(members[member], layout.labels) for member in layout.train]
        test = _batch(members[layout.test], layout.labels)
    # A damaged pickle may fail in any way; none of them is worth a traceback.
    except Exception as error:
        raise InvalidFileError(
            f"{archive} does not hold the batches of {name} ({error!r}); fetch it again."
        ) from error
    pixels, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return Images(name, classes, pixels, labels, *test)


def _batch(content: bytes, key: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = _unpickle(content)
    return batch[b"data"].array.reshape(-1, *_SHAPE), np.array(batch[key], np.int64)


def _unpickle(content: bytes) -> Any:
    return _Unpickler(io.BytesIO(content), encoding="bytes").load()


class _Array:
    """Stands in for numpy.ndarray."""

    def __init__(self, *_: object) -> None:
        self.array = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[int, tuple[int, ...], "_Bytes", bool, bytes]) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Bytes):
            raise pickle.UnpicklingError("an array of another type than unsigned bytes")
        self.array = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Bytes:
    """Stands in for numpy.dtype, which is always that of unsigned bytes."""

    def __init__(self, code: bytes, *_: object) -> None:
        if code != b"u1":
            raise pickle.UnpicklingError(f"an array of type {code!r} where unsigned bytes belong")

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and alignment: single bytes have none."""


# The pure Python class: a damaged pickle can make the one in C reserve all memory.
class _Unpickler(pickle._Unpickler):
    """Reads CIFAR's pickles: plain containers, and arrays of bytes through our stand-ins.

    No name in a pickle ever leads to a class or function from outside of this module.
    """

    def find_class(self, module: str, name: str) -> Any:
        stand_ins = {
            ("numpy.core.multiarray", "_reconstruct"): _Array,
            ("numpy._core.multiarray", "_reconstruct"): _Array,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Bytes,
        }
        if (module, name) not in stand_ins:
            raise pickle.UnpicklingError(f"{module}.{name}, which CIFAR's files never hold")
        return stand_ins[module, name]
