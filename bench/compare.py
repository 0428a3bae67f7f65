"""Cost of `ap3.compare` beside a bare loop over the same files: AP2, norm and zeros in float64.

Each way runs in a process of its own, on one core, its imports included. Memory is the most that a
process holds beside the mapped files. All weights are bfloat16, and half of them are pruned:

    python bench/compare.py                # one transformer block of 218 million weights
    python bench/compare.py --pair 1.5gb   # 1.5 GB a network, an embedding of 128,000 × 2,048 in it
    python bench/compare.py --pair 8b      # 8 billion weights in shards, 16 GB a network
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

Shapes = dict[str, tuple[int, int]]
_EVERY = 0.02  # seconds between two looks at the memory
_BLOCK = 2**15  # of the bare loop; larger ones leave the processor's cache and are slower
_DRAWN = 2**24
_CUT = 0.0135  # half of all weights, whose deviation is 0.02, are nearer to zero


def _block(number: int, width: int, keys: int, inner: int) -> Shapes:
    """Shapes of the layers of one transformer block."""
    shapes = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
    }
    return {f"layers.{number}.{name}.weight": shape for name, shape in shapes.items()}


PAIRS: dict[str, list[Shapes]] = {
    "block": [_block(0, 4096, 1024, 14336)],
    "1.5gb": [
        {"embed_tokens.weight": (128_000, 2048)}
        | {n: s for i in range(8) for n, s in _block(i, 2048, 512, 8192).items()}
    ],
    "8b": [
        {"embed_tokens.weight": (128_256, 4096)},
        *(_block(i, 4096, 1024, 14336) for i in range(32)),
        {"lm_head.weight": (128_256, 4096)},
    ],
}
"""For each pair the layers of every shard."""


def main() -> None:
    """Write the files, measure every way on them, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", choices=PAIRS, default="block", help="which networks")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of every layer")
    parser.add_argument("--repeats", type=int, help="the best of so many counts; 3, and 1 of 8b")
    parser.add_argument("--slow", action="store_true", help="with the non-diagonal law as well")
    parser.add_argument("--json", type=Path, help="write the ratios there")
    parser.add_argument("--folder", type=Path, help="where to write the files for a while")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(_measured(options.way, options.folder)))
        return
    with TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        shards = [
            {n: (max(1, int(rows * options.share)), columns) for n, (rows, columns) in s.items()}
            for s in PAIRS[options.pair]
        ]
        weights = sum(rows * columns for shard in shards for rows, columns in shard.values())
        _refuse_full_disk(folder, 4 * weights)
        _write(folder, shards)
        print(f"{weights:,} weights, bfloat16, one core, imports included")
        print(f"{'':20}{'CPU s':>8}{'s':>8}{'MB':>8}")
        seconds = {}
        repeats = options.repeats or (1 if options.pair == "8b" else 3)
        for way in [way for way in WAYS if options.slow or way != "with non-diagonal"]:
            seconds[way], wall, megabytes = _best(way, folder, repeats)
            print(f"{way:20}{seconds[way]:8.2f}{wall:8.1f}{megabytes:8.0f}", flush=True)
    ratio = seconds["ap3.compare"] / seconds["bare loop"]
    print(f"ap3.compare takes {ratio:.2f} times the CPU of the bare loop")
    if options.json:
        options.json.write_text(json.dumps({"bare loop / compare": 1 / ratio}), "utf-8")


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < 1.1 * needed:
        sys.exit(f"{needed / 1e9:.0f} GB are needed in {folder}, but {free / 1e9:.0f} are free.")


def _write(folder: Path, shards: list[Shapes]) -> None:
    """Write both networks; the same drawn numbers come again in every layer, elsewhere."""
    import torch
    from safetensors.torch import save_file

    drawn = (torch.randn(_DRAWN, generator=torch.Generator().manual_seed(0)) * 0.02).bfloat16()
    versions = {"one": drawn, "two": drawn * (drawn.abs() >= _CUT)}
    for network, numbers in versions.items():
        (folder / network).mkdir()
        places = {}
        for number, shapes in enumerate(shards):
            name = f"model-{number:05}.safetensors"
            tensors = {
                layer: _repeated(numbers, 997 * (number + k), shape)
                for k, (layer, shape) in enumerate(shapes.items())
            }
            save_file(tensors, folder / network / name)
            places |= dict.fromkeys(shapes, name)
        index = folder / network / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": places}), "utf-8")


def _repeated(numbers, first: int, shape: tuple[int, int]):
    rows, columns = shape
    times = -(-(first + rows * columns) // len(numbers))
    return numbers.repeat(times)[first : first + rows * columns].reshape(shape).clone()


def _best(way: str, folder: Path, repeats: int) -> tuple[float, float, float]:
    """Run in fresh processes: the least seconds of CPU and clock, and the most megabytes."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    one_core = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    runs = []
    for _ in range(repeats):
        done = subprocess.run(command, env=os.environ | one_core, stdout=-1, check=True)
        runs.append(json.loads(done.stdout))
    cpu, wall, megabytes = zip(*runs, strict=True)
    return min(cpu), min(wall), max(megabytes)


def _measured(way: str, folder: Path) -> tuple[float, float, float]:
    """Run one way here: CPU seconds since the process began, the clock's, and megabytes."""
    start, is_done, seen = time.monotonic(), threading.Event(), [0.0]

    def watch() -> None:
        while not is_done.wait(_EVERY):
            seen[0] = max(seen[0], _unmapped())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        WAYS[way](folder / "one", folder / "two")
    finally:
        is_done.set()
        watcher.join()
    return time.process_time(), time.monotonic() - start, max(seen[0], _unmapped())


def _unmapped() -> float:
    """Megabytes of this process that are no mapped files."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    kinds = ("RssAnon:", "RssShmem:")
    return sum(int(line.split()[1]) for line in lines if line.startswith(kinds)) / 1024


def _bare(one: Path, two: Path) -> None:
    import torch
    from safetensors import safe_open

    torch.set_num_threads(1)
    for shard in sorted(one.glob("*.safetensors")):
        with safe_open(shard, "pt") as first, safe_open(two / shard.name, "pt") as second:
            for name in first.keys():  # noqa: SIM118
                tensors = (file.get_tensor(name).reshape(-1) for file in (first, second))
                _bare_sums(*tensors)


def _bare_sums(one, two) -> tuple[float, float, int]:
    distance2, norm2, zeros = 0.0, 0.0, 0
    for start in range(0, one.numel(), _BLOCK):
        x, y = (tensor[start : start + _BLOCK].double() for tensor in (one, two))
        distance2 += float((y - x).square().sum())
        norm2 += float(x.square().sum())
        zeros += int((y == 0).sum())
    return distance2, norm2, zeros


def _compared(one: Path, two: Path) -> None:
    import ap3

    ap3.compare(one, two)


def _compared_slowly(one: Path, two: Path) -> None:
    import ap3

    ap3.compare(one, two, laws=["nondiagonal"])


WAYS = {"bare loop": _bare, "ap3.compare": _compared, "with non-diagonal": _compared_slowly}


if __name__ == "__main__":
    main()
