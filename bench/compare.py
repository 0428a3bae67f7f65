"""Cost of `ap3.compare` beside a bare loop over the same files: AP2, norm and zeros in float64.

Both read the same two safetensors files, one transformer block as an eight-billion-parameter model
has it (218 million weights in bfloat16), half pruned. Each way runs in a process of its own, on one
core; memory is what the process grows by beyond its imports, without the mapped files.

    python bench/compare.py                 # the whole block
    python bench/compare.py --share 0.1     # a tenth of it
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ap3.comparing.layer_table import NONDIAGONAL, compare

WIDTH, KEYS, INNER = 4096, 1024, 14336
SHAPES = {
    "self_attn.q_proj.weight": (WIDTH, WIDTH),
    "self_attn.k_proj.weight": (KEYS, WIDTH),
    "self_attn.v_proj.weight": (KEYS, WIDTH),
    "self_attn.o_proj.weight": (WIDTH, WIDTH),
    "mlp.gate_proj.weight": (INNER, WIDTH),
    "mlp.up_proj.weight": (INNER, WIDTH),
    "mlp.down_proj.weight": (WIDTH, INNER),
}


def main() -> None:
    """Write the files, measure every way on them, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of every layer")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--slow", action="store_true", help="with the non-diagonal law as well")
    parser.add_argument("--json", type=Path, help="write the ratios there")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        weights = _write(Path(folder), options.share)
        ways = {"bare loop": _bare, "ap3.compare": _compared}
        if options.slow:
            ways["with non-diagonal"] = _compared_slowly
        print(f"{weights:,} weights, bfloat16, torch {torch.__version__}, one core")
        print(f"{'':20}{'CPU s':>8}{'MB':>8}")
        seconds = {}
        for name, way in ways.items():
            seconds[name], megabytes = _alone(way, Path(folder), options.repeats)
            print(f"{name:20}{seconds[name]:8.2f}{megabytes:8.0f}")
    ratio = seconds["ap3.compare"] / seconds["bare loop"]
    print(f"ap3.compare takes {ratio:.2f} times the CPU of the bare loop")
    if options.json:
        options.json.write_text(json.dumps({"bare loop / compare": 1 / ratio}), "utf-8")


def _write(folder: Path, share: float) -> int:
    torch.manual_seed(0)
    one = {
        name: (torch.randn(int(rows * share), columns) * 0.02).bfloat16()
        for name, (rows, columns) in SHAPES.items()
    }
    save_file(one, folder / "one.safetensors")
    for value in one.values():
        value[value.abs() < 0.0135] = 0
    save_file(one, folder / "two.safetensors")
    return sum(value.numel() for value in one.values())


def _alone(way: Callable[[Path], object], folder: Path, repeats: int) -> tuple[float, float]:
    """Run in fresh processes: the least CPU seconds, and the most memory beyond the imports'."""
    runs = []
    for _ in range(repeats):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            runs.append(pool.submit(_measured, way, folder).result())
    return min(seconds for seconds, _ in runs), max(megabytes for _, megabytes in runs)


def _measured(way: Callable[[Path], object], folder: Path) -> tuple[float, float]:
    torch.set_num_threads(1)
    _touch(folder)
    before, start = _anonymous(), time.process_time()
    way(folder)
    return time.process_time() - start, (_anonymous() - before) / 1024


def _touch(folder: Path) -> None:
    """Bring the files into the system's cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def _anonymous() -> float:
    """Largest memory of the process in KiB, less what of it are mapped files now."""
    status = Path("/proc/self/status").read_text("utf-8").splitlines()
    mapped = next(int(line.split()[1]) for line in status if line.startswith("RssFile"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform == "darwin" else 1) - mapped


def _bare(folder: Path) -> None:
    block = 2**15  # faster than larger ones, which leave the processor's cache
    with (
        safe_open(folder / "one.safetensors", "pt") as first,
        safe_open(folder / "two.safetensors", "pt") as second,
    ):
        for name in SHAPES:
            one, two = (file.get_tensor(name).reshape(-1) for file in (first, second))
            distance2 = norm2 = zeros = 0.0
            for start in range(0, one.numel(), block):
                x, y = (t[start : start + block].double() for t in (one, two))
                distance2 += float((y - x).square().sum())
                norm2 += float(x.square().sum())
                zeros += int((y == 0).sum())


def _compared(folder: Path) -> None:
    compare(folder / "one.safetensors", folder / "two.safetensors")


def _compared_slowly(folder: Path) -> None:
    compare(folder / "one.safetensors", folder / "two.safetensors", laws=[NONDIAGONAL])


if __name__ == "__main__":
    main()
