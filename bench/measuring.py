"""Measure several ways of doing one thing side by side, and say what came out with its conditions.

The ways take turns, round after round, so that whatever else the machine does meets all of them,
and a ratio is taken within each round. Rounds of warming up are not counted.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import torch

from ap3.files.storage import write_atomically

Times = dict[str, list[float]]
"""Seconds of each way, a value per round."""


class Ratio(NamedTuple):
    """How many times as fast one way is as another: median and quartiles over n rounds."""

    n: int
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: list[float], others: list[float], scale: float = 1.0) -> "Ratio":
        """Compare seconds round by round; `scale` is how much more the others would have to do."""
        values = [scale * theirs / mine for mine, theirs in zip(ours, others, strict=True)]
        low, _, high = quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        return cls(len(values), median(values), low, high)

    def __str__(self) -> str:
        return f"{self.median:10.4g} (quartiles {self.low:.4g} to {self.high:.4g}, n = {self.n})"


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
"""Processor time is of this process alone, without a loader's workers; other jobs disturb it less."""


def seconds(run: Callable[[], object], clock: str = "wall") -> float:
    """Time one call."""
    now = CLOCKS[clock]
    start = now()
    run()
    return now() - start


def in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1, clock: str = "wall"
) -> Times:
    """Time every way once a round, after some rounds that are not counted."""
    times: Times = {name: [] for name in ways}
    for number in range(warm_up + rounds):
        for name, run in ways.items():
            taken = seconds(run, clock)
            if number >= warm_up:
                times[name].append(taken)
    return times


def table(title: str, times: Times, units: Mapping[str, float] | float, unit: str) -> str:
    """Tabulate rates: `units` of work a round over its seconds."""
    head = f"{title:44}{'n':>4}{'median':>12}{'slowest':>12}{'fastest':>12}   {unit}"
    lines = [head]
    for name, taken in times.items():
        amount = units if isinstance(units, float | int) else units[name]
        rates = [amount / one for one in taken]
        values = "".join(f"{rate:12.4g}" for rate in (median(rates), min(rates), max(rates)))
        lines.append(f"  {name:42}{len(rates):4}{values}")
    return "\n".join(lines)


def conditions(**settings: object) -> str:
    """Say on what, and with what, a measurement was made."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "numpy"))
    load = os.getloadavg()[0]
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())
    return (
        f"{_processor()}, {os.cpu_count()} cores, load {load:.1f} at the start, "
        f"{torch.get_num_threads()} torch threads; Python {platform.python_version()}, {packages}; "
        f"{told}"
    )


def write_ratios(path: Path | None, ratios: Mapping[str, Ratio | float]) -> None:
    """Print ratios by name and, if `path` is given, write their medians there."""
    for name, ratio in ratios.items():
        print(f"{name:34}{ratio}")
    if path:
        values = {
            name: ratio.median if isinstance(ratio, Ratio) else ratio
            for name, ratio in ratios.items()
        }
        text = json.dumps(values, indent=2) + "\n"
        write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
