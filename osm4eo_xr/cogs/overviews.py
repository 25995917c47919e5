"""Kernels that shrink a block by whole factors: the mode of classes, the mean of quantities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Num, UInt

_HALF = 2  # scale of the largest overview, which has a kernel of its own
_COUNTED = 4  # scale whose cells are counted, so that those of larger scales add up
_FEW = 32  # classes for which counts of all cells are kept


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
            none = -1 if nodata is None else int(nodata)
            if scale == _HALF:
                _halve(block[band], none, out[band])
            else:
                _mode(block[band], scale, none, out[band])
        else:
            fill = math.nan if nodata is None else float(nodata)
            _mean(block[band], scale, fill, out[band], out.dtype.kind != "f")
    return out


def shrink_all(
    block: Num[np.ndarray, "band y x"],
    scales: Sequence[int],
    *,
    classes: bool,
    nodata: float | None = None,
) -> list[Num[np.ndarray, "band h w"]]:
    """Shrink ``block`` by several powers of two, each time from the full resolution.

    Equal to ``shrink`` for each scale, but counts classes once.

    Parameters
    ----------
    block : ndarray (band, y, x)
        As in ``shrink``.
    scales : sequence of int
        Ascending powers of two.
    classes, nodata
        As in ``shrink``.
    """
    apart = [s for s in scales if s < _COUNTED]
    levels = [shrink(block, s, classes=classes, nodata=nodata) for s in apart]
    rest = scales[len(apart) :]
    none = -1 if nodata is None else int(nodata) if classes else 0
    kinds = int(np.max(block, where=block != none, initial=0)) + 1 if classes else 0
    if not rest or not 0 < kinds <= _FEW:
        return levels + [shrink(block, s, classes=classes, nodata=nodata) for s in rest]
    bands = [_modes(band, rest, none, kinds) for band in block]
    return levels + [np.stack(level) for level in zip(*bands, strict=True)]


def _modes(
    band: UInt[np.ndarray, "y x"], scales: Sequence[int], nodata: int, kinds: int
) -> list[UInt[np.ndarray, "h w"]]:
    """Return the modes at powers of two from ``_COUNTED`` on; ``kinds`` is above all classes."""
    counts, reached, found = _count(band, _COUNTED, nodata, kinds), _COUNTED, []
    for scale in scales:
        while reached < scale:
            counts, reached = _add_up(counts), 2 * reached
        out = np.empty(counts.shape[:2], band.dtype)
        _pick(band, scale, nodata, counts, out)
        found.append(out)
    return found


@numba.njit(nogil=True, cache=True)
def _count(block: np.ndarray, scale: int, nodata: int, kinds: int) -> np.ndarray:
    """Count the classes of each cell."""
    height, width = block.shape
    counts = np.zeros((-(-height // scale), -(-width // scale), kinds), np.int32)
    for y in range(height):
        row = counts[y // scale]
        for x in range(width):
            if block[y, x] != nodata:
                row[x // scale, block[y, x]] += 1
    return counts


@numba.njit(nogil=True, cache=True)
def _add_up(counts: np.ndarray) -> np.ndarray:
    """Sum the counts of four cells each."""
    height, width, kinds = counts.shape
    total = np.zeros((-(-height // 2), -(-width // 2), kinds), np.int32)
    for y in range(height):
        for x in range(width):
            for k in range(kinds):
                total[y // 2, x // 2, k] += counts[y, x, k]
    return total


@numba.njit(nogil=True, cache=True)
def _pick(block: np.ndarray, scale: int, nodata: int, counts: np.ndarray, out: np.ndarray) -> None:
    """Take the class of the highest count; where two have it, look which was first."""
    scratch = np.zeros(max(counts.shape[2], nodata + 1), np.int64)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            best, most, tied = nodata, 0, False
            for k in range(counts.shape[2]):
                n = counts[i, j, k]
                if n > most:
                    best, most, tied = k, n, False
                elif n == most and n > 0:
                    tied = True
            if tied:
                cell = block[i * scale : (i + 1) * scale, j * scale : (j + 1) * scale]
                out[i, j] = _most_frequent(cell, nodata, scratch)
            else:
                out[i, j] = best


@numba.njit(nogil=True, cache=True)
def _halve(block: np.ndarray, nodata: int, out: np.ndarray) -> None:
    """Take the mode of cells of two by two pixels."""
    height, width = block.shape
    for i in range(out.shape[0]):
        row = block[2 * i]
        # At an odd edge the last pixels stand in for those that are missing: each then counts
        # twice, in the same order, so the mode stays.
        below = block[min(2 * i + 1, height - 1)]
        for j in range(out.shape[1]):
            left, right = 2 * j, min(2 * j + 1, width - 1)
            out[i, j] = _mode_of_four(row[left], row[right], below[left], below[right], nodata)


@numba.njit(nogil=True, cache=True)
def _mode_of_four(a: int, b: int, c: int, d: int, nodata: int) -> int:
    """Return the mode of four; of two pairs the one that is complete first, else the first."""
    if a != nodata and (a == b) | (a == c):
        return a
    if b != nodata and b == c:
        return b
    if a != nodata and a == d:
        return a
    if b != nodata and b == d:
        return b
    if c != nodata and (c == d or a == b == nodata):
        return c
    first = a if a != nodata else b
    return first if first != nodata else d


@numba.njit(nogil=True, cache=True)
def _mode(block: np.ndarray, scale: int, nodata: int, out: np.ndarray) -> None:
    counts = np.zeros(int(block.max()) + 1, np.int64)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            y, x = i * scale, j * scale
            cell = block[y : y + scale, x : x + scale]
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
