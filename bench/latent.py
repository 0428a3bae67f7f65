"""Student-t AP3 three ways, side by side: exact, by Pyro Monte Carlo, by three scalars a point.

Prints one table of time and error and, with `--json`, writes how many times faster the exact value
is than Pyro's. The first, warming run of each is not counted; Pyro warms up on few points.

    python bench/latent.py
    python bench/latent.py --points 20000 --pyro-runs 2
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple, TypeVar

import mpmath as mp
import numpy as np
import torch
from measuring import write_ratios

from ap3.latent import StudentT, student_t_kl

DF = 4.0
BATCH = 273  # 13 variants of 21 epochs

T = TypeVar("T")


class Row(NamedTuple):
    """One line of the table; errors relative to the true value."""

    method: str
    seconds: list[float]
    error: float
    standard_error: float | None


def main() -> None:
    """Measure, print, and write."""
    options = _options()
    law = StudentT(np.zeros(options.dim), df=DF, scale=1.0, groups=None)
    other = law.at(np.full(options.dim, options.distance / np.sqrt(options.dim)))
    truth = _truth(options.distance, DF, options.dim)
    rows = [
        _exact(law, other, truth, options.repeats),
        _exact_batch(options.distance, options.dim, truth, options.repeats),
        _sampled("pyro", law, other, truth, options.points, options.pyro_runs),
        _sampled("reduced", law, other, truth, options.points, options.pyro_runs + 2),
    ]
    print(_conditions(options))
    print(_table(rows))
    exact, _, pyro, reduced = (median(row.seconds) for row in rows)
    ratios = {
        "ap3_exact_over_pyro": pyro / exact,
        "ap3_exact_over_reduced": reduced / exact,
        "ap3_reduced_over_pyro": pyro / reduced,
    }
    write_ratios(options.json, ratios)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=600_000, help="Monte Carlo points (Sec. 5.3)")
    parser.add_argument("--dim", type=int, default=100, help="dimension of the latent space")
    parser.add_argument("--distance", type=float, default=1.0, help="distance of the locations")
    parser.add_argument("--pyro-runs", type=int, default=3, help="timed runs of Pyro")
    parser.add_argument("--repeats", type=int, default=200, help="timed runs of the exact value")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    return parser.parse_args()


def _exact(law: StudentT, other: StudentT, truth: float, repeats: int) -> Row:
    seconds, values = _timed(lambda: law.kl(other), repeats)
    return Row("exact", seconds, abs(values[-1] / truth - 1), None)


def _exact_batch(distance: float, dim: int, truth: float, repeats: int) -> Row:
    distances = np.linspace(0, 2 * distance, BATCH)
    seconds, values = _timed(lambda: student_t_kl(distances, DF, dim), repeats)
    each = [s / BATCH for s in seconds]
    return Row(
        f"exact, one of {BATCH} at once", each, abs(values[-1][BATCH // 2] / truth - 1), None
    )


def _sampled(
    estimator: Literal["pyro", "reduced"],
    law: StudentT,
    other: StudentT,
    truth: float,
    points: int,
    runs: int,
) -> Row:
    generator = np.random.default_rng(0)
    law.kl_monte_carlo(other, min(points, 2000), generator, estimator)
    seconds, estimates = _timed(
        lambda: law.kl_monte_carlo(other, points, generator, estimator), runs, warm_up=False
    )
    # The typical error over runs; one run may be lucky.
    error = np.sqrt(np.mean([(e.value / truth - 1) ** 2 for e in estimates]))
    name = {"pyro": "Pyro", "reduced": "three scalars a point"}[estimator]
    return Row(f"{name}, {points:,} points", seconds, error, estimates[-1].standard_error / truth)


def _timed(run: Callable[[], T], repeats: int, warm_up: bool = True) -> tuple[list[float], list[T]]:
    if warm_up:
        run()
    seconds, values = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        values.append(run())
        seconds.append(time.perf_counter() - start)
    return seconds, values


def _truth(distance: float, df: float, dim: int) -> float:
    """Integrate as `ap3.latent.student_t`, with v = u/(1 + u), in 30 digits."""
    with mp.workdps(30):
        delta, nu, a = mp.mpf(distance), mp.mpf(df), (mp.mpf(df) + dim) / 2

        def integrand(v: mp.mpf) -> mp.mpf:
            power = -nu / 2 * mp.log1p(delta**2 / nu * v * (1 - v))
            return -mp.expm1(power) / v * (1 - v) ** (a - 1)

        return float(a * mp.quad(integrand, [0, *(mp.mpf(2) ** -k for k in range(30, -1, -1))]))


def _conditions(options: argparse.Namespace) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "pyro-ppl"))
    return (
        f"Student-t KL, df {DF:g}, dimension {options.dim}, distance {options.distance:g}; "
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads; "
        f"{packages}; relative errors against a 30-digit integral"
    )


def _table(rows: list[Row]) -> str:
    times = "".join(f"{name:>12}" for name in ("median s", "fastest", "slowest"))
    head = f"{'':36}{'n':>6}{times}{'error':>12}{'std. error':>12}"
    return "\n".join([head, *map(_line, rows)])


def _line(row: Row) -> str:
    seconds = (median(row.seconds), min(row.seconds), max(row.seconds))
    times = "".join(f"{s:12.3g}" for s in seconds)
    spread = "-" if row.standard_error is None else f"{row.standard_error:.2g}"
    return f"{row.method:36}{len(row.seconds):6}{times}{row.error:12.2g}{spread:>12}"


if __name__ == "__main__":
    main()
