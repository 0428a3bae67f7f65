"""Options that take several values: separated by commas, given repeatedly, or both."""

from collections.abc import Iterable

from ap3.config.variants import Variant
from ap3.errors import InvalidValueError


def texts(given: Iterable[str] | None) -> list[str]:
    """List the values of an option.

    Parameters
    ----------
    given
        Each time that the option was given; None if it was not.

    Examples
    --------
    >>> texts(["conv1,conv2", "fc"]), texts(None)
    (['conv1', 'conv2', 'fc'], [])
    """
    return [part.strip() for text in given or () for part in text.split(",")]


def variants(given: Iterable[str]) -> list[Variant]:
    """List the variants that were named, each once.

    Parameters
    ----------
    given
        Each argument: MODE-RATIO or control, or several of them.

    Raises
    ------
    UserError
        If one is no variant.

    Examples
    --------
    >>> [str(one) for one in variants(["lowest-0.3,control", "control"])]
    ['lowest-0.3', 'control']
    """
    return [*dict.fromkeys(map(Variant.parse, texts(given)))]


def numbers(given: Iterable[str] | None, option: str) -> list[float]:
    """List the values of an option that takes numbers.

    Parameters
    ----------
    given
        Each time that the option was given; None if it was not.
    option
        Its name, for the refusal.

    Raises
    ------
    UserError
        If a value is no number.

    Examples
    --------
    >>> numbers(["0.3,0.5", "0.7"], "--ratio")
    [0.3, 0.5, 0.7]
    """
    found = texts(given)
    try:
        return [float(text) for text in found]
    except ValueError as error:
        raise InvalidValueError(
            f"{option} must be numbers such as 0.5 or 0.3,0.5, but is {','.join(found)!r}."
        ) from error
