"""What is said of the figures and tables of a study: by a figure's description, or a file here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ap3.figures import descriptions, look
from ap3.study.settings import Study

FOLDER = Path(__file__).parent / "captions"

_FAMILIES = {"alexnet": "AlexNet", "vgg": "VGG", "resnet": "ResNet", "vit": "ViT"}


@dataclass(frozen=True)
class Caption:
    """A figure or table: its title, what to look for in it, and labels: values by name."""

    name: str
    title: str
    text: str
    labels: dict[str, list[str]] = field(default_factory=dict)


def file(name: str) -> Path:
    """Return the file of a caption."""
    return FOLDER / f"{name}.rst"


def read(name: str) -> Caption:
    r"""Read a caption: its title, an empty line, its text, where a bar is `\|` for Snakemake's report.

    >>> read("baselines").title
    'Baselines'
    """
    title, _, text = file(name).read_text(encoding="utf-8").partition("\n\n")
    return Caption(name, title, " ".join(text.split()).replace(r"\|", "|"))


def caption_of(name: str, study: Study) -> Caption:
    """Return what is said of a figure: by its description, or by this package."""
    if name not in descriptions.names():
        return read(name)
    described = descriptions.describe(name)
    return Caption(name, _title(described, study), described.caption, labels(described, study))


def _title(described: descriptions.Description, study: Study) -> str:
    """Name in a figure's title the networks of the study in place of the paper's families."""
    names = {
        _FAMILIES[role]: look.name_title(study.roles.network(role, described.name))
        for role in described.networks
    }
    return re.sub("|".join(_FAMILIES.values()), lambda found: names[found[0]], described.title)


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
