"""The error types for bad input and missing extras, one line at the command line; a warning."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

Spell = Callable[[str, str], str]
"""How a front end spells a parameter, given its name and a value, which may be empty."""

_PARAMETER = re.compile(r"\{([a-z_.]+)(?:=([^{}]*))?\}")


class InputError(ValueError):
    """Input that cannot be used: what was given, what was expected, what to do.

    ``str`` composes the one line ``GIVEN; expected EXPECTED; ADVICE`` of the parts that are there,
    whatever line breaks they hold. The command line prints it without a traceback and exits with
    code 1.

    Parameters
    ----------
    given : str
        What was given or found, with its name and value.
    expected : str, optional
        What can be used instead: a noun phrase.
    advice : str, optional
        What to do, in the imperative. A parameter that settles it stands in braces, with a value
        or without: ``str`` writes it as Python does, the command line as its option.

    Examples
    --------
    >>> error = InputError("size is 0", expected="1 or more pixels", advice="pass {size=64}")
    >>> print(error)
    size is 0; expected 1 or more pixels; pass size=64
    >>> error.line(lambda name, value: f"--{name} {value}")
    'size is 0; expected 1 or more pixels; pass --size 64'
    """

    def __init__(self, given: str, *, expected: str = "", advice: str = "") -> None:
        super().__init__(given)  # the other parts are attributes, and travel with it when pickled
        self.given = given
        self.expected = expected
        self.advice = advice

    def __str__(self) -> str:
        """Return the one line, parameters written as in Python."""
        return self.line(as_argument)

    def line(self, spell: Spell) -> str:
        """Return the one line, parameters of the advice as a front end spells them."""
        expected = self.expected and f"expected {self.expected}"
        advice = _PARAMETER.sub(lambda found: spell(found[1], found[2] or ""), self.advice)
        return "; ".join(_joined(part) for part in (self.given, expected, advice) if part)

    def within(self, place: object) -> Self:
        """Return the same error, its ``given`` led by the file or section that it was found in."""
        return type(self)(f"{place}: {self.given}", expected=self.expected, advice=self.advice)


class InputWarning(UserWarning):
    """Input that was mended before it was used.

    The message is one line that says what was wrong, or the ``InputError`` that would have been
    raised. The command line prints it as a note.
    """


def as_argument(name: str, value: str) -> str:
    """Spell a parameter as Python does: ``name=value``."""
    if name in ("boundary.layer", "points.layer"):
        return "layer=, here or of geopandas.read_file"
    return f"{name}={value}"


def _joined(text: str) -> str:
    """Return the lines of a text as one."""
    return " ".join(line.strip() for line in text.splitlines())


def check_number(name: str, value: float, least: float = 0) -> None:
    """Refuse a number that is NaN, infinite or below ``least``.

    Raises
    ------
    InputError
        Names the parameter and its value.
    """
    if not (math.isfinite(value) and value >= least):
        raise InputError(f"{name} is {value}", expected=f"a finite number, {least:g} or more")


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
            f"{step} needs {error.name}, which is not installed",
            advice=f'pip install "osm4eo-xr[{name}]"',
        ) from None
