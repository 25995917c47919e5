"""Many observations to the features of periods: medoids and percentiles, lazily per chunk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.compositing import block_side, composite

if TYPE_CHECKING:
    from jaxtyping import Float32

_PERCENTILE = re.compile(r"p(\d{1,3})")
_SEASON = ("winter", "spring", "summer", "autumn")
_DECEMBER = 12
_HIGHEST = 100
PERIODS = ("month", "season", "year")
"""How the observations of a series can be divided."""


def split_periods(cube: xr.DataArray, by: str) -> dict[str, xr.DataArray]:
    """Return the observations of each period, in order of time.

    Parameters
    ----------
    cube : DataArray
        (time, band, y, x).
    by : {"month", "season", "year"}
        Seasons are the meteorological ones; December belongs to the next year's winter.

    Raises
    ------
    InputError
        If times are none.
    """
    times = cube["time"]
    if times.dtype.kind != "M":
        raise InputError(
            f"times of the series are {times.dtype}", expected="dates, as numpy's datetime64"
        )
    names = [
        _period(int(y), int(m), by) for y, m in zip(times.dt.year, times.dt.month, strict=True)
    ]
    order = dict.fromkeys(names[k] for k in np.argsort(times.to_numpy(), kind="stable"))
    return {name: cube[[k for k, n in enumerate(names) if n == name]] for name in order}


def _period(year: int, month: int, by: str) -> str:
    if by == "year":
        return f"{year:04d}"
    if by == "month":
        return f"{year:04d}-{month:02d}"
    return f"{year + (month == _DECEMBER):04d}-{_SEASON[month % 12 // 3]}"


def reduce_period(
    cube: xr.DataArray, statistics: tuple[str, ...]
) -> tuple[list[str], xr.DataArray]:
    """Return names of features, and the features (band, y, x) of one period; lazy.

    Parameters
    ----------
    cube : DataArray
        (time, band, y, x) float32, NaN = no data. An observation counts at a pixel if all its
        bands are there.
    statistics : tuple of str
        "medoid", "best" (highest NDVI), which keep the names of bands, or percentiles "p0" to
        "p100", which add themselves: ``nir_p90``. Percentiles lie on straight lines between
        observations.

    Raises
    ------
    InputError
        If a statistic is unknown, or two give features of one name.
    """
    if {"medoid", "best"} <= {*statistics}:
        raise InputError("statistics are medoid and best", expected="one of the two")
    names, parts = [], []
    bands = [str(band) for band in cube["band"].to_numpy()]
    for statistic in statistics:
        share = percentile_of(statistic)
        if share is None:
            names += bands
            parts.append(composite(cube, statistic)["reflectance"].data)  # pyright: ignore[reportArgumentType] - checked
        else:
            names += [f"{band}_{statistic}" for band in bands]
            parts.append(_percentiles(cube, share))
    flat = cube.isel(time=0, drop=True)
    data = da.concatenate([da.asarray(part) for part in parts])
    coords = {name: flat.coords[name] for name in flat.coords if "band" not in flat[name].dims}
    return names, xr.DataArray(data, dims=("band", "y", "x"), coords=coords, attrs=cube.attrs)


def percentile_of(statistic: str) -> float | None:
    """Return the per cent that a statistic names; None for medoid and best.

    Raises
    ------
    InputError
        If it is none of these.
    """
    found = _PERCENTILE.fullmatch(statistic)
    if found and int(found[1]) <= _HIGHEST:
        return float(found[1])
    if statistic not in ("medoid", "best"):
        raise InputError(
            f"statistic {statistic!r} is unknown", expected="medoid, best or p0 to p100"
        )
    return None


def _percentiles(cube: xr.DataArray, share: float) -> da.Array:
    """Return the percentile of each band (band, y, x); lazy."""
    lazy = da.asarray(cube.data).astype(np.float32)
    times, bands, *_ = lazy.shape
    side = block_side(int(times), int(bands))
    chunks: Any = {0: -1, 1: -1, 2: side, 3: side}
    meta = np.empty((0, 0, 0), np.float32)
    return lazy.rechunk(chunks).map_blocks(
        percentile, share, dtype=np.float32, drop_axis=0, meta=meta
    )


def percentile(
    observations: Float32[np.ndarray, "t b y x"], share: float
) -> Float32[np.ndarray, "b y x"]:
    """Return a percentile over complete observations, NaN where there is none.

    Linear between order statistics: type 7 of Hyndman and Fan 1996 (doi:10.2307/2684934), as
    ``numpy.percentile``, whose variant for NaN goes pixel by pixel.
    """
    complete: Any = np.isfinite(observations).all(axis=1)
    count = complete.sum(axis=0)
    ordered = np.sort(np.where(complete[:, None], observations, np.float32("nan")), axis=0)
    place = np.maximum(count - 1, 0) * (share / _HIGHEST)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    shape = (1, *observations.shape[1:])
    below, above = (
        np.take_along_axis(ordered, np.broadcast_to(at[None, None], shape), axis=0)[0].astype(
            np.float64
        )
        for at in (low, high)
    )
    return (below + (above - below) * (place - low)).astype(np.float32)
