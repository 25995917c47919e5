"""A country file → its settings, checked key by key; new files, and their schema for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from osm4eo_xr.country.settings import CountrySettings
from osm4eo_xr.errors import InputError
from osm4eo_xr.places.countries import Country, countries, find_country
from osm4eo_xr.settings_io import build, read_toml
from osm4eo_xr.settings_text import json_schema, template

SCHEMA_NAME = "country.schema.json"
"""The file beside a new country file that tells editors which keys there are."""

ELSEWHERE = frozenset({"train.seed"})
"""Keys of settings that a country file states at another place: the seed at its top."""


def read_country(path: str | Path) -> CountrySettings:
    """Read a country file.

    Raises
    ------
    InputError
        If it is missing or no TOML, or if a key is unknown, missing or wrong; the message names
        the key and, for an unknown one, the nearest that exists.
    """
    path = Path(path)
    return build(CountrySettings, read_toml(path, "country"), path.name)


def cluster_of(settings: CountrySettings, base: Path) -> str:
    """Return the cluster that a country file states: a name, or a path from its folder.

    Parameters
    ----------
    settings : CountrySettings
        The file's.
    base : Path
        The folder that it lies in.

    Returns
    -------
    str
        Nothing if it states none.
    """
    from osm4eo_xr.cluster.site_file import is_site_path

    stated = settings.cluster
    return str(base / stated) if is_site_path(stated) else stated


def country_template(
    country: str, *, osm: str, files: tuple[str, ...] = (), search: str = "", year: int = 0
) -> str:
    """Return the text of a new country file: a few keys set, all others as comments.

    Parameters
    ----------
    country : str
        A name or code as ``find_country`` takes.
    osm : str
        Path of the OpenStreetMap extract.
    files : tuple of str
        Scenes, paths or globs, if they are there already.
    search : str
        Catalog to search otherwise.
    year : int
        Year whose summer is searched.

    Raises
    ------
    InputError
        If the country is unknown, or neither files nor a search of a year is given.
    """
    found = find_country(country)
    scenes: dict[str, object] = {"files": files}
    if not files:
        if not (search and year):
            raise InputError("no scenes", expected="files, or a catalog and a year")
        scenes = {
            "search": search,
            "period": (f"{year}-05-01", f"{year}-09-30"),
            "max_cloud": 60.0,
        }
    given = {
        "name": found.name,
        "scenes": [scenes],
        "labels": {"osm": osm},
        "boundary": {"country": _plain_code(found)},
        "layers": [{"classes": ("water",), "vector": "gpkg"}],
    }
    return (
        f"#:schema ./{SCHEMA_NAME}\n"
        "# Keys that stand as comments have the value that they show, unless a preset changes it.\n"
        "# `osm4eo-xr run --dry-run` says what a run with this file would do.\n\n"
        + template(CountrySettings, given, omit=ELSEWHERE)
    )


def country_schema() -> dict[str, Any]:
    """Return the JSON schema of country files, for editors."""
    draft = "https://json-schema.org/draft/2020-12/schema"
    schema: dict[str, Any] = {"$schema": draft, "title": "Country file"}
    schema |= json_schema(CountrySettings)
    for key in ELSEWHERE:
        table, _, name = key.partition(".")
        del schema["properties"][table]["properties"][name]
    return schema


def _plain_code(country: Country) -> str:
    """Return a country's ISO code, of three letters where the original gives the two to another.

    Those of Australia and Liechtenstein are its codes of Austria and Lithuania.
    """
    others = {other.code for other in countries() if other.name != country.name}
    return country.iso3 if country.iso in others else country.iso or country.code
