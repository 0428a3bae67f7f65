"""AP2 and AP3 of any pruned network, layer by layer, from its weights and its baseline's."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ap3.comparing.layer_names import layer_of, matching
from ap3.config.seeds import derive
from ap3.errors import UserError
from ap3.files.state_dicts import StateDict, plain
from ap3.latent import (
    FULL_PRUNING_KL,
    FastRotation,
    SpectralGaussian,
    auto_scale,
    default_spectrum,
    shared_scale,
    student_t_kl,
)
from ap3.latent.grouping import group_starts
from ap3.latent.vectors import BLOCK, Vector, as_float64, slices, to_numpy
from ap3.machine.progress import counted
from ap3.measuring.laws import own_laws

# The non-diagonal law takes some 60 bytes a weight: 2 GB for a layer of this size.
LARGEST_ROTATED = 2**25


def compare(
    baseline: Mapping[str, Any],
    pruned: Mapping[str, Any],
    layers: str | Iterable[str] = "*",
    df: float = 4.0,
    groups: int | None = 100,
    laws: Iterable[str] = (),
) -> pd.DataFrame:
    """Compare two state dicts of one architecture.

    A layer is a tensor of two or more dimensions with `weight` in the last part of its name:
    linear and convolutional layers, embeddings, the projections of attention. Biases and the scales
    of norms have one dimension and are left out, as the paper leaves them out.

    Parameters
    ----------
    baseline, pruned
        Tensors or arrays by name. Prefixes of DataParallel and torch.compile are taken off, and
        weights that `torch.nn.utils.prune` keeps as weight_orig and weight_mask are put together.
    layers
        Names of the layers to compare; `*` and `?` stand for any letters and any letter.
    df, groups
        Of the Student-t law (Sec. 5.3); no groups take every weight.
    laws
        Latent laws of your own, `package.module:function`: a function that takes a layer's weights
        and returns an `ap3.latent.Law` at them. Each adds a column `ap3_own_FUNCTION`.

    Returns
    -------
    DataFrame
        A row per layer: `layer`, `weights` (how many), `sparsity` (the share of zeros in `pruned`),
        `ap2`, `relative_distance` ‖ω − ω̃‖/‖ω‖, and AP3 in nats under every law that needs no data:
        `ap3_gaussian`, `ap3_nondiagonal`, `ap3_student_t`. Each law's scale is its `auto` one, so
        that pruning a whole layer gives 1.9 (the Student-t shares the covariance). Missing: what is
        relative to a baseline of zeros; the non-diagonal law of layers above 33 million weights.

    Raises
    ------
    UserError
        If the layers don't match, a weight is no real number or not finite, or a law of your own
        is none.

    Examples
    --------
    >>> baseline = {"fc.weight": np.array([[3.0, 0.5], [0.0, 4.0]]), "fc.bias": np.zeros(2)}
    >>> pruned = {"fc.weight": np.array([[3.0, 0.0], [0.0, 4.0]]), "fc.bias": np.zeros(2)}
    >>> compare(baseline, pruned)[["layer", "weights", "sparsity", "ap2"]]
      layer  weights  sparsity   ap2
    0    fc        4       0.5  0.25
    """
    one, two = plain(baseline), plain(pruned)
    wanted = [layers] if isinstance(layers, str) else list(layers)
    chosen, own = matching(one, two, wanted or ["*"]), tuple(laws)
    return pd.DataFrame(_row(name, one, two, df, groups, own) for name in counted(chosen, "layers"))


@dataclass
class _Sums:
    """Sums over the weights ω of a layer and the differences Δ to its pruned version.

    The last two are of each group of weights.
    """

    weights: int
    zeros: int
    distance2: float
    norm2: float
    means: Vector
    mean_differences: Vector


def _row(
    name: str, one: StateDict, two: StateDict, df: float, groups: int | None, own: tuple[str, ...]
) -> dict[str, Any]:
    baseline, pruned = _real(one[name], name, "baseline"), _real(two[name], name, "pruned network")
    try:
        with np.errstate(over="ignore"):
            sums = _sums(baseline, pruned, groups)
    except UserError as error:
        for whose, tensor in (("baseline", baseline), ("pruned network", pruned)):
            if count := _infinite(tensor):
                raise UserError(
                    f"layer {layer_of(name)} of the {whose} must be finite, but {count:,} of its "
                    f"{len(tensor):,} weights are NaN or infinite; look for a diverged training or "
                    "a damaged file."
                ) from error
        raise
    if not np.isfinite(sums.norm2 + sums.distance2):
        raise UserError(
            f"the squares of layer {layer_of(name)}'s weights are beyond double precision; divide "
            "both checkpoints by one number."
        )
    return {
        "layer": layer_of(name),
        "weights": sums.weights,
        "sparsity": sums.zeros / sums.weights,
        "ap2": sums.distance2,
        "relative_distance": _ratio(sums.distance2, sums.norm2) ** 0.5,
        "ap3_gaussian": FULL_PRUNING_KL * _ratio(sums.distance2, sums.norm2),
        "ap3_nondiagonal": _nondiagonal(baseline, pruned, name, sums),
        "ap3_student_t": _student_t(sums, df, groups),
    } | {measure.column: law.kl(law.at(pruned)) for measure, law in own_laws(own, baseline).items()}


def _real(tensor: Any, name: str, whose: str) -> Any:
    """Flatten a tensor, refused if it holds no floating-point numbers."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if "float" not in kind:
        raise UserError(
            f"layer {layer_of(name)} of the {whose} holds {kind} and AP2 compares real numbers; give "
            "the weights as floats (a quantised network dequantised)."
        )
    if getattr(tensor, "is_meta", False):
        raise UserError(
            f"layer {layer_of(name)} of the {whose} is a meta tensor, which holds no numbers; load "
            "the weights before saving."
        )
    is_sparse = str(getattr(tensor, "layout", "torch.strided")) != "torch.strided"
    return (tensor.to_dense() if is_sparse else tensor).reshape(-1)


def _infinite(tensor: Any) -> int:
    """Count what is NaN or infinite."""
    blocks = (to_numpy(tensor[rows]) for rows in slices(len(tensor), 1))
    return sum(block.size - int(np.count_nonzero(np.isfinite(block))) for block in blocks)


def _sums(baseline: Any, pruned: Any, groups: int | None) -> _Sums:
    """Add up in float64, a block at a time, so that a layer is never held in float64 as a whole."""
    size = len(baseline)
    starts = np.zeros(1, np.int64) if groups is None else group_starts(size, groups)
    sums = _Sums(size, 0, 0.0, 0.0, np.zeros(len(starts)), np.zeros(len(starts)))
    for rows, group in _blocks(size, starts):
        x, y = (as_float64(part[rows]) for part in (baseline, pruned))
        sums.zeros += int((y == 0).sum())
        sums.distance2 += float(np.square(y - x).sum())
        sums.norm2 += float(np.square(x).sum())
        sums.means[group] += x.sum()
        sums.mean_differences[group] += (y - x).sum()
    counts = np.diff(starts, append=size)
    sums.means /= counts
    sums.mean_differences /= counts
    return sums


def _blocks(size: int, starts: NDArray[np.int64]) -> Iterator[tuple[slice, int]]:
    """Slices of bounded size, none across two groups, and the group of each."""
    edges = np.union1d(starts, np.arange(0, size, BLOCK))
    groups = np.searchsorted(starts, edges, side="right") - 1
    for first, last, group in zip(edges, np.append(edges[1:], size), groups, strict=True):
        yield slice(int(first), int(last)), int(group)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else np.nan


def _nondiagonal(baseline: Any, pruned: Any, name: str, sums: _Sums) -> float:
    """AP3 with Σ = β V Λ Vᵀ; V follows from the layer's name."""
    if sums.norm2 == 0 or sums.weights > LARGEST_ROTATED:
        return np.nan
    rotation = FastRotation(sums.weights, derive(0, layer_of(name), "covariance"))
    spectrum = default_spectrum(sums.weights)
    law = SpectralGaussian(baseline, rotation, spectrum, auto_scale(baseline, rotation, spectrum))
    return law.kl(law.at(pruned))


def _student_t(sums: _Sums, df: float, groups: int | None) -> float:
    """AP3 of the Student-t law around the group means, or around every weight."""
    if groups is None:
        distance2, norm2, dim = sums.distance2, sums.norm2, sums.weights
    else:
        distance2, norm2 = (float(v @ v) for v in (sums.mean_differences, sums.means))
        dim = len(sums.means)
    if norm2 == 0:
        return np.nan
    scale = shared_scale(norm2 / (2 * FULL_PRUNING_KL), df)
    return float(student_t_kl(distance2**0.5 / scale, df, dim))
