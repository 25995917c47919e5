"""Names that become paths, of tiles, layers, classes, sites; and the beginning of our own words."""

from __future__ import annotations

import unicodedata

from osm4eo_xr.errors import InputError

OWN_WORDS = "osm4eo_xr:"
"""Before fields of STAC documents that no extension has a word for."""

_LONGEST = 200  # bytes; file systems take 255, and endings such as _confidence.tif.aux.xml follow
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format and separator characters of Unicode


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, which is one of those that take an s for several.

    Examples
    --------
    >>> counted(1, "tile"), counted(1200, "tile")
    ('1 tile', '1,200 tiles')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time with the three digits that say something, in a unit that it fills.

    Examples
    --------
    >>> duration(4500), duration(36), duration(0.2)
    ('1.25 hours', '36 seconds', 'less than a second')
    """
    for unit, size in (("hours", 3600), ("minutes", 60), ("seconds", 1)):
        if (time := seconds / size) >= 1:
            return f"{time:.3g} {unit}" if time < 100 else f"{time:,.0f} {unit}"  # noqa: PLR2004 - three digits
    return "less than a second"


def check_name(name: object, what: str) -> str:
    """Return a name that can be a file's name; refuse what would be a path or an option.

    Parameters
    ----------
    name : object
        The name, as a file or a caller gave it.
    what : str
        What it names, for the message ("tile id").

    Returns
    -------
    str
        The same name.

    Raises
    ------
    InputError
        If it is not text, is empty or too long, begins with ``.`` or ``-``, holds a slash of
        either kind or a control character, or begins or ends with a space.

    Examples
    --------
    >>> check_name("A west", "tile id")
    'A west'
    """
    if not isinstance(name, str):
        raise InputError(f"{what} {name!r} is not text", advice="give a name in quotes")
    fault = _fault(name)
    if fault:
        raise InputError(f"{what} {name!r} {fault}", advice="give a plain name such as 'A west'")
    return name


def _fault(name: str) -> str:
    """Say what is wrong with a name, or nothing."""
    faults = {
        "is empty": not name,
        "holds a character that cannot be seen": any(
            unicodedata.category(c) in _HIDDEN for c in name
        ),
        "is a path": "/" in name or "\\" in name,
        f"begins with {name[:1]!r}": name.startswith((".", "-")),
        "begins or ends with a space": name != name.strip(),
        f"is longer than {_LONGEST} bytes": len(name.encode(errors="replace")) > _LONGEST,
    }
    return next((fault for fault, holds in faults.items() if holds), "")
