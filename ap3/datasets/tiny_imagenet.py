"""Tiny-ImageNet: 64×64 pixels, colour, 200 classes of ImageNet, as JPEG files in a zip.

The published test split has no labels, so the validation split is what we test on.
"""

import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from ap3.datasets.images import Images
from ap3.machine.progress import counted

_FOLDER = "tiny-imagenet-200"
_SHAPE = (3, 64, 64)

# A member of the archive and its class.
_Labelled = list[tuple[str, str]]


def decode(raw: Path) -> Images:
    """Read the archive in the folder `raw`, whose digest was checked.

    Labels number the WordNet ids in alphabetical order. The grey images among the JPEG files
    become colour images of three equal channels.
    """
    with ZipFile(raw / f"{_FOLDER}.zip") as archive:
        ids = sorted(_lines(archive, "wnids.txt"))
        train = _split(archive, _training_files(archive), ids)
        test = _split(archive, _validation_files(archive), ids)
        return Images("tiny-imagenet", _class_names(archive, ids), *train, *test)


def _training_files(archive: ZipFile) -> _Labelled:
    pattern = re.compile(rf"{_FOLDER}/train/(n\d+)/images/[^/]+\.JPEG")
    matches = filter(None, map(pattern.fullmatch, sorted(archive.namelist())))
    return [(match[0], match[1]) for match in matches]


def _validation_files(archive: ZipFile) -> _Labelled:
    """Read the annotation file: per line an image, its class, and a box that we ignore."""
    rows = [line.split("\t") for line in _lines(archive, "val/val_annotations.txt")]
    return [(f"{_FOLDER}/val/images/{name}", wnid) for name, wnid, *_ in rows]


def _split(
    archive: ZipFile, files: _Labelled, ids: list[str]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from PIL import Image

    pixels = np.empty((len(files), *_SHAPE), np.uint8)
    for row, (name, _) in enumerate(counted(files, "images")):
        with archive.open(name) as file, Image.open(file) as image:
            pixels[row] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    return pixels, np.array([ids.index(wnid) for _, wnid in files], np.int64)


def _class_names(archive: ZipFile, ids: list[str]) -> tuple[str, ...]:
    """Return the first of each class' names in words.txt."""
    words = dict(line.partition("\t")[::2] for line in _lines(archive, "words.txt"))
    return tuple(words.get(wnid, wnid).split(",")[0] for wnid in ids)


def _lines(archive: ZipFile, name: str) -> list[str]:
    return archive.read(f"{_FOLDER}/{name}").decode("utf-8", "replace").splitlines()
