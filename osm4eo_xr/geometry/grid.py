"""Target grids: EPSG:3035, 10 m, pixel edges on multiples of the pixel size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import crs_name, crs_text, project_bounds
from osm4eo_xr.legend import NO_DATA

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import xarray as xr
    from jaxtyping import Float64, Int64

__all__ = [
    "TARGET_CRS",
    "TARGET_RESOLUTION",
    "crs_name",
    "geobox_of",
    "georeference",
    "grid_text",
    "nodata_of",
    "same_grid",
    "same_pixels",
    "spatial_coords",
    "target_geobox",
    "zero_nodata",
]

TARGET_CRS = "EPSG:3035"
"""ETRS89-extended / LAEA Europe: equal area, meters; the grid of all products."""

TARGET_RESOLUTION = 10.0
"""Pixel size in meters."""

_FARTHEST = 2.0**40  # pixels between the origin of the CRS and a grid
_MOST_PIXELS = 2**24
"""On a side: four times around the Earth in pixels of 10 m; coordinates are held in memory."""

_PIXEL_TOLERANCE = 1e-3  # of a pixel; file headers round their transforms
_HEADROOM = 3 * _PIXEL_TOLERANCE  # so that no rounded header takes a whole number below itself


def target_geobox(
    bounds: tuple[float, float, float, float],
    *,
    bounds_crs: str = TARGET_CRS,
    crs: str = TARGET_CRS,
    resolution: float = TARGET_RESOLUTION,
) -> GeoBox:
    """Return the snapped grid that covers ``bounds``.

    Pixel edges lie on whole multiples of ``resolution``, so any two grids of one CRS and
    resolution share their pixels and tiles fit together without resampling. Edges of the bounds
    are projected point by point: all ground between them is inside, but for what overhangs a pixel
    by less than a hundredth of it, as rounded bounds do.

    Parameters
    ----------
    bounds : tuple of float
        Left, bottom, right, top in units of ``bounds_crs``; in degrees left exceeds right where
        they cross the antimeridian.
    bounds_crs, crs : str
        CRS of the bounds and of the grid.
    resolution : float
        Pixel size in units of ``crs`` (meters for EPSG:3035).

    Raises
    ------
    InputError
        If the bounds are empty or not finite, or the pixels no size or more than 2**24 on a side.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> box = oxr.target_geobox((4321003, 3210000, 4321040, 3210028))
    >>> box.shape.yx, tuple(box.boundingbox)
    ((3, 4), (4321000.0, 3210000.0, 4321040.0, 3210030.0))
    """
    left, bottom, right, top = bounds
    # Less than half the Earth: a box from 11° to 10° is a slip, not all the way around.
    degrees = bounds_crs != crs and CRS(bounds_crs).geographic
    wraps = degrees and -180 <= right < left <= 180 and right + 360 - left < 180  # noqa: PLR2004
    if not (all(map(math.isfinite, bounds)) and (left < right or wraps) and bottom < top):
        raise InputError(f"bounds {bounds} are empty", advice="give left < right and bottom < top")
    if not (math.isfinite(resolution) and resolution > 0):
        raise InputError(f"resolution is {resolution}", expected="a pixel size above 0")
    left, bottom, right, top = project_bounds(bounds, bounds_crs, crs)
    if left >= right:
        raise InputError(
            f"bounds {bounds} cross the antimeridian of {crs}",
            advice="give a crs of that place, or its halves one after the other",
        )
    box = BoundingBox(left, bottom, right, top, crs=crs)
    if max(box.span_x, box.span_y) / resolution > _MOST_PIXELS:
        raise InputError(
            f"bounds {bounds} in pixels of {resolution}",
            expected=f"at most {_MOST_PIXELS:,} pixels on a side",
            advice="give larger pixels",
        )
    return GeoBox.from_bbox(box, crs=crs, resolution=resolution, anchor="edge")


def geobox_of(raster: xr.DataArray | xr.Dataset) -> GeoBox:
    """Return the grid of a georeferenced raster with dims (…, y, x).

    Raises
    ------
    InputError
        If it has no CRS or its coordinates are not those of a regular north-up grid.
    """
    geobox = odc_of(raster).geobox
    name = getattr(raster, "name", None) or "raster"
    if not isinstance(geobox, GeoBox) or geobox.crs is None:
        raise InputError(
            f"{name!s} has no CRS or no regular x/y grid",
            advice='assign one, for example with odc.geo: da.odc.assign_crs("EPSG:3035")',
        )
    return geobox


def check_grid(geobox: GeoBox, name: object) -> GeoBox:
    """Return the grid that a file states, if it is a place on the ground.

    Raises
    ------
    InputError
        If the CRS is neither projected nor geographic, the transform is not finite or maps pixels
        to a line, or a side has more than 2**24 pixels.
    """
    crs, affine = geobox.crs, geobox.affine
    if crs is not None and not (crs.proj.is_projected or crs.proj.is_geographic):
        raise InputError(
            f"{name} has the CRS {crs_name(crs)!r}",
            expected="a projected or geographic one",
            advice="assign it, for example with gdal_edit.py -a_srs EPSG:3035",
        )
    numbers = np.array(affine[:6])
    if not np.isfinite(numbers).all() or not np.isfinite(area := affine.determinant) or not area:
        raise InputError(
            f"{name} has the transform {tuple(affine[:6])}",
            expected="pixels with a width and a height",
            advice="assign its place, for example with gdal_edit.py -a_ullr",
        )
    if np.abs((affine.c, affine.f)).max() > _FARTHEST * np.sqrt(abs(area)):
        raise InputError(
            f"{name} begins at {affine.c:g}, {affine.f:g}, too far for its pixels to be told apart",
            expected="a place on the ground",
            advice="assign it, for example with gdal_edit.py -a_ullr",
        )
    if max(geobox.shape) > _MOST_PIXELS:
        raise InputError(
            f"{name} claims {geobox.shape[1]:,} x {geobox.shape[0]:,} pixels",
            expected=f"at most {_MOST_PIXELS:,} on a side",
            advice="check the file, or cut it with gdal_translate -srcwin",
        )
    return geobox


def odc_of(raster: xr.DataArray | xr.Dataset) -> Any:
    """Return a raster's ``.odc``, which is there only once odc-geo's module has been imported."""
    import odc.geo.xr  # noqa: F401 - gives rasters their .odc

    return raster.odc


def georeference(
    data: Any,
    geobox: GeoBox,
    *,
    dims: tuple[str, ...] = ("y", "x"),
    coords: Mapping[Hashable, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> xr.DataArray:
    """Wrap an array whose last two axes lie on ``geobox`` as a DataArray with CRS and coordinates.

    The spatial dims are always called y and x, also for a geographic CRS; coordinates are pixel
    centers. The raster answers odc-geo's ``.odc`` and rioxarray's ``.rio``; ``attrs["nodata"]`` is
    what both take for its no-data value.

    Raises
    ------
    InputError
        If the array's shape differs from the grid's.
    """
    import rioxarray  # noqa: F401 - gives rasters their .rio
    import xarray as xr

    if tuple(data.shape[-2:]) != tuple(geobox.shape):
        raise InputError(f"array of shape {data.shape} does not fit a grid of {geobox.shape}")
    return xr.DataArray(
        data,
        dims=dims,
        coords={**spatial_coords(geobox), **(coords or {})},
        attrs=dict(attrs or {}),
        name=name,
    )


def nodata_of(raster: xr.DataArray, default: Any = None) -> Any:
    """Return a raster's no-data value: ours is called nodata, rioxarray's results' _FillValue.

    It is rounded to the raster's type, as its pixels are; one that the type cannot hold states
    nothing.
    """
    stated = raster.attrs.get("nodata", raster.attrs.get("_FillValue"))
    held = held_number(stated, raster.dtype)
    return default if held is None else held


def held_number(value: Any, dtype: np.dtype[Any]) -> float | None:
    """Return a number that the type can hold, else None; floats are rounded to the type's."""
    if isinstance(value, str | bytes) or not isinstance(value, int | float | np.number):
        return None
    if dtype.kind not in "iuf":
        return None
    if dtype.kind == "f":
        return float(np.asarray(value).astype(dtype)) if np.isfinite(value) else float("nan")
    info = np.iinfo(dtype)
    if not (np.isfinite(value) and info.min <= value <= info.max and value == int(value)):
        return None
    return int(value)


def zero_nodata(class_map: xr.DataArray) -> xr.DataArray:
    """Return a class map or labels whose no data is 0, lazy as its input.

    Pixels of another stated no-data value (255 is common) become 0, which no class has.
    """
    stated = nodata_of(class_map, NO_DATA)
    if class_map.dtype.kind not in "iu" or not math.isfinite(stated) or stated == NO_DATA:
        return class_map
    data = class_map.data
    if class_map.chunks is None:
        recoded = _zeroed(class_map.to_numpy(), stated)
    else:
        recoded = data.map_blocks(_zeroed, stated, dtype=class_map.dtype, meta=data._meta)  # noqa: SLF001 - dask's
    attrs = {k: v for k, v in class_map.attrs.items() if k != "_FillValue"}
    return class_map.copy(data=recoded).assign_attrs({**attrs, "nodata": NO_DATA})


def _zeroed(block: np.ndarray, stated: float) -> np.ndarray:
    """Return a block with 0 in the place of a value."""
    return np.where(block == stated, block.dtype.type(NO_DATA), block)


def spatial_coords(geobox: GeoBox) -> dict[str, xr.DataArray]:
    """Return y, x and spatial_ref coordinates of a grid (pixel centers)."""
    from odc.geo.xr import xr_coords

    coords = xr_coords(geobox, dims=("y", "x"))
    return {str(k): v for k, v in coords.items()}


def first_pixel(geobox: GeoBox) -> tuple[int, int]:
    """Return row and column of a grid's first pixel, counted from where the CRS is 0, 0.

    Edges may lie between the multiples of a pixel, half a pixel off as Landsat's do.
    """
    affine = geobox.affine
    edges = np.array([affine.f / affine.e, affine.c / affine.a])
    row, col = whole_pixels(edges + 0.5).tolist()
    return row, col


def whole_pixels(places: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return the whole numbers at or below places in pixels, whose last digits may be off."""
    return np.floor(places + _HEADROOM).astype(np.int64)


def grid_text(geobox: GeoBox) -> str:
    """Return what states a grid, the same in each process."""
    crs = crs_text(geobox.crs) if geobox.crs else "no CRS"
    return f"{tuple(geobox.shape)} {tuple(geobox.affine)[:6]} {crs}"


def same_grid(a: GeoBox, b: GeoBox) -> bool:
    """Whether two grids share CRS, pixel size and pixel edges (their extents may differ)."""
    if a.crs != b.crs:
        return False
    sizes = zip(a.resolution.xy, b.resolution.xy, strict=True)
    drift = max(abs(other / own - 1) for own, other in sizes) * max(*a.shape, *b.shape)
    if drift >= _PIXEL_TOLERANCE:  # at the far end, however alike the sizes look in degrees
        return False
    col = (b.affine.c - a.affine.c) / a.affine.a
    row = (b.affine.f - a.affine.f) / a.affine.e
    return abs(col - round(col)) < _PIXEL_TOLERANCE and abs(row - round(row)) < _PIXEL_TOLERANCE


def same_pixels(a: GeoBox, b: GeoBox) -> bool:
    """Whether two grids have the same pixels, so that one raster can be laid over the other."""
    corners = np.allclose(a.boundingbox.bbox, b.boundingbox.bbox, rtol=1e-9)
    return same_grid(a, b) and tuple(a.shape) == tuple(b.shape) and bool(corners)
