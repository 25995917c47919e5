"""The blocks in which a scene is classified: all of one shape, wherever its chunks lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import dask.array as da
import numpy as np


@dataclass(frozen=True)
class BlockGrid:
    """A grid of equal blocks that covers a raster, from its upper left corner on.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the raster.
    rows, cols : int
        Pixels of a block.
    """

    shape: tuple[int, int]
    rows: int
    cols: int

    @property
    def count(self) -> tuple[int, int]:
        """Blocks along each axis."""
        return -(-self.shape[0] // self.rows), -(-self.shape[1] // self.cols)

    @property
    def chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Chunks of a raster of whole blocks, before it is cut to its shape."""
        return (self.rows,) * self.count[0], (self.cols,) * self.count[1]


def plan_blocks(shape: tuple[int, int], *, target: int, least: int, step: int) -> BlockGrid:
    """Cut a raster into equal blocks of about ``target`` pixels along each axis.

    The blocks depend on the raster's shape alone, not on its chunks, and the last ones reach past
    its edge by as little as possible.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the raster.
    target, least : int
        Greatest and least edge of a block in pixels.
    step : int
        Edges are multiples of this.
    """

    def edge(pixels: int) -> int:
        even = math.ceil(pixels / math.ceil(pixels / target))
        return max(math.ceil(even / step), math.ceil(least / step)) * step

    return BlockGrid(shape=shape, rows=edge(shape[0]), cols=edge(shape[1]))


def read_blocks(data: da.Array, grid: BlockGrid, margin: int) -> da.Array:
    """Return ``data`` (band, y, x) in blocks of ``grid``, each with its margin; lazy.

    What lies outside the raster is NaN. Every chunk of the result has the same shape.
    """
    rows = math.ceil(grid.shape[0] / grid.rows) * grid.rows - grid.shape[0]
    cols = math.ceil(grid.shape[1] / grid.cols) * grid.cols - grid.shape[1]
    if rows or cols:
        data = da.pad(data, ((0, 0), (0, rows), (0, cols)), constant_values=np.float32("nan"))
    chunks = (data.shape[0], grid.rows, grid.cols)
    data = data.rechunk(chunks)  # pyright: ignore[reportArgumentType] - typed as str
    if margin == 0:
        return data
    outside = {0: "none", 1: np.float32("nan"), 2: np.float32("nan")}
    return da.overlap.overlap(
        data, depth={0: 0, 1: margin, 2: margin}, boundary=outside, allow_rechunk=False
    )
