"""Warping of windows: which source pixels a target window needs, and GDAL's resampling of them.

Windows are warped apart, so nothing of GDAL's result may depend on the window: the transformer's
approximation is far below a pixel, and the resampling factor is fixed for the whole grid instead
of being guessed from each window's extent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import same_grid

TOLERANCE = 1e-6
"""Largest error of GDAL's approximated transformer, in source pixels."""

_RADIUS = {"nearest": 1, "bilinear": 1, "cubic": 2, "average": 1, "mode": 1}  # source pixels
_MARGIN = 3  # source pixels around a window, against rounding and curved edges
_LATTICE = 21  # points along a window's side
_NEAR_ONE = 0.05
_DIGITS = 8  # of a step; those beyond are noise of where it was taken


@dataclass(frozen=True)
class Warp:
    """How windows of ``target`` come from ``source``.

    Attributes
    ----------
    source, target : GeoBox
        The two grids.
    resampling : str
        nearest, bilinear, cubic, average or mode.
    step : tuple of float
        Source pixels (x, y) per target pixel at the source's middle, or where the target comes
        nearest to it.
    """

    source: GeoBox
    target: GeoBox
    resampling: str
    step: tuple[float, float]

    def source_window(self, rows: slice, cols: slice) -> tuple[slice, slice] | None:
        """Return the source rows and columns that a target window needs; None if outside."""
        if same_grid(self.source, self.target):
            return self._shifted(rows, cols)
        xs, ys = self._to_source(
            np.linspace(cols.start, cols.stop, _LATTICE),
            np.linspace(rows.start, rows.stop, _LATTICE),
        )
        reach = [_RADIUS[self.resampling] * max(1.0, s) + _MARGIN for s in self.step]
        window = (
            _clip(ys, reach[1], self.source.shape[0]),
            _clip(xs, reach[0], self.source.shape[1]),
        )
        return None if window[0] is None or window[1] is None else (window[0], window[1])

    def apply(
        self, numbers: np.ndarray, window: tuple[slice, slice], rows: slice, cols: slice
    ) -> np.ndarray:
        """Return (band, rows, cols) float32 on the target from (band, *window) of the source."""
        if same_grid(self.source, self.target):
            return self.shift(numbers, window, rows, cols, np.nan)
        return self._gdal(numbers, self.source[window], self.target[rows, cols])

    def shift(
        self,
        numbers: np.ndarray,
        window: tuple[slice, slice],
        rows: slice,
        cols: slice,
        no_data: float,
    ) -> np.ndarray:
        """Return (band, rows, cols) of any type on a target that shares the source's grid."""
        shape = (numbers.shape[0], rows.stop - rows.start, cols.stop - cols.start)
        if numbers.shape == shape:
            return numbers
        out = np.full(shape, no_data, numbers.dtype)
        place = [
            slice(w.start - o - t.start, w.stop - o - t.start)
            for w, o, t in zip(window, self._origin(), (rows, cols), strict=True)
        ]
        out[:, place[0], place[1]] = numbers
        return out

    def _gdal(self, numbers: np.ndarray, source: GeoBox, target: GeoBox) -> np.ndarray:
        """Let GDAL resample an array (NaN = no data) from one grid to another."""
        if np.isnan(numbers).all():
            return np.full((len(numbers), *target.shape), np.nan, np.float32)
        profile = {
            "driver": "GTiff",
            "count": len(numbers),
            "height": source.shape[0],
            "width": source.shape[1],
            "dtype": "float32",
            "crs": str(source.crs),
            "transform": source.affine,
            "nodata": np.nan,
        }
        with MemoryFile() as memory:
            with memory.open(**profile) as written:
                written.write(numbers)
            with (
                memory.open() as opened,
                WarpedVRT(
                    opened,
                    crs=str(target.crs),
                    transform=target.affine,
                    height=target.shape[0],
                    width=target.shape[1],
                    resampling=Resampling[self.resampling],
                    tolerance=TOLERANCE,
                    nodata=np.nan,
                    src_nodata=np.nan,
                    **warp_options(self.step),
                ) as warped,
            ):
                return warped.read()

    def _origin(self) -> tuple[int, int]:
        """Row and column of the target's first pixel, counted in the source (same grid)."""
        a, b = self.source.affine, self.target.affine
        return round((b.f - a.f) / a.e), round((b.c - a.c) / a.a)

    def _shifted(self, rows: slice, cols: slice) -> tuple[slice, slice] | None:
        """Return a window of the target as a clipped window of the source (same grid)."""
        clipped = []
        for part, origin, size in zip((rows, cols), self._origin(), self.source.shape, strict=True):
            start, stop = max(part.start + origin, 0), min(part.stop + origin, size)
            if start >= stop:
                return None
            clipped.append(slice(start, stop))
        return clipped[0], clipped[1]

    def _to_source(self, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return source pixel coordinates of the lattice of target pixel coordinates."""
        return _pixel_transform(self.target, self.source, *np.meshgrid(xs, ys))


def plan_warp(source: GeoBox, target: GeoBox, resampling: str) -> Warp:
    """Plan the way from one grid to another.

    Raises
    ------
    InputError
        If the resampling is unknown.
    """
    if resampling not in _RADIUS:
        raise InputError(
            f"resampling {resampling!r} is unknown", advice=f"use one of {', '.join(_RADIUS)}"
        )
    x, y = _common_middle(source, target)
    xs, ys = _pixel_transform(target, source, np.array([x, x + 1.0, x]), np.array([y, y, y + 1.0]))
    across = math.hypot(xs[1] - xs[0], xs[2] - xs[0])
    down = math.hypot(ys[1] - ys[0], ys[2] - ys[0])
    return Warp(source, target, resampling, (_near_one(across), _near_one(down)))


def _common_middle(source: GeoBox, target: GeoBox) -> tuple[float, float]:
    """Return the pixel coordinates (x, y) on the target that lie nearest to the source's middle.

    So a target that reaches far beyond the source, to where pixels have another size on the
    ground, is filled as one that ends with it; and a source of the whole Earth as is right there.
    """
    (height, width), (rows, cols) = target.shape, source.shape
    xs, ys = _pixel_transform(source, target, np.array([cols / 2]), np.array([rows / 2]))
    x, y = float(xs[0]), float(ys[0])
    if not (math.isfinite(x) and math.isfinite(y)):  # the target's CRS has no place for it
        return width / 2, height / 2
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))


def refuse_apart(warps: Sequence[Warp], where: str) -> None:
    """Refuse a target grid that no source touches.

    Raises
    ------
    InputError
        If there is none; names both extents.
    """
    target = warps[0].target
    rows, cols = (slice(0, n) for n in tuple(target.shape))
    if any(warp.source_window(rows, cols) for warp in warps):
        return
    raise InputError(
        f"{where} does not touch the grid: it covers lon/lat {_extent(warps[0].source)}, the "
        f"grid {_extent(target)}",
        advice="choose files of that place",
    )


def _extent(grid: GeoBox) -> str:
    """Write a grid's extent in degrees for people."""
    box = grid.geographic_extent.boundingbox if grid.crs is not None else grid.boundingbox
    return f"({box.left:.3f}, {box.bottom:.3f}, {box.right:.3f}, {box.top:.3f})"


def warp_options(step: tuple[float, float]) -> dict[str, str]:
    """Return GDAL's warp options that keep a window's result free of the window."""
    return {
        "XSCALE": repr(1 / step[0]),
        "YSCALE": repr(1 / step[1]),
        "UNIFIED_SRC_NODATA": "NO",  # each band has its own no-data pixels
    }


def _near_one(step: float) -> float:
    """Return 1 for pixels of nearly equal size; no resampling filter is wanted for those."""
    if not math.isfinite(step) or step <= 0 or abs(step - 1) < _NEAR_ONE:
        return 1.0
    return float(f"{step:.{_DIGITS}g}")


def _pixel_transform(
    source: GeoBox, target: GeoBox, xs: np.ndarray, ys: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel coordinates on the target of pixel coordinates on the source."""
    a = source.affine
    east, north = a.a * xs + a.b * ys + a.c, a.d * xs + a.e * ys + a.f
    if source.crs != target.crs and source.crs is not None and target.crs is not None:
        east, north = source.crs.transformer_to_crs(target.crs)(east, north)
    b = ~target.affine
    east, north = np.asarray(east), np.asarray(north)
    return b.a * east + b.b * north + b.c, b.d * east + b.e * north + b.f


def _clip(values: np.ndarray, reach: float, size: int) -> slice | None:
    """Return the pixels within ``reach`` of the values' range, or None if there are none."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return None
    start = max(math.floor(float(finite.min()) - reach), 0)
    stop = min(math.ceil(float(finite.max()) + reach), size)
    return slice(start, stop) if start < stop else None
