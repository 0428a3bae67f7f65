"""AP2, and AP3 under the laws that need no data, of one layer; the network's are sums over its layers."""

from typing import Any

import numpy as np
from torch import Tensor

from ap3.errors import InvalidValueError
from ap3.latent.law import Law
from ap3.latent.vectors import to_numpy
from ap3.measuring import catalogue
from ap3.measuring.laws import BaselineLayer
from ap3.metrics import ap2

_GROUPS = 100  # means that locate the Student-t law, as in `ap3.compare`


class LayerLaws:
    """The laws of a layer at its baseline; each has a scale of its own, from the layer's weights.

    The non-diagonal law, which needs a rotation as large as the layer, is not among them.

    Parameters
    ----------
    weight
        The baseline's.

    Examples
    --------
    >>> LayerLaws(np.array([[3.0, 4.0]])).of(np.array([[0.0, 0.0]]))
    {'ap2': 25.0, 'ap3_gaussian': 1.9, 'ap3_student_t': 2.099...}
    """

    def __init__(self, weight: Tensor | Any) -> None:
        self.weight = to_numpy(weight).astype(np.float64)
        groups = _GROUPS if self.weight.size >= _GROUPS else None
        layer = BaselineLayer(self.weight.reshape(len(self.weight), -1), groups=groups)
        self.laws: dict[str, Law | None] = {}
        for measure in catalogue.MEASURES:
            if measure.law and measure.sees == "weights" and measure.law_name != "nondiagonal":
                try:
                    self.laws[measure.column] = catalogue.function(measure.law)(layer)
                except InvalidValueError:  # weights, or means of groups, that are all zero
                    self.laws[measure.column] = None

    def of(self, weight: Tensor | Any) -> dict[str, float]:
        """Return AP2 and every AP3 (nats) of other weights; AP3 is NaN where its law has no scale.

        Parameters
        ----------
        weight
            Of the same shape.
        """
        other = to_numpy(weight)
        found = {"ap2": float(ap2(self.weight, other))}
        for column, law in self.laws.items():
            if found["ap2"] == 0:
                found[column] = 0.0
            else:
                found[column] = np.nan if law is None else float(law.kl(law.at(other)))
        return found


def columns() -> list[str]:
    """Name what `LayerLaws.of` gives."""
    return list(LayerLaws(np.ones((1, 1))).of(np.ones((1, 1))))
