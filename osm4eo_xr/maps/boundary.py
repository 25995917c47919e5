"""Boundaries that maps are clipped to: polygons of a place, or one country's rows of a file."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import shapely
from odc.geo.geobox import GeoBox
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.countries import find_country
from osm4eo_xr.errors import InputError

_COUNTRY_COLUMNS = ("ISO", "ADM0_A3", "CNTR", "NAME", "ADMIN", "SOVEREIGNT")


def country_boundary(country: str, boundaries: str | Path) -> gpd.GeoDataFrame:
    """Return one country's polygons from a file of boundaries.

    Parameters
    ----------
    country : str
        Code of the country table, ISO code or English name; for a country that the table lacks,
        a code or name as the file has it.
    boundaries : path
        Vector file with a column of ISO 3166-1 codes (two or three letters) or English names, as
        Natural Earth and GISCO have.

    Raises
    ------
    InputError
        If no row of the file answers to the name.
    """
    frame = _read_vector(boundaries)
    try:
        known = find_country(country)
        names, title = (known.iso3, known.iso, known.name), f"{known.name} ({known.iso3})"
    except InputError:
        names, title = (country.strip(),), repr(country)
    for name in names:
        for column in frame.columns.drop("geometry"):
            # Others, such as GADM's or Eurostat's codes of regions, could mean something else.
            if str(column).upper().startswith(_COUNTRY_COLUMNS):
                rows = frame.loc[frame[column].astype(str).str.casefold() == name.casefold()]
                if len(rows):
                    return gpd.GeoDataFrame(rows)
    raise InputError(f"{boundaries} has no row for {title}; give another name or file")


def read_boundary(
    boundary: str | Path | gpd.GeoDataFrame | BaseGeometry, target: GeoBox
) -> BaseGeometry:
    """Return the boundary as one geometry in pixel units of the target grid."""
    if isinstance(boundary, BaseGeometry):
        shape = boundary
    else:
        frame = boundary if isinstance(boundary, gpd.GeoDataFrame) else _read_vector(boundary)
        if frame.crs is None:
            raise InputError("the boundary has no CRS; set one, for example with .set_crs(4326)")
        shape = frame.to_crs(str(target.crs)).geometry.union_all()
    if shape.is_empty or shape.area == 0:
        raise InputError("the boundary holds no polygon; give an area, not lines or points")
    inverse = ~target.affine
    pixels = affine_transform(shape, inverse.to_shapely())
    height, width = target.shape
    if not pixels.intersects(shapely.box(0, 0, width, height)):
        raise InputError("the boundary and the tiles do not overlap; check its place and CRS")
    return shapely.make_valid(pixels)


def _read_vector(path: str | Path) -> gpd.GeoDataFrame:
    try:
        return gpd.read_file(path)
    except (RuntimeError, OSError) as error:
        raise InputError(f"cannot read boundary {path}: {error}") from None
