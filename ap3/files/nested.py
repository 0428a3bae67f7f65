"""The one network in what a training loop saved: its state dict among copies, masks and optimisers."""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ap3.errors import InvalidFileError
from ap3.files.safe_names import listed, safe

Path = tuple[str, ...]

_USUAL = frozenset(
    (
        "state_dict",
        "model_state_dict",
        "model_state",
        "model",
        "net",
        "network",
        "module",
        "params",
        "parameters",
        "weights",
    )
)
_COPIES = frozenset(
    (
        "ema",
        "average",
        "averaged",
        "avg",
        "swa",
        "teacher",
        "momentum",
        "shadow",
        "polyak",
        "target",
        "old",
        "previous",
        "initial",
        "init",
    )
)
_NO_NETWORK = frozenset(
    (
        "optimizer",
        "optimiser",
        "optim",
        "optimizers",
        "scheduler",
        "scaler",
        "amp",
        "opt",
    )
)
_MASKS = frozenset(("mask", "masks"))
_MOST_VISITED, _DEEPEST = 100_000, 32


@dataclass(frozen=True)
class Chosen:
    """A network's tensors, the masks beside them, and what to say about the rest.

    Attributes
    ----------
    tensors
        Descriptions by name.
    masks
        Descriptions of masks that a dictionary beside the network holds, by the weights' names.
    remarks
        Sentences on other networks in the same file.
    """

    tensors: dict[str, Any]
    masks: dict[str, Any]
    remarks: tuple[str, ...]


def is_copy(name: str) -> bool:
    """Say whether a key or a prefix is usual for a copy of a network: an average, a teacher.

    Parameters
    ----------
    name
        Of a dictionary, or what stands before the names of tensors.

    Examples
    --------
    >>> is_copy("model_ema"), is_copy("model")
    (True, False)
    """
    return bool(_words(name) & _COPIES)


def choose(content: Any, source: str) -> Chosen:
    """Find the network in what a file holds.

    Parameters
    ----------
    content
        Dictionaries and lists with descriptions of tensors in them.
    source
        What to call the file.

    Raises
    ------
    UserError
        If there is none, or there are several of equal standing.
    """
    found = [(path, tensors) for path, tensors in _mappings(content, source) if tensors]
    masks = [(path, tensors) for path, tensors in found if _are_masks(path, tensors)]
    networks = [
        (path, tensors)
        for path, tensors in found
        if not _words_of(path) & _NO_NETWORK
        and not _are_masks(path, tensors)
        and _has_weights(tensors)
    ]
    named = [(path, tensors) for path, tensors in networks if _says_weight(tensors)]
    networks = named or networks
    if not networks:
        return Chosen(_small(found, content, source), {}, ())
    best = min(_standing(path) for path, _ in networks)
    first = [(path, tensors) for path, tensors in networks if _standing(path) == best]
    if len(first) > 1:
        raise InvalidFileError(
            f"{source} holds several state dicts ({listed([_spelled(p) for p, _ in first])}); save the "
            f"one that is meant by itself, as in torch.save(content{_keys(first[0][0])}, 'one.pt')."
        )
    ((path, tensors),) = first
    return Chosen(tensors, _masks(masks), _remarks(path, networks, source))


def _remarks(
    path: Path, networks: list[tuple[Path, dict[str, Any]]], source: str
) -> tuple[str, ...]:
    others = [_spelled(other) for other, _ in networks if other != path]
    if others:
        return (f"{source}: {_spelled(path)} was read, and not {listed(others)} beside it.",)
    if any(is_copy(key) for key in path):
        return (f"{source}: {_spelled(path)} was read, a copy by its name and the only network.",)
    return ()


def _mappings(content: Any, source: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Go through all dictionaries, each once: its path and the tensors in it by name."""
    waiting: deque[tuple[Path, Any]] = deque()
    if isinstance(content, Mapping | list):
        waiting.append(((), content))
    seen = set[int]()
    while waiting:
        path, value = waiting.popleft()
        if id(value) in seen or len(path) > _DEEPEST:
            continue
        seen.add(id(value))
        if len(seen) > _MOST_VISITED:
            raise InvalidFileError(
                f"{source} holds over {_MOST_VISITED:,} dictionaries and lists; save "
                "model.state_dict() and give that."
            )
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        waiting.extend(
            ((*path, safe(key)), each) for key, each in items if isinstance(each, Mapping | list)
        )
        if isinstance(value, Mapping):
            yield path, tensors_of(value)


def tensors_of(content: Mapping[Any, Any]) -> dict[str, Any]:
    """Take the named tensors out of a dictionary, whatever else it holds.

    Parameters
    ----------
    content
        A dictionary; one with a tensor under a name that is no text has none.
    """
    named = {
        name: value
        for name, value in content.items()
        if hasattr(value, "shape") and hasattr(value, "dtype")
    }
    return named if all(isinstance(name, str) for name in named) else {}


def _small(found: list[tuple[Path, dict[str, Any]]], content: Any, source: str) -> dict[str, Any]:
    """Take a dictionary of tensors that has no weights, if it is the outermost."""
    for path, tensors in found:
        if path == ():
            return tensors
    keys = (
        f"the keys {listed(list(content), 8)}"
        if isinstance(content, Mapping) and content
        else "none"
    )
    raise InvalidFileError(
        f"{source} holds no state dict (a mapping of names to tensors; found {keys}); save "
        "model.state_dict() and give that."
    )


def _has_weights(tensors: Mapping[str, Any]) -> bool:
    return any(len(tensor.shape) >= 2 for tensor in tensors.values())


def _says_weight(tensors: Mapping[str, Any]) -> bool:
    return any("weight" in name and len(t.shape) >= 2 for name, t in tensors.items())


def _standing(path: Path) -> int:
    """Rank a place: 0 is where networks usually are, 1 any other, 2 where copies of them are."""
    if any(is_copy(key) for key in path):
        return 2
    return 0 if all(key in _USUAL for key in path) else 1


def _masks(masks: list[tuple[Path, dict[str, Any]]]) -> dict[str, Any]:
    return {name: mask for _, tensors in masks for name, mask in tensors.items()}


def _are_masks(path: Path, tensors: Mapping[str, Any]) -> bool:
    """Recognise a dictionary of masks by its name, or by the type of all that it holds."""
    types = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}
    return bool(_words_of(path) & _MASKS) or (path != () and types <= {"bool"})


def _words_of(path: Path) -> frozenset[str]:
    return frozenset().union(*(_words(key) for key in path))


def _words(key: str) -> frozenset[str]:
    """Split a key at underscores, full stops, capitals and digits."""
    return frozenset(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", key).lower()))


def _spelled(path: Path) -> str:
    return ".".join(path) or "the outermost dictionary"


def _keys(path: Path) -> str:
    return "".join(f"[{key!r}]" for key in path)
