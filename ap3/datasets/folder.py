"""A data set of the user's own as image files: `folder:PATH`.

PATH holds `train` and `test` (or `val`), and each a folder for every class. Where it holds the
classes themselves, every fifth image of a class is a test image.
"""

from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ap3.datasets.image_files import Labelled, form_of, labelled_files, read_square
from ap3.datasets.images import Images
from ap3.errors import InvalidValueError

LARGEST_SIDE = 256
"""Pixels. Larger images are scaled down when they are decoded; a study scales to its own size then."""

_TEST_NAMES = ("test", "val")
_EVERY = 5


def decode(path: Path, name: str) -> Images:
    """Read all images of a folder, as squares of one size: that of the smallest of them.

    Parameters
    ----------
    path
        Of the folder.
    name
        Of the data set.

    Raises
    ------
    UserError
        If the folder is not in the layout, or an image cannot be read.
    """
    classes, train, test = splits_of(path)
    forms = [form_of(file) for file, _ in (*train, *test)]
    side = min(LARGEST_SIDE, *(short for short, _ in forms))
    grey = all(one for _, one in forms)
    return Images(name, classes, *_decoded(train, side, grey), *_decoded(test, side, grey))


def splits_of(path: Path) -> tuple[tuple[str, ...], Labelled, Labelled]:
    """List the classes, the training files and the test files of a folder.

    Parameters
    ----------
    path
        Of the folder.

    Raises
    ------
    UserError
        If it is not in the layout.
    """
    if not (path / "train").is_dir():
        classes, files = labelled_files(path)
        by_class = (list(some) for _, some in groupby(files, itemgetter(1)))
        test = [file for some in by_class for file in some[_EVERY - 1 :: _EVERY]]
        chosen = set(test)
        return classes, [file for file in files if file not in chosen], test
    held_out = next((path / name for name in _TEST_NAMES if (path / name).is_dir()), None)
    if held_out is None:
        raise InvalidValueError(
            f"{path} has a folder train, but neither test nor val beside it; add one of them."
        )
    (classes, train), (others, test) = labelled_files(path / "train"), labelled_files(held_out)
    if classes != others:
        name = min(set(classes) ^ set(others))
        raise InvalidValueError(
            f"{path} must have the same classes in train and in {held_out.name}, but {name!r} stands "
            "in one of them only."
        )
    return classes, train, test


def _decoded(files: Labelled, side: int, grey: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = np.empty((len(files), 1 if grey else 3, side, side), np.uint8)
    for place, (file, _) in enumerate(files):
        images[place] = read_square(file, side, grey)
    return images, np.array([label for _, label in files], np.int64)
