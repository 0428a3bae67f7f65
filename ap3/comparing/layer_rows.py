"""One layer compared: its columns of the table, its sums, and what was done to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ap3.comparing.kept_channels import Kept
from ap3.comparing.layer_names import Matching, layer_of
from ap3.comparing.sums import BLOCK, Sums, sums_of
from ap3.comparing.what_was_done import DROPPED, Done, done_to
from ap3.config.seeds import derive
from ap3.errors import InvalidValueError
from ap3.files.lazy_tensors import StateDict, dtype_of
from ap3.latent import (
    FULL_PRUNING_KL,
    FastRotation,
    SpectralGaussian,
    auto_scale,
    default_spectrum,
    shared_scale,
    student_t_kl,
)
from ap3.latent.vectors import slices, to_numpy
from ap3.measuring.laws import own_laws

NONDIAGONAL = "nondiagonal"
# The non-diagonal law takes some 60 bytes a weight: 2 GB for a layer of this size.
LARGEST_ROTATED = 2**25


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes
    ----------
    df, groups
        Settings of the Student-t law.
    laws
        Further latent laws.
    """

    df: float
    groups: int | None
    laws: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A layer compared.

    Attributes
    ----------
    numbers
        The columns of the table that are numbers, and its name.
    sums
        What they are made of.
    done
        What was done to it.
    """

    numbers: dict[str, Any]
    sums: Sums
    done: Done

    @property
    def columns(self) -> dict[str, Any]:
        """The layer's row of the table."""
        done = self.done
        named = {"kind": done.kind, "detail": done.detail, "fine_tuned": done.is_fine_tuned}
        return self.numbers | named


def compared(name: str, pairs: Matching, kept: Kept | None, asked: Asked) -> Row:
    """Compare one layer: with zeros where the pruned network has lost channels, or all of it.

    Parameters
    ----------
    name
        Of its tensor.
    pairs
        The networks.
    kept
        The channels that are left, where some were removed.
    asked
        What to compute.

    Raises
    ------
    UserError
        If its weights are no real numbers, or not finite.
    """
    check_real(pairs.baseline, name, "baseline")
    baseline = _dense(pairs.baseline[name], name, "baseline")
    shape, flat = pairs.baseline.entries[name].shape, baseline.reshape(-1)
    if name not in pairs.pruned.entries:
        zeros = _zeros_like(flat)
        sums = _checked_sums(flat, zeros, name, shape, asked.groups)
        return Row(_measures(flat, zeros, name, sums, asked), sums, Done(DROPPED))
    check_real(pairs.pruned, name, "pruned network")
    pruned = _dense(pairs.pruned[name], name, "pruned network")
    if kept is not None:
        pruned = kept.widened(pruned, shape)
    both = flat, pruned.reshape(-1)
    sums = _checked_sums(*both, name, shape, asked.groups)
    codes = "" if pairs.baseline.entries[name].codes else pairs.pruned.entries[name].codes
    done = done_to(name, sums, baseline, pruned, kept, codes)
    return Row(_measures(*both, name, sums, asked), sums, done)


def _zeros_like(flat: Any) -> Any:
    """Stand in for a layer that is not there: zeros that take no memory."""
    if hasattr(flat, "new_zeros"):
        return flat.new_zeros(1).expand(len(flat))
    return np.broadcast_to(np.zeros(1, flat.dtype), len(flat))


def _checked_sums(
    baseline: Any, pruned: Any, name: str, shape: tuple[int, ...], groups: int | None
) -> Sums:
    """Add up, and look for the reason if a sum is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums = sums_of(baseline, pruned, shape, groups, BLOCK)
    if np.isfinite(sums.norm2 + sums.distance2):
        return sums
    for whose, tensor in (("baseline", baseline), ("pruned network", pruned)):
        if count := _infinite(tensor):
            raise InvalidValueError(
                f"layer {layer_of(name)} of the {whose} must be finite, but {count:,} of its "
                f"{len(tensor):,} weights are NaN or infinite; look for a diverged training or a "
                "damaged file."
            )
    raise InvalidValueError(
        f"the squares of layer {layer_of(name)}'s weights are beyond double precision; divide both "
        "checkpoints by one number."
    )


def _measures(baseline: Any, pruned: Any, name: str, sums: Sums, asked: Asked) -> dict[str, Any]:
    """Columns of a layer's row that are numbers."""
    own = tuple(law for law in asked.laws if law != NONDIAGONAL)
    measures = {
        "layer": layer_of(name),
        "weights": sums.weights,
        "sparsity": sums.zeros / sums.weights,
        "ap2": sums.distance2,
        "relative_distance": _ratio(sums.distance2, sums.norm2) ** 0.5,
        "ap3_gaussian": FULL_PRUNING_KL * _ratio(sums.distance2, sums.norm2),
    }
    if NONDIAGONAL in asked.laws:
        measures["ap3_nondiagonal"] = _nondiagonal(baseline, pruned, name, sums)
    measures["ap3_student_t"] = _student_t(sums, asked.df, asked.groups)
    for measure, law in own_laws(own, baseline).items():
        measures[measure.column] = law.kl(law.at(pruned))
    return measures


def check_real(state: StateDict, name: str, whose: str) -> None:
    """Refuse what holds no real numbers, or other numbers than the weights.

    Parameters
    ----------
    state
        A network.
    name
        Of a tensor in it.
    whose
        What to call the network.

    Raises
    ------
    UserError
        If its numbers are packed, codes, or not real.
    """
    entry = state.entries[name]
    if entry.problem:
        raise InvalidValueError(f"the {whose} is quantised: {entry.problem}")
    if "float4" in entry.dtype or entry.dtype.startswith("f4"):
        raise InvalidValueError(
            f"layer {layer_of(name)} of the {whose} holds packed 4-bit floats, two to a number; give "
            "the weights as floats (dequantised by the tool that packed them)."
        )
    if entry.dtype and "float" not in entry.dtype:
        raise InvalidValueError(
            f"layer {layer_of(name)} of the {whose} holds {entry.dtype} and AP2 compares real "
            "numbers; give the weights as floats (a quantised network dequantised)."
        )


def _dense(tensor: Any, name: str, whose: str) -> Any:
    """Make a tensor dense; refused if it holds no numbers."""
    if getattr(tensor, "is_meta", False):
        raise InvalidValueError(
            f"layer {layer_of(name)} of the {whose} is a meta tensor, which holds no numbers; load "
            "the weights before saving."
        )
    is_sparse = str(getattr(tensor, "layout", "torch.strided")) != "torch.strided"
    try:
        return tensor.to_dense() if is_sparse else tensor
    except (RuntimeError, NotImplementedError) as error:
        raise InvalidValueError(
            f"layer {layer_of(name)} of the {whose} is a sparse tensor of type "
            f"{dtype_of(tensor)}, which torch cannot make dense; give it dense."
        ) from error


def _infinite(tensor: Any) -> int:
    """Count what is NaN or infinite."""
    blocks = (to_numpy(tensor[rows]) for rows in slices(len(tensor), 1))
    return sum(block.size - int(np.count_nonzero(np.isfinite(block))) for block in blocks)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else np.nan


def _nondiagonal(baseline: Any, pruned: Any, name: str, sums: Sums) -> float:
    """AP3 with Σ = β V Λ Vᵀ; V follows from the layer's name."""
    if sums.norm2 == 0 or sums.weights > LARGEST_ROTATED:
        return np.nan
    rotation = FastRotation(sums.weights, derive(0, layer_of(name), "covariance"))
    spectrum = default_spectrum(sums.weights)
    law = SpectralGaussian(baseline, rotation, spectrum, auto_scale(baseline, rotation, spectrum))
    return law.kl(law.at(pruned))


def _student_t(sums: Sums, df: float, groups: int | None) -> float:
    """AP3 of the Student-t law around the group means, or around every weight."""
    if groups is None:
        distance2, norm2, dim = sums.distance2, sums.norm2, sums.weights
    else:
        means = (each / sums.group_sizes for each in (sums.difference_sums, sums.sums))
        distance2, norm2 = (float(v @ v) for v in means)
        dim = len(sums.sums)
    if norm2 == 0:
        return np.nan
    scale = shared_scale(norm2 / (2 * FULL_PRUNING_KL), df)
    return float(student_t_kl(distance2**0.5 / scale, df, dim))
