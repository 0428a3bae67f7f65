"""Cells of a table as texts."""

_DIGITS = 4
RANKED_BY = "ap3_gaussian"
"""The column that layers and versions are ranked by, and that bars show."""


def spelled(value: object) -> str:
    """Spell a cell of a table: four digits, thousands separated, a dash for what is missing.

    Parameters
    ----------
    value
        A number or a text.

    Examples
    --------
    >>> spelled(0.123456), spelled(1200), spelled(float("nan"))
    ('0.1235', '1,200', '–')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.{_DIGITS}g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def shortened(text: str, most: int) -> str:
    """Leave out the middle of a long text.

    Parameters
    ----------
    text
        Any.
    most
        Characters that it may have.

    Examples
    --------
    >>> shortened("encoder.layers.0.fc", 9)
    'enco…0.fc'
    """
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}…{text[len(text) - (most - half - 1) :]}"


def cut(text: str, most: int) -> str:
    """Leave out the end of a long text.

    Parameters
    ----------
    text
        Any.
    most
        Characters that it may have.

    Examples
    --------
    >>> cut("kept 4 of 8 rows: 0 2 5 7", 18)
    'kept 4 of 8 rows:…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
