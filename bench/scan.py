"""Cost of `ap3.scan`: ResNet18 over Fashion-MNIST's 10,000 test images, 21 layers × 5 ratios.

The files of the data set are read from `--raw`; weights are random, which costs the same.

    python bench/scan.py --raw /usr/share/datasets/fashion-mnist --threads 2 --channels-last
"""

import argparse
import gzip
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch
from networks import untrained

import ap3
from ap3.models.preprocessing import View

_SIZE, _BATCH = 28, 500


def main() -> None:
    """Scan, and print seconds and memory beside those of one bare pass."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument(
        "--channels-last", action="store_true", help="lay the network out so: faster on most CPUs"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    network = untrained("resnet18", 10, _SIZE)
    if given.channels_last:
        network.to(memory_format=torch.channels_last)
    pairs = batches(given.raw, given.images)
    bare = min(one_pass(network, pairs) for _ in range(2))
    start, cpu = time.monotonic(), time.process_time()
    found = ap3.scan(network, pairs, ratios=[0.1, 0.3, 0.5, 0.7, 0.9])
    seconds, busy = time.monotonic() - start, time.process_time() - cpu
    points = len(found.table)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{points} prunings of {given.images:,} images, {given.threads} threads: {seconds:.0f} s")
    print(
        f"processor time {busy:.0f} s; {memory:.1f} GB; a bare pass {bare:.2f} s of processor time"
    )
    ratio = busy / points / bare
    print(f"one pruning takes {ratio:.2f} of a bare pass")
    if given.json:
        given.json.write_text(json.dumps({"scan, share of a bare pass": ratio}), encoding="utf-8")


def batches(raw: Path, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Read the test images, as a network sees them."""
    images, labels = (
        np.frombuffer(gzip.decompress((raw / f"t10k-{name}.gz").read_bytes()), np.uint8)[skipped:]
        for name, skipped in (("images-idx3-ubyte", 16), ("labels-idx1-ubyte", 8))
    )
    pixels = View(_SIZE).still(torch.from_numpy(images.reshape(-1, 1, 28, 28).copy())[:count])
    targets = torch.from_numpy(labels[:count].astype(np.int64))
    return list(zip(pixels.split(_BATCH), targets.split(_BATCH), strict=True))


@torch.no_grad()
def one_pass(network: torch.nn.Module, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Return the processor time of evaluating the network once."""
    network.eval()
    start = time.process_time()
    for pixels, _ in pairs:
        network(pixels)
    return time.process_time() - start


if __name__ == "__main__":
    main()
