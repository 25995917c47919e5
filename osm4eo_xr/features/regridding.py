"""Lazy arrays from one grid to another, chunk by chunk, as files are."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name, first_pixel, same_grid
from osm4eo_xr.rasters.warp import Warp, plan_warp


def regrid(
    data: Any, source: GeoBox, target: GeoBox, *, resampling: str, chunks: int, name: str
) -> da.Array:
    """Return an array (band, y, x) on another grid; lazy, and the same for any chunks.

    Parameters
    ----------
    data : array
        float32, NaN = no data; numpy or dask.
    source, target : GeoBox
        Its grid, and the one it comes onto.
    resampling : str
        GDAL's method; nothing is resampled where the grids share their pixels.
    chunks : int
        Rows and columns per chunk of the result, unless the grids are one.
    name : str
        What messages call it.

    Raises
    ------
    InputError
        If the two have no ground in common.
    """
    whole: Any = {0: -1}
    lazy = da.asarray(data).astype(np.float32).rechunk(whole)
    alike = same_grid(source, target) and tuple(source.shape) == tuple(target.shape)
    if alike and first_pixel(source) == first_pixel(target):
        return lazy
    warp = plan_warp(source, target, resampling)
    height, width = (int(n) for n in tuple(target.shape))
    if warp.source_window(slice(0, height), slice(0, width)) is None:
        raise InputError(
            f"{name} ({crs_name(source.crs)}, {tuple(source.boundingbox)}) does not touch the grid "
            f"({crs_name(target.crs)}, {tuple(target.boundingbox)})",
            advice="give data of that place",
        )
    rows, cols = (_cut(size, chunks) for size in (height, width))
    return da.block([[_part(lazy, warp, row, col) for col in cols] for row in rows])


def _cut(size: int, chunks: int) -> list[slice]:
    """Cut an axis into chunks."""
    return [slice(start, min(start + chunks, size)) for start in range(0, size, chunks)]


def _part(lazy: da.Array, warp: Warp, rows: slice, cols: slice) -> da.Array:
    """Return one chunk of the result."""
    shape = (int(lazy.shape[0]), rows.stop - rows.start, cols.stop - cols.start)
    window = warp.source_window(rows, cols)
    if window is None:
        return da.full(shape, np.float32("nan"), dtype=np.float32, chunks=shape)
    piece = delayed(warp.apply)(lazy[:, window[0], window[1]], window, rows, cols)
    return da.from_delayed(piece, shape, dtype=np.float32)
