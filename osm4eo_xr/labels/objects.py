"""Which object of OpenStreetMap each labeled pixel has its class from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from osm4eo_xr.geometry.grid import geobox_of, georeference
from osm4eo_xr.labels.burn import Edge, burn_objects, check_edge
from osm4eo_xr.labels.rasterize import Polygons, check_columns, map_grid
from osm4eo_xr.legend import Legend, default_legend

if TYPE_CHECKING:
    import xarray as xr

_COLUMNS = ("osm_kind", "osm_id", "class_id")


def rasterize_objects(
    polygons: Polygons,
    like: xr.DataArray,
    *,
    legend: Legend | None = None,
    edge: Edge = "ignore",
    min_area: float = 0.0,
) -> xr.DataArray:
    """Burn the keys of objects, as ``rasterize_labels`` burns their classes.

    Where several objects of the class that wins hold a pixel, the smallest is named, then the one
    of the highest id.

    Parameters
    ----------
    polygons : GeoDataFrame, Landuse or path
        As for ``rasterize_labels``; a frame has osm_kind and osm_id too.
    like : DataArray
        Dims (…, y, x); its grid and chunks are those of the result.
    legend, edge, min_area
        As for ``rasterize_labels``.

    Returns
    -------
    DataArray
        (y, x), int64, lazy; 0 = none. ``split_keys`` of ``osm.areas`` gives kind, id and class.

    Raises
    ------
    InputError
        As ``rasterize_labels``, and if the frame names no objects.
    """
    check_edge(edge)
    if isinstance(polygons, gpd.GeoDataFrame):
        check_named(polygons)
    grid = legend or default_legend(), min_area, edge
    keys = map_grid(burn_objects, polygons, like, *grid, dtype=np.int64)
    return georeference(keys, geobox_of(like), name="objects")


def check_named(polygons: gpd.GeoDataFrame) -> None:
    """Refuse polygons that do not say which objects they are.

    Raises
    ------
    InputError
        Which names the first column that is missing.
    """
    check_columns(polygons, *_COLUMNS)
