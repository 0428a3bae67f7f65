"""Batches of a user's own: (input, label) pairs, looked at before a network sees them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ap3.errors import InvalidTypeError, InvalidValueError


@dataclass(frozen=True, eq=False)
class Batch:
    """What a network is called with, and the labels.

    Attributes
    ----------
    inputs, named
        Arguments of the network, by place and by name.
    labels : Tensor of shape (N,)
        int64, on the network's device.
    number
        Of the batch, from 1, for messages.
    """

    inputs: tuple[Any, ...]
    named: Mapping[str, Any]
    labels: Tensor
    number: int

    @property
    def shape(self) -> str:
        """Types and shapes of the inputs, for messages."""
        parts = [*self.inputs, *self.named.values()]
        shown = [
            f"{str(part.dtype).removeprefix('torch.')} {tuple(part.shape)}"
            for part in parts
            if isinstance(part, Tensor)
        ]
        return " and ".join(shown) or "no tensor"


def checked(batches: Iterable[Any], device: torch.device) -> Iterator[Batch]:
    """Take batches apart, and refuse what is none.

    Parameters
    ----------
    batches
        Pairs of an input and N labels. An input is a tensor or an array, a tuple of such, which
        the network takes one after the other, or a mapping, which it takes by name.
    device
        Where the network is.

    Raises
    ------
    UserError
        If there is no batch, or one is no such pair.

    Examples
    --------
    >>> [batch] = checked([(np.zeros((2, 3), np.float32), [0, 1])], torch.device("cpu"))
    >>> batch.shape, batch.labels.tolist()
    ('float32 (2, 3)', [0, 1])
    """
    number = 0
    for number, pair in enumerate(_pairs(batches), 1):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InvalidTypeError(
                f"a batch must be a pair of an input and its labels, but batch {number} is "
                f"{_described(pair)}; give an iterable of (input, label) pairs."
            )
        yield _batch(pair[0], pair[1], number, device)
    if number == 0:
        raise InvalidValueError("the batches must hold at least one, but there are none.")


def _pairs(batches: Iterable[Any]) -> Iterator[Any]:
    if isinstance(batches, Mapping | str | Tensor) or not hasattr(batches, "__iter__"):
        raise InvalidTypeError(
            f"the batches must be an iterable of (input, label) pairs, but are {_described(batches)}; "
            "give a list of pairs or a DataLoader."
        )
    return iter(batches)


def _batch(given: Any, labels: Any, number: int, device: torch.device) -> Batch:
    targets = _labels(labels, number).to(device)
    inputs: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    if isinstance(given, Mapping):
        named = {str(key): _input(part, number, device) for key, part in given.items()}
    elif isinstance(given, tuple) or (
        isinstance(given, list) and given and all(isinstance(part, Tensor) for part in given)
    ):
        inputs = tuple(_input(part, number, device) for part in given)
    else:
        inputs = (_input(given, number, device),)
    for part in (*inputs, *named.values()):
        if isinstance(part, Tensor) and part.ndim and len(part) != len(targets):
            raise InvalidValueError(
                f"every example needs one label, but batch {number} holds {len(part)} examples and "
                f"{len(targets)} labels."
            )
    return Batch(inputs, named, targets, number)


def _input(part: Any, number: int, device: torch.device) -> Any:
    if isinstance(part, np.ndarray):
        part = torch.from_numpy(np.ascontiguousarray(part))
    if isinstance(part, Tensor):
        return part.detach().to(device)
    if part is None or isinstance(part, bool | int | float | str):
        return part
    raise InvalidTypeError(
        f"the input of batch {number} must be a tensor or an array, but is {_described(part)}; "
        "stack the examples first, as torch.stack or np.stack do."
    )


def _labels(labels: Any, number: int) -> Tensor:
    """Take labels as (N,) whole numbers."""
    try:
        targets = torch.as_tensor(labels).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidTypeError(
            f"the labels of batch {number} must be whole numbers, but are {_described(labels)}; give "
            "the number of its class for each example."
        ) from error
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    is_whole = not (targets.is_floating_point() or targets.is_complex())
    if targets.ndim != 1 or not is_whole or targets.dtype == torch.bool or len(targets) == 0:
        raise InvalidValueError(
            f"the labels of batch {number} must be whole numbers of shape (N,), but are "
            f"{_described(targets)}; give the number of its class for each example, from 0."
        )
    return targets.long()


def _described(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
