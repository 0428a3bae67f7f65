"""Too little memory on a card: a batch is cut into pieces that fit, before anybody gives up.

The gradient of a batch is the sum of those of its pieces, so the batch that counts stays the same.
Only batch normalisation notices: in training it normalises each piece by that piece's own mean and
variance, and a batch that is tried again has passed some of its running averages already.
"""

import sys
from collections.abc import Callable
from typing import TypeVar

import torch

from ap3.errors import SystemRefusedError

Result = TypeVar("Result")

_TOO_LITTLE = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # where no room is left for its workspace
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",  # of cuDNN 9
    "valid cuDNN algorithm",  # where none fits
)
"""How CUDA's libraries say it, whose errors torch passes on as any other."""

_SMALLEST = 2  # examples in a piece; batch normalisation needs two in training


class Pieces:
    """How many pieces a batch is cut into: one, and twice as many whenever memory runs out.

    Parameters
    ----------
    what
        Is done with a batch, for messages.
    """

    def __init__(self, what: str) -> None:
        self.what, self.count, self._said = what, 1, 1

    def fit(self, run: Callable[[int], Result], size: int) -> Result:
        """Return `run(pieces)` for the smallest number of pieces that has fitted so far.

        Parameters
        ----------
        run
            Does all the work on a batch in so many pieces; nothing of a failed call may count.
        size
            Examples in the batch.

        Raises
        ------
        UserError
            If not even the smallest pieces fit.
        """
        while True:
            try:
                result = run(self.count)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if size // (2 * self.count) < _SMALLEST:
                    raise SystemRefusedError(
                        f"the card's memory is too small {self.what}, even with "
                        f"{-(-size // self.count)} images at a time; choose a smaller image_size or "
                        "network, or device: cpu."
                    ) from error
            else:
                self._say(size)
                return result
            self.count *= 2
            _empty_cache()

    def _say(self, size: int) -> None:
        """Say once that a batch is cut, when it is known into how many pieces."""
        if self.count > self._said:
            self._said = self.count
            print(
                f"the card's memory is short: {self.what}, every {size} images are computed in "
                f"{self.count} pieces and count as one batch.",
                file=sys.stderr,
            )


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error says that a card's memory is too small.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    True
    >>> is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    False
    """
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(word in said for word in _TOO_LITTLE)


def _empty_cache() -> None:
    """Give back what torch holds of the card's memory and does not use."""
    if torch.accelerator.is_available():
        torch.get_device_module().empty_cache()
