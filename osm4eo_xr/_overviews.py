"""Kernels that shrink a block by whole factors: the mode of classes, the mean of quantities."""

from __future__ import annotations

import math

import numba
import numpy as np
from jaxtyping import Num


def shrink(
    block: Num[np.ndarray, "band y x"],
    scale: int,
    *,
    classes: bool,
    nodata: float | None = None,
) -> Num[np.ndarray, "band h w"]:
    """Shrink ``block`` by ``scale`` in y and x; cells at the lower and right edge may be partial.

    Parameters
    ----------
    block : ndarray (band, y, x)
        Pixels; classes are uint8 or uint16.
    scale : int
        Pixels per cell and axis.
    classes : bool
        True takes the mode (of equally frequent classes the one that is first to reach its count,
        row by row, as GDAL does), False the mean in float64, rounded for integers.
    nodata : float or None
        Value that does not count; a cell of nothing else keeps it. NaN never counts.
    """
    height, width = (-(-n // scale) for n in block.shape[1:])
    out = np.empty((block.shape[0], height, width), block.dtype)
    for band in range(block.shape[0]):
        if classes:
            _mode(block[band], scale, -1 if nodata is None else int(nodata), out[band])
        else:
            fill = math.nan if nodata is None else float(nodata)
            _mean(block[band], scale, fill, out[band], out.dtype.kind != "f")
    return out


@numba.njit(nogil=True, cache=True)
def _mode(block: np.ndarray, scale: int, nodata: int, out: np.ndarray) -> None:
    counts = np.zeros(int(block.max()) + 1, np.int64)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            cell = block[i * scale : (i + 1) * scale, j * scale : (j + 1) * scale]
            out[i, j] = _most_frequent(cell, nodata, counts)


@numba.njit(nogil=True, cache=True)
def _most_frequent(cell: np.ndarray, nodata: int, counts: np.ndarray) -> int:
    """Return the mode of a cell; ``counts`` is all zero before and after."""
    best, most = cell[0, 0], 0
    run, length = best, 0  # land use comes in runs: count them whole
    for y in range(cell.shape[0]):
        for x in range(cell.shape[1]):
            if cell[y, x] == run:
                length += 1
                continue
            if run != nodata:
                counts[run] += length
                if counts[run] > most:
                    best, most = run, counts[run]
            run, length = cell[y, x], 1
    if run != nodata and counts[run] + length > most:
        best = run
    if most > 0:
        for value in cell.flat:
            counts[value] = 0
    return best


@numba.njit(nogil=True, cache=True)
def _mean(
    block: np.ndarray,
    scale: int,
    nodata: float,
    out: np.ndarray,
    rounded: bool,  # noqa: FBT001 - numba takes no keyword-only arguments
) -> None:
    for i in range(out.shape[0]):
        rows = range(i * scale, min((i + 1) * scale, block.shape[0]))
        for j in range(out.shape[1]):
            columns = range(j * scale, min((j + 1) * scale, block.shape[1]))
            total, n = 0.0, 0
            for y in rows:
                for x in columns:
                    value = float(block[y, x])
                    if value != nodata and not np.isnan(value):
                        total += value
                        n += 1
            if n == 0:
                out[i, j] = block[i * scale, j * scale]
            elif rounded:
                out[i, j] = np.floor(total / n + 0.5)
            else:
                out[i, j] = total / n
