"""Time and memory of AP3 with a non-diagonal covariance, by the fast transform and by the dense one.

Each size runs in a process of its own, whose largest resident memory beyond that of its imports is
printed in copies of the layer's weights as float64 (for the dense matrix: of n² numbers). The fast
one counts everything from two float32 layers to the value: signs, spectrum, scale, two laws, KL.
The dense one counts what a study does once: drawing the eigenvectors, and writing them.

    python bench/rotation.py                         # fast at n = 819,200, dense at n = 1,280
    python bench/rotation.py --fast 819200 --dense 2560 5120
"""

import argparse
import os
import platform
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from ap3.latent import DenseRotation, FastRotation, SpectralGaussian, auto_scale, default_spectrum
from ap3.measuring.covariance import make_covariance


def main() -> None:
    """Measure every size that is asked for and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", type=int, nargs="*", default=[819_200], help="weights")
    parser.add_argument("--dense", type=int, nargs="*", default=[1_280], help="weights")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of the fast one")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}"
    )
    print(f"{'':28}{'n':>9}{'runs':>6}{'median s':>10}{'CPU s':>8}{'peak MB':>10}{'copies':>8}")
    for n in options.fast:
        _line("fast: layers to AP3", n, n, *_alone(_fast, n, options.repeats))
    for n in options.dense:
        _line("dense: eigenvectors", n, n**2, *_alone(_draw, n, 1))
        _line("dense: and written", n, n**2, *_alone(_write, n, 1))


Measured = tuple[list[float], list[float], int]


def _alone(run: Callable[[int], None], n: int, repeats: int) -> Measured:
    """Run in a fresh process: seconds, CPU seconds, and bytes of memory beyond the imports'."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, run, n, repeats).result()


def _measured(run: Callable[[int], None], n: int, repeats: int) -> Measured:
    run(2)  # warms up; imports what is imported late
    before = _peak()
    seconds, cpu = [], []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        run(n)
        seconds.append(time.perf_counter() - clock)
        cpu.append(time.process_time() - processor)
    return seconds, cpu, _peak() - before


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _fast(n: int) -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(n, dtype=np.float32)
    pruned = weights * (np.abs(weights) > 1)
    rotation, spectrum = FastRotation(n, seed=0), default_spectrum(n)
    law = SpectralGaussian(weights, rotation, spectrum, auto_scale(weights, rotation, spectrum))
    law.kl(law.at(pruned))


def _draw(n: int) -> None:
    DenseRotation.draw(n, 0)


def _write(n: int) -> None:
    with TemporaryDirectory() as folder:
        make_covariance(Path(folder) / "covariance.safetensors", n, "dense", seed=0)


def _line(name: str, n: int, copy: int, seconds: list[float], cpu: list[float], peak: int) -> None:
    times = f"{len(seconds):6}{median(seconds):10.3g}{median(cpu):8.3g}"
    print(f"{name:28}{n:9,}{times}{peak / 1e6:10,.0f}{peak / (8 * copy):8.1f}")


if __name__ == "__main__":
    main()
