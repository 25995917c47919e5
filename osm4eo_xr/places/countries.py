"""Countries by all their names, and the original's table of 28 of them with its tile numbers."""

from __future__ import annotations

import tomllib
import unicodedata
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.settings_io import nearest

EDITION = "Natural Earth 5.1.1"
"""The edition of the outlines in the package."""

OUTLINES = "outlines.parquet"
"""Natural Earth's countries, 1:50 million, in this folder: codes, names and boundaries."""

_LETTERS = 3  # of an ISO code at most
_ALIKE = 0.8  # of many names, one is always a little like another

ORIGINAL = "original:"
"""Before a code: it is the original's, which differ from ISO's for some countries."""


@dataclass(frozen=True)
class Country:
    """One country.

    Attributes
    ----------
    code : str
        Code of the original processing, for example ``"DE"`` or ``"ETO"``; outside its table the
        ISO code.
    iso, iso3 : str
        ISO 3166-1 codes of two and three letters. Where there is none, ``iso`` is empty and
        ``iso3`` Natural Earth's code.
    name : str
        English name.
    tiles : tuple of str
        Numbers of the original's tiles that cover it, three digits each; none outside its table.
    stated : int
        Number of tiles the original states; for Austria and Czechia one more than it lists.
    also : tuple of str
        Further names.
    """

    code: str
    iso: str
    iso3: str
    name: str
    tiles: tuple[str, ...] = ()
    stated: int = 0
    also: tuple[str, ...] = ()


@cache
def countries() -> tuple[Country, ...]:
    """Return the 28 countries of the original in the order of its table."""
    text = files("osm4eo_xr.places").joinpath("countries.toml").read_text(encoding="utf-8")
    found = []
    for row in tomllib.loads(text)["country"]:
        tiles = tuple(row.pop("tiles").split())
        also = tuple(row.pop("also", ()))
        stated = row.pop("stated", len(tiles))
        found.append(Country(tiles=tiles, stated=stated, also=also, **row))
    return tuple(found)


def find_country(name: str) -> Country:
    """Return the country that a name or code means, in any case, with or without accents.

    ISO codes come first, so that ``"LI"`` is Liechtenstein; the original's codes answer where ISO
    gives them to nobody (``"ETO"``) or after ``"original:"`` (``"original:LI"`` is Lithuania).

    Parameters
    ----------
    name : str
        ISO 3166-1 code of two or three letters; a name in English or one of ten other languages
        of Europe; a code of the original's table.

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
    >>> oxr.find_country("Deutschland").iso3
    'DEU'
    >>> oxr.find_country("LI").name, oxr.find_country("original:LI").name
    ('Liechtenstein', 'Lithuania')
    """
    wanted = _plain(name)
    original = {_plain(c.code): c for c in countries()}
    if wanted.startswith(ORIGINAL):
        found = original.get(wanted.removeprefix(ORIGINAL).strip())
        if found is None:
            known = ", ".join(c.code for c in countries())
            raise InputError(f"the original has no country {name!r}", expected=f"one of {known}")
        return found
    found = _by_name(wanted) or original.get(wanted)
    if found is None:
        names = (n for row in _world() for n in row.names if len(n) > _LETTERS)
        meant = _by_name(nearest(wanted, names, _ALIKE))
        raise InputError(
            f"no country {name!r}",
            expected="an ISO code or the English name",
            advice=f"did you mean {meant.name}?" if meant else "",
        )
    other = original.get(wanted)
    if other is not None and other is not found:
        warnings.warn(
            f"{name} is {found.name} (ISO 3166-1); the original gives this code to {other.name}: "
            f"write {ORIGINAL}{other.code} or {other.iso} for that",
            InputWarning,
            stacklevel=2,
        )
    return found


def _by_name(wanted: str) -> Country | None:
    """Return the country of an ISO code or name; the world's are looked up only if need be."""
    for country in countries():
        if wanted in map(_plain, (country.iso, country.iso3, country.name, *country.also)):
            return country
    row = next((r for r in _world() if wanted in r.names), None)
    if row is None:
        return None
    known = next((c for c in countries() if c.iso3 == row.iso3), None)
    return known or Country(row.iso or row.iso3, row.iso, row.iso3, row.name)


@dataclass(frozen=True)
class _Row:
    iso: str
    iso3: str
    name: str
    names: frozenset[str]


@cache
def _world() -> tuple[_Row, ...]:
    """Return codes and names of all countries; those that give a code its name come first."""
    import pyarrow.parquet as pq

    with files("osm4eo_xr.places").joinpath(OUTLINES).open("rb") as file:
        columns = [c for c in pq.read_schema(file).names if c != "geometry"]
        file.seek(0)
        rows = pq.read_table(file, columns=columns).to_pylist()
    owners = {row["iso3"] for row in rows if row["code"] == row["iso3"]}
    found = []
    for row in sorted(rows, key=lambda row: row["code"] not in owners):
        # Islands far from their country share its ISO codes, and have none of their own.
        shares = row["iso3"] in owners and row["code"] != row["iso3"]
        iso, iso3 = ("", row["code"]) if shares else (row["iso"], row["iso3"] or row["code"])
        names = frozenset(map(_plain, row.values())) - {""}
        found.append(_Row(iso, iso3, row["english"], names))
    return tuple(found)


def _plain(name: str) -> str:
    """Return a name without case, accents and surrounding spaces."""
    parts = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))
