"""Check that what `docs/library.md` publishes documents every parameter, by numpydoc's own rules.

    python docs/docstrings.py

Functions and constructors with fewer than three parameters may do without the section.
"""

import inspect
import re
import sys
from dataclasses import is_dataclass
from pathlib import Path
from pkgutil import resolve_name

from numpydoc.validate import validate

PAGE = Path(__file__).with_name("library.md")
CHECKS = {"PR01", "PR02", "PR03"}  # parameters missing, unknown, or in another order
FEW = 2


def published() -> list[str]:
    """Name what the page publishes."""
    return re.findall(
        r"^\.\. auto(?:function|class):: (\S+)$", PAGE.read_text("utf-8"), re.MULTILINE
    )


def mistakes(name: str) -> list[str]:
    """List what is wrong with the parameters of one docstring, a sentence each."""
    if len(inspect.signature(resolve_name(name)).parameters) <= FEW:
        return []
    found = resolve_name(name)
    if is_dataclass(found) and "Attributes\n" in (found.__doc__ or ""):
        return []  # whose attributes are its parameters
    errors = validate(f"{found.__module__}.{found.__qualname__}")["errors"]
    return [f"{name}: {message}" for code, message in errors if code in CHECKS]


if __name__ == "__main__":
    wrong = [sentence for name in published() for sentence in mistakes(name)]
    print("\n".join(wrong), end="\n" * bool(wrong))
    sys.exit(bool(wrong))
