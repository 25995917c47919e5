"""What lies around a cloud: a margin, and the shadow that it throws; both across chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from scipy.ndimage import binary_dilation, binary_opening

from osm4eo_xr.imagery.clouds.rule import CLOUD, DARK

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64, UInt8

Halo = dict[int, tuple[int, int]]


def grow(flagged: da.Array, radius: int) -> da.Array:
    """Grow True areas of a lazy (y, x) mask by a disc of a radius in pixels."""
    if not radius:
        return flagged
    halo = {0: (radius, radius), 1: (radius, radius)}
    return _with_halo(dilate, flagged, halo, radius=radius)


def add_shadows(
    codes: da.Array, steps: Int64[np.ndarray, "step two"], radius: int = 0, core: int = 0
) -> da.Array:
    """Return a lazy (y, x) mask of clouds, grown by a radius in pixels, and of their shadows.

    Parameters
    ----------
    codes : dask array (y, x) uint8
        From ``look_at_pixels``.
    steps : ndarray (step, 2) int64
        From ``steps_to_sun``.
    radius : int
        By which clouds grow; shadows do not.
    core : int
        Clouds that hold no square of ``2 * core + 1`` pixels are none.
    """
    low = np.minimum(steps.min(axis=0, initial=0), -radius) - 2 * core
    high = np.maximum(steps.max(axis=0, initial=0), radius) + 2 * core
    halo = {axis: (int(-low[axis]), int(high[axis])) for axis in (0, 1)}
    about = {"steps": steps, "radius": radius, "core": core}
    return _with_halo(_clouds_and_shadows, codes, halo, **about)


def _with_halo(function: Any, source: da.Array, halo: Halo, **options: Any) -> da.Array:
    """Apply a function of (y, x) to blocks with a margin of their neighbors'; keep the chunks."""
    sizes = source.shape
    depth = {a: (min(b, sizes[a]), min(f, sizes[a])) for a, (b, f) in halo.items()}
    if not any(sizes[a] for a in depth) or not source.size:
        return source.astype(bool)
    made: Any = da.map_overlap(
        function,
        source,
        depth=depth,
        boundary="none",
        dtype=bool,
        meta=np.empty((0, 0), bool),
        **options,
    )
    return made.rechunk(source.chunks)


def _clouds_and_shadows(
    codes: UInt8[np.ndarray, "y x"],
    *,
    steps: Int64[np.ndarray, "step two"],
    radius: int,
    core: int,
) -> Bool[np.ndarray, "y x"]:
    cloud = without_specks(codes & CLOUD > 0, core)
    return dilate(cloud, radius=radius) | shaded(cloud, codes & DARK > 0, steps)


def without_specks(flagged: Bool[np.ndarray, "y x"], core: int) -> Bool[np.ndarray, "y x"]:
    """Keep the pixels of True squares of ``2 * core + 1`` pixels."""
    if not core or not flagged.any():
        return flagged
    side = 2 * core + 1
    return binary_opening(flagged, structure=np.ones((side, side), bool))


def dilate(flagged: Bool[np.ndarray, "y x"], *, radius: int) -> Bool[np.ndarray, "y x"]:
    """Grow True areas by a disc."""
    if not radius or not flagged.any():
        return flagged
    reach = np.arange(-radius, radius + 1)
    disc = reach[:, np.newaxis] ** 2 + reach**2 <= radius**2
    return binary_dilation(flagged, structure=disc)


def shaded(
    cloud: Bool[np.ndarray, "y x"],
    dark: Bool[np.ndarray, "y x"],
    steps: Int64[np.ndarray, "step two"],
) -> Bool[np.ndarray, "y x"]:
    """Return the dark pixels that have a cloud at one of some steps from them.

    Parameters
    ----------
    cloud, dark : ndarray (y, x) bool
        Beyond their edges there is no cloud.
    steps : ndarray (step, 2) int64
        Rows and columns to add.
    """
    out = np.zeros_like(cloud)
    if not len(steps) or not cloud.any():
        return out
    below, above = np.maximum(-steps.min(axis=0), 0), np.maximum(steps.max(axis=0), 0)
    padded = np.pad(cloud, [(below[a], above[a]) for a in (0, 1)])
    width = padded.shape[1]
    flat, rows_and_cols = padded.ravel(), np.nonzero(dark)
    left = (rows_and_cols[0] + below[0]) * width + rows_and_cols[1] + below[1]
    for row, col in steps:
        hit = flat[left + (row * width + col)]
        found = left[hit]
        out[found // width - below[0], found % width - below[1]] = True
        left = left[~hit]
    return out
