"""Tiles of different days brought to one radiometry, by what they show of the same ground.

Where tiles overlap, the quantiles of their reflectances are those of one piece of ground, once
clouds and changes are left out. A gain and an offset per tile and band make them alike, for all
tiles at once.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import crs_name, first_pixel, geobox_of, same_grid
from osm4eo_xr.names import counted

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64
    from odc.geo.geobox import GeoBox

_QUANTILES = np.linspace(0.05, 0.95, 19)  # what is rarer says little
_LOOKED_AT = 512  # pixels along each axis of an overlap
_CHANGED = 3 * 1.4826  # median absolute deviations
_LEAST = 100  # pixels with data in both
_NOISE = 2e-3  # of the median; residuals this small are no change
_FLAT = 1e-3  # of the mean; ground of less contrast tells no gain
_USUAL = (0.5, 2.0)  # gains beyond are none of haze or the sun's height


@dataclass(frozen=True)
class Harmony:
    """What brings tiles to one radiometry.

    Attributes
    ----------
    gain, offset : DataArray (tile, band), float64
        Reflectance is taken times the gain, plus the offset.
    pairs : tuple of (str, str)
        Tiles whose overlap was looked at.
    pixels : tuple of int
        By pair, pixels that were compared: with data in both, and unchanged.

    Examples
    --------
    >>> import xarray as xr, osm4eo_xr as oxr
    >>> names = {"tile": ["west"], "band": ["nir"]}
    >>> gain, offset = (xr.DataArray([[v]], names, ("tile", "band")) for v in (0.5, 0.25))
    >>> scene = xr.DataArray([[[0.5]]], {"band": ["nir"]}, ("band", "y", "x"))
    >>> oxr.Harmony(gain, offset, (), ()).apply(scene, "west").values.item()
    0.5
    """

    gain: xr.DataArray
    offset: xr.DataArray
    pairs: tuple[tuple[str, str], ...]
    pixels: tuple[int, ...]

    def __repr__(self) -> str:
        """Name the tiles and the range of the gains."""
        tiles = ", ".join(str(tile) for tile in self.gain["tile"].values)
        gains = f"{float(self.gain.min()):.3g} to {float(self.gain.max()):.3g}"
        return f"<Harmony: {tiles}; {counted(len(self.pairs), 'overlap')}; gains {gains}>"

    def apply(self, scene: xr.DataArray, tile: str) -> xr.DataArray:
        """Return a tile's scene (band, y, x), float32, on the common radiometry; lazy."""
        gain, offset = (
            table.sel(tile=tile, band=scene["band"]).drop_vars("tile").astype(np.float32)
            for table in (self.gain, self.offset)
        )
        with xr.set_options(keep_attrs=True):
            return (scene * gain + offset).astype(np.float32).assign_coords(scene.coords)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: ``gain`` and ``offset`` by tile and band, ``overlaps`` by pair."""
        bands = self.gain["band"].to_numpy().tolist()
        tables = {
            name: {
                tile: dict(zip(bands, row, strict=True))
                for tile, row in zip(
                    table["tile"].to_numpy().tolist(), table.to_numpy().tolist(), strict=True
                )
            }
            for name, table in (("gain", self.gain), ("offset", self.offset))
        }
        overlaps = zip(self.pairs, self.pixels, strict=True)
        return {**tables, "overlaps": [{"tiles": [*p], "pixels": n} for p, n in overlaps]}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Harmony:
        """Return what ``to_dict`` gave, to the last digit."""
        gain, offset = (_table(told[name]) for name in ("gain", "offset"))
        overlaps = told["overlaps"]
        pairs = tuple((first, second) for first, second in (o["tiles"] for o in overlaps))
        return cls(gain, offset, pairs, tuple(o["pixels"] for o in overlaps))


def _table(rows: Mapping[str, Mapping[str, float]]) -> xr.DataArray:
    tiles, bands = [*rows], [*next(iter(rows.values()))]
    values = np.array([[rows[t][b] for b in bands] for t in tiles], dtype=np.float64)
    return xr.DataArray(values, coords={"tile": tiles, "band": bands}, dims=("tile", "band"))


def harmonize(scenes: Mapping[str, xr.DataArray]) -> Harmony:
    """Find the gain and the offset per tile and band that make overlaps alike.

    For each pair of tiles that overlap and each band, 19 quantiles from 5 to 95 % of the pixels
    that have data in both, and did not change, are to be equal in mean and standard deviation. All
    pairs together are solved by least squares. Overlaps say nothing of what all tiles share: the
    geometric mean of the gains is 1, and the mean of the offsets 0. Tiles that no overlaps connect
    are groups of their own, each brought to its own average, which is warned about, as are gains
    beyond 0.5 to 2.

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
    looks = {
        pair: found
        for pair, (a, b) in zip(overlaps, read, strict=True)
        if (found := _quantiles(a.to_numpy(), b.to_numpy())) is not None
    }
    if not looks:
        raise InputError(
            f"no two of {len(tiles)} tiles overlap with data",
            expected=f"tiles that share {_LEAST} pixels or more",
        )
    rows = {pair: (a, b) for pair, (a, b, _) in looks.items()}
    solved = np.stack([_solve(rows, tiles, k) for k in range(len(bands))], axis=-1)
    coords = {"tile": tiles, "band": bands}
    gain, offset = (xr.DataArray(s, coords=coords, dims=("tile", "band")) for s in solved)
    _warn(gain, _groups(tiles, [*rows]))
    return Harmony(gain, offset, tuple(rows), tuple(n for *_, n in looks.values()))


def _groups(tiles: list[str], pairs: list[tuple[str, str]]) -> list[list[str]]:
    """Return the tiles that pairs connect, group by group."""
    groups = {tile: [tile] for tile in tiles}
    for first, second in pairs:
        if groups[first] is not groups[second]:
            groups[first] += groups[second]
            groups |= dict.fromkeys(groups[second], groups[first])
    return [group for tile, group in groups.items() if group[0] == tile]


def _warn(gain: xr.DataArray, groups: list[list[str]]) -> None:
    """Say which tiles nothing connects, and which gain is none of haze or the sun's height."""
    if len(groups) > 1:
        told = ", ".join(f"{g[0]} and {len(g) - 1} more" if g[1:] else g[0] for g in groups)
        warnings.warn(
            f"tiles fall into {len(groups)} groups that share no ground ({told}); each is brought "
            "to its own average",
            InputWarning,
            stacklevel=3,
        )
    off = np.abs(np.log(np.maximum(gain.to_numpy(), 1e-9)))
    tile, band = np.unravel_index(int(off.argmax()), off.shape)
    value = float(gain[tile, band])
    if not _USUAL[0] <= value <= _USUAL[1]:
        warnings.warn(
            f"tile {gain['tile'].item(tile)} gets a gain of {value:.2f} in band "
            f"{gain['band'].item(band)}; look at its bands and offset, and whether its overlaps "
            "show more than water or clouds",
            InputWarning,
            stacklevel=3,
        )


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
) -> tuple[Float64[np.ndarray, "quantile band"], Float64[np.ndarray, "quantile band"], int] | None:
    """Return the quantiles of both where both have data, and of how many pixels; None of few."""
    both = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    if both.sum() < _LEAST:
        return None
    first, second = (v[:, both].astype(np.float64) for v in (a, b))
    alike = ~_changed(first, second)
    if alike.sum() < _LEAST:
        return None
    one, other = (np.quantile(v[:, alike], _QUANTILES, axis=1) for v in (first, second))
    return one, other, int(alike.sum())


def _changed(
    a: Float64[np.ndarray, "band pixel"], b: Float64[np.ndarray, "band pixel"]
) -> Bool[np.ndarray, " pixel"]:
    """Return which pixels show something else in one tile than in the other, in any band.

    These lie off the line that most quantiles of both follow by more than three standard
    deviations, which the median absolute deviation gives.
    """
    rest = np.stack([one - _followed(one, other) for one, other in zip(a, b, strict=True)])
    rest = np.abs(rest - np.median(rest, axis=1, keepdims=True))
    usual = np.median(rest, axis=1, keepdims=True)
    far = rest > _CHANGED * np.maximum(usual, _NOISE * np.abs(np.median(a, axis=1, keepdims=True)))
    return np.logical_or.reduce(far, axis=0)


def _followed(
    a: Float64[np.ndarray, " pixel"], b: Float64[np.ndarray, " pixel"]
) -> Float64[np.ndarray, " pixel"]:
    """Return ``a`` as the line through most quantiles gives it from ``b`` (Theil 1950)."""
    p, q = (np.quantile(v, _QUANTILES) for v in (a, b))
    first, second = np.triu_indices(len(q), 1)
    apart = q[second] > q[first]
    rises = (p[second] - p[first])[apart] / (q[second] - q[first])[apart]
    slope = np.median(rises) if rises.size else 1.0
    return np.median(p - slope * q) + slope * b


def _solve(rows: Mapping[tuple[str, str], Any], tiles: list[str], band: int) -> np.ndarray:
    """Return gain and offset of each tile in one band: (2, tile).

    A pair's quantiles tell the ratio of its gains by their standard deviations, and then the
    difference of its offsets by their means, as ``x`` = ``y`` in mean and variance. Residuals of
    reflectance would tell less: they vanish as all gains go to 0. Of all solutions by least squares
    the one of least norm has, in each group, gains whose logarithms and offsets have mean 0.

    Source
    ------
    Mean and standard deviation as radiometric normalization: Yuan & Elvidge 1996, "Comparison of
    relative radiometric normalization techniques".
    """
    place = {t: k for k, t in enumerate(tiles)}
    pairs = np.array([[place[i], place[j]] for i, j in rows])
    sides = np.array([[v[:, band] for v in pair] for pair in rows.values()])
    mean, spread = sides.mean(axis=-1), sides.std(axis=-1)
    known = (spread > _FLAT * np.abs(mean)).all(axis=1)  # else the two gains are held alike
    signs = np.zeros((len(pairs), len(tiles)))
    row = np.arange(len(pairs))
    signs[row, pairs[:, 0]], signs[row, pairs[:, 1]] = 1.0, -1.0
    ratio = np.log(np.where(known[:, None], spread, 1.0))
    gain = np.exp(_least_squares(signs, ratio[:, 1] - ratio[:, 0]))
    told = gain[pairs] * mean
    return np.stack([gain, _least_squares(signs, told[:, 1] - told[:, 0])])


def _least_squares(signs: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the solution of least norm: its mean over tiles that rows connect is 0."""
    return np.linalg.lstsq(signs, right)[0]
