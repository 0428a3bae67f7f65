"""What a network puts out, whatever it sees: one tensor of logits, a row for each example."""

from typing import Any

from torch import Tensor

from ap3.errors import InvalidTypeError, InvalidValueError


def tensor_of(found: Any) -> Tensor:
    """Return the logits that a network returned, by themselves or as an attribute.

    Raises
    ------
    UserError
        If it returned anything else.
    """
    found = getattr(found, "logits", found)
    if isinstance(found, Tensor):
        return found
    shown = f"a {type(found).__name__}"
    if isinstance(found, tuple | list):
        shown += f" of {len(found)}"
    raise InvalidTypeError(
        f"the network must return one tensor of logits (N, classes), but returned {shown}; wrap "
        "it in a module that returns the logits of one head."
    )


def check_shape(logits: Tensor, count: int) -> None:
    """Refuse what are no logits of two classes or more for each of `count` examples."""
    if logits.ndim != 2 or len(logits) != count or logits.shape[1] < 2:
        raise InvalidValueError(
            f"the network must return logits (N, classes), two classes or more, but returned shape "
            f"{tuple(logits.shape)} for {count} examples; wrap it in a module that returns them."
        )


def check_no_probabilities(logits: Tensor) -> None:
    """Refuse rows of numbers that add up to 1."""
    sums = logits.double().sum(1)
    if bool((logits >= 0).all()) and bool(((sums - 1).abs() < 1e-3).all()):
        raise InvalidValueError(
            "the network returns probabilities, which add up to 1, but cross-entropy takes logits; "
            "take the softmax off its end (log-softmax may stay)."
        )
