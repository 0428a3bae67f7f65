"""What every latent law has: a layer's weights, shared parameters, KL to laws of its kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from typing import Any, Self

import numpy as np

from ap3.errors import InvalidTypeError, InvalidValueError
from ap3.latent.monte_carlo import Estimate
from ap3.latent.spread import UNKNOWN, Spread
from ap3.latent.vectors import Vector, as_vector, over_rows


class Law(ABC):
    """A latent distribution P_ω with a layer's weights ω as its location (Def. 2.2).

    AP3 is the Kullback-Leibler divergence between two such laws that differ in ω and share
    everything else. `law.at(pruned)` is the second law; `law.kl_many(stack)` measures a whole
    fine-tuning run at once.

    Parameters
    ----------
    weights
        Numbers of any shape and precision; flattened row by row and copied as float64.
    """

    def __init__(self, weights: Any) -> None:
        self.weights: Vector = as_vector(weights)

    def at(self, weights: Any) -> Self:
        """Make the same law at other weights of the same number."""
        law = copy(self)
        law.weights = as_vector(weights, self.weights.size)
        return law

    def kl(self, other: "Law") -> float:
        """KL(self ‖ other) in nats, exact up to rounding.

        Raises
        ------
        UserError
            If the two are not of one kind with equal shared parameters.
        """
        self._require_same(other)
        return float(self._kl_to(other.weights[np.newaxis])[0])

    def kl_many(self, weights: Any) -> Vector:
        """KL from this law to itself at each of many weights, in bounded memory.

        Parameters
        ----------
        weights : array of shape (E, …)
            E sets of weights, such as the epochs of a fine-tuning; each is flattened.

        Returns
        -------
        array of shape (E,), in nats
        """
        return over_rows(self._kl_to, weights, self.weights.size)

    @abstractmethod
    def kl_monte_carlo(self, other: Any, n: int, generator: np.random.Generator) -> Estimate:
        """Estimate KL(self ‖ other) in nats from `n` points drawn from this law."""

    @property
    @abstractmethod
    def shared(self) -> Mapping[str, Any]:
        """The parameters that laws must have in common to be compared, by name."""

    @property
    def spread(self) -> Spread:
        """What the bounds ask of the covariance; nothing is known of it unless a law says it."""
        return UNKNOWN

    @abstractmethod
    def _kl_to(self, rows: Vector) -> Vector:
        """KL to this law at each row: (m, n) → (m,)."""

    def _require_same(self, other: "Law") -> None:
        if type(self) is not type(other):
            raise InvalidTypeError(
                f"AP3 compares two laws of one kind, but these are {type(self).__name__} and "
                f"{type(other).__name__}; build the second with law.at(weights)."
            )
        as_vector(other.weights, self.weights.size)
        for name, value in self.shared.items():
            if not _equal(value, other.shared[name]):
                raise InvalidValueError(
                    f"two {type(self).__name__} laws must share their {name} to be compared, but "
                    "these differ in it; build the second with law.at(weights)."
                )


def _equal(one: Any, two: Any) -> bool:
    # For what is no array, array_equal falls back on ==.
    return one is two or bool(np.array_equal(one, two))
