"""Whether the scenes of a run belong together: a look at places of every tile before work begins.

Each tile is looked at by itself (``imagery.plausibility``). Then its band medians are compared with
those of its neighbors (tiles whose grids touch or overlap its own; without any, all others):

- products of level 1C (top of atmosphere) among those of level 2A (surface) are refused
- a tile whose bands fit its neighbors only after two of them change places is warned about
- so is one whose blue is brighter by more than 0.04 where its near infrared agrees, as the
  atmosphere makes it, and one that lies a factor of 2 off in half of its bands (drift, another
  offset, snow)
- with a model that knows what it learned from, so is a tile that far from the training samples
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.imagery.plausibility import check_places, places_of

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

_FLOOR = 0.01  # reflectance; below, ratios say nothing
_DRIFT = np.log(2.0)
_SWAPPED = np.log(1.5)  # a tile further off than this may have swapped bands
_BETTER = 3.0  # times nearer that the swap must bring it
_HAZE, _AGREES = 0.04, np.log(1.25)
_LEAST_PIXELS = 500


@dataclass(frozen=True)
class TileLook:
    """What a look at a tile gave.

    Attributes
    ----------
    level : str
        "1C", "2A" or, if nothing tells, "".
    medians : dict of str to float
        Median reflectance by band.
    grid : GeoBox
        Where it lies.
    """

    level: str
    medians: Mapping[str, float]
    grid: GeoBox


def look_at_tile(scene: xr.DataArray, name: str, grid: GeoBox, *, settled: bool) -> TileLook:
    """Look at places of a tile; refuse numbers that cannot be reflectance.

    Raises
    ------
    InputError
        As ``check_scene``.
    """
    values, names = places_of(scene), [str(b) for b in scene["band"].values]
    check_places(values, names, name, settled=settled)
    medians = {
        band: float(np.nanmedian(row))
        for band, row in zip(names, values, strict=True)
        if np.isfinite(row).sum() >= _LEAST_PIXELS
    }
    return TileLook(str(scene.attrs.get("level", "")), medians, grid)


def compare_tiles(looks: Mapping[str, TileLook]) -> None:
    """Refuse tiles of different levels; warn of tiles that do not fit their neighbors.

    Parameters
    ----------
    looks : mapping of str to TileLook
        By tile.

    Raises
    ------
    InputError
        If top-of-atmosphere and surface reflectance are mixed.
    """
    levels = {level: [n for n, k in looks.items() if k.level == level] for level in ("1C", "2A")}
    if levels["1C"] and levels["2A"]:
        raise InputError(
            f"{len(levels['1C'])} tiles (first: {levels['1C'][0]}) are top-of-atmosphere "
            f"reflectance (level 1C) and {len(levels['2A'])} (first: {levels['2A'][0]}) surface "
            f"reflectance (2A)",
            expected="tiles of one level",
            advice="replace either kind in [[scenes]]",
        )
    for name, look in looks.items():
        found = _misfit(look, _around(name, looks))
        if found:
            warnings.warn(f"tile {name} {found}", InputWarning, stacklevel=2)


def compare_with_training(looks: Mapping[str, TileLook], learned: Mapping[str, float]) -> None:
    """Warn of tiles whose bands are far from those that a model learned from.

    Parameters
    ----------
    looks : mapping of str to TileLook
        By tile.
    learned : mapping of str to float
        Median reflectance of the training samples, by band.
    """
    for name, look in looks.items():
        bands = [b for b in look.medians if b in learned]
        if not bands:
            continue
        own, theirs = (np.maximum([m[b] for b in bands], _FLOOR) for m in (look.medians, learned))
        off = np.abs(np.log(own / theirs))
        drifted, k = np.count_nonzero(off > _DRIFT), int(off.argmax())
        if 2 * drifted >= len(bands):
            warnings.warn(
                f"tile {name} lies far from what the model learned from in {drifted} of "
                f"{len(bands)} bands (median of {bands[k]} {own[k]:.3f}, of the training "
                f"{theirs[k]:.3f}); look at its date, offset and level",
                InputWarning,
                stacklevel=2,
            )


def _around(name: str, looks: Mapping[str, TileLook]) -> dict[str, float]:
    """Return the medians of a tile's neighbors' medians, by band."""
    others = {n: k for n, k in looks.items() if n != name}
    own = looks[name].grid
    near = {n: k for n, k in others.items() if _touch(own, k.grid)} or others
    bands = {band for look in near.values() for band in look.medians}
    return {
        band: float(np.median([k.medians[band] for k in near.values() if band in k.medians]))
        for band in bands
    }


def _touch(a: GeoBox, b: GeoBox) -> bool:
    p, q = a.boundingbox, b.boundingbox
    return p.left <= q.right and q.left <= p.right and p.bottom <= q.top and q.bottom <= p.top


def _misfit(look: TileLook, around: Mapping[str, float]) -> str:
    """Say how a tile differs from its neighbors, or nothing."""
    bands = [b for b in look.medians if b in around]
    if len(bands) < 2:  # noqa: PLR2004 - a single band has no spectrum
        return ""
    own, theirs = (np.maximum([m[b] for b in bands], _FLOOR) for m in (look.medians, around))
    off = np.log(own / theirs)
    pair = _swap(own, theirs)
    if pair:
        i, j = pair
        return (
            f"fits its neighbors if bands {bands[i]} and {bands[j]} change places (medians "
            f"{own[i]:.3f}, {own[j]:.3f}; theirs {theirs[i]:.3f}, {theirs[j]:.3f}); look at its "
            f"bands' names"
        )
    if {"blue", "nir"} <= set(bands):
        b, n = bands.index("blue"), bands.index("nir")
        if own[b] - theirs[b] > _HAZE and abs(off[n]) < _AGREES:
            return (
                f"has a blue of {own[b]:.3f} where its neighbors have {theirs[b]:.3f}, at the same "
                f"near infrared, as top-of-atmosphere reflectance or haze among surface "
                f"reflectance; look at its level"
            )
    if 2 * np.count_nonzero(np.abs(off) > _DRIFT) >= len(bands):
        k = int(np.abs(off).argmax())
        return (
            f"lies far from its neighbors in {np.count_nonzero(np.abs(off) > _DRIFT)} of "
            f"{len(bands)} bands (median of {bands[k]} {own[k]:.3f}, theirs {theirs[k]:.3f}); look "
            f"at its offset, date and level"
        )
    return ""


def _swap(own: np.ndarray, theirs: np.ndarray) -> tuple[int, int] | None:
    """Return the two bands whose exchange makes a tile fit, if it does not fit as it is."""
    off = np.abs(np.log(own / theirs)).max()
    if off < _SWAPPED:
        return None
    best: dict[float, tuple[int, int]] = {}
    for i, j in itertools.combinations(range(len(own)), 2):
        other = own.copy()
        other[[i, j]] = own[[j, i]]
        best[float(np.abs(np.log(other / theirs)).max())] = (i, j)
    least = min(best)
    return best[least] if least * _BETTER < off else None
