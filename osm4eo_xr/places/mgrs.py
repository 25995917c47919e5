"""MGRS tiles of Sentinel-2: which exist, and the ground of each.

A tile is a 100 km square of the Military Grid Reference System, widened to 109.8 km and moved to
pixel edges of 60 m. ESA leaves out squares at the edges of a UTM zone that its neighbor covers, so
which squares are tiles is a table, read off ESA's tiling grid (56,686 tiles).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.warp import transform

from osm4eo_xr.errors import InputError

SQUARE = 100_000
"""Edge of an MGRS square in meters."""

EDGE = 109_800
"""Edge of a Sentinel-2 tile in meters."""

_PIXEL = 60  # meters; the coarsest band's pixels decide where tiles begin
_BANDS = "CDEFGHJKLMNPQRSTUVWX"  # of 8 degrees from 80 degrees south
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_CYCLE = len(_ROWS)
_ZONES = 60
_EVEN_ZONES = 5  # rows by which the letters of even zones are ahead

_Runs = tuple[tuple[int, int, int, int], ...]  # first and last row, first and last column

_NORTH: _Runs = (
    (0, 28, 2, 8),
    (29, 46, 2, 7),
    (47, 59, 3, 7),
    (60, 70, 3, 6),
    (71, 80, 4, 6),
    (81, 90, 4, 5),
    (91, 93, 5, 5),
)
_SOUTH: _Runs = (
    (7, 8, 5, 5),
    (9, 18, 4, 5),
    (19, 28, 4, 6),
    (29, 39, 3, 6),
    (40, 52, 3, 7),
    (53, 70, 2, 7),
    (71, 99, 2, 8),
)
_NONE = (1, 0)  # first and last column of a row without tiles
# The antimeridian (zones 1 and 60), Norway (31, 32) and Svalbard (31 to 37).
_NORTH_APART: dict[int, _Runs] = {
    1: ((0, 28, 1, 8), (47, 59, 2, 7), (71, 80, 3, 6), (91, 93, 4, 5)),
    31: ((63, 69, 3, 5), (79, 80, 4, 7), (81, 90, 4, 6)),
    32: ((63, 70, 2, 6), (79, 79, 5, 6), (80, 93, *_NONE)),
    33: ((79, 80, 3, 7), (81, 85, 3, 6), (86, 90, 4, 6), (91, 93, 4, 5)),
    34: ((79, 79, 5, 6), (80, 93, *_NONE)),
    35: ((79, 80, 3, 7), (81, 85, 3, 6), (86, 90, 4, 6), (91, 93, 4, 5)),
    36: ((79, 79, 5, 6), (80, 93, *_NONE)),
    37: ((79, 80, 3, 6), (81, 85, 3, 5), (91, 93, 4, 5)),
    60: ((0, 28, 2, 7), (47, 59, 3, 6), (71, 80, 4, 5), (91, 93, *_NONE)),
}
_SOUTH_APART: dict[int, _Runs] = {
    1: ((7, 8, 4, 5), (19, 28, 3, 6), (40, 52, 2, 7), (71, 99, 1, 8)),
    60: ((7, 8, *_NONE), (19, 28, 4, 5), (40, 52, 3, 6), (71, 99, 2, 7)),
}


@dataclass(frozen=True)
class Square:
    """A 100 km square: UTM zone, hemisphere, and its lower left corner in units of 100 km."""

    zone: int
    north: bool
    column: int
    row: int

    @property
    def epsg(self) -> int:
        """EPSG code of the UTM zone on WGS 84."""
        return (32600 if self.north else 32700) + self.zone

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, bottom, right, top of the tile in meters of its UTM zone."""
        left = self.column * SQUARE // _PIXEL * _PIXEL
        top = -(-(self.row + 1) * SQUARE // _PIXEL) * _PIXEL
        return left, top - EDGE, left + EDGE, top

    @property
    def id(self) -> str:
        """The tile's id, for example ``"33UUU"``."""
        letters = _COLUMNS[(self.zone - 1) % 3][self.column - 1]
        letters += _ROWS[(self.row + _ahead(self.zone)) % _CYCLE]
        return f"{self.zone:02d}{_band(self.north, self.column, self.row)}{letters}"


def mgrs_geobox(tile: str, resolution: float = 10) -> GeoBox:
    """Return the grid of a Sentinel-2 tile, as the products of ESA have it.

    Parameters
    ----------
    tile : str
        Id such as ``"33UUU"``, also ``"T33UUU"`` or in small letters.
    resolution : float
        Pixel size in meters; 10, 20 or 60 in the products.

    Raises
    ------
    InputError
        If it is not the id of a tile, or the pixel size does not divide 109,800 m.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> box = oxr.mgrs_geobox("33UUU")
    >>> box.crs.epsg, box.shape.yx, tuple(box.boundingbox)
    (32633, (10980, 10980), (300000.0, 5790240.0, 409800.0, 5900040.0))
    """
    square = find_square(tile)
    pixels = round(EDGE / resolution) if resolution > 0 else 0
    if not pixels or pixels * resolution != EDGE:
        raise InputError(
            f"pixels of {resolution} m do not fill a tile of {EDGE} m", expected="10, 20 or 60 m"
        )
    return GeoBox.from_bbox(square.bounds, crs=f"EPSG:{square.epsg}", shape=(pixels, pixels))


def find_square(tile: str) -> Square:
    """Return the square of a tile's id; raises ``InputError`` if Sentinel-2 has no such tile."""
    name = tile.strip().upper().removeprefix("T")
    if re.fullmatch(r"\d\d[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]", name):
        zone, band = int(name[:2]), name[2]
        if 1 <= zone <= _ZONES and name[3] in _COLUMNS[(zone - 1) % 3]:
            north = band >= "N"
            column = _COLUMNS[(zone - 1) % 3].index(name[3]) + 1
            first = (_ROWS.index(name[4]) - _ahead(zone)) % _CYCLE
            for row in range(first, SQUARE // 1000, _CYCLE):
                square = Square(zone, north, column, row)
                low, high = _columns(zone, north, row)
                if low <= column <= high and square.id == name:
                    return square
    raise InputError(
        f"{tile!r} is not a tile of Sentinel-2",
        expected="an id like 33UUU: UTM zone, band and two letters",
    )


def squares(zones: range, south: float, north: float) -> Iterator[Square]:
    """Yield the squares of UTM zones that may touch a range of latitudes, in degrees."""
    margin = 2.0  # a square's corners lie up to one degree from its middle
    for zone in zones:
        for upper in (True, False):
            for row in range(SQUARE // 1000):
                first, last = _columns(zone, upper, row)
                for column in range(first, last + 1):
                    latitude = _middle(upper, column, row)
                    if south - margin <= latitude <= north + margin:
                        yield Square(zone, upper, column, row)


@cache
def _columns(zone: int, north: bool, row: int) -> tuple[int, int]:  # noqa: FBT001
    """Return the first and the last column of a row that are tiles."""
    apart = (_NORTH_APART if north else _SOUTH_APART).get(zone, ())
    for first, last, left, right in (*apart, *(_NORTH if north else _SOUTH)):
        if first <= row <= last:
            return left, right
    return _NONE


def _ahead(zone: int) -> int:
    return 0 if zone % 2 else _EVEN_ZONES


@cache
def _middle(north: bool, column: int, row: int) -> float:  # noqa: FBT001
    """Return the latitude of a square's middle in degrees; it is the same in all zones."""
    middle = ([(column + 0.5) * SQUARE], [(row + 0.5) * SQUARE])
    return transform(f"EPSG:{32631 if north else 32731}", "EPSG:4326", *middle)[1][0]


def _band(north: bool, column: int, row: int) -> str:  # noqa: FBT001
    """Return the letter of the latitude band in which a square's middle lies."""
    number = (_middle(north, column, row) + 80) // 8
    return _BANDS[int(np.clip(number, 0, len(_BANDS) - 1))]
