"""The clock that a plan times work by."""

import time
from collections.abc import Callable

import torch


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time `work`.

    On one thread of the CPU that is the processor's own time, which other work on the machine leaves as
    it is; else the time on the wall.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    start = clock()
    work()
    return clock() - start
