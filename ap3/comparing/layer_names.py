"""Which layers two state dicts of one architecture have in common: those that can be compared."""

from fnmatch import fnmatchcase

from ap3.config.schema import nearest
from ap3.errors import UserError
from ap3.files.state_dicts import StateDict

_MOST_NAMES = 3


def matching(one: StateDict, two: StateDict, wanted: list[str]) -> list[str]:
    """Name the tensors to compare, in the baseline's order, found equal in name and shape.

    Parameters
    ----------
    wanted
        Names of layers; `*` and `?` stand for any letters and any letter.

    Raises
    ------
    UserError
        If nothing has a name that is wanted, what has it is in one of the two only or of another
        shape, or a layer's weights are computed from other tensors.
    """
    shapes, others = _weights(one, wanted), _weights(two, wanted)
    for state in (one, two):
        _refuse_parametrized(state, wanted)
    for pattern in wanted:
        if not _weights(one, [pattern]) and not _weights(two, [pattern]):
            raise _no_layer(pattern, one)
    parts = {
        "only the baseline has": sorted(shapes.keys() - others.keys()),
        "only the pruned network has": sorted(others.keys() - shapes.keys()),
        "of another shape": [n for n in shapes if n in others and shapes[n] != others[n]],
    }
    if any(parts.values()):
        said = "; ".join(
            f"{what} {', '.join(map(layer_of, names[:_MOST_NAMES]))}"
            f"{f' and {len(names) - _MOST_NAMES} more' if len(names) > _MOST_NAMES else ''}"
            for what, names in parts.items()
            if names
        )
        raise UserError(
            f"the layers of the two checkpoints don't match ({said}); give a network and its "
            "pruned version, or choose layers that both have."
        )
    return list(shapes)


def _refuse_parametrized(state: StateDict, wanted: list[str]) -> None:
    """Refuse layers whose weights are made of other tensors when the network runs."""
    for name in state:
        layer = _parametrized(name, state)
        if layer is not None and any(fnmatchcase(layer, pattern) for pattern in wanted):
            raise UserError(
                f"layer {layer or 'weight'} is parametrized, so the checkpoint does not hold its "
                "weights; remove the parametrization (torch.nn.utils.parametrize, weight_norm or "
                "spectral_norm) before saving."
            )


def _parametrized(name: str, state: StateDict) -> str | None:
    """Name the layer that a tensor is a part of, if weights are computed from it."""
    owner, is_new, _ = name.partition("parametrizations.weight.")
    owner, is_old, last = (owner, is_new, "") if is_new else name.rpartition("weight_")
    if is_new or (is_old and (last == "orig" or (last == "g" and f"{owner}weight_v" in state))):
        return owner.removesuffix(".")
    return None


def _no_layer(pattern: str, state: StateDict) -> UserError:
    known = [layer_of(name) for name in _weights(state, ["*"])]
    if not known:
        return UserError(
            "the checkpoints hold no weights (no tensors of two or more dimensions with 'weight' "
            "in their name); give those of a network."
        )
    listed = ", ".join(known[:_MOST_NAMES]) + (", …" if len(known) > _MOST_NAMES else "")
    return UserError(
        f"no layer is called {pattern}{nearest(pattern, known)} The layers are {listed}."
    )


def _weights(state: StateDict, wanted: list[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that are layers' weights, by name."""
    return {
        name: entry.shape
        for name, entry in state.entries.items()
        if len(entry.shape) >= 2
        and 0 not in entry.shape
        and "weight" in name.rpartition(".")[2]
        and any(fnmatchcase(part, p) for part in (name, layer_of(name)) for p in wanted)
    }


def layer_of(name: str) -> str:
    """Name the layer of a tensor of weights.

    >>> layer_of("classifier.6.weight"), layer_of("attention.in_proj_weight")
    ('classifier.6', 'attention.in_proj_weight')
    """
    return name.removesuffix(".weight")
