"""The damage of a change, from the logits before and after: per example, as means with standard errors.

For every example PD of the loss = slope + KL of the predictions, exactly (`ap3.measuring.slopes`).
All means are paired: the same examples before and after, so that the error is that of the change.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ap3.latent.vectors import Vector
from ap3.measuring.curvature_laws import fisher_before
from ap3.measuring.logit_change import LogitChange
from ap3.measuring.network_outputs import changed
from ap3.measuring.predictive_law import forward_kl
from ap3.measuring.slopes import slope_before

QUANTITIES: tuple[str, ...] = ("pd_loss", "pd_accuracy", "kl_predictions", "slope", "flips")
"""What `of_examples` gives, by name."""


@dataclass(frozen=True)
class Mean:
    """A mean over examples with its standard error (NaN for one example).

    Examples
    --------
    >>> print(Mean.of(np.array([1.0, 2.0, 3.0, 4.0])))
    2.5 ± 1.3
    """

    value: float
    error: float
    count: int

    @classmethod
    def of(cls, values: Vector) -> "Mean":
        """Take the mean of examples (N,), of which some may be infinite."""
        count = len(values)
        is_known = count > 1 and bool(np.isfinite(values).all())
        error = float(values.std(ddof=1) / count**0.5) if is_known else np.nan
        return cls(float(values.mean()), error, count)

    @property
    def margin(self) -> float:
        """Half of the 95 % interval."""
        return 1.96 * self.error

    @property
    def is_sure(self) -> bool:
        """Whether the 95 % interval leaves zero out; an infinite mean is none by chance."""
        return abs(self.value) > self.margin or bool(np.isinf(self.value))

    def scaled(self, factor: float) -> "Mean":
        """Give it in another unit."""
        return Mean(self.value * factor, self.error * abs(factor), self.count)

    def __str__(self) -> str:
        return spelled(self.value, self.margin)


def spelled(value: float, margin: float) -> str:
    """Spell a number with the digits that its margin leaves: two of the margin, as 0.421 ± 0.031.

    Examples
    --------
    >>> spelled(0.42123, 0.0312), spelled(-12.3456, 3.0), spelled(0.25, float("nan"))
    ('0.421 ± 0.031', '-12.3 ± 3.0', '0.25 ± ?')
    """
    value += 0.0  # no −0
    if not np.isfinite(margin):
        return f"{value:.3g} ± ?"
    if margin == 0:
        return f"{value:.3g} ± 0"
    digits = max(0, 1 - int(np.floor(np.log10(margin))))
    return f"{value:.{digits}f} ± {margin:.{digits}f}"


def of_examples(before: Tensor, after: Tensor, labels: Tensor) -> dict[str, Vector]:
    """Judge N examples by their logits: each of `QUANTITIES`, (N,), losses in nats.

    The PD of the loss is loss after less loss before, that of the accuracy the other way round, so
    that damage is positive in both. An example whose logits are NaN or infinite afterwards is
    answered wrong, and its losses are infinite.

    Parameters
    ----------
    before, after
        Logits (N, C).
    labels
        (N,)

    Examples
    --------
    >>> import torch
    >>> found = of_examples(torch.zeros(1, 2), torch.tensor([[0.0, np.log(3)]]), torch.tensor([0]))
    >>> {name: float(values[0].round(4)) for name, values in found.items()}
    {'pd_loss': 0.6931, 'pd_accuracy': 1.0, 'kl_predictions': 0.1438, 'slope': 0.5493, 'flips': 1.0}
    """
    ends = _array(before), _array(after)
    is_broken = ~np.isfinite(ends[1]).all(-1)
    ends = ends[0], np.where(is_broken[:, None], ends[0], ends[1])
    made = changed(*ends, _array(labels))
    rows = np.arange(len(made.labels))
    losses = (made.log_p - made.log_q)[rows, 0, made.labels]
    # Of the logits as they are: a change that is added back breaks ties by its rounding.
    answers = [end.argmax(-1) for end in ends]
    correct = [(answer == made.labels).astype(float) for answer in answers]
    found = {
        "pd_loss": losses,
        "pd_accuracy": correct[0] - correct[1],
        "kl_predictions": forward_kl(made)[:, 0],
        "slope": slope_before(made)[:, 0],
        "flips": (answers[0] != answers[1]).astype(float),
    }
    broken = dict.fromkeys(QUANTITIES, np.inf) | {"pd_accuracy": correct[0], "flips": 1.0}
    return {name: np.where(is_broken, broken[name], some) for name, some in found.items()}


def of_first_order(before: Tensor, change: Tensor) -> Vector:
    """½ Var_p(u) of N examples, (N,), u the change of the logits (N, C) to first order.

    Parameters
    ----------
    before
        Logits (N, C).
    change
        JΔ.
    """
    made = LogitChange(
        _array(before).astype(np.float64)[:, None], _array(change).astype(np.float64)[:, None]
    )
    return fisher_before(made)[:, 0]


class Tally:
    """Gathers quantities of single examples, batch by batch, under any keys."""

    def __init__(self) -> None:
        self._parts: dict[Any, list[Vector]] = defaultdict(list)

    def add(self, key: Any, values: Mapping[str, Vector]) -> None:
        """Take one batch's quantities."""
        for name, some in values.items():
            self._parts[key, name].append(some)

    def examples(self, key: Any, name: str) -> Vector:
        """Return a quantity of all examples, (N,)."""
        return np.concatenate(self._parts[key, name])

    def mean(self, key: Any, name: str) -> Mean:
        """Return the mean of a quantity."""
        return Mean.of(self.examples(key, name))

    def columns(self, key: Any, names: Iterable[str] = QUANTITIES) -> dict[str, float]:
        """Return means under their names, with standard errors under `…_se`."""
        found: dict[str, float] = {}
        for name in names:
            mean = self.mean(key, name)
            found |= {name: mean.value, f"{name}_se": mean.error}
        return found


def _array(tensor: Tensor) -> Any:
    return np.asarray(tensor.detach().cpu())
