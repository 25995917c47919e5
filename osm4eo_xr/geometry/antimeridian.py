"""Outlines and boxes across the antimeridian, split there: each part is between -180° and 180°."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.errors import InputError

_TURN = 360.0
_HALF = 180.0


def box_in_degrees(bounds: Sequence[float], what: str = "bbox") -> BaseGeometry:
    """Return a box in degrees; one whose west exceeds its east lies across the antimeridian.

    Parameters
    ----------
    bounds : sequence of float
        As ``wrapped`` takes them.
    what : str
        What a message calls it.

    Raises
    ------
    InputError
        If its south lies above its north, or a side is no number.

    Examples
    --------
    >>> [part.bounds for part in box_in_degrees((179, -17, -179, -16)).geoms]
    [(179.0, -17.0, 180.0, -16.0), (-180.0, -17.0, -179.0, -16.0)]
    """
    west, south, east, north = wrapped(bounds, what)
    if west <= east:
        return shapely.box(west, south, east, north)
    parts = [shapely.box(west, south, _HALF, north), shapely.box(-_HALF, south, east, north)]
    return shapely.MultiPolygon(parts)


def wrapped(bounds: Sequence[float], what: str = "bbox") -> tuple[float, float, float, float]:
    """Return bounds whose west and east lie between -180° and 180°.

    Parameters
    ----------
    bounds : sequence of float
        West, south, east, north; west or east may go on beyond 180°, as maps of the Pacific do.
    what : str
        What a message calls them.

    Raises
    ------
    InputError
        If south lies above north, or a side is no number.

    Examples
    --------
    >>> wrapped((179.0, -17.0, 181.0, -16.0))
    (179.0, -17.0, -179.0, -16.0)
    """
    west, south, east, north = bounds
    if not (south <= north and np.isfinite(bounds).all()):
        told = ", ".join(f"{side:g}" for side in bounds)
        raise InputError(f"{what} ({told}) is none", expected="west, south, east, north in degrees")
    if east - west >= _TURN:
        return -_HALF, south, _HALF, north
    west, east = (x - _TURN if x > _HALF else x + _TURN if x < -_HALF else x for x in (west, east))
    return west, south, east, north


def split_at_antimeridian(shapes: np.ndarray) -> np.ndarray:
    """Return outlines in degrees, split where they cross the antimeridian.

    Parameters
    ----------
    shapes : array of geometries
        Their edges are short. Longitudes may run on beyond 180° or -180°, or jump from the one to
        the other, as they do where outlines are projected from meters.
    """
    west, _, east, _ = shapely.bounds(shapes).T
    beyond = (west < -_HALF) | (east > _HALF) | (east - west >= _HALF)
    found = shapes.copy()
    found[beyond] = [_split(shape) for shape in shapes[beyond]]
    return found


def _split(shape: BaseGeometry) -> BaseGeometry:
    return shapely.union_all([p for part in shapely.get_parts(shape) for p in _parts_of(part)])


def _parts_of(polygon: BaseGeometry) -> list[BaseGeometry]:
    try:
        whole = shapely.make_valid(shapely.transform(polygon, _unrolled))
    except shapely.GEOSException:  # a ring around a pole, which no longer closes
        return [polygon]
    west, south, east, north = shapely.bounds(whole)
    turns = np.arange(np.floor((west + _HALF) / _TURN), np.ceil((east + _HALF) / _TURN))
    return [
        shapely.transform(
            shapely.intersection(whole, shapely.box(x - _HALF, south, x + _HALF, north)),
            lambda c, x=x: c - [x, 0],
        )
        for x in _TURN * turns
    ]


def _unrolled(corners: np.ndarray) -> np.ndarray:
    """Return the corners of a polygon's rings, one after the other, longitudes without jumps."""
    jumps = np.round(np.diff(corners[:, 0], prepend=corners[0, 0]) / _TURN)
    return corners - np.outer(_TURN * np.cumsum(jumps), (1, 0))
