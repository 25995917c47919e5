"""What lies around a scene: pixels of its neighbors, where its own end.

Blocks then begin at whole multiples of their step in the grid of the CRS, whatever scene they are
of. A pixel that two scenes see with the same surroundings is computed from the same numbers at the
same place in the network's strides, and gets the same class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from operator import getitem
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import Channels
from osm4eo_xr.geometry.chunks import Meeting, Spans, even_spans, lengths, meetings
from osm4eo_xr.geometry.grid import crs_name, first_pixel, same_grid
from osm4eo_xr.imagery.reader import NO_NUMBER

if TYPE_CHECKING:
    from jaxtyping import Bool, Num, Shaped
    from odc.geo.geobox import GeoBox

_ALL_BANDS: Any = {0: -1}  # in one chunk


def no_data_of(data: da.Array) -> np.float32 | np.uint16:
    """Return what marks no data among reflectance, or among stored numbers."""
    return np.uint16(NO_NUMBER) if data.dtype == np.uint16 else np.float32("nan")


def _has_data(data: Num[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Whether bands of pixels have data."""
    return data != NO_NUMBER if data.dtype == np.uint16 else np.isfinite(data)


class Placed(NamedTuple):
    """Bands (band, y, x), reflectance or stored numbers, and the place of their first pixel."""

    data: da.Array
    top: int
    left: int


@dataclass(frozen=True)
class _Piece:
    """What a window shows of a chunk.

    Attributes
    ----------
    source : int
        Which source the chunk is of.
    array : int
        Which of the task's arrays holds it.
    part : int or None
        Which of the parts cut out of a chunk; None where the array is the chunk itself.
    cut : tuple of slice
        Rows and columns in the chunk.
    top, left : int
        Its first pixel in the window.
    """

    source: int
    array: int
    part: int | None
    cut: tuple[slice, slice]
    top: int
    left: int


@dataclass(frozen=True)
class _Parts:
    """Rectangles that are cut out of a chunk."""

    cuts: list[tuple[slice, slice]]


@dataclass(frozen=True)
class _Window:
    """How a window is put together."""

    shape: tuple[int, int, int]
    pieces: list[_Piece]
    channels: Channels


def gather(
    sources: Sequence[Placed],
    rows: Spans,
    columns: Spans,
    channels: Channels | None = None,
    empty: np.generic | None = None,
) -> da.Array:
    """Return windows, each pixel from the first source that has it; lazy.

    A window is one task, and one more per chunk cuts out what other windows see of it. Pads,
    slices and joins of dask arrays would be 15 to 30 tasks per window, for which threads wait,
    and with which one scheduler could not feed many GPUs.

    Parameters
    ----------
    sources : sequence of Placed
        In order of preference; chunks that no window shows are not read.
    rows, columns : sequence of (int, int)
        Of the windows, in the same rows and columns as the sources; they may overlap.
    channels : Channels, optional
        Which bands come from one source together; by default all.
    empty : NumPy scalar, optional
        What stands where there is nothing; by default no data.

    Returns
    -------
    Array (band, y, x), of the sources' type
        A chunk per window; nothing where no source has all bands of a group.
    """
    arrays = [source.data.rechunk(_ALL_BANDS) for source in sources]
    bands = int(arrays[0].shape[0])
    nothing = no_data_of(arrays[0]) if empty is None else empty
    places = [source[1:] for source in sources]
    token = tokenize([a.name for a in arrays], places, rows, columns, channels, nothing)
    name, cutting = f"gather-{token}", _Cutting(token)
    shown = [
        (meetings(a.chunks[1], s.top, rows), meetings(a.chunks[2], s.left, columns))
        for a, s in zip(arrays, sources, strict=True)
    ]
    tasks: dict[Any, Any] = {}
    for i, j in np.ndindex(len(rows), len(columns)):
        shape = bands, rows[i][1] - rows[i][0], columns[j][1] - columns[j][0]
        keys: dict[Any, int] = {}
        pieces: list[_Piece] = []
        for k, (down, across) in enumerate(shown):
            for y, x in product(down[i], across[j]):
                key, part, cut = cutting.take(arrays[k], y, x, window=shape[1] * shape[2])
                at = keys.setdefault(key, len(keys))
                pieces.append(_Piece(k, at, part, cut, y.at, x.at))
        how = _Window(shape, pieces, channels or Channels.joint(bands))
        tasks[name, 0, i, j] = (_joined, list(keys), how, nothing)
    graph = HighLevelGraph.from_collections(name, tasks | cutting.tasks(), dependencies=arrays)
    sizes = (bands,), lengths(rows), lengths(columns)
    return da.Array(graph, name, sizes, dtype=arrays[0].dtype)  # pyright: ignore[reportCallIssue] - made in __new__


class _Cutting:
    """What is cut out of chunks before windows take it: little is sent, by few tasks."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._slices: dict[Any, Any] = {}
        self._parts: dict[Any, list[tuple[slice, slice]]] = {}

    def take(
        self, array: da.Array, y: Meeting, x: Meeting, *, window: int
    ) -> tuple[Any, int | None, tuple[slice, slice]]:
        """Return the key of what a window of so many pixels takes, which part, and what of it.

        That is the chunk if the window shows most of it. If not, but the piece is most of the
        window, as in a scene of one chunk, it is a slice of its own. Margins, and other small
        pieces, are parts of one object per chunk.
        """
        pixels, cut = y.pixels * x.pixels, (y.cut, x.cut)
        chunk = (array.name, 0, y.chunk, x.chunk)
        if 2 * pixels >= array.chunks[1][y.chunk] * array.chunks[2][x.chunk]:
            return chunk, None, cut
        if 2 * pixels >= window:
            key = (f"slice-{self._token}", len(self._slices))
            self._slices[key] = (getitem, chunk, (slice(None), *cut))
            return key, None, (slice(None), slice(None))
        key = (f"parts-{self._token}", *chunk)
        parts = self._parts.setdefault(key, [])
        parts.append(cut)
        return key, len(parts) - 1, cut

    def tasks(self) -> dict[Any, Any]:
        """Return the tasks that cut."""
        parts = {key: (_cut_out, key[1:], _Parts(cuts)) for key, cuts in self._parts.items()}
        return self._slices | parts


def _cut_out(
    chunk: Shaped[np.ndarray, "band y x"], parts: _Parts
) -> list[Shaped[np.ndarray, "band _ _"]]:
    """Copy parts of a chunk, so that they do not keep the whole of it."""
    return [chunk[:, rows, columns].copy() for rows, columns in parts.cuts]


def _joined(arrays: list[Any], how: _Window, empty: np.generic) -> Shaped[np.ndarray, "band y x"]:
    """Put a window together."""
    window = np.full(how.shape, empty, empty.dtype)
    for piece in how.pieces:
        found = arrays[piece.array]
        shown = found[:, *piece.cut] if piece.part is None else found[piece.part]
        _, height, width = shown.shape
        place = window[:, piece.top : piece.top + height, piece.left : piece.left + width]
        if piece.source == 0:
            place[:] = shown
        else:
            there = how.channels.whole(_has_data(place), axis=0)
            np.copyto(place, shown, where=~there)
    return window


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
    rows, columns = (
        even_spans(int(length), int(sizes[0]))
        for length, sizes in zip(data.shape[1:], maps.chunks[1:], strict=True)
    )
    maps = gather([Placed(maps, -ahead[0], -ahead[1])], rows, columns, empty=np.uint8(0))
    usable = _usable_pixels(data, channels or Channels.joint(int(data.shape[0])))
    valid = gather([Placed(usable, 0, 0)], rows, columns, empty=np.False_)
    return da.where(valid, maps, np.array(empty, np.uint8)[:, None, None])


def _usable_pixels(data: da.Array, channels: Channels) -> da.Array:
    """Return where pixels count, (1, y, x); one task per chunk."""
    whole = data.rechunk(_ALL_BANDS)
    return da.map_blocks(_usable, whole, channels, dtype=bool, chunks=((1,), *whole.chunks[1:]))


def _usable(data: Num[np.ndarray, "band y x"], channels: Channels) -> Bool[np.ndarray, "1 y x"]:
    return channels.usable(_has_data(data), axis=0)[None]


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
