"""JΔ, the change of the logits to first order along a change of weights, and whether it may be believed.

Forward mode is one pass. Some operations have none, and some of custom make drop its tangent without
a word, which reads as a change of zero. So its result is compared with a central difference; where it
fails or is wrong, reverse mode is taken twice, and where that does too, the difference itself.
"""

import importlib
import warnings
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from ap3.networks.logits import Tensors

Logits = Callable[[Tensors], Tensor]
"""The logits by the weights that change."""

FORWARD, REVERSE, DIFFERENCE, NONE = "forward mode", "reverse mode", "differences", "none"

NO_MEMORY = (MemoryError, torch.OutOfMemoryError)

_FLOOR = 8  # roundings of the logits; a smaller difference shows nothing
_TOLERANCE = 0.1  # relative, in norm, of a derivative against a difference that is smooth


class FirstOrder:
    """Finds JΔ for one set of weights, batch by batch, and remembers in which way.

    Attributes
    ----------
    way
        `FORWARD`, `REVERSE`, `DIFFERENCE`, or `NONE` where all failed for a batch; never an earlier one again.

    Examples
    --------
    >>> def logits(given):
    ...     return given["a"].square().detach() + given["a"]
    >>> point, found = {"a": torch.tensor([[1.0, 2.0]])}, FirstOrder()
    >>> change = {"a": torch.tensor([[1.0, 1.0]])}
    >>> found.of(logits, point, change, logits(point)).round(decimals=2), found.way
    (tensor([[3., 5.]]), 'differences')
    """

    def __init__(self) -> None:
        self.way = FORWARD
        self._is_checked = False

    def of(self, logits: Logits, point: Tensors, change: Tensors, before: Tensor) -> Tensor:
        """Return JΔ, (N, C), NaN if no way gives it.

        Parameters
        ----------
        logits
            What is differentiated.
        point, change
            The weights as they are, and Δ, by the same names.
        before
            The logits at `point`.
        """
        for way in _NEXT[self.way]:
            self.way = way
            found = _attempt(_DERIVATIVES[way], logits, point, change)
            if found is not None and self._may_stay(found, logits, point, change, before):
                return found
            self._is_checked = False
        sides = _attempt(_sides, logits, point, change)
        if sides is None or not bool(sides.isfinite().all()):
            self.way = NONE
            return torch.full_like(before, torch.nan)
        if self.way != NONE:  # which stays said, as the mean over all batches is NaN
            self.way = DIFFERENCE
        return (sides[0] - sides[1]) / (2 * _step(point))

    def _may_stay(
        self, found: Tensor, logits: Logits, point: Tensors, change: Tensors, before: Tensor
    ) -> bool:
        """Compare a derivative with the difference, until there was a batch where that is smooth."""
        if self._is_checked:
            return True
        step = _step(point)
        sides = _attempt(_sides, logits, point, change)
        if sides is None:
            return True
        after, earlier = sides - before
        difference, spread = (after - earlier) / 2, after + earlier
        is_clear = float(difference.norm()) > _FLOOR * _rounding(point) * float(before.norm())
        if not _is_wrong(found * step, difference, spread):
            self._is_checked = is_clear and float(difference.norm()) > 2 * float(spread.norm())
            return True
        # Of few logits kinks and rounding may cancel by chance, but not at two steps alike.
        return not (is_clear and self._is_wrong_nearer(found, difference, logits, point, change))

    def _is_wrong_nearer(
        self, found: Tensor, difference: Tensor, logits: Logits, point: Tensors, change: Tensors
    ) -> bool:
        """Whether half the step shows what the whole step does, and not the derivative."""
        half = _step(point) / 2
        sides = _attempt(partial(_sides, step=half), logits, point, change)
        if sides is None:
            return False
        nearer = (sides[0] - sides[1]) / 2
        is_alike = float((2 * nearer - difference).norm()) <= _TOLERANCE * float(difference.norm())
        return is_alike and _is_wrong(found * half, nearer, torch.zeros_like(nearer))


def _attempt(
    way: Callable[[Logits, Tensors, Tensors], Tensor],
    logits: Logits,
    point: Tensors,
    change: Tensors,
) -> Tensor | None:
    try:
        return way(logits, point, change).detach()
    except NO_MEMORY:
        raise
    except Exception:  # an operation without this derivative says so in its own way
        return None


def _forward(logits: Logits, point: Tensors, change: Tensors) -> Tensor:
    with warnings.catch_warnings():  # of a way to these rules that torch itself still takes
        warnings.simplefilter("ignore", FutureWarning)
        importlib.import_module("torch._decomp.decompositions_for_jvp")
    found: Tensor = torch.func.jvp(logits, (dict(point),), (dict(change),))[1]
    return found


def _reverse(logits: Logits, point: Tensors, change: Tensors) -> Tensor:
    """⟨Jᵀu, Δ⟩ is linear in u, and its derivative in u is JΔ."""
    with torch.enable_grad():
        weights = {name: weight.detach().requires_grad_() for name, weight in point.items()}
        found = logits(weights)
        along = torch.zeros_like(found, requires_grad=True)
        pulled = torch.autograd.grad(
            found, [*weights.values()], along, create_graph=True, allow_unused=True
        )
        products = [
            torch.real(part.conj() * change[name]).sum()
            for name, part in zip(weights, pulled, strict=True)
            if part is not None
        ]
        return torch.autograd.grad(torch.stack(products).sum(), along)[0]


def _sides(logits: Logits, point: Tensors, change: Tensors, step: float | None = None) -> Tensor:
    """Return the logits a step along Δ, and a step back, (2, N, C)."""
    step = step or _step(point)
    ends = [
        {name: weight + sign * step * change[name] for name, weight in point.items()}
        for sign in (1, -1)
    ]
    return torch.stack([logits(end) for end in ends])


def _step(point: Tensors) -> float:
    """∛ε of the coarsest weights, where rounding and curvature do a central difference equal harm."""
    return _rounding(point) ** (1 / 3)


def _rounding(point: Tensors) -> float:
    return float(max(torch.finfo(weight.dtype).eps for weight in point.values()))


def _is_wrong(found: Tensor, difference: Tensor, spread: Tensor) -> bool:
    """Whether a derivative is not what a difference shows beyond doubt.

    The spread is by how much the difference ahead and that behind are unlike: by rounding, curvature
    and kinks. A derivative that is the larger is left alone: what is rounded within may not show it.
    """
    if not bool(difference.isfinite().all()):
        return False
    size, off = float(found.norm()), float((found - difference).norm())
    shown, doubt = float(difference.norm()), float(spread.norm())
    return not off <= max(_TOLERANCE * shown, 2 * doubt) and not size > 2 * shown


_DERIVATIVES: Mapping[str, Callable[[Logits, Tensors, Tensors], Tensor]] = {
    FORWARD: _forward,
    REVERSE: _reverse,
}

_NEXT: Mapping[str, tuple[str, ...]] = {
    FORWARD: (FORWARD, REVERSE),
    REVERSE: (REVERSE,),
    DIFFERENCE: (),
    NONE: (),
}
