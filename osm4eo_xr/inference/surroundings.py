"""What lies around a scene: pixels of its neighbors, where its own end.

Blocks then begin at whole multiples of their step in the grid of the CRS, whatever scene they are
of. A pixel that two scenes see with the same surroundings is computed from the same numbers at the
same place in the network's strides, and gets the same class.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import Channels
from osm4eo_xr.geometry.grid import crs_name, first_pixel, same_grid
from osm4eo_xr.imagery.reader import NO_NUMBER

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from osm4eo_xr.inference.blocks import BlockGrid

_ONE: Any = -1  # a chunk for all


def no_data_of(data: da.Array) -> np.float32 | np.uint16:
    """Return what marks no data among reflectance, or among stored numbers."""
    return np.uint16(NO_NUMBER) if data.dtype == np.uint16 else np.float32("nan")


def has_data(data: da.Array) -> da.Array:
    """Whether pixels of bands have data; lazy."""
    return data != NO_NUMBER if data.dtype == np.uint16 else da.isfinite(data)


class Placed(NamedTuple):
    """Bands (band, y, x), reflectance or stored numbers, and the place of their first pixel."""

    data: da.Array
    top: int
    left: int

    @property
    def bottom(self) -> int:
        """Row after the last."""
        return self.top + int(self.data.shape[1])

    @property
    def right(self) -> int:
        """Column after the last."""
        return self.left + int(self.data.shape[2])


class Window(NamedTuple):
    """Rows and columns, the ends excluded."""

    top: int
    left: int
    bottom: int
    right: int


def gather(sources: Sequence[Placed], window: Window, channels: Channels | None = None) -> da.Array:
    """Return the pixels of a window from the first source that has them; lazy.

    Parameters
    ----------
    sources : sequence of Placed
        In order of preference; those that do not meet the window are not read.
    window : Window
        In the same rows and columns.
    channels : Channels, optional
        Which bands come from one source together; by default all.

    Returns
    -------
    Array (band, y, x), of the sources' type
        No data where no source has all bands of a group.
    """
    rows = _cuts([(s.top, s.bottom) for s in sources], window.top, window.bottom)
    columns = _cuts([(s.left, s.right) for s in sources], window.left, window.right)
    cells = [
        [
            _cell(sources, Window(top, left, bottom, right), channels)
            for left, right in pairwise(columns)
        ]
        for top, bottom in pairwise(rows)
    ]
    return da.block(cells)


def _cuts(spans: Sequence[tuple[int, int]], low: int, high: int) -> list[int]:
    """Return where cells begin and end along an axis: at the edges of sources within it."""
    inside = {edge for span in spans for edge in span if low < edge < high}
    return [low, *sorted(inside), high]


def _cell(sources: Sequence[Placed], cell: Window, channels: Channels | None) -> da.Array:
    """Return a rectangle that each source covers as a whole or not at all."""
    shape = (int(sources[0].data.shape[0]), cell.bottom - cell.top, cell.right - cell.left)
    found = [
        s.data[:, cell.top - s.top : cell.bottom - s.top, cell.left - s.left : cell.right - s.left]
        for s in sources
        if s.top <= cell.top < s.bottom and s.left <= cell.left < s.right
    ]
    if not found:
        empty = no_data_of(sources[0].data)
        return da.full(shape, empty, dtype=empty.dtype)
    return reduce(partial(_filled, channels or Channels.joint(shape[0])), found)


def _filled(channels: Channels, first: da.Array, second: da.Array) -> da.Array:
    """Return the first where it has all bands of a group, else the second."""
    there = channels.whole(has_data(first), axis=0)
    return da.where(there, first, second).astype(first.dtype)


def read_around(
    sources: Sequence[Placed], grid: BlockGrid, margin: int, channels: Channels | None = None
) -> da.Array:
    """Return the pixels around and in blocks that begin at row and column 0; lazy.

    Like ``inference.blocks.read_blocks``, every chunk is a block with its margin.
    """
    tops = [k * grid.rows for k in range(grid.count[0])]
    lefts = [k * grid.cols for k in range(grid.count[1])]
    height, width = grid.rows + 2 * margin, grid.cols + 2 * margin
    end = tops[-1] + height - margin, lefts[-1] + width - margin
    whole = gather(sources, Window(-margin, -margin, *end), channels)
    return da.block(
        [[whole[:, y : y + height, x : x + width].rechunk(_ONE) for x in lefts] for y in tops]
    )


def cut_to(
    maps: da.Array,
    data: da.Array,
    ahead: tuple[int, int],
    empty: Sequence[int],
    channels: Channels | None = None,
) -> da.Array:
    """Return maps of the blocks of a scene where the scene has data itself; lazy.

    Parameters
    ----------
    maps : Array (map, y, x), uint8
        Of all blocks.
    data : Array (band, y, x)
        The scene, reflectance or stored numbers.
    ahead : tuple of int
        Rows and columns of the blocks ahead of it.
    empty : sequence of int
        No-data value of each map.
    channels : Channels, optional
        Which bands a pixel has to have; by default all.
    """
    chunks: Any = tuple(c[0] for c in maps.chunks)
    maps = maps[:, ahead[0] :, ahead[1] :]
    if any(ahead):
        maps = maps.rechunk(chunks)
    joint = channels or Channels.joint(int(data.shape[0]))
    valid = joint.usable(has_data(data), axis=0).rechunk(maps.chunks[1:])
    return da.where(valid, maps, np.array(empty, np.uint8)[:, None, None])


def rows_ahead(geobox: GeoBox, step: int) -> tuple[int, int]:
    """Return rows and columns from the last multiple of ``step`` to a grid's first pixel."""
    row, column = first_pixel(geobox)
    return row % step, column % step


def place_of(other: GeoBox, geobox: GeoBox, ahead: tuple[int, int]) -> tuple[int, int]:
    """Return the row and column of a grid's first pixel, counted from the first block's.

    Raises
    ------
    InputError
        If it is not on the grid of ``geobox``.
    """
    if not same_grid(geobox, other):
        raise InputError(
            f"a scene around lies on {crs_name(other.crs)} with pixels of {other.resolution.xy}, "
            f"shifted or unlike {crs_name(geobox.crs)} with {geobox.resolution.xy}",
            advice="bring scenes onto one grid first",
        )
    here, there = first_pixel(geobox), first_pixel(other)
    return there[0] - here[0] + ahead[0], there[1] - here[1] + ahead[1]
