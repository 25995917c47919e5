"""A class raster → polygons that chunk borders do not cut."""

from __future__ import annotations

import dask.array as da
import dask.base
import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from rasterio.transform import Affine

from osm4eo_xr.errors import InputError, check_number
from osm4eo_xr.geometry.geodesy import crs_text, meters_per_unit, polygon_areas
from osm4eo_xr.geometry.grid import geobox_of, nodata_of
from osm4eo_xr.geometry.known_classes import (
    MEANINGS,
    OF_A_MASK,
    OF_CORINE,
    coded,
    legend_of,
)
from osm4eo_xr.legend import NO_DATA, Legend
from osm4eo_xr.maps.layers import MASK_NO_DATA
from osm4eo_xr.maps.polygon_tracing import count_flags, join, trace
from osm4eo_xr.progress import Progress, with_bars


@with_bars("polygons")
def to_vector(
    layer: xr.DataArray,
    *,
    legend: Legend | None = None,
    simplify: float = 0.0,
    known: xr.DataArray | None = None,
    progress: Progress | None = None,
) -> gpd.GeoDataFrame:
    """Return the polygons of a class raster; what crosses chunk borders comes out whole.

    Parameters
    ----------
    layer : DataArray (y, x), uint8 or uint16
        What ``extract_layer`` returns, or a class map; ``attrs["nodata"]`` (0 if absent) is left
        out, and so are other classes of a mask. Pixels belong together by their edges.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.
    simplify : float
        Tolerance in meters; topology between neighbors is kept. 0 keeps the
        outline of the pixels.
    known : DataArray (y, x), bool, optional
        Where the map shows what OpenStreetMap knows, on the layer's grid.
    progress : callable, optional
        Called as ``progress(done, total)`` after each chunk.

    Returns
    -------
    GeoDataFrame
        Columns ``value`` (of the pixels), ``slug``, ``area`` (m², before simplification; geodesic
        unless the CRS is equal-area), with ``known`` also ``known_share`` (0-1, of the polygon's
        pixels), and ``geometry``; ordered by value, then from north to south. The result does
        not depend on the chunks.

    Raises
    ------
    InputError
        If the raster is not (y, x) of uint8 or uint16, or is to be simplified in degrees, or
        ``known`` has another shape.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321020, 3210020))
    >>> class_map = georeference(np.array([[8, 8], [12, 0]], dtype="uint8"), box)
    >>> oxr.to_vector(class_map)["slug"].tolist()
    ['forest', 'water']
    """
    if layer.dims != ("y", "x") or layer.dtype not in (np.uint8, np.uint16):
        raise InputError(f"polygons are traced on (y, x) of uint8 or uint16, not {layer.dtype}")
    if known is not None and known.shape != layer.shape:
        raise InputError(f"known has shape {known.shape}, the layer {layer.shape}")
    check_number("simplify", simplify)
    geobox = geobox_of(layer)
    polygons, values, share = _trace_all(layer, known, progress)
    outlines = _to_crs(polygons, geobox.affine)
    area = polygon_areas(outlines, geobox.crs)
    if simplify > 0 and len(outlines):
        tolerance = simplify / meters_per_unit(geobox.crs)
        outlines = shapely.make_valid(shapely.coverage_simplify(outlines, tolerance))
    slugs = _slugs(layer, legend)
    columns = {
        "value": values.astype(np.int32),
        "slug": [slugs.get(int(v), str(v)) for v in values],
        "area": area,
        **({} if known is None else {"known_share": share.round(6)}),
    }
    return gpd.GeoDataFrame(columns, geometry=outlines, crs=crs_text(geobox.crs))


def _trace_all(
    layer: xr.DataArray, known: xr.DataArray | None, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trace chunk after chunk and join what chunk borders have cut; say how much is known."""
    data = da.asarray(layer.data)
    flags = None if known is None else da.asarray(known.data).rechunk(data.chunks)
    rows, columns = (np.cumsum((0, *c[:-1])).tolist() for c in data.chunks)
    nodata = int(nodata_of(layer, NO_DATA))
    hidden = 0 if nodata == MASK_NO_DATA else nodata
    parts, counts, total = [], [], len(rows) * len(columns)
    for i, row in enumerate(rows):
        strip = [data.blocks[i, j] for j in range(len(columns))]
        known_strip = [] if flags is None else [flags.blocks[i, j] for j in range(len(columns))]
        blocks, known_blocks = dask.base.compute(strip, known_strip)
        for k, (column, block) in enumerate(zip(columns, blocks, strict=True)):
            shown = np.where(block == nodata, hidden, block)
            parts.append(trace(shown, row, column, hidden))
            if known_blocks:
                counts.append(count_flags(parts[-1][0], known_blocks[k], row, column))
            if progress is not None:
                progress(len(parts), total)
    return join(parts, rows, columns, counts)


def _to_crs(polygons: np.ndarray, affine: Affine) -> np.ndarray:
    """Take polygons from pixel coordinates into those of the raster's CRS."""
    linear = np.array([[affine.a, affine.b], [affine.d, affine.e]])
    return shapely.transform(polygons, lambda xy: xy @ linear.T + (affine.c, affine.f))


def _slugs(layer: xr.DataArray, legend: Legend | None) -> dict[int, str]:
    """Return the short name of each value, from the attrs if they have them."""
    plain, how = coded(layer)
    known = legend_of(plain, given=legend)
    values = np.atleast_1d(layer.attrs.get("flag_values", []))
    names = str(layer.attrs.get("flag_meanings", "")).split()
    if len(values) and len(values) == len(names):
        return {int(v): n for v, n in zip(values, names, strict=True)}
    if how == OF_A_MASK:
        return {1: str(layer.name or "1")}
    if how not in ("", OF_CORINE):
        return dict(enumerate(MEANINGS.get(how, ()), 1))
    return {c.clc if how else c.id: c.slug for c in known.classes}
