"""Images in folders for their classes, in the layout of torchvision's `ImageFolder`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.errors import InvalidValueError, MissingFileError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff", ".gif"}
_GREY = {"1", "L"}

Labelled = list[tuple[Path, int]]
"""Image files, each with the place of its class."""


def labelled_files(path: Path) -> tuple[tuple[str, ...], Labelled]:
    """List the classes and the image files of a folder: its subfolders are the classes, by name.

    Parameters
    ----------
    path
        Of the folder.

    Raises
    ------
    UserError
        If there is no such folder, or no image in it.
    """
    if not path.is_dir():
        raise MissingFileError(f"{path} is no folder; give folder:PATH, a folder for each class.")
    classes = tuple(sorted(part.name for part in path.iterdir() if part.is_dir()))
    files = [
        (file, label)
        for label, name in enumerate(classes)
        for file in sorted((path / name).rglob("*"))
        if file.suffix.lower() in _SUFFIXES
    ]
    if not files:
        raise InvalidValueError(
            f"{path} holds no images in folders for their classes, such as {path}/cat/1.jpg; give a "
            "folder in that layout."
        )
    return classes, files


def form_of(path: Path) -> tuple[int, bool]:
    """Return the short side of an image in pixels, and whether it is grey; no pixel is decoded."""
    with _opened(path) as image:
        return min(image.size), image.mode in _GREY


def read_square(path: Path, side: int | None = None, grey: bool = False) -> NDArray[np.uint8]:
    """Read an image, scaled to cover a square, and its middle cut out.

    Parameters
    ----------
    path
        Of the image.
    side
        Of the square in pixels; the image's short side if None.
    grey
        Whether one channel is wanted, not three.

    Returns
    -------
    array of shape (1 or 3, side, side)

    Raises
    ------
    UserError
        If it cannot be read.
    """
    from PIL import Image, ImageOps

    with _opened(path) as image:
        side = side or min(image.size)
        try:
            plain = image.convert("L" if grey else "RGB")
            square = ImageOps.fit(plain, (side, side), Image.Resampling.BILINEAR)
        except (OSError, ValueError, SyntaxError) as error:  # the last of a damaged PNG
            raise _unreadable(path, error) from error
    return np.array(square).reshape(side, side, -1).transpose(2, 0, 1)


def _opened(path: Path) -> Any:
    from PIL import Image

    try:
        return Image.open(path)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InvalidValueError:
    return InvalidValueError(f"{path} cannot be read as an image ({error}); remove it.")
