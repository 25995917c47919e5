"""Boundaries of countries: Natural Earth's in the package, or rows of a finer file."""

from __future__ import annotations

import re
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.vectors import read_vector
from osm4eo_xr.places.countries import OUTLINES, find_country

if TYPE_CHECKING:
    import geopandas as gpd

_OF_COUNTRIES = re.compile(
    r"iso_?([23]|cc|code|[23]_code|a[23](_eh)?)?|iso3166-1(:alpha[23])?|adm0_a3|gid_0|name_0"
    r"|cntr(_id|_code|_name)?|name_engl|country|admin|sovereignt",
    re.IGNORECASE,
)
"""Columns of codes and names of countries: Natural Earth's, GISCO's, GADM's, OpenStreetMap's."""

_OF_ANYTHING = re.compile(r"name([_:]en|_long)?", re.IGNORECASE)
"""Columns that name countries in a file of countries, and regions in one of regions."""

_EUROSTAT = {"GR": "EL", "GB": "UK"}
"""Codes of the European Union, where they differ from ISO's."""


def country_boundary(
    country: str, boundaries: str | Path | None = None, layer: str = ""
) -> gpd.GeoDataFrame:
    """Return one country's polygons.

    Parameters
    ----------
    country : str
        A name or code as ``find_country`` takes; for a place that it does not know, a code or name
        as the file has it.
    boundaries : path, optional
        Vector file with a column of ISO 3166-1 codes (two or three letters) or English names of
        countries, as GISCO's, GADM's and Natural Earth's have. Names of their regions do not
        count. Without it Natural Earth's outlines at 1:50 million, which are a kilometer off in
        places.
    layer : str
        Which of several layers of the file.

    Returns
    -------
    GeoDataFrame
        One row or more; of the package's outlines one, on EPSG:4326, with far-off regions.

    Raises
    ------
    InputError
        If no row answers to the name, or the file has several layers and none is named.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> outline = oxr.country_boundary("Liechtenstein")
    >>> round(outline.to_crs(3035).area.sum() / 1e6)  # km²; surveyed: 160.5
    138
    """
    if boundaries is None:
        return _shipped(country)
    frame = read_vector(boundaries, "boundary", layer=layer, option="boundary.layer")
    columns = [c for c in frame.columns if _OF_COUNTRIES.fullmatch(str(c))]
    unsure = [c for c in frame.columns if _OF_ANYTHING.fullmatch(str(c))]
    try:
        known = find_country(country)
        title = f"{known.name} ({known.iso3})"
        names = [known.iso3, known.iso, _EUROSTAT.get(known.iso, ""), known.name]
        columns = columns or unsure  # else Georgia could be the state
    except InputError:
        names, title = [], repr(country)
        columns += unsure
    for name in filter(None, [*names, country.strip()]):
        for column in columns:
            rows = frame.loc[frame[column].astype(str).str.casefold() == name.casefold()]
            if len(rows):
                return rows.set_geometry("geometry")
    raise InputError(f"{boundaries} has no row for {title}", advice="give another name or file")


def _shipped(country: str) -> gpd.GeoDataFrame:
    import geopandas as gpd

    known = find_country(country)
    with as_file(files("osm4eo_xr.places").joinpath(OUTLINES)) as path:
        frame = gpd.read_parquet(path)
    own = frame.loc[frame["code"] == known.iso3]
    rows = own if len(own) else frame.loc[frame["iso3"] == known.iso3]
    return gpd.GeoDataFrame(rows)
