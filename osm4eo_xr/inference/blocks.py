"""The blocks in which a scene is classified: all of one shape, wherever its chunks lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osm4eo_xr.errors import InputError
from osm4eo_xr.inference.surroundings import Placed, gather, rows_ahead

if TYPE_CHECKING:
    import dask.array as da
    from odc.geo.geobox import GeoBox

    from osm4eo_xr.feature_ids.channels import Channels
    from osm4eo_xr.models.model import Model

DENSE_BLOCK = 1024
"""Greatest edge of a block in dense mode, in pixels: at depth 29 a CPU process peaks below 3 GB."""

GROUPED_BLOCK = 512
"""That of networks with groups, which hold the features of several encoders at once."""

WINDOW_BLOCK = 128
"""Greatest edge of a block in window mode, in pixels."""

_STEP = 32  # pixels; edges of blocks are multiples of the stride that suit vector units


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


def plan_blocks(
    shape: tuple[int, int], *, target: int, least: int, step: int, square: bool = False
) -> BlockGrid:
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
    square : bool
        Give blocks as many columns as rows.
    """

    def edge(pixels: int) -> int:
        even = math.ceil(pixels / math.ceil(pixels / target))
        return max(math.ceil(even / step), math.ceil(least / step)) * step

    rows, cols = edge(shape[0]), edge(shape[1])
    if square:
        rows = cols = max(rows, cols)
    return BlockGrid(shape=shape, rows=rows, cols=cols)


def read_blocks(data: da.Array, grid: BlockGrid, margin: int) -> da.Array:
    """Return ``data`` (band, y, x) in blocks of ``grid``, each with its margin; lazy.

    What lies outside the raster is no data. Every chunk of the result has the same shape.
    """
    return read_around([Placed(data, 0, 0)], grid, margin)


def read_around(
    sources: Sequence[Placed], grid: BlockGrid, margin: int, channels: Channels | None = None
) -> da.Array:
    """Return the pixels around and in blocks that begin at row and column 0; lazy.

    Like those of ``read_blocks``, every chunk is a block with its margin, here with what the
    first source that has it shows there; ``channels`` come from one source together.
    """
    rows, columns = (
        [(k * edge - margin, (k + 1) * edge + margin) for k in range(count)]
        for edge, count in zip((grid.rows, grid.cols), grid.count, strict=True)
    )
    return gather(sources, rows, columns, channels)


def block_edges(
    geobox: GeoBox,
    model: Model,
    *,
    block: int | None = None,
    around: bool = False,
    flips: bool = False,
) -> tuple[list[int], list[int]]:
    """Return the rows and the columns of a scene on which ``classify`` begins another block.

    Parameters
    ----------
    geobox : GeoBox
        Of the scene.
    model, block
        As for ``classify``.
    around : bool
        Whether it is given what neighbors show.
    flips : bool
        As for ``classify``.
    """
    ahead = rows_ahead(geobox, block_step(model, block)) if around else (0, 0)
    size, least = (int(geobox.shape[0]), int(geobox.shape[1])), model.footprint.halo
    grid = cut_blocks(size, model, least, block, ahead, square=flips)
    rows, columns = (
        [at for at in range(edge - first, pixels, edge) if at > 0]
        for edge, first, pixels in zip((grid.rows, grid.cols), ahead, size, strict=True)
    )
    return rows, columns


def cut_blocks(
    size: tuple[int, int],
    model: Model,
    least: int,
    block: int | None,
    ahead: tuple[int, int],
    *,
    square: bool,
) -> BlockGrid:
    """Cut a scene of so many rows and columns, and what is ahead of it, into blocks."""
    target = _target(model, block)
    if target < 1:
        raise InputError(f"block is {target} pixels", advice="give 1 or more")
    shape = (size[0] + ahead[0], size[1] + ahead[1])
    step = block_step(model, block)
    return plan_blocks(shape, target=target, least=least, step=step, square=square)


def block_step(model: Model, block: int | None) -> int:
    """Return what edges of blocks are multiples of."""
    return min(_STEP, -(-_target(model, block) // model.stride) * model.stride)


def _target(model: Model, block: int | None) -> int:
    """Return the greatest edge of a block."""
    if block or model.net.mode == "window":
        return block or WINDOW_BLOCK
    return GROUPED_BLOCK if model.net.groups else DENSE_BLOCK
