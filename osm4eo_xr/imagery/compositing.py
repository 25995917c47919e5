"""Many observations to one scene: composites, lazily per chunk."""

from __future__ import annotations

import math
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError

_BLOCK_BYTES = 128 * 2**20  # of observations that one composite task holds
_LEAST_SIDE = 64


def composite(
    cube: xr.DataArray, method: Literal["medoid", "median", "best"] = "medoid"
) -> xr.Dataset:
    """Make one scene of many observations, lazily.

    An observation counts at a pixel if all its bands are valid there. ``"medoid"`` is the
    observation closest to the per-band medians (squared distance summed over bands; Flood 2013,
    doi:10.3390/rs5126481), so its bands were seen together. ``"median"`` takes each band's median
    by itself. ``"best"`` is the observation with the highest NDVI (Holben 1986); nir below 0
    counts as 0, and observations whose red is not above 0 are taken only where there is no other.

    Parameters
    ----------
    cube : DataArray
        (time, band, y, x) float32 reflectance, NaN = no data or masked.
    method : str
        "medoid", "median" or "best".

    Returns
    -------
    Dataset
        ``reflectance`` (band, y, x) float32, NaN = nothing seen, and ``observations`` (y, x)
        uint16. Each task holds at most 128 MB of observations, however long the series.

    Raises
    ------
    InputError
        If the cube's dims are others, the method is unknown, or "best" lacks red or nir.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr, xarray as xr
    >>> values = np.array([0.1, 0.2, 0.9], dtype="float32").reshape(3, 1, 1, 1)
    >>> cube = xr.DataArray(values, dims=("time", "band", "y", "x"), coords={"band": ["red"]})
    >>> made = oxr.composite(cube, "medoid")
    >>> round(made["reflectance"].item(), 3), made["observations"].item()
    (0.2, 3)
    """
    if cube.dims != ("time", "band", "y", "x"):
        raise InputError(
            f"cube has dims {cube.dims}, expected (time, band, y, x)", advice="transpose it"
        )
    if method not in ("medoid", "median", "best"):
        raise InputError(f"method {method!r} is unknown", advice="use 'medoid', 'median' or 'best'")
    names = [str(b) for b in cube["band"].values]
    if method == "best" and not {"red", "nir"} <= set(names):
        raise InputError(f"method 'best' needs bands red and nir; the cube has {', '.join(names)}")
    source: Any = cube.data
    lazy = isinstance(source, da.Array)
    source = _long_blocks(source if lazy else da.from_array(source, chunks=source.shape))
    places = (names.index("red"), names.index("nir")) if method == "best" else (0, 0)
    joint = source.map_blocks(
        _composite_block,
        method,
        places,
        dtype=np.float32,
        drop_axis=0,
        chunks=((len(names) + 1,), source.chunks[2], source.chunks[3]),
        meta=np.empty((0, 0, 0), np.float32),
    )
    if not lazy:
        joint = joint.compute()
    coords = {k: v for k, v in cube.coords.items() if "time" not in v.dims}
    dims = ("band", "y", "x")
    plain = {k: v for k, v in coords.items() if "band" not in v.dims}
    seen = xr.DataArray(joint[-1].astype(np.uint16), dims=dims[1:], coords=plain)
    reflectance = xr.DataArray(joint[:-1], dims=dims, coords=coords, attrs=cube.attrs)
    return xr.Dataset({"reflectance": reflectance, "observations": seen})


def with_observations(made: xr.Dataset) -> xr.DataArray:
    """Return a composite with its counts as last band, so that one file holds both.

    Parameters
    ----------
    made : Dataset
        From ``composite``.

    Returns
    -------
    DataArray
        (band, y, x) float32: reflectance (NaN = nothing seen) and the band ``observations``.
    """
    scene = made["reflectance"]
    counts = made["observations"].astype(np.float32).expand_dims(band=["observations"])
    return xr.concat([scene, counts], "band", combine_attrs="override").rename("reflectance")


def block_side(observations: int, bands: int) -> int:
    """Return rows and columns per chunk with which all observations stay in a task's memory."""
    side = math.isqrt(_BLOCK_BYTES // (4 * max(observations * bands, 1)))
    return max(_LEAST_SIDE, min(side // _LEAST_SIDE * _LEAST_SIDE, 1024))


def _long_blocks(source: da.Array) -> da.Array:
    """Rechunk to the whole of time and band, and to fewer pixels where memory asks for it."""
    times, bands, *_ = source.shape
    side = block_side(int(times), int(bands))
    finer: Any = {0: -1, 1: -1}
    for axis in (2, 3):
        if max(source.chunks[axis]) > side:
            finer[axis] = tuple(part for whole in source.chunks[axis] for part in _cut(whole, side))
    return source.rechunk(finer)


def _cut(whole: int, side: int) -> list[int]:
    """Cut a chunk into pieces of ``side`` and a rest, so that no piece spans two chunks."""
    return [side] * (whole // side) + ([whole % side] if whole % side else [])


def _composite_block(block: np.ndarray, method: str, places: tuple[int, int]) -> np.ndarray:
    """Return (band + 1, y, x) float32: the composite and, last, the number of observations."""
    from osm4eo_xr.imagery.composite_kernels import greenest, medians

    if block.size == 0:
        return np.empty((block.shape[1] + 1, *block.shape[2:]), np.float32)
    cube = np.ascontiguousarray(block, np.float32)
    if method == "best":
        out, counts = greenest(cube, *places)
    else:
        out, counts = medians(cube, method == "medoid")
    return np.concatenate([out, counts[np.newaxis].astype(np.float32)])
