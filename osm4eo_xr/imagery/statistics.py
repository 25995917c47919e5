"""Robust statistics of a scene's bands, from counts that add up."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError

_LOW, _HIGH, _BINS = -0.5, 2.0, 25000  # bins of 1e-4 reflectance, one digital number each
_QUANTILES = (0.02, 0.5, 0.98)


def band_statistics(scene: xr.DataArray) -> xr.Dataset:
    """Return robust statistics of each band, lazily for a lazy scene.

    Each chunk yields a histogram with bins of 1e-4 reflectance from -0.5 to 2 (values beyond fall
    into the end bins), which add up; quantiles come from the sum and are good to one bin.

    Parameters
    ----------
    scene : DataArray
        (…, band, y, x) float32 reflectance, NaN = no data.

    Returns
    -------
    Dataset
        Over (band): ``p02``, ``p50``, ``p98``, ``mean``, ``std``, ``min``, ``max`` (float32,
        reflectance; NaN without valid pixels) and ``count`` (int64, valid pixels).

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr, xarray as xr
    >>> values = np.array([[[0.1, 0.2, 0.3, np.nan]]], dtype="float32")
    >>> scene = xr.DataArray(values, dims=("band", "y", "x"), coords={"band": ["red"]})
    >>> seen = oxr.band_statistics(scene)
    >>> int(seen["count"][0]), round(float(seen["mean"][0]), 3)
    (3, 0.2)
    """
    if "band" not in scene.dims:
        raise InputError(
            f"scene has dims {scene.dims}", advice="band statistics need a band dimension"
        )
    stacked: Any = scene.transpose("band", ...).data
    if not isinstance(stacked, da.Array):
        stacked = da.from_array(stacked)
    all_bands: Any = {0: -1}
    stacked = stacked.rechunk(all_bands)
    parts: list[da.Array] = [
        da.from_delayed(_delayed_counts(block), (stacked.shape[0], _BINS + 5), np.float64)
        for block in stacked.to_delayed().ravel()
    ]
    table = _add_up(parts).map_blocks(
        _statistics_of_counts, dtype=np.float64, chunks=((stacked.shape[0],), (8,))
    )
    if not isinstance(scene.data, da.Array):
        table = table.compute()
    names = ("p02", "p50", "p98", "mean", "std", "min", "max")
    variables: dict[str, Any] = {
        name: ("band", table[:, i].astype(np.float32)) for i, name in enumerate(names)
    }
    variables["count"] = ("band", table[:, 7].astype(np.int64))
    return xr.Dataset(variables, coords={"band": scene["band"].values})


def _delayed_counts(block: Any) -> Any:
    """Wrap one block's counts as a delayed call."""
    from dask.delayed import delayed

    return delayed(_counts, pure=True)(block)


def _counts(block: np.ndarray) -> np.ndarray:
    """Return per band histogram, n, sum, sum of squares, -min, max of (band, …) reflectance."""
    flat = block.reshape(block.shape[0], -1)
    out = np.zeros((flat.shape[0], _BINS + 5))
    out[:, -2:] = -np.inf
    for row, band in zip(out, flat, strict=True):
        valid = band[np.isfinite(band)].astype(np.float64)
        if valid.size == 0:
            continue
        bins = np.clip((valid - _LOW) * (_BINS / (_HIGH - _LOW)), 0, _BINS - 1).astype(np.intp)
        row[:_BINS] = np.bincount(bins, minlength=_BINS)
        row[_BINS:] = (valid.size, valid.sum(), (valid**2).sum(), -valid.min(), valid.max())
    return out


def _add_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Add two blocks' counts; extremes are compared."""
    return np.concatenate([a[:, :-2] + b[:, :-2], np.maximum(a[:, -2:], b[:, -2:])], axis=1)


def _add_up(parts: list[da.Array]) -> da.Array:
    """Merge counts pairwise, as a tree."""
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [
            da.map_blocks(_add_counts, *pair, dtype=np.float64) if len(pair) > 1 else pair[0]
            for pair in pairs
        ]
    return parts[0]


def _statistics_of_counts(counts: np.ndarray) -> np.ndarray:
    """Return (band, 8): quantiles, mean, std, min, max, count."""
    out = np.full((counts.shape[0], 8), np.nan)
    width = (_HIGH - _LOW) / _BINS
    for row, band in zip(out, counts, strict=True):
        n, total, squares, lowest, highest = band[_BINS:]
        row[7] = n
        if n == 0:
            continue
        reached = np.searchsorted(np.cumsum(band[:_BINS]), np.array(_QUANTILES) * n)
        row[:3] = np.clip(_LOW + (reached + 0.5) * width, -lowest, highest)
        mean = total / n
        row[3:7] = mean, np.sqrt(max(squares / n - mean**2, 0.0)), -lowest, highest
    return out
