"""Web tiles: squares of the Web Mercator plane, and the zoom that keeps a raster's pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio import Affine
from rasterio.warp import transform

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import project_bounds

Place = tuple[int, int, int]
"""Zoom, column and row of a web tile."""

SIDE = 1024
"""Pixels on a side of a web tile."""

WEB_MERCATOR = "EPSG:3857"

_HALF = math.pi * 6378137.0  # meters from the middle of the plane to its edge
_DEEPEST = 20
_NEARLY = 0.01  # of a zoom: pixels that are this little too large count as kept


@dataclass(frozen=True)
class Cells:
    """The web tiles of one zoom that cover a raster.

    Attributes
    ----------
    zoom : int
        The plane is 2**zoom tiles wide.
    columns, rows : range
        Tile numbers, counted from the north-western corner.
    """

    zoom: int
    columns: range
    rows: range

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.columns) * len(self.rows)

    @property
    def geobox(self) -> GeoBox:
        """The grid of all pixels of these tiles."""
        size = pixel_size(self.zoom)
        left = self.columns.start * SIDE * size - _HALF
        top = _HALF - self.rows.start * SIDE * size
        shape = (len(self.rows) * SIDE, len(self.columns) * SIDE)
        return GeoBox(shape, Affine(size, 0, left, 0, -size, top), WEB_MERCATOR)

    def box_of(self, place: Place) -> GeoBox:
        """Return the grid of one of these tiles."""
        _, column, row = place
        return Cells(self.zoom, range(column, column + 1), range(row, row + 1)).geobox

    def places(self) -> Iterator[Place]:
        """Yield the tiles row by row, so that neighbors follow each other."""
        for row in self.rows:
            for column in self.columns:
                yield self.zoom, column, row

    def parents(self) -> Cells:
        """Return the tiles of the next coarser zoom that cover the same ground."""
        halves = [range(r.start // 2, (r.stop + 1) // 2) for r in (self.columns, self.rows)]
        return Cells(self.zoom - 1, *halves)


def pixel_size(zoom: int) -> float:
    """Return the meters of the plane that a pixel of a zoom spans."""
    return 2 * _HALF / (SIDE * 2**zoom)


def cells_over(geobox: GeoBox, *, keep: bool, zoom: int | None = None) -> Cells:
    """Return the tiles over a raster at the zoom that fits its pixels.

    Parameters
    ----------
    geobox : GeoBox
        Its grid.
    keep : bool
        The first zoom whose pixels are not larger than the raster's, so that none is lost; else the
        zoom whose pixels are nearest in size.
    zoom : int, optional
        This zoom instead.

    Raises
    ------
    InputError
        If the raster lies beyond 85 degrees of latitude or across the antimeridian, where the plane
        ends.
    """
    if zoom is None:
        pixel = _pixel_in_plane(geobox)
        if keep:  # the plane stretches the ground, so pixels differ in it from place to place
            pixel = min([pixel, *_pixels_at_corners(geobox)])
        exact = math.log2(2 * _HALF / (SIDE * pixel))
        zoom = math.ceil(exact - _NEARLY) if keep else round(exact)
        zoom = min(max(zoom, 0), _DEEPEST)
    side = SIDE * pixel_size(zoom)
    last = 2**zoom - 1
    west, _, east, _ = bounds_in_degrees(geobox)
    pixel = 360 / (SIDE * 2**zoom)  # less than one beyond the edge is none
    if west >= east or max(-west, east) > 180 + pixel:
        raise InputError(
            "the raster crosses the antimeridian, where web maps end",
            advice="cut it there and look at its halves one after the other",
        )
    box = geobox.boundingbox
    left, bottom, right, top = project_bounds(tuple(box), str(box.crs), WEB_MERCATOR)
    columns = [int(min(max((x + _HALF) // side, 0), last)) for x in (left, right)]
    rows = [int(min(max((_HALF - y) // side, 0), last)) for y in (top, bottom)]
    return Cells(zoom, range(columns[0], columns[1] + 1), range(rows[0], rows[1] + 1))


def bounds_in_degrees(geobox: GeoBox) -> tuple[float, float, float, float]:
    """Return west, south, east, north of a raster."""
    box = geobox.boundingbox
    return project_bounds(tuple(box), str(box.crs), "EPSG:4326")


def _pixel_in_plane(geobox: GeoBox) -> float:
    """Return the shorter side of the pixel in the middle of a raster, meters of the plane."""
    rows, cols = (n // 2 for n in tuple(geobox.shape))
    found = _side_in_plane(geobox, rows, cols)
    if not found:
        raise InputError(
            f"the raster's middle is at {geobox.affine * (cols, rows)}, {geobox.crs}",
            expected="a place between 85 degrees south and north, where web maps end",
        )
    return found


def _pixels_at_corners(geobox: GeoBox) -> list[float]:
    """Return the shorter sides of a raster's outermost pixels, of those that the plane holds."""
    height, width = (n - 1 for n in tuple(geobox.shape))
    corners = [(0, 0), (0, width), (height, 0), (height, width)]
    return [side for place in corners if (side := _side_in_plane(geobox, *place))]


def _side_in_plane(geobox: GeoBox, row: int, col: int) -> float:
    """Return the shorter side of a pixel, meters of the plane; 0 beyond it."""
    corners = [geobox.affine * (col + i, row + j) for i, j in ((0, 0), (1, 0), (0, 1))]
    xs, ys = (list(c) for c in zip(*corners, strict=True))
    x, y = (np.array(v) for v in transform(str(geobox.crs), WEB_MERCATOR, xs, ys)[:2])
    sides = np.hypot(x[1:] - x[0], y[1:] - y[0])
    inside = np.isfinite(sides).all() and abs(y[0]) < _HALF
    return float(sides.min()) if inside else 0.0
