"""Files of any kind as features of one grid: read, resampled and computed window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.transform import Affine

from osm4eo_xr.features.kernels import Kernel  # noqa: TC001 - field types are read at run time
from osm4eo_xr.geometry.grid import same_grid
from osm4eo_xr.imagery.reader import Band, read_bands
from osm4eo_xr.imagery.reflectance import to_reflectance
from osm4eo_xr.rasters.warp import Warp, plan_warp
from osm4eo_xr.rasters.windows import pick, positions, span


class Input(Protocol):
    """Channels that lie on one grid and are read together."""

    @property
    def geobox(self) -> GeoBox:
        """Their grid."""
        ...

    @property
    def places(self) -> tuple[int, ...]:
        """Which of a source's channels each is."""
        ...

    def read(self, rows: slice, cols: slice) -> np.ndarray:
        """Return (channel, rows, cols) float32 for the kernel, NaN = no data."""
        ...


@dataclass(frozen=True)
class RasterInput:
    """Bands of one file that GDAL or xarray reads."""

    bands: tuple[Band, ...]
    places: tuple[int, ...]

    @property
    def geobox(self) -> GeoBox:
        """Their grid."""
        return self.bands[0].geobox

    def read(self, rows: slice, cols: slice) -> np.ndarray:
        """Return their values: of several files, each may state a scale of its own."""
        numbers = read_bands(list(self.bands), rows, cols)
        for layer, band in zip(numbers, self.bands, strict=True):
            to_reflectance(layer, band.scaling)
        return numbers


@dataclass(frozen=True)
class JoinedInput:
    """Inputs of the same channels whose pixels are of one grid, as adjoining tiles of heights are.

    They are resampled together, so that nothing shows where one ends and the next begins. What is
    no data of one is known to the kernel's first half, such as power of 0 at the edge of an
    acquisition, so that comes before.
    """

    parts: tuple[Input, ...]
    geobox: GeoBox
    kernel: Kernel

    @classmethod
    def of(cls, parts: Sequence[Input], kernel: Kernel) -> JoinedInput:
        """Join inputs on the grid around all of them."""
        first = parts[0].geobox
        corners = [_pixels_between(first, part.geobox) for part in parts]
        ends = [
            (row + part.geobox.shape[0], col + part.geobox.shape[1])
            for part, (row, col) in zip(parts, corners, strict=True)
        ]
        top, left = np.min(corners, axis=0).tolist()
        bottom, right = np.max(ends, axis=0).tolist()
        place = first.affine @ Affine.translation(left, top)
        return cls(tuple(parts), GeoBox((bottom - top, right - left), place, first.crs), kernel)

    @property
    def places(self) -> tuple[int, ...]:
        """Which of a source's channels each is."""
        return self.parts[0].places

    def read(self, rows: slice, cols: slice) -> np.ndarray:
        """Return (channel, rows, cols) float32 to resample; a pixel is of the first to know it."""
        if len(self.parts) == 1:
            return self.kernel.before(self.parts[0].read(rows, cols))
        shape = (len(self.places), rows.stop - rows.start, cols.stop - cols.start)
        found = np.full(shape, np.nan, np.float32)
        for part in self.parts:
            top, left = _pixels_between(self.geobox, part.geobox)
            height, width = part.geobox.shape
            own = [
                slice(max(asked.start - first, 0), min(asked.stop - first, size))
                for asked, first, size in ((rows, top, height), (cols, left, width))
            ]
            if any(side.start >= side.stop for side in own):
                continue
            down, across = (
                slice(side.start + first - asked.start, side.stop + first - asked.start)
                for side, first, asked in zip(own, (top, left), (rows, cols), strict=True)
            )
            there = found[:, down, across]
            if np.isnan(there).any():
                _fill(there, self.kernel.before(part.read(*own)))
        return found


def _pixels_between(a: GeoBox, b: GeoBox) -> tuple[int, int]:
    """Return rows and columns from the first pixel of a grid to that of another part of it."""
    col, row = ~a.affine @ (b.affine.c, b.affine.f)
    return round(row), round(col)


def _fill(found: np.ndarray, values: np.ndarray) -> None:
    """Give pixels the values of an input: those that miss all, or something that it has whole."""
    missing, whole = np.isnan(found), np.isfinite(values).all(axis=0)
    taken = missing.all(axis=0) | (missing.any(axis=0) & whole)
    found[:, taken] = values[:, taken]


def joined(inputs: Sequence[Input], kernel: Kernel) -> tuple[JoinedInput, ...]:
    """Return inputs for a kernel, those joined that are on one grid with the same channels.

    They need not follow each other, as where each band has a file of its own, unless one between
    them has some of their channels: it comes before those behind it.
    """
    groups: list[list[Input]] = []
    for part in inputs:
        for group in reversed(groups):
            if group[0].places == part.places and same_grid(group[0].geobox, part.geobox):
                group.append(part)
                break
            if not {*group[0].places}.isdisjoint(part.places):
                groups.append([part])
                break
        else:
            groups.append([part])
    return tuple(JoinedInput.of(own, kernel) for own in groups)


@dataclass(frozen=True)
class FeatureReader:
    """Features as an array-like (feature, y, x) float32 on one grid, NaN = no data.

    Attributes
    ----------
    inputs : tuple of JoinedInput
        Where several have the same channels, a pixel has them from the first that knows all, else
        from the first.
    warps : tuple of Warp
        One per input, from its grid to ``geobox`` with the kernel's margin around it.
    kernel : Kernel
        From channels to features.
    channels, features : int
        How many there are.
    geobox : GeoBox
        The grid of the features.
    """

    inputs: tuple[JoinedInput, ...]
    warps: tuple[Warp, ...]
    kernel: Kernel
    channels: int
    features: int
    geobox: GeoBox

    ndim = 3
    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Features, rows, columns."""
        rows, cols = self.geobox.shape
        return self.features, int(rows), int(cols)

    def __getitem__(self, key: Any) -> np.ndarray:
        (layers, rows, cols), dropped = positions(key, self.shape)
        if layers.size and rows.size and cols.size:
            data = self._read(span(rows), span(cols))[layers]
            data = pick(data, rows - rows.min(), cols - cols.min())
        else:
            data = np.empty((layers.size, rows.size, cols.size), np.float32)
        return data.squeeze(axis=dropped) if dropped else data

    def _read(self, rows: slice, cols: slice) -> np.ndarray:
        """Return all features of a window."""
        margin = self.kernel.margin
        rows, cols = (slice(part.start, part.stop + 2 * margin) for part in (rows, cols))
        shape = (self.channels, rows.stop - rows.start, cols.stop - cols.start)
        found = np.full(shape, np.nan, np.float32)
        for part, warp in zip(self.inputs, self.warps, strict=True):
            missing = np.isnan(found[list(part.places)])
            window = warp.source_window(rows, cols) if missing.any() else None
            if window is None:
                continue
            values = warp.apply(part.read(*window), window, rows, cols)
            own = found[list(part.places)]
            _fill(own, values)
            found[list(part.places)] = own
        return self.kernel.after(found)


def plan_reader(
    inputs: tuple[Input, ...],
    kernel: Kernel,
    geobox: GeoBox,
    *,
    channels: int,
    features: int,
    resampling: str,
) -> FeatureReader:
    """Plan how inputs come onto a grid."""
    whole = joined(inputs, kernel)
    target = geobox.pad(kernel.margin) if kernel.margin else geobox
    warps = tuple(plan_warp(part.geobox, target, resampling) for part in whole)
    return FeatureReader(whole, warps, kernel, channels, features, geobox)
