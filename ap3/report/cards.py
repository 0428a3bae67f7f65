"""The figures as the page shows them: picture, title, what to look for, labels."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ap3.figures import descriptions, look
from ap3.report import captions
from ap3.report.captions import Caption
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


def caption_of(name: str, study: Study) -> Caption:
    """Return what is said of a figure: by its description, or by this package."""
    if name not in descriptions.names():
        return captions.read(name)
    described = descriptions.describe(name)
    return Caption(name, described.title, described.caption, labels(described, study))


def labels(described: descriptions.Description, study: Study) -> dict[str, list[str]]:
    """Say what a figure shows in words of the study, not in names of files."""
    pairs = described.blocks(study.roles)
    if not pairs:
        return {}
    pruning = study.settings["pruning"]
    shown: dict[str, Iterable[str]] = {
        "model": [look.name_title(model) for model, _ in pairs],
        "data set": [look.name_title(dataset) for _, dataset in pairs],
        "metric": [_metric(metric) for metric in described.metrics],
        "PD": described.splits or ["none"],
        "mode": described.modes or pruning["modes"],
        "ratio": [f"{ratio:g}" for ratio in described.ratios or pruning["ratios"]],
        "trial": [f"1 to {len(study.trials)}" if len(study.trials) > 1 else "1"],
    }
    return {key: list(dict.fromkeys(values)) for key, values in shown.items()}


def _metric(metric: str) -> str:
    name, colon, law = look.metric_title(metric).partition(": ")
    return f"{name} ({law})" if colon else name


def _picture(path: Path) -> tuple[str, int, int]:
    """Return a PNG as a data URI, in few colours at a quarter of its size, and how large it is."""
    from PIL import Image

    with Image.open(path) as image:
        buffer = io.BytesIO()
        small = image.convert("RGB").quantize(_COLORS, method=Image.Quantize.MEDIANCUT)
        small.save(buffer, "PNG", optimize=True)
        return _uri(buffer.getvalue(), "image/png"), image.width, image.height


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
