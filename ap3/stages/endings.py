"""Options that name a file to write, whose ending says its format."""

from pathlib import Path

from ap3.errors import InvalidValueError


def refuse_others(option: str, path: Path | None, *endings: str) -> None:
    """Refuse a file whose name ends otherwise, before hours of work go into it.

    Parameters
    ----------
    option
        Its name, for the refusal.
    path
        The file; None if the option was not given.
    endings
        Those that the option can write, such as `.png`.

    Raises
    ------
    UserError
        If the name ends otherwise.

    Examples
    --------
    >>> refuse_others("--png", Path("curves.PNG"), ".png")
    """
    if path and path.suffix.lower() not in endings:
        *most, last = endings
        known = f"{', '.join(most)} or {last}" if most else last
        raise InvalidValueError(f"{option} is {str(path)!r}, but must end in {known}.")
