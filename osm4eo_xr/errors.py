"""The one error type for bad input, shown as a single line at the command line; and a warning."""


class InputError(ValueError):
    """Input that cannot be used.

    The message is one line that says what was given, what was expected and what to do. The command
    line prints it without a traceback and exits with code 1.
    """


class InputWarning(UserWarning):
    """Input that was mended before it was used.

    The message is one line that says what was wrong. The command line prints it as a note.
    """
