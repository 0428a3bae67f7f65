"""Tiny-ImageNet: 64×64 pixels, colour, 200 classes of ImageNet, as JPEG files in a zip.

The published test split has no labels, so the validation split is what we test on.
"""

import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ap3.datasets.images import Images
from ap3.datasets.raw.archives import Zip, open_zip
from ap3.errors import InvalidFileError
from ap3.machine.progress import counted

_FOLDER = "tiny-imagenet-200"
_SIZE = 64
_LIMIT = 16 * 2**20

# A member of the archive and its class.
_Labelled = list[tuple[str, str]]


def decode(raw: Path) -> Images:
    """Read the archive in the folder `raw`.

    Labels number the WordNet ids in alphabetical order. The grey images among the JPEG files
    become colour images of three equal channels.
    """
    with open_zip(raw / f"{_FOLDER}.zip", _LIMIT) as archive:
        ids = sorted(_lines(archive, "wnids.txt"))
        train = _split(archive, _training_files(archive), ids)
        test = _split(archive, _validation_files(archive), ids)
        return Images("tiny-imagenet", _class_names(archive, ids), *train, *test)


def _training_files(archive: Zip) -> _Labelled:
    pattern = re.compile(rf"{_FOLDER}/train/(n\d+)/images/[^/]+\.JPEG")
    matches = filter(None, map(pattern.fullmatch, sorted(archive.names)))
    return [(match[0], match[1]) for match in matches]


def _validation_files(archive: Zip) -> _Labelled:
    """Read the annotation file: per line an image, its class, and a box that we ignore."""
    lines = _lines(archive, "val/val_annotations.txt")
    rows = [line.split("\t") for line in lines]
    if any(len(row) < 2 for row in rows):
        raise InvalidFileError(
            f"{archive.path}: val_annotations.txt must name an image and its class."
        )
    return [(f"{_FOLDER}/val/images/{name}", wnid) for name, wnid, *_ in rows]


def _split(
    archive: Zip, files: _Labelled, ids: list[str]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    number = {wnid: label for label, wnid in enumerate(ids)}
    pixels = np.empty((len(files), 3, _SIZE, _SIZE), np.uint8)
    labels = np.empty(len(files), np.int64)
    for row, (name, wnid) in enumerate(counted(files, "images")):
        if wnid not in number:
            raise InvalidFileError(
                f"{archive.path}: {name} is of class {wnid}, which wnids.txt lacks."
            )
        pixels[row] = _pixels(archive, name).transpose(2, 0, 1)
        labels[row] = number[wnid]
    return pixels, labels


def _pixels(archive: Zip, name: str) -> NDArray[np.uint8]:
    """Return the image `name`, shape (H, W, 3)."""
    from PIL import Image

    content = archive.read(name)
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if image.size == (_SIZE, _SIZE):
                return np.asarray(image.convert("RGB"))
            found = "×".join(map(str, image.size))
    except OSError as error:
        raise InvalidFileError(
            f"{archive.path}: {name} is no whole JPEG image ({error})."
        ) from error
    raise InvalidFileError(
        f"{archive.path}: {name} must be {_SIZE}×{_SIZE} pixels, but is {found}."
    )


def _class_names(archive: Zip, ids: list[str]) -> tuple[str, ...]:
    """Return the first of each class' names in words.txt."""
    words = dict(line.partition("\t")[::2] for line in _lines(archive, "words.txt"))
    return tuple(words.get(wnid, wnid).split(",")[0] for wnid in ids)


def _lines(archive: Zip, name: str) -> list[str]:
    return archive.read(f"{_FOLDER}/{name}").decode("utf-8", "replace").splitlines()
