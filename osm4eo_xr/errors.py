"""The error types for bad input and missing extras, one line at the command line; a warning."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Input that cannot be used.

    The message is one line that says what was given, what was expected and what to do. The command
    line prints it without a traceback and exits with code 1.
    """


class InputWarning(UserWarning):
    """Input that was mended before it was used.

    The message is one line that says what was wrong. The command line prints it as a note.
    """


class MissingExtraError(InputError):
    """A step needs packages that the plain installation leaves out."""


@contextmanager
def extra(name: str, step: str) -> Iterator[None]:
    """Let imports that belong to an extra fail with the command that installs it.

    Parameters
    ----------
    name : str
        The extra in ``pyproject.toml``.
    step : str
        What needs it, in words that begin the message.

    Raises
    ------
    MissingExtraError
        If a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'{step} needs {error.name}, which is not installed; pip install "osm4eo-xr[{name}]"'
        ) from None
