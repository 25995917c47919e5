"""Blocks of a country's map: which parts of which tiles lie in each, and how they are joined."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.geometry.chunks import Spans, even_spans, lengths, meetings
from osm4eo_xr.legend import NO_DATA
from osm4eo_xr.maps.clipping import Outline, inside, outlines
from osm4eo_xr.maps.overlaps import blend, edge_distance, resolve
from osm4eo_xr.rasters.shares import steps_of


@dataclass(frozen=True)
class Merging:
    """How tiles are joined where they overlap.

    Attributes
    ----------
    rule : str
        As in ``mosaic``.
    nodata : int
        Of tiles and result.
    class_ids : tuple of int
        Of the probabilities that are blended.
    """

    rule: str
    nodata: int
    class_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Piece:
    """A rectangle of one block of one tile and where it lies in an output block.

    ``first`` is its first row and column in its tile, ``whole`` the tile's shape.
    """

    tile: int
    block: tuple[int, int]
    source: tuple[slice, slice]
    target: tuple[slice, slice]
    first: tuple[int, int]
    whole: tuple[int, int]


def window_in(grid: GeoBox, box: GeoBox) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return first and past-the-last row and column of ``box`` in pixels of ``grid``."""
    left, top = ~grid.affine @ (box.affine.c, box.affine.f)
    row, column = round(top), round(left)
    return (row, row + box.shape[0]), (column, column + box.shape[1])


def assemble(
    maps: list[xr.DataArray],
    weighed: list[xr.DataArray] | None,
    boxes: list[GeoBox],
    target: GeoBox,
    clip: BaseGeometry | None,
    how: Merging,
    chunks: int,
) -> Any:
    """Build one task per output chunk, which names just the blocks of tiles that it needs."""
    arrays = [_lazy(m) for m in maps]
    layers = [
        _lazy(s.chunk({d: m.chunksizes.get(d, -1) for d in s.dims}))
        for s, m in zip(weighed or [], maps, strict=False)
    ]
    whole = (0,) if how.rule == "blend" else ()  # all classes of a pixel are in one chunk
    windows = [window_in(target, b) for b in boxes]
    spans = [even_spans(length, chunks) for length in target.shape]
    pieces = _plan([a.chunks for a in arrays], windows, *spans)
    sizes = tuple(map(lengths, spans))
    clips = outlines(clip, sizes, mirrored=target.affine.determinant < 0)
    of_tiles = [a.name for a in arrays], [a.name for a in layers], windows
    name = "mosaic-" + tokenize(of_tiles, target, clip, how, chunks)
    graph: dict[Any, Any] = {}
    for i, j in itertools.product(range(len(sizes[0])), range(len(sizes[1]))):
        shape, cut = (sizes[0][i], sizes[1][j]), clips[i, j]
        here = [] if cut is False else pieces.get((i, j), [])
        if not here:
            graph[name, i, j] = (np.full, shape, how.nodata, np.uint8)
            continue
        values = [(arrays[p.tile].name, *p.block) for p in here]
        several = len({p.tile for p in here}) > 1  # one tile alone is not weighed
        wanted = layers and several
        weights = [(layers[p.tile].name, *whole, *p.block) for p in here] if wanted else None
        outline = cut if isinstance(cut, Outline) else None
        graph[name, i, j] = (_resolve_block, values, weights, _Cut(here, shape, outline, how))
    dependencies = [*arrays, *layers]
    lazy = HighLevelGraph.from_collections(name, graph, dependencies=dependencies)
    return da.Array(lazy, name, chunks=sizes, meta=np.empty((0, 0), np.uint8))  # pyright: ignore[reportCallIssue] - made in __new__


def _lazy(raster: xr.DataArray) -> Any:
    return raster.data if raster.chunks is not None else raster.chunk().data


def _plan(
    blocks: list[tuple[tuple[int, ...], tuple[int, ...]]],
    windows: list[tuple[tuple[int, int], tuple[int, int]]],
    rows: Spans,
    columns: Spans,
) -> dict[tuple[int, int], list[_Piece]]:
    """List for each output chunk the pieces of tiles in it, in order of the tiles."""
    plan: dict[tuple[int, int], list[_Piece]] = {}
    for tile, (sizes, (height, width)) in enumerate(zip(blocks, windows, strict=True)):
        whole = height[1] - height[0], width[1] - width[0]
        down, across = meetings(sizes[0], height[0], rows), meetings(sizes[1], width[0], columns)
        for (i, here), (j, there) in itertools.product(enumerate(down), enumerate(across)):
            for y, x in itertools.product(here, there):
                first = rows[i][0] + y.at - height[0], columns[j][0] + x.at - width[0]
                target = slice(y.at, y.at + y.pixels), slice(x.at, x.at + x.pixels)
                piece = _Piece(tile, (y.chunk, x.chunk), (y.cut, x.cut), target, first, whole)
                plan.setdefault((i, j), []).append(piece)
    return plan


@dataclass(frozen=True)
class _Cut:
    """How the pieces of one output chunk are put together."""

    pieces: list[_Piece]
    shape: tuple[int, int]
    outline: Outline | None
    how: Merging


def _resolve_block(
    values: list[np.ndarray], weights: list[np.ndarray] | None, cut: _Cut
) -> np.ndarray:
    """Lay the pieces into one layer per tile, merge the layers and clip."""
    nodata = cut.how.nodata
    layer = {tile: k for k, tile in enumerate(sorted({p.tile for p in cut.pieces}))}
    stack = np.zeros((len(layer), *cut.shape), np.uint8)
    for piece, block in zip(cut.pieces, values, strict=True):
        stack[layer[piece.tile], *piece.target] = _swapped(block[piece.source], nodata)
    if weights is None:
        out = resolve(stack, np.zeros((0, 0, 0), np.float32), cut.how.rule)
    elif cut.how.rule == "blend":
        out = _blend_layers(stack, weights, cut, layer)
    else:
        sure = np.zeros(stack.shape, np.float32)
        for piece, block in zip(cut.pieces, weights, strict=True):
            sure[layer[piece.tile], *piece.target] = block[piece.source]
        out = resolve(stack, sure, cut.how.rule)
    if cut.outline is not None:
        out[~inside(cut.outline, cut.shape)] = NO_DATA
    return _swapped(out, nodata)


def _blend_layers(
    stack: np.ndarray, shares: list[np.ndarray], cut: _Cut, layer: dict[int, int]
) -> np.ndarray:
    """Average the probabilities of all tiles, weighed by the distance from their edges."""
    ids = np.array(cut.how.class_ids, np.uint8)
    steps = np.zeros((len(layer), len(ids), *cut.shape), np.uint8)
    distance = np.zeros(stack.shape, np.float32)
    for piece, block in zip(cut.pieces, shares, strict=True):
        at = layer[piece.tile]
        part = steps_of(block[:, *piece.source])
        shape = part.shape[1], part.shape[2]
        steps[at, :, *piece.target] = part
        distance[at, *piece.target] = edge_distance(piece.first, shape, piece.whole)
    return blend(stack, steps, distance, ids)


def _swapped(block: np.ndarray, nodata: int) -> np.ndarray:
    """Let 0 and the no-data value change places, so that 0 is no data, or is again what it was."""
    if nodata == NO_DATA:
        return block
    table = np.arange(256, dtype=np.uint8)
    table[[NO_DATA, nodata]] = nodata, NO_DATA
    return table[block]
