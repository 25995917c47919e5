"""Blocks of a country's map: which parts of which tiles lie in each, and how they are joined."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import shapely
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask
from rasterio.transform import Affine
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.legend import NO_DATA
from osm4eo_xr.maps.overlaps import blend, edge_distance, resolve
from osm4eo_xr.rasters.shares import steps_of

_PIXELS = Affine.identity()


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
    pieces = _plan([a.chunks for a in arrays], windows, target, chunks)
    sizes = _split(target.shape[0], chunks), _split(target.shape[1], chunks)
    outlines = _outlines(clip, sizes)
    name = "mosaic-" + tokenize([a.name for a in arrays + layers], target, clip, how, chunks)
    graph: dict[Any, Any] = {}
    for i, j in itertools.product(range(len(sizes[0])), range(len(sizes[1]))):
        shape, inside = (sizes[0][i], sizes[1][j]), outlines[i, j]
        here = [] if inside is False else pieces.get((i, j), [])
        if not here:
            graph[name, i, j] = (np.full, shape, how.nodata, np.uint8)
            continue
        values = [(arrays[p.tile].name, *p.block) for p in here]
        several = len({p.tile for p in here}) > 1  # one tile alone is not weighed
        wanted = layers and several
        weights = [(layers[p.tile].name, *whole, *p.block) for p in here] if wanted else None
        polygon = inside if isinstance(inside, BaseGeometry) else None
        graph[name, i, j] = (_resolve_block, values, weights, _Cut(here, shape, polygon, how))
    dependencies = [*arrays, *layers]
    lazy = HighLevelGraph.from_collections(name, graph, dependencies=dependencies)
    return da.Array(lazy, name, chunks=sizes, meta=np.empty((0, 0), np.uint8))  # pyright: ignore[reportCallIssue] - made in __new__


def _lazy(raster: xr.DataArray) -> Any:
    return raster.data if raster.chunks is not None else raster.chunk().data


def _split(length: int, chunk: int) -> tuple[int, ...]:
    return (*(chunk for _ in range(length // chunk)), *([length % chunk] if length % chunk else []))


def _plan(
    blocks: list[tuple[tuple[int, ...], tuple[int, ...]]],
    windows: list[tuple[tuple[int, int], tuple[int, int]]],
    target: GeoBox,
    chunk: int,
) -> dict[tuple[int, int], list[_Piece]]:
    """List for each output chunk the pieces of tiles in it, in order of the tiles."""
    plan: dict[tuple[int, int], list[_Piece]] = {}
    for tile, (sizes, window) in enumerate(zip(blocks, windows, strict=True)):
        axes = [
            _overlaps(sizes[axis], window[axis][0], target.shape[axis], chunk) for axis in (0, 1)
        ]
        for (i, bi, sy, ty), (j, bj, sx, tx) in itertools.product(*axes):
            first = i * chunk + ty.start - window[0][0], j * chunk + tx.start - window[1][0]
            whole = window[0][1] - window[0][0], window[1][1] - window[1][0]
            piece = _Piece(tile, (bi, bj), (sy, sx), (ty, tx), first, whole)
            plan.setdefault((i, j), []).append(piece)
    return plan


def _overlaps(
    sizes: tuple[int, ...], start: int, length: int, chunk: int
) -> list[tuple[int, int, slice, slice]]:
    """Cut one axis of a tile: output chunk, tile block, slice of the block, slice of the chunk."""
    found = []
    for block, size in enumerate(sizes):
        low, high = max(start, 0), min(start + size, length)
        for k in range(low // chunk, -(-high // chunk)):
            a, b = max(low, k * chunk), min(high, (k + 1) * chunk)
            if a < b:
                source, aim = slice(a - start, b - start), slice(a - k * chunk, b - k * chunk)
                found.append((k, block, source, aim))
        start += size
    return found


def _outlines(
    clip: BaseGeometry | None, sizes: tuple[tuple[int, ...], ...]
) -> dict[tuple[int, int], BaseGeometry | bool]:
    """Return for each chunk True (inside), False (outside) or the part of the boundary in it."""
    cells = itertools.product(range(len(sizes[0])), range(len(sizes[1])))
    if clip is None:
        return dict.fromkeys(cells, True)
    shapely.prepare(clip)
    tops, lefts = (np.cumsum((0, *s)).tolist() for s in sizes)
    return {(i, j): _outline(clip, tops[i], lefts[j], tops[i + 1], lefts[j + 1]) for i, j in cells}


def _outline(
    clip: BaseGeometry, top: int, left: int, bottom: int, right: int
) -> BaseGeometry | bool:
    """Cut the boundary to a chunk and a pixel around it, in pixels from the chunk's corner."""
    box = shapely.box(left, top, right, bottom)
    if not clip.intersects(box):
        return False
    if clip.contains(box):
        return True
    part = shapely.intersection(clip, shapely.box(left - 1, top - 1, right + 1, bottom + 1))
    return shapely.transform(part, lambda xy: xy - (left, top))


@dataclass(frozen=True)
class _Cut:
    """How the pieces of one output chunk are put together."""

    pieces: list[_Piece]
    shape: tuple[int, int]
    outline: BaseGeometry | None
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
        outside = geometry_mask([cut.outline], out_shape=cut.shape, transform=_PIXELS)
        out[outside] = NO_DATA
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
