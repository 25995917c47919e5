"""Bands of any files and grids as one reader of reflectance on one grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from osm4eo_xr.geometry.grid import same_grid
from osm4eo_xr.imagery.lossy_nodata import all_of_block, factor, near_fill
from osm4eo_xr.imagery.reflectance import Scaling, to_reflectance
from osm4eo_xr.rasters.files import GDAL_OPTIONS
from osm4eo_xr.rasters.remote.waiting import at_once
from osm4eo_xr.rasters.validity import SATURATED, Validity, invalid_pixels, mask_invalid
from osm4eo_xr.rasters.warp import Warp  # noqa: TC001 -- field types are read at run time
from osm4eo_xr.rasters.windows import pick, positions, read_hidden, read_window, span

NO_NUMBER = SATURATED
"""Marks no data among stored numbers: the one that is no reflectance in any uint16 file."""

_CACHED_BLOCKS = 64  # of each band: two rows of a tile's JPEG 2000 blocks are decoded once


@dataclass(frozen=True)
class Band:
    """One band of one file.

    Attributes
    ----------
    name : str
        Common name.
    path, stamp : str, int
        What GDAL opens, and its modification time, so that a changed file is read anew.
    index : int
        Band of the file, from 1.
    geobox : GeoBox
        The file's grid.
    dtype : str
        The file's data type.
    block : tuple of int
        Rows and columns of the file's blocks.
    scaling : Scaling
        Digital numbers to reflectance.
    validity : Validity
        Which of its pixels hold data.
    resampling : str
        GDAL's name of the method that brings it onto another grid.
    lossy : bool
        Whether the file's compression changes numbers.
    fill : float or None
        No-data value that counts only together with ``witnesses`` (see ``_scene_nodata``).
    witnesses : tuple of Band
        Bands of the same input, itself among them or not, whose grid is the same or finer.
    """

    name: str
    path: str
    stamp: int
    index: int
    geobox: GeoBox
    dtype: str
    block: tuple[int, int]
    scaling: Scaling = field(default_factory=Scaling)
    validity: Validity = field(default_factory=Validity)
    resampling: str = "cubic"
    lossy: bool = False
    fill: float | None = None
    witnesses: tuple[Band, ...] = ()


def read_bands(bands: list[Band], rows: slice, cols: slice) -> np.ndarray:
    """Return (band, rows, cols) float32 digital numbers with NaN, of bands on one grid."""
    shape = (rows.stop - rows.start, cols.stop - cols.start)
    out = np.empty((len(bands), *shape), np.float32)
    stored = _read_into(out, bands, rows, cols, mask_invalid)
    _drop_fill(out, bands, stored, rows, cols)
    return out


def read_numbers(bands: list[Band], rows: slice, cols: slice) -> np.ndarray:
    """Return (band, rows, cols) uint16 digital numbers, ``NO_NUMBER`` = no data.

    For bands of that type on one grid whose no data is told pixel by pixel (``keeps_numbers``).
    """
    shape = (rows.stop - rows.start, cols.stop - cols.start)
    out = np.empty((len(bands), *shape), np.uint16)
    _read_into(out, bands, rows, cols, _with_no_number)
    return out


def _with_no_number(
    numbers: np.ndarray, validity: Validity, hidden: np.ndarray | None = None
) -> np.ndarray:
    """Return stored numbers with ``NO_NUMBER`` where they are no data."""
    invalid = invalid_pixels(numbers, validity, hidden)
    return np.where(invalid, np.uint16(NO_NUMBER), numbers) if invalid.any() else numbers


def _read_into(
    out: np.ndarray,
    bands: list[Band],
    rows: slice,
    cols: slice,
    settle: Callable[[np.ndarray, Validity, np.ndarray | None], np.ndarray],
) -> dict[tuple[str, int], np.ndarray]:
    """Put bands' numbers into ``out`` once ``settle`` has dealt with their no data.

    Returned is what was read, by path and band.
    """
    window = Window.from_slices(rows, cols)
    by_path: dict[tuple[str, int], list[int]] = {}
    for i, band in enumerate(bands):
        by_path.setdefault((band.path, band.stamp), []).append(i)
    options = _options(bands)

    def read(file: tuple[str, int]) -> Any:
        places = by_path[file]
        with rasterio.Env(**options):
            numbers = read_window(*file, [bands[i].index for i in places], window)
            for i, layer in zip(places, numbers, strict=True):
                hidden = read_hidden(*file, bands[i].index, bands[i].validity, window)
                out[i] = settle(layer, bands[i].validity, hidden)
        return numbers

    found = at_once(read, {file: file[0] for file in by_path})
    return {
        (bands[i].path, bands[i].index): layer
        for places, numbers in zip(by_path.values(), found, strict=True)
        for i, layer in zip(places, numbers, strict=True)
    }


def _options(bands: list[Band]) -> dict[str, Any]:
    """Return GDAL's settings with no more cache than blocks of these bands are worth."""
    size = max(b.block[0] * b.block[1] * np.dtype(b.dtype).itemsize for b in bands)
    worth = _CACHED_BLOCKS * size * len(bands)
    return GDAL_OPTIONS | {"GDAL_CACHEMAX": min(worth, GDAL_OPTIONS["GDAL_CACHEMAX"])}


def _drop_fill(
    numbers: np.ndarray,
    bands: list[Band],
    stored: dict[tuple[str, int], np.ndarray],
    rows: slice,
    cols: slice,
) -> None:
    """Set lossy bands' no data to NaN in place; witnesses are read where there may be some.

    ``stored`` holds what was read already, by path and band.
    """
    near = [
        b.fill is not None and near_fill(n, b.fill) for n, b in zip(numbers, bands, strict=True)
    ]
    for witnesses in {b.witnesses for b, n in zip(bands, near, strict=True) if np.any(n)}:
        agreed = _all_near(witnesses, bands[0].geobox, stored, rows, cols)
        for layer, band, flags in zip(numbers, bands, near, strict=True):
            if band.witnesses == witnesses:
                layer[flags & agreed] = np.nan


def _all_near(
    witnesses: tuple[Band, ...],
    grid: GeoBox,
    stored: dict[tuple[str, int], np.ndarray],
    rows: slice,
    cols: slice,
) -> np.ndarray:
    """Whether all witnesses are near their no-data value in the pixels of a window of ``grid``."""
    agreed = np.ones((rows.stop - rows.start, cols.stop - cols.start), bool)
    for band in witnesses:
        ratio = factor(grid, band.geobox)
        numbers = stored.get((band.path, band.index)) if ratio == 1 else None
        if numbers is None:
            finer = [slice(part.start * ratio, part.stop * ratio) for part in (rows, cols)]
            window = Window.from_slices(finer[0], finer[1])
            with rasterio.Env(**GDAL_OPTIONS):
                numbers = read_window(band.path, band.stamp, band.index, window)
        agreed &= all_of_block(near_fill(numbers.astype(np.float32), band.fill or 0.0), ratio)
    return agreed


@dataclass(frozen=True)
class SceneReader:
    """Bands of any files and grids as one array-like (band, y, x) of reflectance on one grid.

    Indexing reads just the bands and the window that it names.
    """

    bands: tuple[Band, ...]
    geobox: GeoBox
    warps: tuple[Warp, ...]

    ndim = 3
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)
    no_data: ClassVar[float] = np.nan

    @property
    def keeps_numbers(self) -> bool:
        """Whether ``StoredReader`` gives the same pixels: plain uint16 on the scene's own grid.

        65535 is no reflectance in these (``rasters.validity``), so it is free to mark what else is
        no data.
        """
        return all(
            band.dtype == "uint16"
            and SATURATED in band.validity.values
            and band.fill is None
            and same_grid(warp.source, warp.target)
            for band, warp in zip(self.bands, self.warps, strict=True)
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows, columns."""
        rows, cols = self.geobox.shape
        return len(self.bands), rows, cols

    def __getitem__(self, key: Any) -> np.ndarray:
        (layers, rows, cols), dropped = positions(key, self.shape)
        row_span, col_span = span(rows), span(cols)
        data = self.read(layers.tolist(), row_span, col_span)
        if data.shape[1:] != (rows.size, cols.size):  # a step, or single positions
            data = pick(data, rows - row_span.start, cols - col_span.start)
        return data.squeeze(axis=dropped) if dropped else data

    def read(self, layers: list[int], rows: slice, cols: slice) -> np.ndarray:
        """Return (layers, rows, cols) reflectance; bands that share a grid are warped together."""
        groups: dict[int, list[int]] = {}
        for place, layer in enumerate(layers):
            groups.setdefault(self.warps.index(self.warps[layer]), []).append(place)
        if len(groups) == 1:
            return self._read_group(layers, rows, cols)
        out = np.empty((len(layers), rows.stop - rows.start, cols.stop - cols.start), self.dtype)
        for places in groups.values():
            out[places] = self._read_group([layers[p] for p in places], rows, cols)
        return out

    def _read_group(self, layers: list[int], rows: slice, cols: slice) -> np.ndarray:
        """Return (layers, rows, cols) of bands that share a grid."""
        shape = (len(layers), rows.stop - rows.start, cols.stop - cols.start)
        warp = self.warps[layers[0]]
        window = warp.source_window(rows, cols) if min(shape) else None
        if window is None:
            return np.full(shape, self.no_data, self.dtype)
        bands = [self.bands[layer] for layer in layers]
        return self._warped(bands, warp, window, rows, cols)

    def _warped(
        self, bands: list[Band], warp: Warp, window: tuple[slice, slice], rows: slice, cols: slice
    ) -> np.ndarray:
        """Read a window of bands that share a grid, and bring it onto the scene's."""
        values = warp.apply(read_bands(bands, *window), window, rows, cols)
        for layer, band in zip(values, bands, strict=True):
            to_reflectance(layer, band.scaling)
        return values


@dataclass(frozen=True)
class StoredReader(SceneReader):
    """The same bands as uint16 digital numbers, ``NO_NUMBER`` = no data (``keeps_numbers``)."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)
    no_data: ClassVar[float] = NO_NUMBER

    def _warped(
        self, bands: list[Band], warp: Warp, window: tuple[slice, slice], rows: slice, cols: slice
    ) -> np.ndarray:
        return warp.shift(read_numbers(bands, *window), window, rows, cols, NO_NUMBER)
