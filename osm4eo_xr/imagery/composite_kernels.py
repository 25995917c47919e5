"""Per-pixel composites of a block of observations."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def _median(values: np.ndarray, count: int) -> float:
    """Return the median of the first ``count`` values, which it sorts in place."""
    for i in range(1, count):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    middle = count // 2
    if count % 2:
        return values[middle]
    return (values[middle - 1] + values[middle]) / 2


@njit(nogil=True, cache=True)
def _valid(cube: np.ndarray, y: int, x: int, times: np.ndarray) -> int:
    """Put the observations that are complete at a pixel into ``times``; return their number."""
    count = 0
    for t in range(cube.shape[0]):
        complete = True
        for b in range(cube.shape[1]):
            if not np.isfinite(cube[t, b, y, x]):
                complete = False
                break
        if complete:
            times[count] = t
            count += 1
    return count


@njit(nogil=True, cache=True)
def _nearest(cube: np.ndarray, y: int, x: int, chosen: np.ndarray, center: np.ndarray) -> int:
    """Return the observation closest to ``center``, the earliest of equals."""
    best, least = chosen[0], np.inf
    for t in chosen:
        distance = 0.0
        for b in range(cube.shape[1]):
            distance += (cube[t, b, y, x] - center[b]) ** 2
        if distance < least:
            best, least = t, distance
    return best


@njit(nogil=True, cache=True)
def medians(cube: np.ndarray, pick: bool) -> tuple[np.ndarray, np.ndarray]:  # noqa: FBT001 -- compiled
    """Return per-band medians or, if ``pick``, the observation closest to them, and the counts.

    Parameters
    ----------
    cube : ndarray
        (time, band, y, x) float32; an observation counts if no band of it is NaN.
    pick : bool
        Whether to return the medoid: the observation whose squared distance to the medians,
        summed over bands, is least (the earliest of equals).

    Returns
    -------
    tuple of ndarray
        (band, y, x) float32 with NaN where nothing was seen, and (y, x) uint16 counts.
    """
    times, bands, height, width = cube.shape
    out = np.full((bands, height, width), np.nan, np.float32)
    counts = np.zeros((height, width), np.uint16)
    chosen = np.empty(times, np.intp)
    values = np.empty(times, np.float64)
    center = np.empty(bands, np.float64)
    for y in range(height):
        for x in range(width):
            count = _valid(cube, y, x, chosen)
            counts[y, x] = count
            if count == 0:
                continue
            for b in range(bands):
                for i in range(count):
                    values[i] = cube[chosen[i], b, y, x]
                center[b] = _median(values, count)
            if not pick:
                for b in range(bands):
                    out[b, y, x] = center[b]
                continue
            best = _nearest(cube, y, x, chosen[:count], center)
            for b in range(bands):
                out[b, y, x] = cube[best, b, y, x]
    return out, counts


@njit(nogil=True, cache=True)
def greenest(cube: np.ndarray, red: int, nir: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the observation with the highest NDVI, and the counts (shapes as ``medians``).

    nir below 0 counts as 0. Where red is not above 0, NDVI says nothing of plants: such an
    observation is taken only where there is no other.
    """
    times, bands, height, width = cube.shape
    out = np.full((bands, height, width), np.nan, np.float32)
    counts = np.zeros((height, width), np.uint16)
    chosen = np.empty(times, np.intp)
    for y in range(height):
        for x in range(width):
            count = _valid(cube, y, x, chosen)
            counts[y, x] = count
            best, highest = -1, -np.inf
            for i in range(count):
                r, n = cube[chosen[i], red, y, x], max(cube[chosen[i], nir, y, x], np.float32(0))
                ndvi = (n - r) / (n + r) if r > 0 else -2.0
                if ndvi > highest:
                    best, highest = chosen[i], ndvi
            if best >= 0:
                for b in range(bands):
                    out[b, y, x] = cube[best, b, y, x]
    return out, counts
