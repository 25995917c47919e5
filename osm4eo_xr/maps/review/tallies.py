"""Whole numbers counted chunk by chunk under a key, and added up: the same for any chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr
from dask.delayed import delayed

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name, geobox_of, same_pixels

if TYPE_CHECKING:
    from jaxtyping import Int64

_FAN = 16  # tables that are added up at a time

Kernel = Callable[..., np.ndarray]


def tally(kernel: Kernel, *rasters: xr.DataArray) -> Int64[np.ndarray, "row column"]:
    """Apply a kernel to each chunk and add up what it counts.

    Parameters
    ----------
    kernel : callable
        Takes a chunk of each raster and the first row and column of the chunk; returns int64
        (row, column), of which the first column is a key.
    rasters : DataArray (y, x) or (class, y, x)
        On one grid; cut as the first is.

    Returns
    -------
    ndarray (row, column), int64
        One row per key, ascending; the other columns are sums.
    """
    first = rasters[0].chunk()
    cuts: Any = {k: v for k, v in first.chunksizes.items() if k in ("y", "x")}
    blocks = [r.chunk({d: cuts.get(d, -1) for d in r.dims}).data.to_delayed() for r in rasters]
    tables, top = [], 0
    for i, height in enumerate(cuts["y"]):
        left = 0
        for j, width in enumerate(cuts["x"]):
            parts = [b[(0,) * (b.ndim - 2)][i, j] if b.ndim > 2 else b[i, j] for b in blocks]  # noqa: PLR2004
            tables.append(delayed(kernel)(*parts, top, left))
            left += width
        top += height
    while len(tables) > 1:
        tables = [delayed(add_up)(tables[k : k + _FAN]) for k in range(0, len(tables), _FAN)]
    return add_up([dask.compute(tables[0])[0]])  # pyright: ignore[reportPrivateImportUsage] - documented there


def add_up(tables: list[Int64[np.ndarray, "row column"]]) -> Int64[np.ndarray, "row column"]:
    """Add the rows of equal keys."""
    rows = np.concatenate(tables)
    keys, places = np.unique(rows[:, 0], return_inverse=True)
    sums = np.zeros((len(keys), rows.shape[1]), np.int64)
    np.add.at(sums, places, rows)
    sums[:, 0] = keys
    return sums


def check_grids(**rasters: xr.DataArray) -> None:
    """Refuse rasters that are not on one grid.

    Raises
    ------
    InputError
        Which names the first two that differ.
    """
    (name, first), *others = rasters.items()
    a = geobox_of(first)
    for other, raster in others:
        b = geobox_of(raster)
        if not same_pixels(a, b):
            raise InputError(
                f"{name} ({a.shape}, {crs_name(a.crs)}) and {other} ({b.shape}, "
                f"{crs_name(b.crs)}) are not on one grid",
                advice=f"give the {other} of the same map",
            )
