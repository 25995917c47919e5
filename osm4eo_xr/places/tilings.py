"""Tiles that cover a country: Sentinel-2's, or squares of 100 km on the products' grid."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import shapely

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.antimeridian import split_at_antimeridian
from osm4eo_xr.geometry.geodesy import segmentized
from osm4eo_xr.geometry.grid import TARGET_CRS
from osm4eo_xr.places.mgrs import SQUARE, squares
from osm4eo_xr.places.outlines import country_boundary

if TYPE_CHECKING:
    import geopandas as gpd
    from shapely.geometry.base import BaseGeometry

Grid = Literal["mgrs", "laea"]
"""Sentinel-2's tiles, or EPSG:3035's squares of 100 km."""

_EQUAL_AREA = "EPSG:6933"
_POINTS = 12  # per edge of a tile; its edges are curved in degrees
_SMALLEST = 1e-9  # share of a tile below which it only touches the country
_LAEA_REACH = shapely.box(-35.58, 24.6, 44.83, 84.73)  # EPSG:3035's area of use, degrees


def country_tiles(
    country: str | gpd.GeoDataFrame,
    grid: Grid = "mgrs",
    *,
    boundaries: str | Path | None = None,
    layer: str = "",
    cut: bool = False,
) -> gpd.GeoDataFrame:
    """Return the tiles that cover a country, with their ground.

    Parameters
    ----------
    country : str or GeoDataFrame
        A name or code as ``find_country`` takes, or polygons of a place.
    grid : {"mgrs", "laea"}
        Sentinel-2's tiles of 109.8 km in UTM, which overlap; or squares of 100 km on EPSG:3035,
        named as INSPIRE names them (``100kmE43N32``: the lower left corner).
    boundaries, layer : path and str
        A finer file of boundaries than the package's, as ``country_boundary`` takes it.
    cut : bool
        Whether geometries end at the boundary; else they are whole tiles.

    Returns
    -------
    GeoDataFrame
        EPSG:4326, sorted by ``tile``; with ``crs`` and ``left``, ``bottom``, ``right``, ``top`` in
        its units (meters), and ``share``, the part of the tile inside the boundary (0 to 1).

    Raises
    ------
    InputError
        If the country is unknown, the polygons are none, or the grid does not reach them.

    Warns
    -----
    InputWarning
        If parts of the country lie outside EPSG:3035 and are left out.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> tiles = oxr.country_tiles("Luxembourg")
    >>> list(tiles["tile"])
    ['31UFQ', '31UFR', '31UGQ', '31UGR', '32ULA', '32ULV']
    >>> list(oxr.country_tiles("LU", "laea")["tile"])
    ['100kmE40N29', '100kmE40N30']
    """
    import geopandas as gpd

    if grid not in get_args(Grid):
        raise InputError(f"grid={grid!r}", expected=f"one of {', '.join(get_args(Grid))}")
    named = isinstance(country, str)
    frame = country_boundary(country, boundaries, layer) if isinstance(country, str) else country
    outline = _outline(frame)
    rows, shapes = _mgrs(outline) if grid == "mgrs" else _laea(outline)
    if not rows:
        place = country if named else "the polygons"
        raise InputError(
            f"no tile of grid {grid!r} touches {place}", advice="check the boundary's place"
        )
    tiles = gpd.GeoDataFrame(rows, geometry=shapes, crs=4326)
    inside = tiles.intersection(outline)
    tiles["share"] = (
        inside.to_crs(_EQUAL_AREA).area / tiles.geometry.to_crs(_EQUAL_AREA).area
    ).clip(0, 1)
    if cut:
        tiles["geometry"] = inside
    tiles = tiles.loc[tiles["share"] > _SMALLEST]
    columns = ["tile", "crs", "left", "bottom", "right", "top", "share", "geometry"]
    return tiles[columns].sort_values("tile", ignore_index=True)


def _outline(frame: gpd.GeoDataFrame) -> BaseGeometry:
    """Return the polygons of a frame as one sound geometry in degrees, edges in short pieces."""
    if frame.crs is None:
        raise InputError(
            "the boundary has no CRS", advice="set one, for example with .set_crs(4326)"
        )
    shapes = segmentized(frame.geometry.to_numpy(), frame.crs)
    placed = frame.set_geometry(shapes, crs=frame.crs).to_crs(4326).geometry
    outline = shapely.union_all(shapely.make_valid(split_at_antimeridian(placed.to_numpy())))
    if outline.is_empty or not outline.area:
        raise InputError("the boundary holds no polygon", expected="an area, not lines or points")
    return outline


def _mgrs(outline: BaseGeometry) -> tuple[list[dict[str, Any]], list[BaseGeometry]]:
    west, south, east, north = outline.bounds
    # Tiles reach into the neighboring zones: by twice their width near the poles.
    reach = 2 if max(abs(south), abs(north)) < 70 else 5  # noqa: PLR2004 - degrees
    first, last = (int((x + 180) // 6) for x in (west - reach, east + reach))
    zones = sorted({zone % 60 + 1 for zone in range(first, last + 1)})
    shapely.prepare(outline)
    rows, shapes = [], []
    for zone in zones:
        found = list(squares(range(zone, zone + 1), south, north))
        for epsg in sorted({s.epsg for s in found}):
            of_zone = [s for s in found if s.epsg == epsg]
            ground = _in_degrees([s.bounds for s in of_zone], epsg)
            for index in np.flatnonzero(shapely.intersects(outline, ground)):
                square = of_zone[index]
                rows.append(_row(square.id, f"EPSG:{epsg}", square.bounds))
                shapes.append(ground[index])
    return rows, shapes


def _laea(outline: BaseGeometry) -> tuple[list[dict[str, Any]], list[BaseGeometry]]:
    import geopandas as gpd

    reached = outline.intersection(_LAEA_REACH)
    if reached.is_empty:
        return [], []
    lost = 1 - reached.area / outline.area
    if lost > _SMALLEST:
        warnings.warn(
            f"{lost:.1%} of the country lies outside {TARGET_CRS} and is left out; grid mgrs "
            f"reaches it",
            InputWarning,
            stacklevel=3,
        )
    flat = gpd.GeoSeries([reached], crs=4326).to_crs(TARGET_CRS).make_valid().union_all()
    left, bottom, right, top = (int(v // SQUARE) for v in flat.bounds)
    places = [(e, n) for n in range(bottom, top + 1) for e in range(left, right + 1)]
    boxes = [tuple(SQUARE * v for v in (e, n, e + 1, n + 1)) for e, n in places]
    met = np.flatnonzero(shapely.intersects(flat, shapely.box(*np.transpose(boxes))))
    ground = _in_degrees([boxes[i] for i in met], int(TARGET_CRS.removeprefix("EPSG:")))
    names = [f"100kmE{e:02d}N{n:02d}" for e, n in places]
    return [_row(names[i], TARGET_CRS, boxes[i]) for i in met], list(ground)


def _row(tile: str, crs: str, bounds: tuple[int, ...]) -> dict[str, Any]:
    return {
        "tile": tile,
        "crs": crs,
        **dict(zip(("left", "bottom", "right", "top"), bounds, strict=True)),
    }


def _in_degrees(boxes: list[tuple[int, ...]], epsg: int) -> np.ndarray:
    """Return boxes of one CRS as polygons in degrees; at the antimeridian in two parts."""
    import geopandas as gpd

    corners = shapely.box(*np.transpose(boxes))
    widest = max(right - left for left, _, right, _ in boxes)
    series = gpd.GeoSeries(shapely.segmentize(corners, widest / _POINTS), crs=epsg).to_crs(4326)
    return split_at_antimeridian(series.to_numpy())
