"""What a file must hold, asked for by name and form, so that a file that holds it not is told from a defect.

Each check raises a `ContentError`; `ap3.files.storage.holding` turns it into the sentence that names
the file. No other exception is taken for a damaged file.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import GenericAlias
from typing import Any, TypeVar, get_type_hints

from numpy.typing import NDArray

T = TypeVar("T")


class ContentError(ValueError):
    """A file lacks something, or holds it in another form than it must have."""


def array(
    arrays: Mapping[str, NDArray[Any]], name: str, kinds: str = "f", ndim: int | None = None
) -> NDArray[Any]:
    """Return an array of a file.

    Parameters
    ----------
    arrays
        The arrays of the file.
    name
        Which of them.
    kinds
        The letters of `numpy.dtype.kind` that it may have: f a float, i and u whole numbers.
    ndim
        How many axes it must have, if that is known; at least one otherwise.

    Raises
    ------
    ContentError
        If there is none of that name, type or number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> array({"spectrum": np.ones(3)}, "spectrum", ndim=1)
    array([1., 1., 1.])
    """
    if name not in arrays:
        raise ContentError(f"there is no array {name!r}")
    found = arrays[name]
    if found.dtype.kind not in kinds or (found.ndim != ndim if ndim else found.ndim < 1):
        raise ContentError(f"{name!r} is of type {found.dtype} and shape {found.shape}")
    return found


def entry(metadata: Any, name: str, kind: type[T]) -> T:
    """Return an entry of a file's metadata, which must be of the type `kind`.

    Parameters
    ----------
    metadata
        The metadata, or an entry of it, which should be a mapping.
    name
        Which entry.
    kind
        `str`, `int`, `float`, `list`, `dict`, or `tuple[float, ...]` and its like.

    Raises
    ------
    ContentError
        If there is none, or one of another type.

    Examples
    --------
    >>> entry({"classes": ["a", "b"]}, "classes", tuple[str, ...])
    ('a', 'b')
    """
    if not isinstance(metadata, dict) or name not in metadata:
        raise ContentError(f"there is no entry {name!r}")
    return _as(kind, metadata[name], name)


def record(metadata: Any, name: str, kind: type[T]) -> T:
    """Return an entry of a file's metadata as the data class whose fields it holds.

    Parameters
    ----------
    metadata, name
        As for `entry`.
    kind
        The data class; its fields have types that `entry` knows.

    Raises
    ------
    ContentError
        If a field is missing or has another type, or there is one more.
    """
    found, hints = entry(metadata, name, dict), get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    needed = {
        field.name
        for field in known.values()
        if field.default is MISSING and field.default_factory is MISSING
    }
    if not needed <= set(found) <= set(known):
        raise ContentError(f"{name!r} has the entries {', '.join(map(str, found)) or 'none'}")
    return kind(**{key: _as(hints[key], value, key) for key, value in found.items()})


def _as(kind: type[T], value: Any, name: str) -> T:
    if isinstance(kind, GenericAlias):
        if not isinstance(value, list):
            raise ContentError(f"{name!r} is no list")
        return tuple(_as(kind.__args__[0], part, name) for part in value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ContentError(f"{name!r} is {str(value)[:40]!r}")
    return value
