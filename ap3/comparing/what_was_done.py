"""What was done to a layer and to a network, told by the weights: how it was pruned, and what else."""

import re
from collections import Counter
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.comparing.fewer_numbers import levels_of, levels_of_codes, rank_of
from ap3.comparing.kept_channels import Kept
from ap3.comparing.sums import Sums

UNTOUCHED, DROPPED, FINE_TUNED = "untouched", "dropped", "fine-tuned"
UNSTRUCTURED, LOW_RANK, QUANTISED, ROUNDED = "unstructured", "low rank", "quantised", "rounded"
_NO_PRUNING = frozenset({UNTOUCHED, FINE_TUNED, LOW_RANK, QUANTISED, ROUNDED})

_EXPLAINED = 0.98  # of the new zeros, where rows or columns are said to be zeroed
_FULL = 0.95  # of what an N:M pattern allows, where one is said to be there
_FEWEST_GROUPS = 8
_BY_CHANCE = 2e-3  # share of zeros that training on can leave behind
_ALTERED = 1e-3  # share of the weights left that are something else, after fine-tuning
_SMALLEST_HEAD = 8
_ATTENTION = re.compile(r"attn|attention|(^|\.)[qkvo]_proj|in_proj_weight|query|key|value")


@dataclass(frozen=True)
class Done:
    """What was done to a layer.

    Attributes
    ----------
    kind
        In a word or two: untouched, unstructured, 2:4, rows zeroed, columns removed, heads zeroed,
        dropped, low rank, quantised, rounded, fine-tuned.
    detail
        Which rows, columns or heads, how many levels, which rank; empty if there is nothing to add.
    is_fine_tuned
        Whether weights that are left are not what they were, beyond rounding.
    """

    kind: str
    detail: str = ""
    is_fine_tuned: bool = False

    @property
    def is_pruned(self) -> bool:
        """Whether weights, channels or the whole layer were taken away."""
        return self.kind not in _NO_PRUNING


def done_to(
    name: str, sums: Sums, baseline: Any, pruned: Any, kept: Kept | None = None, codes: str = ""
) -> Done:
    """Tell what was done to one layer.

    Parameters
    ----------
    name
        Of the tensor: the heads of attention are looked for in what is called so.
    sums
        Of the layer.
    baseline, pruned
        Its weights before and after, in the shape of the baseline.
    kept
        The channels that are left, where some were removed.
    codes
        What kind of codes the file of the pruned network alone holds; empty if it holds floats.

    Examples
    --------
    >>> from ap3.comparing.sums import sums_of
    >>> one = np.arange(1.0, 17).reshape(4, 4)
    >>> two = one * np.array([[1], [0], [1], [1]])
    >>> done_to("fc", sums_of(one.ravel(), two.ravel(), (4, 4), None), one, two)
    Done(kind='rows zeroed', detail='1 of 4: 1', is_fine_tuned=False)
    """
    left = sums.weights - sums.zeros
    altered = sums.unexplained - sums.new_zeros
    is_fine_tuned = altered > _ALTERED * max(left, 1)
    if kept is not None:
        return Done(*_removed(kept, sums.shape), is_fine_tuned)
    if sums.changed == 0:
        return Done(UNTOUCHED)
    levels = levels_of(baseline, pruned) if is_fine_tuned else None
    if levels is None and codes:
        levels = levels_of_codes(baseline, pruned, codes)
    zeros = sums.new_zeros
    if levels is not None:
        zeros -= int(levels.rounded_to_zero * sums.weights)
    if zeros > (_BY_CHANCE * sums.weights if is_fine_tuned else 0):
        kind, detail = _zeroed(name, sums)
        if levels is not None:
            return Done(kind, f"{detail}{', ' if detail else ''}quantised to {levels.text}")
        return Done(kind, detail, is_fine_tuned)
    if levels is not None:
        return Done(QUANTISED, levels.text)
    if not is_fine_tuned:
        few = "" if altered == 0 else f"{altered:,} weights"
        return Done(FINE_TUNED, few, True) if few else Done(ROUNDED, _type(pruned))
    return _trained(baseline, pruned, sums)


def _type(pruned: Any) -> str:
    return str(getattr(pruned, "dtype", "")).removeprefix("torch.")


def _trained(baseline: Any, pruned: Any, sums: Sums) -> Done:
    """Tell a factorised layer, or a small update, from a plain fine-tuning."""
    rank = rank_of(pruned, sums.shape, than=baseline)
    if rank is not None:
        return Done(LOW_RANK, f"rank {rank} of {_full_rank(sums.shape)}")
    return Done(FINE_TUNED, "", True)


def _full_rank(shape: tuple[int, ...]) -> int:
    return min(shape[0], int(np.prod(shape[1:])))


def _removed(kept: Kept, shape: tuple[int, ...]) -> tuple[str, str]:
    parts = []
    for what, indices, count in zip(
        ("rows", "columns"), (kept.rows, kept.columns), shape, strict=False
    ):
        if len(indices) < count:
            parts.append((what, f"kept {len(indices)} of {count} {what}: {spans(indices)}"))
    kind = " and ".join(what for what, _ in parts)
    return f"{kind} removed", f"{'; '.join(said for _, said in parts)}, recognised by their values"


def _zeroed(name: str, sums: Sums) -> tuple[str, str]:
    """Name the pattern of zeros that were not there before."""
    if sums.zeros == sums.weights:
        return "zeroed whole", ""
    rows = np.flatnonzero(sums.rows_used_before & ~sums.rows_used)
    columns = np.flatnonzero(sums.columns_used_before & ~sums.columns_used)
    parts = _lines(rows, columns, sums)
    if parts:
        return _structured(name, parts, sums.shape)
    left = sums.weights - sums.zeros
    for width, most in sums.most_kept.items():
        groups = sums.weights // width
        if 0 < most < width and groups >= _FEWEST_GROUPS and left >= _FULL * most * groups:
            return f"{most}:{width}", ""
    return UNSTRUCTURED, ""


def _lines(
    rows: NDArray[np.int64], columns: NDArray[np.int64], sums: Sums
) -> dict[str, NDArray[np.int64]]:
    """Take the rows or columns, or both, that all new zeros are in; nothing if they are elsewhere."""
    count_rows, count_columns = sums.shape[0], sums.shape[1]
    in_rows = len(rows) * sums.weights / count_rows
    in_columns = len(columns) * sums.weights / count_columns
    in_both = in_rows + in_columns - in_rows * in_columns / sums.weights
    enough = _EXPLAINED * sums.new_zeros
    if len(rows) and in_rows >= enough:
        return {"rows": rows}
    if len(columns) and in_columns >= enough:
        return {"columns": columns}
    if len(rows) and len(columns) and in_both >= enough:
        return {"rows": rows, "columns": columns}
    return {}


def _structured(
    name: str, parts: dict[str, NDArray[np.int64]], shape: tuple[int, ...]
) -> tuple[str, str]:
    counts = {"rows": shape[0], "columns": shape[1]}
    if len(parts) == 1 and _ATTENTION.search(name):
        ((what, indices),) = parts.items()
        width = head_width(indices, counts[what])
        if width:
            heads, count = np.unique(indices // width), counts[what] // width
            return "heads zeroed", f"{_listed(heads, count)} ({width} {what} each)"
    if len(parts) == 1:
        ((what, indices),) = parts.items()
        return f"{what} zeroed", _listed(indices, counts[what])
    said = "; ".join(f"{what} {_listed(i, counts[what])}" for what, i in parts.items())
    return "rows and columns zeroed", said


def _listed(indices: NDArray[np.int64], count: int) -> str:
    return f"{len(indices)} of {count}: {spans(indices)}"


def head_width(indices: NDArray[np.int64], count: int) -> int:
    """Width of aligned blocks that rows come in, as heads of attention do; 0 if they don't.

    Parameters
    ----------
    indices
        Of the rows, in order.
    count
        How many rows there are.

    Examples
    --------
    >>> head_width(np.r_[16:32, 48:64], 96), head_width(np.array([3, 5]), 96)
    (16, 0)
    """
    jumps = np.flatnonzero(np.diff(indices) != 1)
    starts = indices[np.r_[0, jumps + 1]]
    ends = indices[np.r_[jumps, len(indices) - 1]] + 1
    width = gcd(count, *map(int, starts), *map(int, ends))
    return width if _SMALLEST_HEAD <= width < count else 0


def spans(indices: NDArray[np.int64]) -> str:
    """Spell whole numbers in short: runs as first-last.

    Parameters
    ----------
    indices
        In any order; where it is not rising, they are spelled one by one.

    Examples
    --------
    >>> spans(np.array([0, 1, 2, 5])), spans(np.array([3, 1]))
    ('0-2 5', '3 1')
    """
    jumps = np.flatnonzero(np.diff(indices) != 1)
    starts = indices[np.r_[0, jumps + 1]]
    ends = indices[np.r_[jumps, len(indices) - 1]]
    spelled = [
        f"{first}" if first == last else f"{first}-{last}"
        for first, last in zip(starts, ends, strict=True)
    ]
    return " ".join(spelled)


@dataclass(frozen=True)
class Whole:
    """Sums over the layers of a network, for the verdict.

    Attributes
    ----------
    done
        To each layer.
    weights, zeros, new_zeros, lost_zeros
        How many in all layers; the last were zeros before, and are none now.
    others
        Whether tensors beside the layers, the scales of norms for example, differ.
    is_larger
        Whether layers of the pruned network are larger than the baseline's.
    """

    done: list[Done]
    weights: int
    zeros: int
    new_zeros: int
    lost_zeros: int
    others: bool = False
    is_larger: bool = False


def is_wrong_way_round(lost: int, new: int, weights: int) -> bool:
    """Tell by the zeros whether the baseline seems to be the pruned network.

    Parameters
    ----------
    lost, new
        Weights that are zero in the baseline alone, and in the pruned network alone.
    weights
        How many there are.

    Examples
    --------
    >>> is_wrong_way_round(30, 0, 100), is_wrong_way_round(0, 30, 100)
    (True, False)
    """
    return lost > max(10 * new, 0.01 * weights)


def verdict(whole: Whole) -> str:
    """Say in one sentence what was done to a network.

    Parameters
    ----------
    whole
        Its layers together.

    Examples
    --------
    >>> verdict(Whole([Done("2:4"), Done("untouched")], 200, 50, 50, 0))
    'pruned: 2:4 in 1 of 2 layers, 25 % of 200 weights are zero; not fine-tuned after it.'
    """
    is_turned = is_wrong_way_round(whole.lost_zeros, whole.new_zeros, whole.weights)
    is_larger = whole.is_larger and not whole.new_zeros  # else a vocabulary may have grown
    if is_turned or is_larger:
        what = (
            "its layers are the smaller ones"
            if is_larger
            else f"{whole.lost_zeros:,} weights are zero in it alone"
        )
        return f"the arguments seem to be the wrong way round: of the baseline, {what}."
    count = len(whole.done)
    pruned = [each for each in whole.done if each.is_pruned]
    is_tuned = any(each.is_fine_tuned for each in whole.done)
    if not pruned:
        return _not_pruned(whole, count)
    kinds = Counter(each.kind for each in pruned).most_common()
    said = ", ".join(f"{kind} in {times}" for kind, times in kinds)
    share = f"{whole.zeros / whole.weights:.3g}".removesuffix(".0") if whole.weights else "0"
    percent = f"{100 * float(share):.3g} %"
    after = "fine-tuned after it" if is_tuned else "not fine-tuned after it"
    return f"pruned: {said} of {count} layers, {percent} of {whole.weights:,} weights are zero; {after}."


def _not_pruned(whole: Whole, count: int) -> str:
    kinds = Counter(each.kind for each in whole.done)
    if kinds[UNTOUCHED] == count:
        them = "the layer is" if count == 1 else f"all {count} layers are"
        if whole.others:
            return f"{them} untouched, but tensors beside them differ, such as the scales of norms."
        return f"not pruned: {them} untouched."
    said = ", ".join(f"{times} {kind}" for kind, times in kinds.most_common())
    return f"not pruned: of {count} layers, {said}."
