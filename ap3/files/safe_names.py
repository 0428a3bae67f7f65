"""Names out of files made safe to print: no control characters, no endless lines.

A checkpoint names its own tensors. Printed as they stand, such names can clear a terminal, turn the
direction of writing, or hide the rest of a sentence.
"""

from collections.abc import Collection

from ap3.errors import escaped

LONGEST = 200
_MOST_NAMES = 3


def safe(name: object) -> str:
    r"""Spell what a terminal would act on as escapes, and shorten what no line can hold.

    Parameters
    ----------
    name
        A name out of a file; what is no text is spelled as text first.

    Examples
    --------
    >>> safe("fc.weight"), safe("\x1b[2Jfc"), safe("größe")
    ('fc.weight', '\\x1b[2Jfc', 'größe')
    """
    text = name if isinstance(name, str) else _spelled(name)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 21]}…{text[-20:]}"
    return escaped(text)


def listed(names: Collection[object], most: int = _MOST_NAMES) -> str:
    """List the first few names, and say how many there are beyond.

    Parameters
    ----------
    names
        Out of a file.
    most
        How many to spell.

    Examples
    --------
    >>> listed(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    spelled = ", ".join(safe(name) for name in list(names)[:most])
    return spelled + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _spelled(name: object) -> str:
    """Spell a small number; the spelling of anything else could be endless."""
    is_small = isinstance(name, float) or (isinstance(name, int) and name.bit_length() <= 64)
    return str(name) if is_small else f"<{type(name).__name__}>"
