"""What is said of the figures and tables that no description speaks of: a file each."""

from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "captions"


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
    """Read a caption: its title, an empty line, its text.

    >>> read("baselines").title
    'Baselines'
    """
    title, _, text = file(name).read_text(encoding="utf-8").partition("\n\n")
    return Caption(name, title, " ".join(text.split()))
