"""The measures of a whole network: those of the catalogue that it can have, and some of its own."""

from collections.abc import Collection
from functools import partial

from ap3.measuring import catalogue
from ap3.measuring.catalogue import Measure

_estimate = partial(Measure, estimates_pd=True)

OF_NETWORKS: tuple[Measure, ...] = (
    _estimate("ap3_gauss_newton", "AP3 Gauss–Newton, all layers jointly", "features"),
    _estimate("ap3_gauss_newton_diagonal", "AP3 Gauss–Newton, diagonal", "features"),
    _estimate("ap3_calibrated", "AP3 calibrated", "outputs"),
    _estimate("kl_single_layers", "sum of single layers' KL", "outputs"),
)
"""Measures that only a network of several layers has.

The calibrated law and the sum see what the network puts out when one layer alone is pruned, and
nothing of the variant but its weights.
"""

_BY_COLUMN = {measure.column: measure for measure in OF_NETWORKS}


def named(column: str) -> Measure:
    """Return the measure of a column.

    Examples
    --------
    >>> named("ap3_calibrated").name, named("ap2").name
    ('AP3 calibrated', 'AP2')
    """
    return _BY_COLUMN.get(column) or catalogue.named(column)


def present(columns: Collection[str]) -> list[Measure]:
    """Return the measures that a table of variants has, in the order in which they are shown."""
    known = [measure for measure in catalogue.MEASURES if measure.column in columns]
    own = [catalogue.named(column) for column in catalogue.own_columns(columns)]
    last = max((place for place, one in enumerate(known, 1) if one.column == "taylor"), default=0)
    mine = [measure for measure in OF_NETWORKS if measure.column in columns]
    return [*known[:last], *own, *mine, *known[last:]]
