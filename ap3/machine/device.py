"""Which processor a stage runs on, and how: one process to a CUDA card, or the CPU with set threads.

Nothing here or in what trains on a card waits for the card within an epoch: data go there by
`send`, and results are asked for at the epoch's end.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from ap3.errors import InvalidValueError

PRECISIONS = ("float32", "tf32", "bfloat16")

_SECONDS_BETWEEN_TRIES = 0.5
_SHARE_FOR_DATA = 0.5  # of a card's free memory; the rest is the network's


@contextmanager
def processor(
    name: str = "auto", threads: int = 1, precision: str = "float32"
) -> Iterator[torch.device]:
    """Hold a device for the length of a `with` block.

    Parameters
    ----------
    name
        `auto` (a CUDA card if there is one, else the CPU), `cpu`, `cuda`, or one card, `cuda:1`.
    threads
        Threads of torch's CPU kernels. They change the last bits of a result, so they belong to
        the study and never to the machine.
    precision
        One of `PRECISIONS`: how networks multiply. `tf32` is for cards alone; `bfloat16` is
        torch's autocast, in which weights and sums stay float32.

    Raises
    ------
    UserError
        If a card is asked for where there is none, or the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise InvalidValueError(
            f"precision is {precision!r}, but must be one of {', '.join(PRECISIONS)}."
        )
    torch.set_num_threads(threads)
    name = chosen(name)
    if name == "cpu":
        with _autocast("cpu", precision):
            yield torch.device("cpu")
    else:
        torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
        torch.backends.cudnn.allow_tf32 = precision != "float32"
        with _card(name) as index, _autocast("cuda", precision):
            # What names no card means the current one: pinning memory, say, or the job's log.
            torch.cuda.set_device(index)
            yield torch.device("cuda", index)


def chosen(name: str) -> str:
    """Return the name of a device; for `auto` that of a CUDA card if there is one, else of the CPU."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _autocast(kind: str, precision: str) -> torch.autocast:
    """Multiply in bfloat16 within a `with` block, if that is the precision."""
    # Without its cache, which would keep the weights of the first step for all others.
    return torch.autocast(kind, torch.bfloat16, precision == "bfloat16", cache_enabled=False)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to `device` without waiting until the copy has arrived."""
    if device.type != "cpu" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def at_least_float32(outputs: Tensor) -> Tensor:
    """Widen what a network puts out under bfloat16; anything wider stays as it is."""
    return outputs.float() if outputs.dtype == torch.bfloat16 else outputs


def resident(images: Tensor, device: torch.device) -> Tensor:
    """Copy all `images` to `device`, if that leaves enough room there; else leave them, for `take`."""
    if device.type != "cpu":
        free, _ = torch.get_device_module(device).mem_get_info(device)
        if images.nbytes > _SHARE_FOR_DATA * free:
            return images
    return images.to(device)


def take(examples: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """Select `rows` (on the CPU) of `examples`, wherever those are, onto `device`."""
    if examples.device == device:
        return examples[send(rows, device)]
    return send(examples[rows], device)


@contextmanager
def _card(name: str) -> Iterator[int]:
    """Wait for a card that no other process of ours holds, and hold it."""
    cards = _cards(name)
    locks = {card: FileLock(_lock_file(card)) for card in cards}
    said = False
    while True:
        for card, lock in locks.items():
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield card
            finally:
                lock.release()
            return
        if not said:
            which = f"card {cards[0]} is" if len(cards) == 1 else f"all {len(cards)} cards are"
            print(f"{which} in use by other jobs of ap3; waiting for one to end.", file=sys.stderr)
            said = True
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _cards(name: str) -> list[int]:
    kind, _, index = name.partition(":")
    count = torch.cuda.device_count()
    if kind != "cuda" or (index and not index.isdigit()):
        raise InvalidValueError(f"device is {name!r}, but must be auto, cpu, cuda or cuda:N.")
    if count == 0 or (index and int(index) >= count):
        raise InvalidValueError(
            f"device {name!r} was asked for, but torch sees {count} CUDA cards; use auto or cpu."
        )
    return [int(index)] if index else list(range(count))


def _lock_file(card: int) -> Path:
    """One lock to a physical card, whatever CUDA_VISIBLE_DEVICES calls it in this process."""
    identity = torch.cuda.get_device_properties(card).uuid
    return Path(tempfile.gettempdir()) / f"ap3-{os.getuid()}-{identity}.lock"
