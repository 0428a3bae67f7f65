"""The pruned variants of one baseline, by name: `lowest-0.3`, …, and the control."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from ap3.errors import InvalidValueError

CONTROL = "control"

MODES = ("lowest", "highest", "random")
"""The paper's ways to choose the weights that are pruned (Sec. 5.1)."""


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

    def __str__(self) -> str:
        return CONTROL if self.mode == CONTROL else f"{self.mode}-{self.ratio}"


def variants(modes: Iterable[str], ratios: Iterable[float]) -> list[Variant]:
    """List the control, then every mode at every ratio."""
    ratios = list(ratios)
    return [
        Variant(CONTROL, 0.0),
        *(Variant(mode, float(ratio)) for mode in modes for ratio in ratios),
    ]


def mode_order(mode: str) -> tuple[int, str]:
    """Sort by it, and the paper's modes stand in the paper's order, others behind them by name.

    Examples
    --------
    >>> sorted(["my_criteria:norm", "random", "lowest"], key=mode_order)
    ['lowest', 'random', 'my_criteria:norm']
    """
    return (MODES.index(mode) if mode in MODES else len(MODES)), mode
