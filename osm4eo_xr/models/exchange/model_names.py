"""What models in catalogs are called, those of countries among them."""

from __future__ import annotations

import re

from osm4eo_xr.errors import InputError
from osm4eo_xr.names import check_name
from osm4eo_xr.places.countries import ORIGINAL, countries, find_country

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COUNTRY = "landuse-"


def check_model_name(name: object) -> str:
    """Return a name that is a folder's name and a part of an address as it stands.

    Raises
    ------
    InputError
        If it is not; the message says what names may hold.
    """
    checked = check_name(name, "model name")
    if not _NAME.fullmatch(checked):
        raise InputError(
            f"model name {name!r}",
            expected="letters, digits, dots, dashes and underscores",
            advice="give a plain name such as landuse-DE",
        )
    return checked


def country_model(country: str) -> str:
    """Return what the model of a country is called in a catalog: ``landuse-`` and its ISO code.

    Parameters
    ----------
    country : str
        A name or code as ``find_country`` takes, those of the original's 28 countries among them.

    Raises
    ------
    InputError
        If no country answers to it.

    Warns
    -----
    InputWarning
        If ISO and the original give the code to two countries.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.country_model("Deutschland"), oxr.country_model("original:LI")
    ('landuse-DE', 'landuse-LT')
    """
    known = find_country(country)
    return _COUNTRY + (known.iso or known.code)


def original_models() -> dict[str, str]:
    """Return the name of the model of each code in the original's table."""
    return {c.code: country_model(f"{ORIGINAL}{c.code}") for c in countries()}


def names_of(wanted: str) -> list[str]:
    """Return the names that a word may mean, the likeliest first."""
    try:
        return [wanted, country_model(wanted)]
    except InputError:
        return [wanted]
