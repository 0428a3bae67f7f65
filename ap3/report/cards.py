"""The figures as the page shows them: picture, title, what to look for, labels."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ap3.errors import InvalidFileError
from ap3.study.captions import caption_of
from ap3.study.settings import Study

_COLORS = 128


@dataclass(frozen=True)
class Card:
    """One figure: its labels by name, and its files as data URIs."""

    name: str
    title: str
    caption: str
    labels: dict[str, list[str]]
    picture: str
    width: int
    height: int
    pdf: str


def card(name: str, png: Path, study: Study) -> Card:
    """Return the card of a figure of a study."""
    caption = caption_of(name, study)
    picture, width, height = _picture(png)
    pdf = png.with_suffix(".pdf")
    file = _uri(pdf.read_bytes(), "application/pdf") if pdf.exists() else ""
    return Card(name, caption.title, caption.text, caption.labels, picture, width, height, file)


def _picture(path: Path) -> tuple[str, int, int]:
    """Return a PNG as a data URI, in few colours at a quarter of its size, and how large it is."""
    content, buffer = path.read_bytes(), io.BytesIO()
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            whole = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # By which Pillow says what is wrong with the content: no disk is asked here.
        raise InvalidFileError(
            f"{path.resolve()} is no whole PNG image; delete it and make it again."
        ) from error
    _in_few_colors(whole).save(buffer, "PNG")
    return _uri(buffer.getvalue(), "image/png"), whole.width, whole.height


def _in_few_colors(image: Image.Image) -> Image.Image:
    """Return an image with a palette; an octree is averaged in less time than a median cut takes."""
    small = image.quantize(_COLORS, method=Image.Quantize.FASTOCTREE)
    # The background was averaged with what is nearly as light: it stays the page's white.
    palette = np.array(small.getpalette()).reshape(-1, 3)
    palette[np.asarray(small)[0, 0]] = np.asarray(image)[0, 0]
    small.putpalette(palette.ravel().tolist())
    return small


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
