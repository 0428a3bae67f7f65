"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A mistake in what the user gave: one sentence saying what was expected, found, and to do.

    The command line prints the sentence without a traceback and exits with status 2.
    """
