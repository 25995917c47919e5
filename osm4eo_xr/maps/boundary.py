"""Boundaries that maps are clipped to, in pixels of the map."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.geodesy import segmentized
from osm4eo_xr.geometry.vectors import read_vector
from osm4eo_xr.osm.repair import polygons_of


def read_boundary(
    boundary: str | Path | gpd.GeoDataFrame | BaseGeometry, target: GeoBox
) -> BaseGeometry:
    """Return the boundary as one geometry in pixel units of the target grid.

    Polygons that cross themselves are mended, with a warning.
    """
    if isinstance(boundary, BaseGeometry):
        shape = _mended(np.array([boundary]))[0]
    else:
        is_frame = isinstance(boundary, gpd.GeoDataFrame)
        frame = boundary if is_frame else read_vector(boundary, "boundary", option="boundary.layer")
        if frame.crs is None:
            raise InputError(
                "the boundary has no CRS", advice="set one, for example with .set_crs(4326)"
            )
        shapes = _mended(frame.geometry.to_numpy())
        if frame.crs != str(target.crs):
            shapes = _short_edges(shapes, frame.crs)
        sound = frame.set_geometry(shapes, crs=frame.crs)
        placed = sound.to_crs(str(target.crs)).geometry.to_numpy()
        shape = shapely.union_all(shapely.make_valid(placed))
    shape = polygons_of(shape)
    if shape.is_empty:
        raise InputError(
            "the boundary holds no polygon", advice="give an area, not lines or points"
        )
    inverse = ~target.affine
    pixels = affine_transform(shape, inverse.to_shapely())
    height, width = target.shape
    if not pixels.intersects(shapely.box(0, 0, width, height)):
        raise InputError(
            "the boundary and the tiles do not overlap", advice="check its place and CRS"
        )
    return polygons_of(shapely.make_valid(pixels))


def _short_edges(shapes: np.ndarray, crs: Any) -> np.ndarray:
    try:
        return segmentized(shapes, crs)
    except InputError as error:
        raise error.within("the boundary") from None


def _mended(shapes: np.ndarray) -> np.ndarray:
    """Return geometries that cover what theirs enclose, and tell which were not sound."""
    wrong = np.flatnonzero(~shapely.is_valid(shapes) & ~shapely.is_missing(shapes))
    if not wrong.size:
        return shapes
    said = shapely.is_valid_reason(shapes[wrong[0]])
    warnings.warn(
        f"the boundary has {wrong.size} invalid polygons of {len(shapes)} (first: {said}); they "
        f"were mended, look at the map's edge there",
        InputWarning,
        stacklevel=3,
    )
    return np.asarray(shapely.make_valid(shapes))
