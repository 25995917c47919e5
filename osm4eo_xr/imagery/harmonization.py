"""Tiles of different days brought to one radiometry, by what they show of the same ground.

Where tiles overlap, the quantiles of their reflectances are those of one piece of ground, once
clouds and changes are left out. A gain and an offset per tile and band make them alike, for all
tiles at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name, first_pixel, geobox_of, same_grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64
    from odc.geo.geobox import GeoBox

_QUANTILES = np.linspace(0.05, 0.95, 19)  # what is rarer says little
_LOOKED_AT = 512  # pixels along each axis of an overlap
_CHANGED = 3 * 1.4826  # median absolute deviations
_LEAST = 100  # pixels with data in both
_RIDGE = 1e-4  # holds the tiles where they are on average, and those that overlap nothing


@dataclass(frozen=True)
class Harmony:
    """What brings tiles to one radiometry.

    Attributes
    ----------
    gain, offset : DataArray (tile, band), float64
        Reflectance is taken times the gain, plus the offset.
    pairs : tuple of (str, str)
        Tiles whose overlap was looked at.
    """

    gain: xr.DataArray
    offset: xr.DataArray
    pairs: tuple[tuple[str, str], ...]

    def apply(self, scene: xr.DataArray, tile: str) -> xr.DataArray:
        """Return a tile's scene (band, y, x), float32, on the common radiometry; lazy."""
        gain, offset = (
            table.sel(tile=tile, band=scene["band"]).drop_vars("tile").astype(np.float32)
            for table in (self.gain, self.offset)
        )
        with xr.set_options(keep_attrs=True):
            return (scene * gain + offset).astype(np.float32).assign_coords(scene.coords)


def harmonize(scenes: Mapping[str, xr.DataArray]) -> Harmony:
    """Find the gain and the offset per tile and band that make overlaps alike.

    For each pair of tiles that overlap and each band, 19 quantiles from 5 to 95 % of the pixels
    that have data in both, and did not change, are to be equal. All pairs together are solved by
    least squares, where a small ridge keeps gains near 1 and offsets near 0: overlaps say nothing
    of what all tiles share.

    Parameters
    ----------
    scenes : mapping of str to DataArray, dims (band, y, x), float32
        Reflectances by tile id, on one grid and with the same bands; NaN = no data. Of overlaps at
        most 512 x 512 evenly spaced pixels are computed.

    Returns
    -------
    Harmony
        ``apply`` brings a scene to the common radiometry.

    Raises
    ------
    InputError
        If tiles are on different grids or have other bands, or no two of them overlap.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321600, 3210300))
    >>> ground = np.random.default_rng(0).uniform(0.1, 0.4, (1, 30, 60)).astype("float32")
    >>> names = {"band": ["nir"]}
    >>> west = georeference(ground[..., :40], box[:, :40], dims=("band", "y", "x"), coords=names)
    >>> east = georeference(ground[..., 20:], box[:, 20:], dims=("band", "y", "x"), coords=names)
    >>> found = oxr.harmonize({"west": west, "east": east * np.float32(1.2)})
    >>> ratio = found.gain.sel(tile="west") / found.gain.sel(tile="east")
    >>> ratio.round(2).values.tolist()
    [1.2]
    """
    tiles, boxes = [*scenes], {t: geobox_of(s) for t, s in scenes.items()}
    bands = _check(scenes, boxes)
    overlaps = {
        pair: parts
        for pair in itertools.combinations(tiles, 2)
        if (parts := _common(boxes[pair[0]], boxes[pair[1]])) is not None
    }
    cut = [
        [_thinned(scenes[tile], part) for tile, part in zip(pair, parts, strict=True)]
        for pair, parts in overlaps.items()
    ]
    read: Any = dask.compute(cut)[0]  # pyright: ignore[reportPrivateImportUsage] - documented there
    rows = {
        pair: found
        for pair, (a, b) in zip(overlaps, read, strict=True)
        if (found := _quantiles(a.to_numpy(), b.to_numpy())) is not None
    }
    if not rows:
        raise InputError(
            f"no two of {len(tiles)} tiles overlap with data",
            expected="tiles that share some ground",
        )
    solved = np.stack([_solve(rows, tiles, k) for k in range(len(bands))], axis=-1)
    coords = {"tile": tiles, "band": bands}
    gain, offset = (xr.DataArray(s, coords=coords, dims=("tile", "band")) for s in solved)
    return Harmony(gain, offset, tuple(rows))


def _check(scenes: Mapping[str, xr.DataArray], boxes: Mapping[str, GeoBox]) -> list[str]:
    """Return the bands of all tiles."""
    if not scenes:
        raise InputError("no tile to harmonize", advice="give at least two")
    (first, scene), *others = scenes.items()
    bands = [str(b) for b in scene["band"].to_numpy()]
    for tile, other in others:
        if [str(b) for b in other["band"].to_numpy()] != bands:
            raise InputError(
                f"tile {tile} has not the bands {', '.join(bands)} of tile {first}",
                advice="open all with the same bands=",
            )
        if not same_grid(boxes[first], boxes[tile]):
            raise InputError(
                f"tile {tile} lies on another grid ({crs_name(boxes[tile].crs)}) than tile {first}",
                advice="open all on one grid",
            )
    return bands


_Part = tuple[slice, slice]


def _common(a: GeoBox, b: GeoBox) -> tuple[_Part, _Part] | None:
    """Return the rows and columns that two grids share, in pixels of each; None without any."""
    firsts, parts = (first_pixel(a), first_pixel(b)), []
    for axis in (0, 1):
        low = max(f[axis] for f in firsts)
        high = min(f[axis] + box.shape[axis] for f, box in zip(firsts, (a, b), strict=True))
        if low >= high:
            return None
        step = -(-(high - low) // _LOOKED_AT)
        parts.append([slice(low - f[axis], high - f[axis], step) for f in firsts])
    (ya, yb), (xa, xb) = parts
    return (ya, xa), (yb, xb)


def _thinned(scene: xr.DataArray, part: _Part) -> xr.DataArray:
    return scene.isel(y=part[0], x=part[1])


def _quantiles(
    a: np.ndarray, b: np.ndarray
) -> tuple[Float64[np.ndarray, "quantile band"], Float64[np.ndarray, "quantile band"]] | None:
    """Return the quantiles of both where both have data; None where that is little."""
    both = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    if both.sum() < _LEAST:
        return None
    first, second = (v[:, both].astype(np.float64) for v in (a, b))
    alike = ~_changed(first, second)
    return tuple(np.quantile(v[:, alike], _QUANTILES, axis=1) for v in (first, second))  # pyright: ignore[reportReturnType] - two


def _changed(
    a: Float64[np.ndarray, "band pixel"], b: Float64[np.ndarray, "band pixel"]
) -> Bool[np.ndarray, " pixel"]:
    """Return which pixels show something else in one tile than in the other, in any band.

    Once medians are alike, these differ from the median difference by more than three standard
    deviations, which the median absolute deviation gives.
    """
    a_mid, b_mid = (np.median(v, axis=1, keepdims=True) for v in (a, b))
    rest = a - b * a_mid / np.where(b_mid == 0, 1.0, b_mid)
    rest = np.abs(rest - np.median(rest, axis=1, keepdims=True))
    usual = np.median(rest, axis=1, keepdims=True)
    far = rest > _CHANGED * np.maximum(usual, 1e-6 * np.abs(a_mid))
    return np.logical_or.reduce(far, axis=0)


def _solve(rows: Mapping[tuple[str, str], Any], tiles: list[str], band: int) -> np.ndarray:
    """Return gain and offset of each tile in one band: (2, tile).

    Unknown are the gain less 1 and the offset over the mean reflectance, so that the ridge weighs
    both alike.
    """
    n, place = len(tiles), {t: k for k, t in enumerate(tiles)}
    level = float(np.mean([v[:, band].mean() for pair in rows.values() for v in pair]))
    level = max(abs(level), 1e-6)
    equations, right = [], []
    for (i, j), (a, b) in rows.items():
        block = np.zeros((len(_QUANTILES), 2 * n))
        x, y = a[:, band] / level, b[:, band] / level
        block[:, place[i]], block[:, place[j]] = x, -y
        block[:, n + place[i]], block[:, n + place[j]] = 1.0, -1.0
        equations.append(block)
        right.append(y - x)
    equations.append(np.sqrt(_RIDGE) * np.eye(2 * n))
    right.append(np.zeros(2 * n))
    found = np.linalg.lstsq(np.concatenate(equations), np.concatenate(right))[0]
    return np.stack([1.0 + found[:n], found[n:] * level])
