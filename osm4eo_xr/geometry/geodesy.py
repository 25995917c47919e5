"""What ground boxes and outlines cover in another CRS, and how many square meters they are.

A straight edge is straight in one CRS alone, so long edges are cut into short segments before
they are projected. Square units of a CRS are square meters only where it is equal-area and metric;
everywhere else areas are geodesic, on the ellipsoid of the CRS (Karney 2013,
doi:10.1007/s00190-012-0578-z, as PROJ computes them).
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from odc.geo.crs import CRS

from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odc.geo.geobox import GeoBox

Bounds = tuple[float, float, float, float]

_DEGREES = 0.01  # longest segment; its middle then strays by about a centimeter
_METERS = 1000.0
_POINTS = 1000  # along a box's side
_STEP = 1e-6  # degrees between coordinates that are written
_CELLS = 8  # along each side of a raster whose pixels are measured
_ALIKE = 0.01  # of a pixel's area
_EQUAL_AREA = ("Equal Area", "Equal Earth", "Mollweide", "Sinusoidal")


def project_bounds(bounds: Sequence[float], source: Any, target: Any) -> Bounds:
    """Return the box in ``target`` that holds all ground of a box in ``source``.

    Parameters
    ----------
    bounds : sequence of float
        Left, bottom, right, top. In a geographic CRS left may exceed right: such a box crosses
        the antimeridian. So may the box that is returned.
    source, target : CRS
        Any notation that odc-geo reads.

    Raises
    ------
    InputError
        If the target has no place for it.
    """
    from rasterio.warp import transform_bounds

    before, after = CRS(source), CRS(target)
    if before == after:
        left, bottom, right, top = bounds
        return left, bottom, right, top
    try:
        found = transform_bounds(str(before), str(after), *bounds, densify_pts=_POINTS)
    except Exception as error:
        raise _no_place(bounds, before, after) from error
    if not all(map(math.isfinite, found)):
        raise _no_place(bounds, before, after)
    return found


def _no_place(bounds: Sequence[float], source: CRS, target: CRS) -> InputError:
    box = ", ".join(f"{v:g}" for v in bounds)
    return InputError(
        f"the box ({box}) of {crs_name(source)} has no place in {crs_name(target)}",
        advice="choose a CRS of that part of the world",
    )


def segmentized(shapes: np.ndarray, crs: Any) -> np.ndarray:
    """Return geometries whose edges are short enough to be projected (1 km, 0.01°).

    Raises
    ------
    InputError
        If coordinates in degrees lie beyond 360° or 90°: an edge would become endless points.
    """
    if CRS(crs).geographic and len(shapes):
        west, south, east, north = shapely.total_bounds(shapes)
        if max(-west, east) > 360 or max(-south, north) > 90.5:  # noqa: PLR2004 - degrees, rounded
            raise InputError(
                f"coordinates of {west:g} to {east:g} and {south:g} to {north:g} "
                f"in {crs_name(CRS(crs))}",
                expected="degrees of longitude and latitude",
                advice="assign the CRS that they are in",
            )
    longest = _DEGREES if CRS(crs).geographic else _METERS / meters_per_unit(crs)
    west, south, east, north = shapely.bounds(shapes).T
    wide = (east - west > longest) | (north - south > longest)  # no other has so long an edge
    short = shapes.copy()
    short[wide] = shapely.segmentize(shapes[wide], longest)
    return short


def meters_per_unit(crs: Any) -> float:
    """Return the length of a projected CRS's unit.

    Raises
    ------
    InputError
        If the CRS counts in degrees.
    """
    known = CRS(crs)
    if known.geographic:
        raise InputError(
            f"{crs_name(known)} counts in degrees",
            expected="a CRS in meters",
            advice="warp the raster, for example to EPSG:3035",
        )
    return float(known.proj.axis_info[0].unit_conversion_factor)


def is_equal_area(crs: Any) -> bool:
    """Whether areas in a CRS are areas on the ground."""
    operation = CRS(crs).proj.coordinate_operation
    return operation is not None and any(n in operation.method_name for n in _EQUAL_AREA)


def polygon_areas(shapes: np.ndarray, crs: Any) -> np.ndarray:
    """Return the areas of polygons in m²: of the plane if the CRS is equal-area, else geodesic."""
    if is_equal_area(crs):
        return shapely.area(shapes) * meters_per_unit(crs) ** 2
    known = CRS(crs).proj
    degrees = CRS(known.geodetic_crs)
    cut, move = segmentized(shapes, crs), CRS(crs).transformer_to_crs(degrees)
    placed = shapely.transform(cut, lambda xy: np.stack(move(*xy.T), axis=-1))
    geod: Any = known.get_geod()
    oriented = shapely.orient_polygons(placed)
    return np.array([abs(geod.geometry_area_perimeter(shape)[0]) for shape in oriented])


def geojson_of(shape: Any) -> dict[str, Any]:
    """Return polygons in degrees as GeoJSON (RFC 7946), coordinates to a tenth of a meter."""
    plain = shapely.orient_polygons(shapely.set_precision(shapely.force_2d(shape), _STEP))
    return json.loads(shapely.to_geojson(plain))


def pixel_area(grid: GeoBox) -> float:
    """Return the area of a raster's pixels in m².

    Raises
    ------
    InputError
        If the raster has no CRS, or its pixels differ by more than 1 % on the ground.
    """
    if grid.crs is None:
        raise InputError("the raster has no CRS", advice="assign one")
    if is_equal_area(grid.crs):
        return abs(grid.affine.determinant) * meters_per_unit(grid.crs) ** 2
    rows, cols = (np.linspace(0, n, _CELLS + 1) for n in grid.shape.yx)
    x, y = np.meshgrid(cols, rows)
    cells = shapely.box(x[:-1, :-1], y[:-1, :-1], x[1:, 1:], y[1:, 1:]).ravel()
    a = grid.affine
    linear = np.array([[a.a, a.b], [a.d, a.e]])
    placed = shapely.transform(cells, lambda xy: xy @ linear.T + (a.c, a.f))
    pixels = polygon_areas(np.asarray(placed), grid.crs) / shapely.area(cells)
    low, high = float(pixels.min()), float(pixels.max())
    if high > low * (1 + _ALIKE):
        raise InputError(
            f"pixels of this raster on {crs_name(grid.crs)} hold {low:.4g} to {high:.4g} m²",
            expected="pixels of one size on the ground",
            advice="warp it to an equal-area CRS, for example EPSG:3035",
        )
    return float(pixels.mean())


def crs_name(crs: Any) -> str:
    """Return what to call a CRS in a message: its EPSG code, or its name where it has none."""
    if crs is None:
        return "no CRS"
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.proj.name)


def crs_text(crs: Any) -> str:
    """Return what states a CRS, the same in each process: its EPSG code, or WKT where it has none.

    ``str`` of a CRS is of the first one equal to it that the process met: a code, or the WKT of a
    file or of PROJ's database, which name the same datum in other words.
    """
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs)
