"""Names of what may be done to the weights of any layers: the paper's modes, and compressions."""

import re
from collections.abc import Mapping
from typing import Any

from ap3.config import user_code
from ap3.config.variants import MODES
from ap3.errors import InvalidValueError

STRUCTURED = ("rows", "columns")
"""Whole output channels, and whole input channels, as zeros."""

LOW_RANK, QUANTISED = "low_rank", "quantised"

COMPRESSIONS = (*STRUCTURED, LOW_RANK, QUANTISED)

_GROUPED = re.compile(r"n:([1-9][0-9]{0,3})")

LAYERS = ("last", "all")
ALLOCATIONS = ("uniform", "global")


def group_size(mode: str) -> int | None:
    """Return M of the mode `n:M`, in which of every M neighbours some are pruned; else None.

    Examples
    --------
    >>> group_size("n:4"), group_size("lowest")
    (4, None)
    """
    found = _GROUPED.fullmatch(mode)
    return int(found[1]) if found else None


def is_compression(mode: str) -> bool:
    """Whether `mode` is one of those that only studies over any layers know.

    Examples
    --------
    >>> [is_compression(mode) for mode in ("rows", "n:4", "lowest", "my_criteria:norm")]
    [True, True, False, False]
    """
    return mode in COMPRESSIONS or group_size(mode) is not None


def is_criterion(mode: str) -> bool:
    """Whether `mode` scores weights one by one, so that one threshold may go through all layers."""
    return mode in MODES or (user_code.is_own(mode) and not is_compression(mode))


def drawn(allocation: str | Mapping[str, Any]) -> int:
    """How many vectors of ratios an allocation draws; 0 where it draws none.

    Examples
    --------
    >>> drawn("uniform"), drawn({"random": 150})
    (0, 150)
    """
    return 0 if isinstance(allocation, str) else int(allocation["random"])


def parse_allocation(text: str) -> str | dict[str, int]:
    """Read an allocation as options spell it: uniform, global, or random:K.

    Raises
    ------
    UserError
        If it is none of these.

    Examples
    --------
    >>> parse_allocation("random:150")
    {'random': 150}
    """
    if text in ALLOCATIONS:
        return text
    kind, _, count = text.partition(":")
    if kind != "random" or not count.isdecimal() or int(count) < 1:
        raise InvalidValueError(
            f"the allocation is {text!r}, but must be uniform, global or random:K, such as random:150."
        )
    return {"random": int(count)}
