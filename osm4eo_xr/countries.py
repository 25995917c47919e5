"""The country table: codes, names and the tiles that cover each country."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from osm4eo_xr.errors import InputError


@dataclass(frozen=True)
class Country:
    """One country of the table.

    Attributes
    ----------
    code : str
        Code of the original processing, for example ``"DE"`` or ``"ETO"``.
    iso, iso3 : str
        ISO 3166-1 codes of two and three letters.
    name : str
        English name.
    tiles : tuple of str
        Numbers of the tiles that cover it, three digits each.
    stated : int
        Number of tiles the original states; for Austria and Czechia one more than it lists.
    """

    code: str
    iso: str
    iso3: str
    name: str
    tiles: tuple[str, ...]
    stated: int


@cache
def countries() -> tuple[Country, ...]:
    """Return the 28 countries in the order of the table."""
    text = files("osm4eo_xr").joinpath("countries.toml").read_text(encoding="utf-8")
    found = []
    for row in tomllib.loads(text)["country"]:
        tiles = tuple(row.pop("tiles").split())
        found.append(Country(tiles=tiles, stated=row.pop("stated", len(tiles)), **row))
    return tuple(found)


def find_country(name: str) -> Country:
    """Return the country that ``name`` means: a code, an ISO code or the English name, any case.

    The original's codes come first: ``"LI"`` is Lithuania.

    Raises
    ------
    InputError
        If no country of the table answers to it.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.find_country("germany").iso3
    'DEU'
    """
    wanted = name.strip().casefold()
    for attribute in ("code", "iso", "iso3", "name"):
        for country in countries():
            if getattr(country, attribute).casefold() == wanted:
                return country
    known = ", ".join(c.code for c in countries())
    raise InputError(f"no country {name!r} in the table; it has {known} (ISO codes and names too)")
