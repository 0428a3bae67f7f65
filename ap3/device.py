"""Which processor a stage runs on: one process to a CUDA card, or the CPU with a set thread count."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from ap3.errors import UserError

_SECONDS_BETWEEN_TRIES = 0.5


@contextmanager
def processor(name: str = "auto", threads: int = 1) -> Iterator[torch.device]:
    """Hold a device for the length of a `with` block.

    Parameters
    ----------
    name
        `auto` (a CUDA card if there is one, else the CPU), `cpu`, `cuda`, or one card, `cuda:1`.
    threads
        Threads of torch's CPU kernels. They change the last bits of a result, so they belong to
        the study and never to the machine.

    Raises
    ------
    UserError
        If a card is asked for where there is none.
    """
    torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        yield torch.device("cpu")
    else:
        with _card(name) as index:
            yield torch.device("cuda", index)


@contextmanager
def _card(name: str) -> Iterator[int]:
    """Wait for a card that no other process of ours holds, and hold it."""
    cards = _cards(name)
    locks = {card: FileLock(_lock_file(card)) for card in cards}
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
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _cards(name: str) -> list[int]:
    kind, _, index = name.partition(":")
    count = torch.cuda.device_count()
    if kind != "cuda" or (index and not index.isdigit()):
        raise UserError(f"device is {name!r}, but must be auto, cpu, cuda or cuda:N.")
    if count == 0 or (index and int(index) >= count):
        raise UserError(
            f"device {name!r} was asked for, but torch sees {count} CUDA cards; use auto or cpu."
        )
    return [int(index)] if index else list(range(count))


def _lock_file(card: int) -> Path:
    """One lock to a physical card, whatever CUDA_VISIBLE_DEVICES calls it in this process."""
    identity = torch.cuda.get_device_properties(card).uuid
    return Path(tempfile.gettempdir()) / f"ap3-{os.getuid()}-{identity}.lock"
