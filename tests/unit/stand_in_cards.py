"""Several CUDA cards that are there in name only, for tests of who holds which.

    python tests/unit/stand_in_cards.py cuda

holds a card, prints `holding UUID as INDEX`, and ends with its standard input. Torch itself, which
takes seconds to import, is played as well. CUDA_VISIBLE_DEVICES says which cards there are, in
which order.
"""

import os
import sys
from contextlib import AbstractContextManager
from types import SimpleNamespace
from unittest.mock import MagicMock


def hold(name: str) -> AbstractContextManager[object]:
    """Hold a card as a stage does."""
    from ap3.machine.device import processor

    return processor(name)


def play() -> MagicMock:
    """Put what stands for torch in its place, in this process."""
    cards = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    torch = MagicMock()
    torch.cuda.device_count.return_value = len(cards)
    torch.cuda.get_device_properties = lambda index: SimpleNamespace(uuid=f"card-{cards[index]}")
    sys.modules["torch"] = torch
    return torch


def current(torch: MagicMock) -> str:
    """Say which card was made current, by its UUID."""
    (index,) = torch.cuda.set_device.call_args.args
    return str(torch.cuda.get_device_properties(index).uuid)


if __name__ == "__main__":
    played = play()
    with hold(sys.argv[1]):
        print(
            f"holding {current(played)} as {played.cuda.set_device.call_args.args[0]}", flush=True
        )
        sys.stdin.read()
