"""A country file → its settings, checked key by key."""

from __future__ import annotations

from pathlib import Path

from osm4eo_xr.country.settings import CountrySettings
from osm4eo_xr.settings_io import build, read_toml


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
