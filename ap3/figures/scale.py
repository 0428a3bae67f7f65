"""A logarithmic axis with a place for zero: a marked floor under the smallest positive value."""

from dataclasses import dataclass, replace
from math import floor, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

_STEPS = (1, 2, 5)
_STRIP = 0.17  # of the axis's height: the strip that holds the floor


@dataclass(frozen=True)
class Scale:
    """The positive range `low` … `high` of an axis, and whether zeros are to be shown below it."""

    low: float
    high: float
    zeros: bool

    @classmethod
    def over(cls, values: ArrayLike) -> "Scale":
        """Return the scale with room for `values`: the range snapped outward to 1, 2, 5 × 10ᵏ.

        >>> Scale.over([0.0, 0.3, 40.0])
        Scale(low=0.2, high=50.0, zeros=True)
        """
        values = np.asarray(values, dtype=float)
        positive = values[values > 0]
        if not positive.size:
            return cls(0.1, 1.0, zeros=True)
        low, high = _below(positive.min()), _above(positive.max())
        if low == high:
            low, high = _below(low * 0.9), _above(high * 1.1)
        return cls(low, high, zeros=bool((values == 0).any()))

    @property
    def decades(self) -> float:
        """The height of the positive range in powers of ten."""
        return log10(self.high / self.low)

    @property
    def floor(self) -> float:
        """Where a zero is drawn by itself: the middle of the strip below `low`."""
        return self._lane(0.5)

    @property
    def bottom(self) -> float:
        """The lower end of the axis."""
        return self.low / 10 ** (self._strip if self.zeros else 0.0)

    @property
    def _strip(self) -> float:
        return self.decades * _STRIP / (1 - _STRIP)

    def with_decades(self, decades: float) -> "Scale":
        """Return this scale widened on both sides, in equal parts, to a height of `decades`."""
        more = 10 ** ((decades - self.decades) / 2)
        return replace(self, low=self.low / more, high=self.high * more)

    def place(self, values: ArrayLike, lane: float = 0.5) -> NDArray[np.float64]:
        """Return `values` with each zero moved into the strip of the floor.

        A `lane` of 0 is the strip's upper edge, 1 its lower one: curves that are zero together
        are seen beside one another.
        """
        values = np.asarray(values, dtype=float)
        return np.where(values == 0, self._lane(lane), values)

    def _lane(self, lane: float) -> float:
        return self.low / 10 ** (lane * self._strip)

    def apply(self, axes: Axes) -> None:
        """Give `axes` this scale: limits, ticks at decades, and the strip with its tick "0"."""
        axes.set_yscale("log")
        axes.set_ylim(self.bottom, self.high)
        ticks = self._ticks()
        labels = [_label(tick) for tick in ticks]
        if self.zeros:
            axes.axhspan(
                self.bottom, self.low, facecolor="0.93", edgecolor="none", zorder=0, gid="floor"
            )
            ticks, labels = [self.floor, *ticks], ["0", *labels]
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_major_formatter(FixedFormatter(labels))
        axes.yaxis.set_minor_locator(FixedLocator(self._minor()))
        axes.yaxis.set_minor_formatter(NullFormatter())

    def _ticks(self) -> list[float]:
        steps = (1,) if self.decades > 1.5 else _STEPS
        ticks = _series(self.low, self.high, steps)
        return ticks[:: 1 + len(ticks) // 7]

    def _minor(self) -> list[float]:
        return _series(self.low, self.high, range(1, 10)) if self.decades <= 2 else []


def _series(low: float, high: float, steps: ArrayLike) -> list[float]:
    powers = range(floor(log10(low)) - 1, floor(log10(high)) + 1)
    grid = [float(f"{step}e{power}") for power in powers for step in np.asarray(steps)]
    return [tick for tick in grid if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def _below(value: float) -> float:
    return max(step for step in _series(value / 11, value, _STEPS) if step <= value)


def _above(value: float) -> float:
    return min(step for step in _series(value, value * 11, _STEPS) if step >= value)


def _label(tick: float) -> str:
    """Return a tick's label: plain where that is short, else `2·10⁻⁷`."""
    if 1e-3 <= tick <= 1e4:
        return f"{tick:g}"
    power = floor(log10(tick) + 1e-9)
    step = round(tick / 10.0**power)
    times = "" if step == 1 else rf"{step} \cdot "
    return rf"${times}10^{{{power}}}$"
