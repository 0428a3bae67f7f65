"""AP2 and AP3 of any pruned network, layer by layer, from its weights and its baseline's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from ap3.comparing.comparison import Comparison
from ap3.comparing.kept_channels import Kept, recognised
from ap3.comparing.layer_names import Matching, layer_of, matching
from ap3.comparing.sums import BLOCK, Sums, sums_of
from ap3.comparing.uncompared import differing
from ap3.comparing.what_was_done import DROPPED, Done, Whole, done_to, verdict
from ap3.config.seeds import derive
from ap3.errors import InvalidValueError
from ap3.files import state_dicts
from ap3.files.lazy_tensors import StateDict
from ap3.files.safe_names import listed
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
from ap3.machine.progress import counted
from ap3.measuring.laws import own_laws

NONDIAGONAL = "nondiagonal"
# The non-diagonal law takes some 60 bytes a weight: 2 GB for a layer of this size.
LARGEST_ROTATED = 2**25

Network = Mapping[str, Any] | str | PathLike[str] | Any
"""A module, a state dict, or the path of a checkpoint."""


def compare(
    baseline: Network,
    pruned: Network,
    layers: str | Iterable[str] = "*",
    df: float = 4.0,
    groups: int | None = 100,
    laws: Iterable[str] = (),
) -> Comparison:
    """Compare a network with its pruned version: two modules, files, or state dicts of one architecture.

    A layer is a tensor of real numbers in two or more dimensions: linear and convolutional layers,
    embeddings, the projections of attention, the experts of a mixture. Biases and the scales of
    norms have one dimension and are left out, as the paper leaves them out; a remark says how many
    of them differ.

    Parameters
    ----------
    baseline, pruned
        Modules, state dicts (tensors or arrays by name), or paths of checkpoints. What tools leave
        is taken off: prefixes, masks beside weights, scales beside codes.
    layers
        Names of the layers to compare; `*` and `?` stand for any letters and any letter.
    df, groups
        Of the Student-t law (Sec. 5.3); no groups take every weight.
    laws
        Further latent laws. `nondiagonal` adds the column `ap3_nondiagonal`, which takes several
        times as long as all the rest. `package.module:function` is a law of your own: a function
        that takes a layer's weights and returns an `ap3.latent.Law` at them; it adds a column
        `ap3_own_FUNCTION`.

    Returns
    -------
    Comparison
        A `DataFrame` with a row per layer: `layer`, `weights` (how many), `sparsity` (the share of
        zeros in `pruned`), `ap2`, `relative_distance` ‖ω − ω̃‖/‖ω‖, AP3 in nats under the laws that
        need no data, `ap3_gaussian` and `ap3_student_t`, and what was done to the layer: `kind`,
        `detail`, `fine_tuned`. Each law's scale is its `auto` one, so that pruning a whole layer
        gives 1.9 (the Student-t shares the covariance). A layer that the pruned network lacks counts
        as pruned whole, and channels that it lacks as zeros. Missing: what is relative to a baseline
        of zeros; the non-diagonal law of layers above 33 million weights. Its `verdict` says in a
        sentence what was done to the network, its `remarks` what a reader has to know.

    Raises
    ------
    UserError
        If the networks have no layer in common, a weight is no real number or not finite, or a law
        of your own is none.
    TypeError
        If a network is given as something else.

    Examples
    --------
    >>> baseline = {"fc.weight": np.array([[3.0, 0.5], [0.0, 4.0]]), "fc.bias": np.zeros(2)}
    >>> pruned = {"fc.weight": np.array([[3.0, 0.0], [0.0, 4.0]]), "fc.bias": np.zeros(2)}
    >>> compare(baseline, pruned)
    pruned: unstructured in 1 of 1 layers, 50 % of 4 weights are zero; not fine-
    tuned after it.
    layer weights sparsity  ap2 ap3_gaussian         kind
       fc       4      0.5 0.25      0.01881 unstructured
    """
    one, two = _state(baseline, "baseline"), _state(pruned, "pruned network")
    wanted = [layers] if isinstance(layers, str) else list(layers)
    wanted, further = wanted or ["*"], tuple(laws)
    pairs = matching(one, two, wanted)
    kept, remarks = _kept(pairs)
    chosen = [
        name
        for name in pairs.names
        if name in kept or pairs.shape_in_pruned(name) in (None, pairs.baseline.entries[name].shape)
    ]
    if not chosen:
        raise InvalidValueError(f"no layer can be compared: {' '.join(remarks)}")
    asked = _Asked(df, groups, further)
    rows = [_compared(name, pairs, kept.get(name), asked) for name in counted(chosen, "layers")]
    said = [f"{part}: {r}" for part, s in (("baseline", one), ("pruned", two)) for r in s.remarks]
    others = differing(pairs, set(chosen)) if wanted == ["*"] else []
    said += [*pairs.remarks, *remarks, *_dropped(rows), *others]
    return Comparison.of(
        [row.table | _columns(row.done) for row in rows],
        _verdict(rows, pairs, chosen, bool(others)),
        said,
    )


@dataclass(frozen=True)
class _Asked:
    """What was asked for: settings of the Student-t law, and further laws."""

    df: float
    groups: int | None
    laws: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    """A layer compared: its columns, its sums, and what was done to it."""

    table: dict[str, Any]
    sums: Sums
    done: Done


def _columns(done: Done) -> dict[str, Any]:
    return {"kind": done.kind, "detail": done.detail, "fine_tuned": done.is_fine_tuned}


def _state(network: Network, whose: str) -> StateDict:
    """Take a network's weights, in whichever of the ways it is given."""
    if hasattr(network, "state_dict") and callable(network.state_dict):
        network = network.state_dict()
    if isinstance(network, str | PathLike):
        return state_dicts.plain(state_dicts.read(network))
    if isinstance(network, Mapping):
        return state_dicts.plain(state_dicts.of_content(network, f"the {whose}"))
    raise TypeError(
        f"the {whose} must be a module, a state dict or the path of a checkpoint, but is "
        f"{type(network).__name__}; give network.state_dict()."
    )


def _kept(pairs: Matching) -> tuple[dict[str, Kept], list[str]]:
    """Find the channels that are left of layers that became smaller; say of which it failed."""
    one, two = pairs.baseline.entries, pairs.pruned.entries
    changed = [name for name in pairs.names if name in two and one[name].shape != two[name].shape]
    for name in changed:
        for state, whose in ((pairs.baseline, "baseline"), (pairs.pruned, "pruned network")):
            _check_real(state, name, whose)
    kept = recognised(changed, one, two)
    lost = [name for name in changed if name not in kept]
    if not lost:
        return kept, []
    shapes = f"{one[lost[0]].shape} and {two[lost[0]].shape}"
    return kept, [
        f"{listed([layer_of(name) for name in lost])} differ in shape ({shapes}) in a way that is not "
        "recognised, and are not compared."
    ]


def _dropped(rows: list[_Row]) -> list[str]:
    dropped = [row.table["layer"] for row in rows if row.done.kind == DROPPED]
    return (
        [f"only the baseline has {listed(dropped)}, which count as pruned whole."]
        if dropped
        else []
    )


def _verdict(rows: list[_Row], pairs: Matching, chosen: list[str], others: bool) -> str:
    sums = [row.sums for row in rows]
    new_zeros = sum(each.new_zeros for each in sums)
    zeros, before = sum(each.zeros for each in sums), sum(each.zeros_before for each in sums)
    larger = [
        name
        for name in pairs.names
        if name not in chosen
        and np.prod(pairs.shape_in_pruned(name) or ()) > np.prod(pairs.baseline.entries[name].shape)
    ]
    return verdict(
        Whole(
            [row.done for row in rows],
            sum(each.weights for each in sums),
            zeros,
            new_zeros,
            before - (zeros - new_zeros),
            others,
            bool(larger),
        )
    )


def _compared(name: str, pairs: Matching, kept: Kept | None, asked: _Asked) -> _Row:
    """Compare one layer: with zeros where the pruned network has lost channels, or all of it."""
    _check_real(pairs.baseline, name, "baseline")
    baseline = _dense(pairs.baseline[name], name, "baseline")
    shape, flat = pairs.baseline.entries[name].shape, baseline.reshape(-1)
    if name not in pairs.pruned.entries:
        zeros = _zeros_like(flat)
        sums = _checked_sums(flat, zeros, name, shape, asked.groups)
        return _Row(_measures(flat, zeros, name, sums, asked), sums, Done(DROPPED))
    _check_real(pairs.pruned, name, "pruned network")
    pruned = _dense(pairs.pruned[name], name, "pruned network")
    if kept is not None:
        pruned = kept.widened(pruned, shape)
    both = flat, pruned.reshape(-1)
    sums = _checked_sums(*both, name, shape, asked.groups)
    done = done_to(name, sums, baseline, pruned, kept)
    return _Row(_measures(*both, name, sums, asked), sums, done)


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


def _measures(baseline: Any, pruned: Any, name: str, sums: Sums, asked: _Asked) -> dict[str, Any]:
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


def _check_real(state: StateDict, name: str, whose: str) -> None:
    """Refuse what holds no real numbers, or other numbers than the weights."""
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
    return tensor.to_dense() if is_sparse else tensor


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
