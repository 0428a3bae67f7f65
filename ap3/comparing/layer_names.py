"""Which layers of two networks belong together, and what is in one of them only."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ap3.comparing.equality import equal_pairs
from ap3.comparing.factorised import multiplied
from ap3.config.schema import nearest
from ap3.errors import InvalidValueError, UserError
from ap3.files.lazy_tensors import Entry, Shape, StateDict
from ap3.files.nested import is_copy
from ap3.files.safe_names import listed

_MOST_NAMES = 3
_NO_WEIGHTS = re.compile("bias|attn_mask|causal_mask|(cos|sin)_cached")
"""Of experts' biases, and of buffers that some files hold and others do not, as GPT-2's `attn.bias`."""


@dataclass(frozen=True)
class Matching:
    """The layers of a baseline beside those of its pruned version.

    Attributes
    ----------
    baseline, pruned
        The networks, under one another's names.
    names
        Layers of the baseline, in its order, that are wanted: those that the pruned network has
        in the same shape, those that it has in another one, and those that it lacks.
    added
        Layers that only the pruned network has.
    remarks
        Sentences on prefixes taken off, tied weights, and what is in one network only.
    """

    baseline: StateDict
    pruned: StateDict
    names: list[str]
    added: list[str]
    remarks: tuple[str, ...]

    def shape_in_pruned(self, name: str) -> Shape | None:
        """Shape that a layer of the baseline has in the pruned network; None if it lacks it.

        Parameters
        ----------
        name
            Of the tensor.
        """
        entry = self.pruned.entries.get(name)
        return None if entry is None else entry.shape


def matching(one: StateDict, two: StateDict, wanted: list[str]) -> Matching:
    """Find which layers of two networks belong together.

    Parameters
    ----------
    one, two
        Baseline and pruned network.
    wanted
        Names of layers; `*` and `?` stand for any letters and any letter.

    Raises
    ------
    UserError
        If nothing has a name that is wanted, the two have no layer in common, or a layer's weights
        are computed from other tensors.
    """
    one, two, remarks = aligned(one, two)
    two, multiplied_remarks = multiplied(one, two)
    remarks += multiplied_remarks
    for state in (one, two):
        _refuse_parametrized(state, wanted)
    mine, others = _layers(one, two, wanted), _layers(two, one, wanted)
    for pattern in wanted:
        if not _layers(one, two, [pattern]) and not _layers(two, one, [pattern]):
            raise _no_layer(pattern, one)
    if not mine.keys() & others.keys():
        raise InvalidValueError(
            f"the two checkpoints have no layer in common (the baseline has "
            f"{_layers_listed(mine)}; the pruned network has {_layers_listed(others)}); give a network "
            "and its pruned version."
        )
    names, said = _once(one, two, mine)
    added = [name for name in others if name not in mine]
    if added:
        said.append(f"only the pruned network has {_layers_listed(added)}, which is not compared.")
    return Matching(one, two, names, added, (*remarks, *said))


def aligned(one: StateDict, two: StateDict) -> tuple[StateDict, StateDict, tuple[str, ...]]:
    """Take the prefix off one network's names under which it has the layers of the other.

    Parameters
    ----------
    one, two
        Baseline and pruned network.

    Raises
    ------
    UserError
        If the layers are there under two prefixes of equal standing.

    Examples
    --------
    >>> layer = Entry((2, 2), lambda: None, "float32")
    >>> one, two = StateDict({"fc.weight": layer}), StateDict({"model.fc.weight": layer})
    >>> list(aligned(one, two)[1]), aligned(one, two)[2]
    (['fc.weight'], ("the prefix 'model.' of the pruned network's names was taken off.",))
    """
    shared = len(_many(one) & _many(two))
    prefix, count = _prefix(one, two)
    other_prefix, other_count = _prefix(two, one)
    if count > max(shared, other_count):
        return one, _without(two, prefix), (_taken_off(prefix, "pruned network"),)
    if other_count > shared:
        return _without(one, other_prefix), two, (_taken_off(other_prefix, "baseline"),)
    return one, two, ()


def _taken_off(prefix: str, whose: str) -> str:
    return f"the prefix {prefix!r} of the {whose}'s names was taken off."


def _prefix(one: StateDict, two: StateDict) -> tuple[str, int]:
    """Find what stands before most of `one`'s names in `two`, and before how many."""
    names = _many(one)
    counts: Counter[str] = Counter()
    for name in _many(two):
        start = name.find(".") + 1
        while start:
            if name[start:] in names:
                counts[name[:start]] += 1
            start = name.find(".", start) + 1
    most = max(counts.values(), default=0)
    best = [prefix for prefix, count in counts.items() if count == most]
    first = [prefix for prefix in best if not is_copy(prefix)] or best
    if len(first) > 1 and most > len(_many(one) & _many(two)):
        raise InvalidValueError(
            f"the layers are there under {len(first)} prefixes ({listed(first)}); save the network "
            "that is meant by itself."
        )
    return (first[0], most) if first else ("", 0)


def _without(state: StateDict, prefix: str) -> StateDict:
    """Take a prefix off the names that have it, unless another tensor has that name."""
    kept = {name for name in state if not name.startswith(prefix)}
    entries = {}
    for name, entry in state.entries.items():
        bare = name.removeprefix(prefix)
        entries[name if bare in kept else bare] = entry
    return StateDict(entries, state.remarks)


def _many(state: StateDict) -> set[str]:
    return {name for name, entry in state.entries.items() if is_layer(name, entry)}


def _once(one: StateDict, two: StateDict, mine: Mapping[str, Shape]) -> tuple[list[str], list[str]]:
    """Count tied weights once: those that the pruned network ties as well, or lacks."""
    groups: dict[object, list[str]] = {}
    for name in mine:
        memory = one.entries[name].memory
        groups.setdefault(name if memory is None else memory, []).append(name)
    tied = {}
    for group in groups.values():
        there = {name: two.entries[name].memory for name in group if name in two.entries}
        first = next(iter(there), group[0])
        for name in group:
            is_tied_there = there.get(name) is not None and there[name] == there[first]
            if name != first and (name not in there or is_tied_there):
                tied[name] = first
    tied |= _equal_to_another(one, two, [name for name in mine if name not in tied])
    said = [
        f"{layer_of(name)} is {'' if name in two.entries else 'only in the baseline and '}tied to "
        f"{layer_of(first)}, and counted once."
        for name, first in list(tied.items())[:_MOST_NAMES]
    ]
    if len(tied) > _MOST_NAMES:
        said.append(f"so are {len(tied) - _MOST_NAMES:,} more layers.")
    return [name for name in mine if name not in tied], said


def _equal_to_another(one: StateDict, two: StateDict, names: list[str]) -> dict[str, str]:
    """Find layers that the pruned network lacks and the baseline has twice, number for number."""
    lacking = {name: one.entries[name] for name in names if name not in two.entries}
    there = {name: one.entries[name] for name in names if name in two.entries}
    found: dict[str, str] = {}
    for dtype in dict.fromkeys(entry.dtype for entry in lacking.values()):
        some, others = (
            {name: entry for name, entry in each.items() if entry.dtype == dtype}
            for each in (lacking, there)
        )
        found |= equal_pairs(some, others)
    return found


def _refuse_parametrized(state: StateDict, wanted: list[str]) -> None:
    """Refuse layers whose weights are made of other tensors when the network runs."""
    for name in state:
        layer = _parametrized(name, state)
        if layer is not None and any(fnmatchcase(layer, pattern) for pattern in wanted):
            raise InvalidValueError(
                f"layer {layer} is parametrized, so the checkpoint does not hold its "
                "weights; remove the parametrization (torch.nn.utils.parametrize, weight_norm or "
                "spectral_norm) before saving."
            )


def _parametrized(name: str, state: StateDict) -> str | None:
    """Name the layer that a tensor is a part of, if weights are computed from it."""
    owner, is_new, rest = name.partition("parametrizations.")
    if is_new:
        return layer_of(owner + rest.partition(".")[0])
    bare, _, last = name.rpartition("_")
    is_weight = "weight" in bare.rpartition(".")[2]
    if is_weight and (last == "orig" or (last == "g" and f"{bare}_v" in state)):
        return layer_of(bare)
    return None


def _no_layer(pattern: str, state: StateDict) -> UserError:
    known = [layer_of(name) for name in _layers(state, state, ["*"])]
    if not known:
        return InvalidValueError(
            "the checkpoints hold no weights (no tensors of two or more dimensions); give those of a "
            "network."
        )
    shown = ", ".join(known[:_MOST_NAMES]) + (", …" if len(known) > _MOST_NAMES else "")
    return InvalidValueError(
        f"no layer is called {pattern}{nearest(pattern, known)} The layers are {shown}."
    )


def _layers(state: StateDict, other: StateDict, wanted: list[str]) -> dict[str, Shape]:
    """Shapes of the tensors that are layers in one of the networks, by name."""
    return {
        name: entry.shape
        for name, entry in state.entries.items()
        if (is_layer(name, entry) or _is_layer_there(name, entry, other))
        and any(fnmatchcase(part, p) for part in (name, layer_of(name)) for p in wanted)
    }


def is_layer(name: str, entry: Entry) -> bool:
    """Say whether a tensor is a layer: real numbers in two or more dimensions, whatever its name.

    Whole numbers count if they are called weights, since they are codes then; other ones are
    tables of positions and the like. Biases and masks do not, whatever their shape.

    Parameters
    ----------
    name
        Of the tensor.
    entry
        The tensor.
    """
    last = name.rpartition(".")[2]
    if len(entry.shape) < 2 or 0 in entry.shape or _NO_WEIGHTS.fullmatch(last):
        return False
    return "float" in entry.dtype or "weight" in last


def _is_layer_there(name: str, entry: Entry, other: StateDict) -> bool:
    """Say whether codes stand where the other network has a layer."""
    there = other.entries.get(name)
    return there is not None and there.shape == entry.shape and is_layer(name, there)


def _layers_listed(names: Iterable[str]) -> str:
    layers = [layer_of(name) for name in names]
    return listed(layers) or "none"


def layer_of(name: str) -> str:
    """Name the layer of a tensor of weights.

    Parameters
    ----------
    name
        Of the tensor.

    Examples
    --------
    >>> layer_of("classifier.6.weight"), layer_of("attention.in_proj_weight")
    ('classifier.6', 'attention.in_proj_weight')
    """
    return name.removesuffix(".weight")
