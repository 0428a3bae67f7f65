"""How the logits of every example change from one last layer to others, in bounded memory.

Whatever tells two last layers apart by what they put out is a mean over examples of a function of
the logits z, of their change u = z̃ − z and of the label. `means` goes through the examples once for
any number of such functions and of layers. Everything is float64; u is taken from the difference
of the layers, not of the logits, so that a small change keeps its digits.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from ap3.errors import InvalidValueError
from ap3.latent import vectors
from ap3.latent.vectors import Vector, as_float64, slices

# Arrays of the size of `change` that a block of examples may need at once.
_COPIES = 12

# Blocks smaller by this factor stay in the processor's cache, at two thirds of the time; not where
# a block would have fewer examples than a matrix product is quick with.
_SMALLER, _FEWEST = 8, 16


class LogitChange:
    """Logits of b examples under one layer, and their change under E others.

    Parameters
    ----------
    before : array of shape (b, E, C) or (b, 1, C)
        Logits z.
    change : array of shape (b, E, C)
        u = z̃ − z.
    labels : array of shape (b,), optional
        Whole numbers from 0 to C − 1, for what asks for them.

    Examples
    --------
    >>> made = LogitChange(np.zeros((1, 1, 2)), np.array([[[0.0, np.log(3)]]]))
    >>> made.p, made.q
    (array([[[0.5, 0.5]]]), array([[[0.25, 0.75]]]))
    """

    def __init__(self, before: Vector, change: Vector, labels: NDArray[Any] | None = None) -> None:
        self.before, self.change, self._labels = before, change, labels
        self._evaluated: dict[Quantity, Vector] = {}

    def of(self, quantity: "Quantity") -> Vector:
        """Evaluate a quantity, once whoever asks for it.

        Parameters
        ----------
        quantity
            A function of a `LogitChange` that returns a number for every example and layer.
        """
        if quantity not in self._evaluated:
            self._evaluated[quantity] = quantity(self)
        return self._evaluated[quantity]

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of the examples, (b,).

        Raises
        ------
        UserError
            If none were given.
        """
        if self._labels is None:
            raise InvalidValueError(
                "this quantity needs the labels, but none were given; give (N,) labels."
            )
        return self._labels

    @cached_property
    def log_p(self) -> Vector:
        """Log-probabilities before, (b, E or 1, C)."""
        return np.asarray(log_softmax(self.before, axis=-1))

    @cached_property
    def log_q(self) -> Vector:
        """Log-probabilities afterwards, (b, E, C)."""
        return np.asarray(log_softmax(self.before + self.change, axis=-1))

    @cached_property
    def p(self) -> Vector:
        """Probabilities before, (b, E or 1, C)."""
        return np.exp(self.log_p)

    @cached_property
    def q(self) -> Vector:
        """Probabilities afterwards, (b, E, C)."""
        return np.exp(self.log_q)

    @cached_property
    def centred(self) -> Vector:
        """Change less its mean under p: v = u − ⟨p, u⟩, (b, E, C)."""
        return centred(self.change, self.p)

    @cached_property
    def log_variance(self) -> Vector:
        """Log Var_p(u), (b, E); −∞ where nothing changes."""
        with np.errstate(divide="ignore", under="ignore"):
            # A class that p rules out to the last bit still counts, as its u may be huge.
            logs = self.log_p + 2 * np.log(np.abs(self.centred))
        top = logs.max(axis=-1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore", under="ignore"):
            return np.asarray(np.log(np.exp(logs - top).sum(axis=-1)) + top[..., 0])

    @property
    def reverse(self) -> "LogitChange":
        """The way back: from z̃ by −u."""
        return LogitChange(self.before + self.change, -self.change, self._labels)


Quantity = Callable[[LogitChange], Vector]
"""A function of how logits change: a number for every example and layer, (b, E)."""


def centred(change: Vector, p: Vector) -> Vector:
    """U − ⟨p, u⟩ over the last axis, with all digits where one class is all but certain.

    Parameters
    ----------
    change, p : array of shape (…, C)
        u, and probabilities; they broadcast together.

    Examples
    --------
    >>> centred(np.array([1.0, 3.0]), np.array([0.5, 0.5]))
    array([-1.,  1.])
    """
    # From the likeliest class: its own p (u − u) is zero, and what is left are small numbers.
    top = np.broadcast_to(p, change.shape).argmax(axis=-1)[..., np.newaxis]
    moved = change - np.take_along_axis(change, top, axis=-1)
    return np.asarray(moved - (p * moved).sum(axis=-1, keepdims=True))


def logit_changes(
    features: Any, reference: Any, others: Any, labels: Any = None
) -> Iterator[LogitChange]:
    """Go through the examples in blocks of bounded size.

    Parameters
    ----------
    features : array of shape (N, d)
        What the last layer sees; half types and memory maps will do.
    reference : array of shape (C, d + 1), or (E, C, d + 1)
        Weights with the bias as last column; one layer, or one for each of the others.
    others : array of shape (E, C, d + 1)
    labels : array of shape (N,), optional

    Raises
    ------
    UserError
        If the shapes do not fit, or a number is not finite.
    """
    others, reference = as_float64(others), as_float64(reference)
    if reference.shape not in (others.shape, others.shape[1:]) or others.ndim != 3:
        raise InvalidValueError(
            "the layers must have shapes (C, d + 1) or (E, C, d + 1), and (E, C, d + 1), but have "
            f"{reference.shape} and {others.shape}; put the bias in the last column."
        )
    if np.ndim(features) != 2 or np.shape(features)[1] + 1 != others.shape[2]:
        raise InvalidValueError(
            f"the features must have shape (N, {others.shape[2] - 1}), but have "
            f"{np.shape(features)}; take what the last layer sees."
        )
    if labels is not None and np.shape(labels) != (len(features),):
        raise InvalidValueError(
            f"there must be a label for each of {len(features)} examples, but the labels have shape "
            f"{np.shape(labels)}."
        )
    reference = reference.reshape(-1, *others.shape[1:])
    difference = others - reference
    width = _COPIES * len(others) * others.shape[1] + others.shape[2]
    cached = _SMALLER * width
    for rows in slices(len(features), cached if _FEWEST * cached <= vectors.BLOCK else width):
        x = as_float64(features[rows], "features")
        yield LogitChange(
            _logits(x, reference),
            _logits(x, difference),
            None if labels is None else np.asarray(labels[rows]),
        )


def means(
    features: Any,
    reference: Any,
    others: Any,
    quantities: Mapping[str, Quantity],
    labels: Any = None,
) -> dict[str, Vector]:
    """Mean over the examples of each quantity, for every other layer, in one pass.

    N · E · C · d multiplications, and some exponentials for each of N · E · C logits.

    Parameters
    ----------
    features, reference, others, labels
        As in `logit_changes`.
    quantities
        Functions of a `LogitChange`, each of which returns an array (b, E), by name.

    Returns
    -------
    dict of arrays of shape (E,)

    Raises
    ------
    UserError
        As `logit_changes`; and if there are no examples.

    Examples
    --------
    >>> layers = np.array([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]]])
    >>> square = {"square": lambda made: np.square(made.change).sum(axis=-1)}
    >>> means(np.array([[1.0], [3.0]]), layers[0], layers, square)
    {'square': array([ 0., 20.])}
    """
    if len(features) == 0:
        raise InvalidValueError("a mean over examples needs at least one, but there are none.")
    totals = {name: np.zeros(len(others)) for name in quantities}
    for made in logit_changes(features, reference, others, labels):
        for name, quantity in quantities.items():
            totals[name] += made.of(quantity).sum(axis=0)
    return {name: total / len(features) for name, total in totals.items()}


def _logits(x: Vector, layers: Vector) -> Vector:
    """(b, d) under (E, C, d + 1) → (b, E, C)."""
    flat = layers.reshape(-1, layers.shape[-1])
    return np.asarray((x @ flat[:, :-1].T + flat[:, -1]).reshape(len(x), *layers.shape[:2]))
