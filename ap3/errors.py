"""The exceptions that mean: the user can mend this."""


class UserError(Exception):
    """A mistake in what the user gave: one sentence saying what was expected, found, and to do.

    The command line prints the sentence without a traceback and exits with `status`.
    """

    status = 2


class SystemRefusedError(UserError):
    """The system did not let a file be written: no room, no permission, no such disk."""

    status = 3
