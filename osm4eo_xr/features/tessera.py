"""TESSERA's embeddings as their project publishes them: zones of a Zarr store, and pairs of tiles.

Layouts, as the documentation of geotessera describes them: in a Zarr v3 store, a group per UTM
zone with ``embeddings`` (time, band, y, x) int8, ``scales`` (time, y, x) float32 and ``time``, the
years; the root's ``geoemb:model`` ends with the version. Or a tile ``grid_LON_LAT.npy`` (y, x,
band) int8 with ``grid_LON_LAT_scales.npy`` (y, x) float32 beside it, and a GeoTIFF
``grid_LON_LAT.tiff`` that says where it lies. Versions are spaces of their own and never mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters.bands import describe_bands
from osm4eo_xr.rasters.hierarchies import attributes_above, damage, open_arrays, read_group
from osm4eo_xr.rasters.store_grids import Grids
from osm4eo_xr.rasters.store_paths import StorePath, split_store
from osm4eo_xr.rasters.windows import stamp_of

DEPTH = 128
"""Numbers of an embedding; newer models also publish fewer, which are the first ones."""

_MODEL = "geoemb:model"
_DIMS = ("time", "band", "y", "x")


@dataclass(frozen=True)
class ZoneInput:
    """One year of a UTM zone's group: some bands, and the scale of each pixel as last channel."""

    path: str
    stamp: int
    year: int
    bands: tuple[int, ...]
    geobox: GeoBox
    places: tuple[int, ...]

    def read(self, rows: slice, cols: slice) -> np.ndarray:
        """Return (band + 1, rows, cols) float32 as stored."""
        zone = _opened(self.path, self.stamp)
        with damage(self.path):
            numbers = zone["embeddings"][self.year, list(self.bands), rows, cols].to_numpy()
            scale = zone["scales"][self.year, rows, cols].to_numpy()
        return np.concatenate([numbers.astype(np.float32), scale[None].astype(np.float32)])


@dataclass(frozen=True)
class TileInput:
    """A pair of numpy files: some bands of a tile, and the scale of each pixel as last channel."""

    path: str
    scales: str
    stamp: int
    bands: tuple[int, ...]
    geobox: GeoBox
    places: tuple[int, ...]

    def read(self, rows: slice, cols: slice) -> np.ndarray:
        """Return (band + 1, rows, cols) float32 as stored."""
        window = rows, cols
        numbers = _mapped(self.path)[window][..., list(self.bands)]
        scale = np.asarray(_mapped(self.scales)[window], np.float32)
        stored = np.moveaxis(numbers, -1, 0).astype(np.float32)
        return np.concatenate([stored, scale[None]])


def is_tessera(path: str) -> bool:
    """Whether a path is a tile of numpy's, or a group in TESSERA's layout."""
    if path.endswith(".npy"):
        return True
    where = split_store(path)
    if where is None:
        return False
    return {"embeddings", "scales"} <= {*map(str, open_arrays(where).data_vars)}


def tessera_input(
    path: str, version: str, period: str, bands: Sequence[int], places: tuple[int, ...]
) -> ZoneInput | TileInput:
    """Describe what is read of a tile or of a zone.

    Parameters
    ----------
    path : str
        ``….npy``, or a zone's group in a Zarr store.
    version : str
        What the source is pinned to, for example ``1.1``.
    period : str
        The year.
    bands : sequence of int
        Of the embedding, from 0.
    places : tuple of int
        Where each goes, and the scale last.

    Raises
    ------
    InputError
        If it is laid out otherwise, is of another version, or lacks the year or a band.
    """
    if path.endswith(".npy"):
        return _tile(path, tuple(bands), places)
    where = split_store(path)
    if where is None:
        raise InputError(f"{path} is no Zarr store", expected="a zone's group, or a tile's .npy")
    _check_version(path, where, version)
    zone = open_arrays(where)
    with damage(path):
        _check_zone(path, zone, bands)
        years = [int(year) for year in np.ravel(zone["time"].to_numpy())]
        grid = Grids(path, lambda: attributes_above(where)).of(zone["scales"])
    if period not in map(str, years):
        raise InputError(
            f"{path} has no year {period or '(none asked)'}",
            expected=f"one of {', '.join(map(str, years))} as the group's period",
        )
    year = years.index(int(period))
    return ZoneInput(path, stamp_of(path), year, tuple(bands), grid, places)


def _check_version(path: str, where: StorePath, version: str) -> None:
    """Refuse a store that is of another version than its source is named for, or that says none."""
    root = read_group(StorePath(where.root))
    stated = str((root.attributes if root else {}).get(_MODEL, ""))
    found = stated.rstrip("/").rpartition("/")[2].removeprefix("v")
    if found != version:
        raise InputError(
            f"{path} is of TESSERA {found or '(no version stated)'}",
            expected=f"{version}, as the source is called",
            advice="name the source tessera-VERSION; embeddings of two versions are no neighbors",
        )


def _check_zone(path: str, zone: xr.Dataset, bands: Sequence[int]) -> None:
    """Refuse a group whose arrays are others."""
    dims = {name: zone[name].dims for name in ("embeddings", "scales", "time") if name in zone}
    if dims != {"embeddings": _DIMS, "scales": (_DIMS[0], *_DIMS[2:]), "time": _DIMS[:1]}:
        raise InputError(
            f"{path} has {', '.join(f'{name} {of}' for name, of in dims.items()) or 'no arrays'}",
            expected="embeddings (time, band, y, x), scales (time, y, x) and time",
        )
    _check_bands(path, zone["embeddings"].dtype, zone.sizes["band"], bands)


def _check_bands(path: str, dtype: Any, depth: int, bands: Sequence[int]) -> None:
    if dtype != np.int8:
        raise InputError(f"{path} holds {dtype}", expected="int8, as embeddings with scales are")
    if max(bands) >= depth:
        raise InputError(f"{path} has {depth} bands", expected=f"T{max(bands):03d} among them")


def _tile(path: str, bands: tuple[int, ...], places: tuple[int, ...]) -> TileInput:
    """Describe a pair of numpy files; only their headers are read."""
    stem = path.removesuffix(".npy")
    scales = f"{stem}_scales.npy"
    landmask = next((f"{stem}{end}" for end in (".tiff", ".tif") if Path(stem + end).exists()), "")
    for file, what in ((path, "tile"), (scales, "scales"), (landmask, "GeoTIFF of its place")):
        if not file or not Path(file).exists():
            raise InputError(
                f"{path} has no {what} {file or stem + '.tiff'}", advice="fetch it too"
            )
    numbers, scale = _mapped(path), _mapped(scales)
    grid = describe_bands(landmask)[0].geobox
    shape = tuple(int(n) for n in tuple(grid.shape))
    if numbers.ndim != 3 or numbers.shape[:2] != shape or scale.shape != shape:  # noqa: PLR2004
        raise InputError(
            f"{path} is {numbers.shape}, its scales {scale.shape} and its GeoTIFF {shape}",
            expected="(y, x, band), (y, x) and (y, x) of one size",
        )
    _check_bands(path, numbers.dtype, numbers.shape[2], bands)
    return TileInput(path, scales, stamp_of(path), bands, grid, places)


def _mapped(path: str) -> np.ndarray:
    """Return an array whose file is read where it is indexed."""
    with damage(path):
        return np.lib.format.open_memmap(path, mode="r")


@lru_cache(maxsize=16)
def _opened(path: str, _stamp: int) -> xr.Dataset:
    """Return a zone's arrays, opened once in a process; reads of Zarr share no state."""
    where = split_store(path)
    if where is None:
        raise InputError(f"{path} is no Zarr store by now", advice="restore it")
    return open_arrays(where)
