"""The exceptions that mean: the user can mend this.

Each kind is also the built-in exception that callers of a library expect: wrong shapes are a
`ValueError`, a missing file is a `FileNotFoundError`.
"""


def escaped(text: str, kept: str = "") -> str:
    r"""Spell what a terminal would act on as escapes.

    Parameters
    ----------
    text
        May hold control characters, and marks that turn the direction of writing.
    kept
        Of these, those that stay as they are.

    Examples
    --------
    >>> escaped("\x1b[2Jfc"), escaped("größe")
    ('\\x1b[2Jfc', 'größe')
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )


class UserError(Exception):
    """A mistake in what the user gave: one sentence saying what was expected, found, and to do.

    The base of all kinds. The command line prints the sentence without a traceback and exits with
    `status`.

    Examples
    --------
    >>> import ap3
    >>> try:
    ...     ap3.ap2([1.0, 2.0], [1.0, 2.0, 3.0])
    ... except ValueError as error:
    ...     print(isinstance(error, ap3.UserError), error)
    True weights must have the baseline's shape (2,), or (E, …) for a stack of them, but have ...
    """

    status = 2

    def __str__(self) -> str:
        """Return the sentence; whatever a file put into it does nothing to a terminal."""
        return escaped(super().__str__(), kept="\n")


class InvalidValueError(UserError, ValueError):
    """An argument, a setting or an array has a value, a name or a shape that does not fit."""


class InvalidTypeError(UserError, TypeError):
    """An argument, or what a user's own function returned, is of a type that does not fit."""


class InvalidFileError(UserError, ValueError):
    """A file is damaged, or holds something else than it should."""


class MissingFileError(UserError, FileNotFoundError):
    """A file is not where it should be."""


class MissingPackageError(UserError, ImportError):
    """A package that this needs, and that ap3 does not always bring, is not installed."""


class DownloadError(UserError, ConnectionError):
    """A server cannot be reached, or does not serve the file."""


class SystemRefusedError(UserError, OSError):
    """The system did not give what is needed: no room, no permission, no memory, no such disk."""

    status = 3
