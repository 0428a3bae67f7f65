"""Layers that became two smaller ones, multiplied out again: W ≈ B A of a low rank."""

from functools import partial

from ap3.files.lazy_tensors import Entry, StateDict
from ap3.latent.vectors import to_numpy


def multiplied(one: StateDict, two: StateDict) -> tuple[StateDict, tuple[str, ...]]:
    """Put the product of two factors where the baseline has a layer that the pruned network lacks.

    The factors are the two matrices whose names begin with that of the layer, as when
    `nn.Linear` was replaced by `nn.Sequential` of two.

    Parameters
    ----------
    one, two
        Baseline and pruned network.

    Examples
    --------
    >>> import numpy as np
    >>> one = StateDict.of({"fc.weight": np.ones((3, 2))})
    >>> two = StateDict.of({"fc.0.weight": np.ones((1, 2)), "fc.1.weight": np.ones((3, 1))})
    >>> multiplied(one, two)[0]["fc.weight"].shape, multiplied(one, two)[1]
    ((3, 2), ('fc is kept as fc.0 and fc.1, which were multiplied.',))
    """
    entries, said = dict(two.entries), []
    extra = [name for name, e in entries.items() if name not in one and len(e.shape) == 2]
    missing = [name for name, e in one.entries.items() if name not in two and len(e.shape) == 2]
    for name in missing if extra else []:
        layer = name.removesuffix(".weight")
        factors = [each for each in extra if each.startswith((f"{layer}.", f"{layer}_"))]
        if len(factors) != 2 or not all("float" in entries[each].dtype for each in factors):
            continue
        inner, outer = _ordered(factors, entries, one.entries[name].shape)
        if not inner:
            continue
        shape = one.entries[name].shape
        made = partial(_product, entries.pop(outer), entries.pop(inner))
        entries[name] = Entry(shape, made, "float64")
        bare = (each.removesuffix(".weight") for each in (inner, outer))
        said.append(f"{layer} is kept as {' and '.join(bare)}, which were multiplied.")
    return StateDict(entries, two.remarks), tuple(said)


def _ordered(
    names: list[str], entries: dict[str, Entry], shape: tuple[int, ...]
) -> tuple[str, str]:
    """Tell which factor comes first, A of W = B A; empty if they don't fit, or save nothing."""
    for inner, outer in (names, names[::-1]):
        (rank, columns), (rows, width) = entries[inner].shape, entries[outer].shape
        if (rows, columns) == shape and rank == width < min(shape):
            return inner, outer
    return "", ""


def _product(outer: Entry, inner: Entry) -> object:
    two, one = (to_numpy(each.make()).astype("float64") for each in (outer, inner))
    return two @ one
