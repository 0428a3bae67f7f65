"""The pruned variants of one baseline, by name: `lowest-0.3`, …, and the control."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from ap3.errors import InvalidValueError

CONTROL = "control"

MODES = ("lowest", "highest", "random")
"""The paper's ways to choose the weights that are pruned (Sec. 5.1)."""

DATA_AWARE = ("obd", "obs", "snip", "wanda")
"""Criteria that look at what the layer sees of the training images."""

CRITERIA = (*MODES, "per_class", *DATA_AWARE)
"""All ways that have a name; further ones are the user's own."""

_DRAWN = "random."


@dataclass(frozen=True)
class Variant:
    """How the last layer was pruned: a mode and a ratio, or not at all (the control)."""

    mode: str
    ratio: float

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name as `str(variant)` writes it.

        Examples
        --------
        >>> Variant.parse("lowest-0.3")
        Variant(mode='lowest', ratio=0.3)
        >>> str(Variant.parse("control"))
        'control'
        """
        if name == CONTROL:
            return cls(CONTROL, 0.0)
        mode, _, ratio = name.partition("-")
        try:
            if "/" in name:
                raise ValueError("files are named by variants")
            return cls(mode, float(ratio))
        except ValueError as error:
            raise InvalidValueError(
                f"{name!r} names no variant; expected MODE-RATIO such as lowest-0.3, or {CONTROL}."
            ) from error

    @property
    def kind(self) -> str:
        """The mode, which all random masks share.

        Examples
        --------
        >>> Variant("random.17", 0.5).kind, Variant("lowest", 0.5).kind
        ('random', 'lowest')
        """
        return "random" if self.draw else self.mode

    @property
    def draw(self) -> int:
        """The number of a random mask among many, from 1; 0 for the one of the mode `random`."""
        number = self.mode.removeprefix(_DRAWN)
        return int(number) if self.mode.startswith(_DRAWN) and number.isdecimal() else 0

    def __str__(self) -> str:
        return CONTROL if self.mode == CONTROL else f"{self.mode}-{self.ratio}"


def variants(modes: Iterable[str], ratios: Iterable[float]) -> list[Variant]:
    """List the control, then every mode at every ratio."""
    ratios = list(ratios)
    return [
        Variant(CONTROL, 0.0),
        *(Variant(mode, float(ratio)) for mode in modes for ratio in ratios),
    ]


def drawn(ratios: Iterable[float], masks: int) -> list[Variant]:
    """List random masks: `masks` of them at each ratio, each with a name and so a seed of its own.

    Examples
    --------
    >>> [str(variant) for variant in drawn([0.3], 2)]
    ['random.1-0.3', 'random.2-0.3']
    """
    return [
        Variant(f"{_DRAWN}{number}", float(ratio))
        for ratio in ratios
        for number in range(1, masks + 1)
    ]


def mode_order(mode: str) -> tuple[int, str]:
    """Sort by it, and ap3's modes stand in their order, the paper's first, others behind them by name.

    Examples
    --------
    >>> sorted(["my_criteria:norm", "wanda", "random", "lowest"], key=mode_order)
    ['lowest', 'random', 'wanda', 'my_criteria:norm']
    """
    return (CRITERIA.index(mode) if mode in CRITERIA else len(CRITERIA)), mode
