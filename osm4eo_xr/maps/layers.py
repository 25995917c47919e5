"""A class map → one layer: its classes alone, as ids, CORINE codes or a mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import dask.array as da
import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.transform import Affine

from osm4eo_xr.errors import InputError, check_number
from osm4eo_xr.geometry.geodesy import meters_per_unit, pixel_area
from osm4eo_xr.geometry.grid import first_pixel, geobox_of, georeference, zero_nodata
from osm4eo_xr.geometry.known_classes import (
    OF_A_MASK,
    OF_CORINE,
    legend_of,
    with_known_classes,
)
from osm4eo_xr.legend import NO_DATA, Legend
from osm4eo_xr.maps.probability_layers import OTHER, likeliest

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    from osm4eo_xr.legend_entries import LandUseClass

Codes = Literal["id", "clc", "mask"]

MASK_NO_DATA = 255
"""No-data value of masks, where 0 says: land of another class."""

_VALUES = 256
_EPS = 1e-9
_SQUARE = 1e-6  # by which a pixel's sides may differ: coordinates are rounded
_ROUNDED = 3e-3  # of a pixel, by which edges may miss a multiple that they lie on
_FRACTION_CHUNK = 2048  # pixels


def extract_layer(
    class_map: xr.DataArray,
    layer: str | int | Sequence[str | int],
    *,
    codes: Codes | str = "id",
    min_area: float = 0.0,
    threshold: float | None = None,
    legend: Legend | None = None,
) -> xr.DataArray:
    """Return one layer, or several, of a class map or of probabilities; lazy.

    Parameters
    ----------
    class_map : DataArray
        Class ids (y, x) uint8, no data as ``attrs["nodata"]`` states, by default 0; or, with
        ``threshold``, probabilities (class, y, x) as ``classify`` and ``open_probabilities`` give
        them: uint8 (0-250, 255 = no data) or float (0-1, NaN = no data), ``class`` holding ids,
        slugs or names.
    layer : str, int or a sequence of them
        Slug, name, id, or ``"clc:NN"`` for a CORINE code; each must be in the legend.
    codes : {"id", "clc", "mask"}
        What chosen pixels hold: class id, CORINE code (uint16 where one is above 255) or 1.
    min_area : float
        In m². Patches of the layer that are smaller vanish, and so do
        smaller holes in it: an exact sieve of the layer before it is recoded, which leaves those
        whose neighbors are no data or smaller still. Pixels belong to a patch by their edges, as
        in the polygons of ``to_vector``.
    threshold : float, optional
        Above 0 to 1: a pixel belongs to the layer where the probabilities of its classes sum up
        to this or more, and to the likeliest of them.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.

    Returns
    -------
    DataArray (y, x), uint8 or uint16
        ``"id"``, ``"clc"``: 0 everywhere else, which is no data. ``"mask"``: 0 is another class
        and 255 no data. The name is the layer's slug.

    Raises
    ------
    InputError
        If the legend has no such class, the map is neither a class map nor probabilities, the
        threshold is missing or out of range, or there is ``min_area`` and pixels that differ by
        more than 1 % on the ground; when pixels are computed, if the map holds a class that the
        legend lacks.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> classes = np.array([[12, 1], [0, 12]], dtype="uint8")
    >>> box = oxr.target_geobox((4321000, 3210000, 4321020, 3210020))
    >>> class_map = georeference(classes, box, attrs={"nodata": 0})
    >>> oxr.extract_layer(class_map, "water").values
    array([[12,  0],
           [ 0, 12]], dtype=uint8)
    >>> oxr.extract_layer(class_map, "water", codes="mask").values
    array([[  1,   0],
           [255,   1]], dtype=uint8)
    """
    _check_map(class_map, threshold)
    if codes not in get_args(Codes):
        raise InputError(f"codes={codes!r}", advice=f"choose one of {', '.join(get_args(Codes))}")
    legend = legend_of(class_map, given=legend)
    wanted = [layer] if isinstance(layer, str | int) else list(layer)
    if not wanted:
        raise InputError("no layer is named", advice="give a class such as 'water'")
    classes = sorted({legend.find(name) for name in wanted}, key=lambda c: c.id)
    if threshold is not None:
        class_map = likeliest(class_map, classes, threshold, legend)
    else:
        class_map = with_known_classes(zero_nodata(class_map), legend)
    check_number("min_area", min_area)
    if min_area > 0:
        class_map = _without_small(class_map, classes, min_area)
    table = _table(classes, codes)
    data = class_map.data
    lazy = class_map.chunks is not None
    picked = data.map_blocks(_pick, table, dtype=table.dtype) if lazy else _pick(data, table)
    name = "-".join(c.slug for c in classes)
    attrs = _attrs(classes, codes, legend, class_map.attrs)
    return georeference(picked, geobox_of(class_map), attrs=attrs, name=name)


def _check_map(class_map: xr.DataArray, threshold: float | None) -> None:
    """Refuse what is neither a class map nor probabilities with a threshold."""
    dims, dtype = class_map.dims, class_map.dtype
    if threshold is None:
        if dims != ("y", "x") or dtype != np.uint8:
            raise InputError(
                f"layers are taken from a class map (y, x) of uint8, not {dims} of {dtype}",
                advice="for probabilities (class, y, x) pass {threshold}",
            )
    elif not 0 < threshold <= 1:
        raise InputError(f"threshold={threshold}", advice="give a probability above 0, at most 1")
    elif dims != ("class", "y", "x") or not (dtype == np.uint8 or dtype.kind == "f"):
        raise InputError(
            f"a threshold is for probabilities (class, y, x) of uint8 or float, not {dims} of "
            f"{dtype}",
            advice="leave it out for a class map",
        )


def _without_small(
    class_map: xr.DataArray, classes: list[LandUseClass], min_area: float
) -> xr.DataArray:
    """Sieve the layer against all other land, which becomes one class of its own."""
    from osm4eo_xr.sieving.lazy_sieve import sieve

    table = np.full(_VALUES, OTHER, np.uint8)
    table[NO_DATA] = NO_DATA
    table[[c.id for c in classes]] = [c.id for c in classes]
    lazy = class_map if class_map.chunks is not None else class_map.chunk()
    recoded = lazy.copy(data=lazy.data.map_blocks(_pick, table, dtype=np.uint8))
    size = math.ceil(min_area / pixel_area(geobox_of(class_map)))
    return sieve(recoded, size=size, connectivity=4, nodata=NO_DATA)


def _table(classes: list[LandUseClass], codes: str) -> np.ndarray:
    """Return the new value of each of the 256 old ones."""
    if codes == "mask":
        table = np.zeros(_VALUES, np.uint8)
        table[NO_DATA] = MASK_NO_DATA
        table[[c.id for c in classes]] = 1
        return table
    values = {c.id: c.id if codes == "id" else c.clc for c in classes}
    table = np.zeros(_VALUES, np.uint8 if max(values.values()) < _VALUES else np.uint16)
    table[list(values)] = list(values.values())
    return table


def _pick(block: np.ndarray, table: np.ndarray) -> np.ndarray:
    return table[block]


def _attrs(
    classes: list[LandUseClass], codes: str, legend: Legend, old: dict[Any, Any]
) -> dict[str, Any]:
    """Describe the values that are left."""
    kept = {k: v for k, v in old.items() if not str(k).startswith("flag_")}
    if codes == "mask":
        slug, color = "-".join(c.slug for c in classes), classes[0].hex_color
        flags = {
            "flag_values": [0, 1],
            "flag_meanings": f"other {slug}",
            "flag_colors": f"#ffffff {color}",
        }
        return {**kept, **flags, "legend": legend.name + OF_A_MASK, "nodata": MASK_NO_DATA}
    return {
        **kept,
        "flag_values": [c.id if codes == "id" else c.clc for c in classes],
        "flag_meanings": " ".join(c.slug for c in classes),
        "flag_colors": " ".join(c.hex_color for c in classes),
        "legend": legend.name + (OF_CORINE if codes == "clc" else ""),
        "nodata": NO_DATA,
    }


def fraction(
    class_map: xr.DataArray, resolution: float, *, legend: Legend | None = None
) -> xr.DataArray:
    """Return each class's share of the land in the cells of a coarser grid; lazy.

    Parameters
    ----------
    class_map : DataArray (y, x), uint8
        Class ids; no data as it states, by default 0.
    resolution : float
        Cell size in meters, a whole multiple of the pixel size. Cell edges lie on whole multiples
        of it, or beyond them by the part of a pixel by which the map's own edges do, half a pixel
        in maps from Landsat; the first row of cells in the north.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.

    Returns
    -------
    DataArray (class, y, x), float32
        0-1, summing to 1 over the classes; NaN where a cell has no data at all. Coordinate
        ``class`` holds slugs.

    Raises
    ------
    InputError
        If the resolution is not a whole multiple of the pixel size, pixels are not square, the CRS
        counts in degrees, or its pixels differ by more than 1 % on the ground; when pixels are
        computed, if the map holds a class that the legend lacks.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321020, 3210020))
    >>> class_map = georeference(np.array([[8, 8], [12, 0]], dtype="uint8"), box)
    >>> shares = oxr.fraction(class_map, 20)
    >>> round(shares.sel({"class": "forest"}).values.item(), 2)
    0.67
    """
    legend, fine = legend_of(class_map, given=legend), geobox_of(class_map)
    class_map = with_known_classes(zero_nodata(class_map), legend)
    factor = _pixels_of(resolution, fine)
    pixel_area(fine)  # a share of pixels is a share of land if they are of one size
    pixels, north_up = _north_up(da.asarray(class_map.data), fine)
    around, coarse = _cells_around(north_up, factor, resolution)
    padded = da.pad(pixels, around)
    padded = padded.rechunk(max(1, _FRACTION_CHUNK // factor) * factor)
    chunks: Any = padded.chunks
    cells = tuple(tuple(c // factor for c in axis) for axis in chunks)
    ids = np.array(legend.ids, np.uint8)
    shares = padded.map_blocks(
        _shares,
        factor,
        ids,
        dtype=np.float32,
        new_axis=0,
        chunks=((len(ids),), *cells),
        meta=np.empty((0, 0, 0), np.float32),
    )
    slugs = [c.slug for c in legend.classes]
    attrs = {"nodata": np.nan, "units": "1", "long_name": "share of land"}
    dims = ("class", "y", "x")
    return georeference(shares, coarse, dims=dims, coords={"class": slugs}, attrs=attrs)


def _pixels_of(resolution: float, fine: GeoBox) -> int:
    """Return how many pixels a side of a cell is long."""
    unit = meters_per_unit(fine.crs)
    width, height = (abs(side) * unit for side in fine.resolution.xy)
    if not math.isclose(width, height, rel_tol=_SQUARE):
        raise InputError(
            f"pixels of {width:g} x {height:g} m",
            expected="square ones",
            advice="warp the map to pixels of one width and height",
        )
    check_number("resolution", resolution)
    factor = round(resolution / width)
    if factor < 1 or abs(factor * width - resolution) > _EPS * resolution:
        raise InputError(
            f"{resolution} is not a whole multiple of the pixel size {width}", advice="choose one"
        )
    return factor


def _north_up(pixels: Any, grid: GeoBox) -> tuple[Any, GeoBox]:
    """Return pixels and grid with the first row in the north and the first column in the west."""
    if grid.resolution.y > 0:
        pixels, grid = pixels[::-1], grid.flipy()
    if grid.resolution.x < 0:
        pixels, grid = pixels[:, ::-1], grid.flipx()
    return pixels, grid


def _cells_around(
    fine: GeoBox, factor: int, resolution: float
) -> tuple[list[tuple[int, int]], GeoBox]:
    """Return the grid of all cells that hold a pixel, and its pixels around the map's by axis.

    Cells are counted in whole numbers, from where the CRS is 0, 0: a cell counts that a map
    overhangs by one pixel of thousands.
    """
    before, after, cells = [], [], []
    for first, pixels in zip(first_pixel(fine), fine.shape, strict=True):
        start, stop = first // factor, -(-(first + pixels) // factor)
        before.append(first - start * factor)
        after.append(stop * factor - first - pixels)
        cells.append((start, stop - start))
    (top, rows), (left, columns) = cells
    side, (down, across) = resolution / meters_per_unit(fine.crs), _part_of_a_pixel(fine)
    affine = Affine(side, 0, left * side + across, 0, -side, -top * side + down)
    return list(zip(before, after, strict=True)), GeoBox((rows, columns), affine, fine.crs)


def _part_of_a_pixel(fine: GeoBox) -> tuple[float, float]:
    """Return by how much, in y and x of the CRS, edges lie beyond whole multiples of a pixel."""
    affine, (row, column) = fine.affine, first_pixel(fine)
    beyond = affine.f / affine.e - row, affine.c / affine.a - column
    down, across = (part if abs(part) > _ROUNDED else 0.0 for part in beyond)
    return down * affine.e, across * affine.a


def _shares(
    block: UInt8[np.ndarray, "y x"], factor: int, ids: UInt8[np.ndarray, " class"]
) -> Float32[np.ndarray, "class h w"]:
    """Count the classes in cells of ``factor`` x ``factor`` pixels and divide by the valid ones."""
    height, width = (n // factor for n in block.shape)
    cells = block.reshape(height, factor, width, factor)
    counts = np.stack([(cells == k).sum(axis=(1, 3), dtype=np.int32) for k in ids])
    valid = counts.sum(axis=0)
    empty = np.full(counts.shape, np.nan, np.float32)
    return np.divide(counts, valid, out=empty, where=valid > 0).astype(np.float32)
