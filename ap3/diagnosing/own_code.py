"""Calls of a user's own functions, whose mistakes are named with the user's file and line."""

import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ap3.errors import InvalidValueError, UserError

_OURS = Path(__file__).parents[1]


def called(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function; what it raises becomes one sentence with its file and line.

    Parameters
    ----------
    name
        `package.module:function`.
    function
        What it names.
    *arguments
        What it takes.

    Raises
    ------
    UserError
        If the function raises anything.
    """
    try:
        return function(*arguments)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise _at_fault(name, error) from error


class OwnBatches:
    """Batches that a user's function gave: they may be gone through again if the user's may.

    Parameters
    ----------
    name
        `package.module:function`.
    batches
        What it returned.
    where
        The function's file and line.
    """

    def __init__(self, name: str, batches: Iterable[Any], where: str) -> None:
        self.name, self.batches, self.where = name, batches, where

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self.batches
        except (UserError, MemoryError):
            raise
        except Exception as error:
            raise _at_fault(self.name, error) from error


class SizedBatches(OwnBatches):
    """The same, of a known number."""

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]


def place_of(function: Callable[..., Any]) -> str:
    """Return file and line of a function, or an empty text where they are not known.

    Parameters
    ----------
    function
        A user's.

    Examples
    --------
    >>> place_of(place_of).startswith("own_code.py, line ")
    True
    """
    try:
        file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    except (OSError, TypeError):
        return ""
    return f"{Path(file or '').name}, line {line}"


def _at_fault(name: str, error: Exception) -> InvalidValueError:
    place = _last_of_the_user(error.__traceback__)
    text = " ".join(str(error).split())[:300] or type(error).__name__
    at = f" at {place}" if place else ""
    return InvalidValueError(
        f"{name} failed{at}: {type(error).__name__}: {text}; correct it there."
    )


def _last_of_the_user(trace: TracebackType | None) -> str:
    """Find the last line that is neither ours nor a library's."""
    libraries = {Path(folder) for folder in (sys.prefix, sys.base_prefix)}
    frames = [
        frame
        for frame in traceback.extract_tb(trace)
        if not {_OURS, *libraries} & {*Path(frame.filename).parents}
        and not frame.filename.startswith("<")
    ]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
