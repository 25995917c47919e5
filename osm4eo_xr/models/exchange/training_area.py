"""Where a model was trained, as a geometry for catalogs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import geojson_of, polygon_areas
from osm4eo_xr.geometry.vectors import read_vector
from osm4eo_xr.places.outlines import country_boundary

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from osm4eo_xr.models.model import Model

_DEGREES = "EPSG:4326"
_DETAIL = 0.001  # degrees, about a hundred meters; a catalog is no atlas
_SHARE = 0.001  # of its extent: what is small keeps its form and its area


def training_area(
    model: Model, area: str | Path | GeoDataFrame | None, country: str | None
) -> Mapping[str, Any] | None:
    """Return where a model was trained as GeoJSON in degrees; None if nothing says it.

    Parameters
    ----------
    model : Model
        Its record knows, if it was trained on samples that have a place.
    area : path or GeoDataFrame, optional
        Polygons that are the area instead.
    country : str, optional
        Country whose outline is the area instead.

    Raises
    ------
    InputError
        If the area has no polygon or no CRS, or no country answers to the name.
    """
    import shapely

    if area is None and country is None:
        samples = model.training.get("samples")
        return samples.get("area") if isinstance(samples, Mapping) else None
    frame = country_boundary(country or "") if area is None else _frame(area)
    if frame.crs is None:
        raise InputError("the area has no CRS", advice="give polygons with one")
    whole = frame.to_crs(_DEGREES).geometry.union_all()
    west, south, east, north = whole.bounds
    plain = shapely.simplify(whole, min(_DETAIL, _SHARE * max(east - west, north - south)))
    if plain.geom_type not in ("Polygon", "MultiPolygon") or plain.is_empty:
        raise InputError(
            f"the area is a {plain.geom_type}", expected="one or more polygons", advice="give those"
        )
    return geojson_of(plain)


def _frame(area: str | Path | GeoDataFrame) -> GeoDataFrame:
    return read_vector(area, "area") if isinstance(area, str | Path) else area


def bounds_and_km2(geometry: Mapping[str, Any]) -> tuple[list[float], float]:
    """Return the bounding box of a geometry in degrees, and its area in km²."""
    import numpy as np
    import shapely

    shape = shapely.geometry.shape(dict(geometry))
    parts = np.array(shapely.get_parts(shape), object)
    return list(shape.bounds), round(float(polygon_areas(parts, _DEGREES).sum()) / 1e6, 2)
