"""Work that grows along a line: timed at small amounts, foreseen at large ones."""

from collections.abc import Callable

GROWTH = 4


def along_a_line(
    seconds_of: Callable[[int], float], least: int, most: int, long_enough: float
) -> tuple[float, float]:
    """Time growing amounts of work, and lay a line through the last two.

    Parameters
    ----------
    seconds_of
        Does so much of the work, and returns what it took.
    least, most
        The first amount, and the largest that there is.
    long_enough
        Seconds from which on no larger amount is timed, once there are two.

    Returns
    -------
    float
        Seconds before the first piece of work, never below zero.
    float
        Seconds of each piece, never below zero.

    Examples
    --------
    >>> fixed, each = along_a_line(lambda count: 3 + 0.5 * count, 4, 1000, long_enough=10)
    >>> round(fixed, 9), each
    (3.0, 0.5)
    """
    amount = min(least, most)
    before, last = (0, 0.0), (amount, seconds_of(amount))
    while amount < most and (not before[0] or last[1] < long_enough):
        amount = min(GROWTH * amount, most)
        before, last = last, (amount, seconds_of(amount))
    each = max((last[1] - before[1]) / (last[0] - before[0]), 0.0)
    return max(last[1] - each * last[0], 0.0), each
