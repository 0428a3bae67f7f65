"""AP2 and AP3 of any pruned network, layer by layer, from its weights and its baseline's."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ap3.comparing.comparison import Comparison
from ap3.comparing.equality import equal_pairs
from ap3.comparing.given import Network, Version, network_of, versions_of
from ap3.comparing.kept_channels import Kept, recognised
from ap3.comparing.layer_names import Matching, layer_of, matching
from ap3.comparing.layer_rows import NONDIAGONAL, Asked, Row, check_real, compared
from ap3.comparing.uncompared import differing
from ap3.comparing.what_was_done import DROPPED, FINE_TUNED, Whole, verdict
from ap3.config import user_code
from ap3.errors import InvalidValueError
from ap3.files.lazy_tensors import StateDict
from ap3.files.safe_names import listed
from ap3.machine.progress import counted
from ap3.pruning.network_layers import patterns_of


def compare(
    baseline: Network,
    pruned: Network | list[Network],
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
        Modules, state dicts (tensors or arrays by name), or paths of checkpoints, as `str` or
        `Path`. What tools leave is taken off: prefixes, masks beside weights, scales beside codes.
        A list of pruned networks, or a file of `ap3 prune` or `ap3 finetune`, gives several
        versions of one baseline.
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
        `detail`, `fine_tuned`; of several versions also which, `version`. Each law's scale is its
        `auto` one, so that pruning a whole layer gives 1.9 (the Student-t shares the covariance). A
        layer that the pruned network lacks counts as pruned whole, and channels that it lacks as
        zeros. Missing: what is relative to a baseline of zeros; the non-diagonal law of layers above
        33 million weights.

    Raises
    ------
    UserError
        If the networks have no layer in common, a weight is no real number or not finite, or a law
        of your own is none. It is a `TypeError` if a network is given as something else.

    Examples
    --------
    >>> baseline = {"fc.weight": np.array([[3.0, 0.5], [0.0, 4.0]]), "fc.bias": np.zeros(2)}
    >>> pruned = {"fc.weight": np.array([[3.0, 0.0], [0.0, 4.0]]), "fc.bias": np.zeros(2)}
    >>> compare(baseline, pruned)
    pruned: unstructured in 1 of 1 layers, 50 % of 4 weights are zero; not fine-
    tuned after it.
    layer weights sparsity  ap2 ap3_gaussian         kind
       fc       4      0.5 0.25      0.01881 unstructured
    total       4      0.5 0.25      0.01881
    """
    one = network_of(baseline, "baseline")
    versions = versions_of(pruned, baseline)
    wanted = patterns_of(layers) or ["*"]
    asked = Asked(df, groups, _laws(laws))
    tables = [_compared(one, version, wanted, asked) for version in versions]
    remarks = [f"baseline: {remark}" for remark in one.remarks]
    return Comparison.joined(tables, [version.name for version in versions], remarks)


def _laws(names: Iterable[str]) -> tuple[str, ...]:
    for name in (known := tuple(names)):
        if name != NONDIAGONAL and not user_code.is_own(name):
            raise InvalidValueError(
                f"{name!r} is no further latent law; give {NONDIAGONAL}, or a law of your own as "
                "package.module:function. AP3 under the Gaussian and the Student-t law needs no option."
            )
    return known


def _compared(one: StateDict, version: Version, wanted: list[str], asked: Asked) -> Comparison:
    """Compare one version, the whole of it or the layers that it says something about."""
    if version.only is not None:
        one = StateDict({n: entry for n, entry in one.entries.items() if n in version.only})
    pairs = matching(one, version.state, wanted)
    kept, unlike = _kept(pairs)
    chosen = [
        name
        for name in pairs.names
        if name in kept or pairs.shape_in_pruned(name) in (None, pairs.baseline.entries[name].shape)
    ]
    if not chosen:
        raise InvalidValueError(f"no layer can be compared: {' '.join(unlike)}")
    title = f"layers of {version.name}" if version.name else "layers"
    rows = [compared(name, pairs, kept.get(name), asked) for name in counted(chosen, title)]
    is_whole = wanted == ["*"] and version.only is None
    others = differing(pairs, set(chosen)) if is_whole else []
    whose = "" if version.name else "pruned: "
    remarks = [f"{whose}{remark}" for remark in version.state.remarks]
    remarks += [*pairs.remarks, *unlike, *_dropped(rows), *others]
    return Comparison.of(
        [row.columns for row in rows],
        _verdict(rows, pairs, chosen, bool(others)) + _warned(rows, pairs, chosen),
        remarks,
        _total(rows),
    )


def _kept(pairs: Matching) -> tuple[dict[str, Kept], list[str]]:
    """Find the channels that are left of layers that became smaller; say of which it failed."""
    one, two = pairs.baseline.entries, pairs.pruned.entries
    changed = [name for name in pairs.names if name in two and one[name].shape != two[name].shape]
    for name in changed:
        for state, whose in ((pairs.baseline, "baseline"), (pairs.pruned, "pruned network")):
            check_real(state, name, whose)
    kept = recognised(changed, one, two)
    lost = [name for name in changed if name not in kept]
    if not lost:
        return kept, []
    shapes = f"{one[lost[0]].shape} and {two[lost[0]].shape}"
    return kept, [
        f"{listed([layer_of(name) for name in lost])} differ in shape ({shapes}) in a way that is not "
        "recognised, and are not compared."
    ]


def _dropped(rows: list[Row]) -> list[str]:
    dropped = [row.columns["layer"] for row in rows if row.done.kind == DROPPED]
    return (
        [f"only the baseline has {listed(dropped)}, which count as pruned whole."]
        if dropped
        else []
    )


def _warned(rows: list[Row], pairs: Matching, chosen: list[str]) -> str:
    """Warn where layers that count as pruned whole may be there under other names."""
    one, two = pairs.baseline.entries, pairs.pruned.entries
    done = {name: row.done.kind for name, row in zip(chosen, rows, strict=True)}
    missing = [name for name, kind in done.items() if kind == DROPPED]
    if not missing:
        return ""
    tuned = {name: two[name] for name, kind in done.items() if kind == FINE_TUNED}
    same = equal_pairs(tuned, {name: one[name] for name in missing})
    moved = [
        f"{layer_of(name)} is the baseline's {layer_of(other)}" for name, other in same.items()
    ]
    if moved:
        return (
            f" But layers were renumbered ({listed(moved)}), so that these numbers are wrong; give "
            "the baseline without the layers that were taken out, numbered alike."
        )
    inside = tuple(f"{layer_of(name)}." for name in missing)
    others = [
        name
        for name, entry in two.items()
        if name not in one and (len(entry.shape) >= 2 or name.startswith(inside))
    ]
    if not others:
        return ""
    return (
        f" But the pruned network has tensors that the baseline lacks ({listed(others)}): if they are "
        f"the layers that it lacks ({listed([layer_of(name) for name in missing])}), renamed or "
        "packed, these numbers are wrong; give both networks unpacked and under the same names."
    )


def _verdict(rows: list[Row], pairs: Matching, chosen: list[str], others: bool) -> str:
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


def _total(rows: list[Row]) -> dict[str, Any]:
    """Add up over the layers: the laws of a network's layers are independent, so their KLs add.

    A layer of zeros, which has no AP3, adds nothing if it is untouched.
    """
    weights = sum(row.sums.weights for row in rows)
    distance2, norm2 = (sum(getattr(r.sums, n) for r in rows) for n in ("distance2", "norm2"))
    total: dict[str, Any] = {
        "layer": "total",
        "weights": weights,
        "sparsity": sum(row.sums.zeros for row in rows) / weights,
        "ap2": distance2,
        "relative_distance": (distance2 / norm2) ** 0.5 if norm2 else np.nan,
    }
    laws = [name for name in rows[0].columns if name.startswith("ap3_")]
    touched = [row.columns for row in rows if row.sums.changed]
    total |= {law: float(sum(columns[law] for columns in touched)) for law in laws}
    is_tuned = any(row.done.is_fine_tuned for row in rows)
    return total | {"kind": "", "detail": "", "fine_tuned": is_tuned}
