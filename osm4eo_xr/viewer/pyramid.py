"""Overlays cut into web tiles: warped once at the finest zoom, then shrunk zoom by zoom.

A coarse tile is made of its four children, which are made just before it. So no more than a few
tiles per zoom and thread are in memory, however large the map.
"""

from __future__ import annotations

import base64
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import xarray as xr
from rasterio import Affine
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.warp import reproject

from osm4eo_xr.cogs.overviews import shrink
from osm4eo_xr.process.threads import allowed_threads
from osm4eo_xr.rasters.warp import Warp, plan_warp
from osm4eo_xr.viewer.web_mercator import SIDE, Cells, Place

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from osm4eo_xr.viewer.overlays import Overlay

Take = Callable[[Place, str], None]

# As in labels/burn.py: rasterio looks for a transform before it sets the one of an array.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.warp")

_QUALITY = 80  # of a scene's pictures, per cent
_AHEAD = 16  # subtrees that are handed out to the threads, at least


class Pyramid:
    """The web tiles of one overlay.

    Parameters
    ----------
    overlay : Overlay
        What is cut.
    take : callable
        Called as ``take((zoom, column, row), text)`` from several threads, once for each tile that
        has data. The text is base64: zlib's stream of SIDE x SIDE bytes, row by row, for classes
        and quantities; a WebP picture for colors.
    progress : callable
        Called without arguments after each tile of the finest zoom.
    """

    def __init__(self, overlay: Overlay, take: Take, progress: Callable[[], None]) -> None:
        self.overlay = overlay
        self.made: list[Place] = []
        self._take, self._progress, self._lock = take, progress, Lock()

    @cached_property
    def zooms(self) -> tuple[Cells, ...]:
        """The tiles of each zoom, from the finest to the whole world's.

        MapLibre draws nothing of a raster below its first zoom, however small it looks there.
        """
        levels = [self.overlay.cells]
        while levels[-1].zoom > 0:
            levels.append(levels[-1].parents())
        return tuple(levels)

    @cached_property
    def _warps(self) -> list[Warp]:
        target = self.overlay.cells.geobox
        how = "nearest" if self.overlay.kind != "color" else "bilinear"
        return [plan_warp(grid, target, how) for grid in self.overlay.grids]

    def make(self) -> None:
        """Make all tiles, several at a time."""
        handed = next((c for c in reversed(self.zooms) if c.count >= _AHEAD), self.zooms[0])
        places = list(handed.places())
        with ThreadPoolExecutor(allowed_threads()) as pool:
            done = dict(zip(places, pool.map(self._tile, places), strict=True))
        for place in self.zooms[-1].places():
            self._tile(place, done)

    def _tile(
        self, place: Place, done: dict[Place, Any] | None = None
    ) -> UInt8[np.ndarray, "band y x"] | None:
        """Return a tile after its children, and hand it over; None if it has no data."""
        if done is not None and place in done:
            return done[place]
        finest = place[0] == self.overlay.cells.zoom
        block = self._warped(place) if finest else self._joined(place, done)
        if finest:
            self._progress()
        if block is not None:
            self._take(place, encode(block, self.overlay))
            with self._lock:
                self.made.append(place)
        return block

    def _joined(
        self, place: Place, done: dict[Place, Any] | None
    ) -> UInt8[np.ndarray, "band y x"] | None:
        """Return a tile that is shrunk from its four children."""
        zoom, column, row = place
        finer = next(c for c in self.zooms if c.zoom == zoom + 1)
        four: Any = None
        for i in (0, 1):
            for j in (0, 1):
                x, y = 2 * column + j, 2 * row + i
                inside = x in finer.columns and y in finer.rows
                child = self._tile((zoom + 1, x, y), done) if inside else None
                if child is not None:
                    if four is None:
                        shape = (len(child), 2 * SIDE, 2 * SIDE)
                        four = np.full(shape, self.overlay.nodata, np.uint8)
                    four[:, i * SIDE : (i + 1) * SIDE, j * SIDE : (j + 1) * SIDE] = child
        if four is None:
            return None
        classes = self.overlay.kind == "classes"
        return shrink(four, 2, classes=classes, nodata=self.overlay.nodata)

    def _warped(self, place: Place) -> UInt8[np.ndarray, "band y x"] | None:
        """Return a tile of the finest zoom from the rasters that lie there."""
        cells = self.overlay.cells
        rows = _span(place[2] - cells.rows.start)
        cols = _span(place[1] - cells.columns.start)
        tile: Any = None
        for raster, warp in zip(self.overlay.rasters, self._warps, strict=True):
            piece = _piece(self.overlay, raster, warp, rows, cols)
            if piece is None:
                continue
            tile = piece if tile is None else np.where(_bare(tile, self.overlay), piece, tile)
            if not _bare(tile, self.overlay).any():
                break
        return None if tile is None or _bare(tile, self.overlay).all() else tile


def encode(block: UInt8[np.ndarray, "band y x"], overlay: Overlay) -> str:
    """Return a tile as base64 text; see ``Pyramid``."""
    if overlay.kind != "color":
        return base64.b64encode(zlib.compress(block[0].tobytes(), 6)).decode()
    alpha = np.where(_bare(block, overlay), 0, 255).astype(np.uint8)[None]
    profile: Any = {"width": SIDE, "height": SIDE, "count": 4, "dtype": "uint8"}
    profile |= {"driver": "WEBP", "transform": Affine.scale(1.0001)}  # some, or rasterio warns
    with rasterio.Env(GDAL_PAM_ENABLED=False), MemoryFile() as memory:
        with memory.open(QUALITY=_QUALITY, **profile) as file:
            file.write(np.concatenate([block, alpha]))
        return base64.b64encode(memory.read()).decode()


def _piece(
    overlay: Overlay, raster: xr.DataArray, warp: Warp, rows: slice, cols: slice
) -> UInt8[np.ndarray, "band y x"] | None:
    """Return a raster warped to a window of the tiles' grid; None if it lies elsewhere."""
    window, nodata = warp.source_window(rows, cols), overlay.nodata
    if window is None:
        return None
    part = raster[..., window[0], window[1]]
    read = part.data.compute(scheduler="sync") if part.chunks else part.to_numpy()
    numbers = overlay.as_bytes(read)
    numbers = numbers[None] if numbers.ndim == 2 else numbers  # noqa: PLR2004
    if (numbers == nodata).all():
        return None
    source, target = warp.source[window], warp.target[rows, cols]
    tile = np.empty((len(numbers), SIDE, SIDE), np.uint8)
    # Errors of an eighth of a pixel, GDAL's default, are not seen; ``Warp.apply`` would take
    # fifty times as long for a millionth.
    reproject(
        numbers,
        tile,
        src_transform=source.affine,
        src_crs=str(source.crs),
        src_nodata=nodata,
        dst_transform=target.affine,
        dst_crs=str(target.crs),
        dst_nodata=nodata,
        resampling=Resampling[warp.resampling],
    )
    return tile


def _bare(tile: UInt8[np.ndarray, "band y x"], overlay: Overlay) -> np.ndarray:
    """Return where a tile has no data, (y, x) bool."""
    return (tile == overlay.nodata).all(axis=0)


def _span(index: int) -> slice:
    return slice(index * SIDE, (index + 1) * SIDE)
