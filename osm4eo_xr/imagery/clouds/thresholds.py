"""The rule on reflectances as a lazy mask: pixels, then dates, then margins and shadows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import meters_per_unit
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.imagery.clouds.dates import compare_dates
from osm4eo_xr.imagery.clouds.rule import NEEDED, USED, CloudRule, Level, look_at_pixels
from osm4eo_xr.imagery.clouds.shadows import add_shadows
from osm4eo_xr.imagery.clouds.sun import Sun, steps_to_sun, suns_of
from osm4eo_xr.imagery.compositing import block_side

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

_DEGREE = 111_200.0  # of latitude, m
_KEPT = 4  # bytes for codes and comparisons that go with a reflectance of each date


def clouds_by_rule(
    cube: xr.DataArray,
    rule: CloudRule,
    level: Level,
    sun: tuple[float, float] | None,
    dilation: int,
) -> tuple[da.Array, str]:
    """Return a lazy mask (time, y, x) of clouds and shadows, and in words how it was made.

    Parameters
    ----------
    cube : DataArray
        (time, band, y, x) float32 reflectance on dask, NaN = no data.
    rule, level, sun, dilation
        As in ``mask_clouds``.

    Raises
    ------
    InputError
        If a band that the rule needs is missing.
    """
    names = [str(b) for b in cube["band"].values]
    missing = [b for b in NEEDED if b not in names]
    if missing:
        raise InputError(
            f"the rule for clouds needs {', '.join(NEEDED)}; the scene lacks {', '.join(missing)}",
            advice="open it with these bands, or use another method",
        )
    used = [b for b in USED if b in names]
    grid = _grid_of(cube)
    suns = suns_of(cube, grid, sun)
    data = cube.data[:, [names.index(b) for b in used]].rechunk({1: -1})
    codes = [
        data[t].map_blocks(
            look_at_pixels,
            {b: k for k, b in enumerate(used)},
            rule,
            rule.limit(level, seen.zenith if seen else None),
            dtype=np.uint8,
            drop_axis=0,
            meta=np.empty((0, 0), np.uint8),
        )
        for t, seen in enumerate(suns)
    ]
    if len(codes) > 1:
        codes = _compared(codes, data, cube["time"].values, rule)
    steps = [_steps(grid, seen, rule) for seen in suns]
    core = _core(grid, rule)
    masks = [add_shadows(c, s, dilation, core) for c, s in zip(codes, steps, strict=True)]
    return da.stack(masks), _words(rule, level, suns, steps)


def _grid_of(cube: xr.DataArray) -> GeoBox | None:
    """Return the grid; None of arrays that have no place on the ground."""
    try:
        return geobox_of(cube)
    except InputError:
        return None


def _core(grid: GeoBox | None, rule: CloudRule) -> int:
    """Return how many pixels the smallest cloud reaches to each side of its middle."""
    if grid is None or grid.crs is None:
        return 0
    unit = _DEGREE if grid.crs.geographic else meters_per_unit(grid.crs)
    return int((rule.smallest / (abs(grid.resolution.y) * unit) - 1) / 2 + 1e-6)


def _steps(grid: GeoBox | None, sun: Sun | None, rule: CloudRule) -> np.ndarray:
    if grid is None or not rule.shadows:
        return np.empty((0, 2), np.int64)
    return steps_to_sun(grid, sun, rule.heights)


def _compared(codes: list[Any], data: Any, times: np.ndarray, rule: CloudRule) -> list[Any]:
    """Return the codes after a comparison with the other dates, chunked as before."""
    known = np.issubdtype(times.dtype, np.datetime64)
    days = (times - times[0]) / np.timedelta64(1, "D") if known else np.zeros(len(times))
    chunks = codes[0].chunks
    side = block_side(len(codes), 2 + _KEPT)
    every: Any = da.stack(codes).rechunk({0: -1, 1: side, 2: side})
    blue, red = (data[:, k].rechunk(every.chunks) for k in (0, 2))  # as NEEDED begins
    compared = da.map_blocks(
        compare_dates,
        every,
        blue,
        red,
        days=days.astype(np.float64),
        rise=rule.rise,
        dtype=np.uint8,
        meta=np.empty((0, 0, 0), np.uint8),
    )
    return [compared[t].rechunk(chunks) for t in range(len(codes))]


def _words(rule: CloudRule, level: Level, suns: list[Sun | None], steps: list[np.ndarray]) -> str:
    """Return how clouds and shadows were found."""
    haze = sorted({rule.limit(level, s.zenith if s else None) for s in suns})
    limits = " to ".join(f"{h:.3f}" for h in dict.fromkeys((haze[0], haze[-1])))
    with_shadows = sum(len(s) > 0 for s in steps)
    if not rule.shadows:
        shadows = "no shadows: left out"
    elif not with_shadows:
        shadows = "no shadows: the sun is not known"
    elif with_shadows < len(steps):
        shadows = f"shadows by the sun of {with_shadows} of {len(steps)} dates"
    else:
        known = [s for s in suns if s is not None]
        parts = []
        for name in ("azimuth", "zenith"):
            ends = [f"{end(getattr(s, name) for s in known):.1f}" for end in (min, max)]
            parts.append(f"{name} {' to '.join(dict.fromkeys(ends))}")
        shadows = f"shadows by the sun ({', '.join(parts)})"
    return f"threshold rule of level {level}, blue - red / 2 above {limits}; {shadows}"
