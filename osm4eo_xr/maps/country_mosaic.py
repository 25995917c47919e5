"""Class maps of tiles → one map of a country, clipped to its boundary."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import dask.array as da
import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask
from rasterio.transform import Affine
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import (
    crs_name,
    geobox_of,
    georeference,
    nodata_of,
    same_grid,
    zero_nodata,
)
from osm4eo_xr.legend import NO_DATA
from osm4eo_xr.maps.boundary import read_boundary
from osm4eo_xr.maps.overlaps import resolve
from osm4eo_xr.places.outlines import country_boundary

Rule = Literal["majority", "confidence", "first"]
Tiles = Sequence[xr.DataArray] | Mapping[str, xr.DataArray]

_PIXELS = Affine.identity()
_WIDE = 10**9  # pixels of a grid around tiles that is looked at
_LEAST_FILLED = 1e-3  # the Azores, Madeira and Portugal fill some per cent of theirs


@dataclass(frozen=True)
class _Piece:
    """A rectangle of one block of one tile and where it lies in an output block."""

    tile: int
    block: tuple[int, int]
    source: tuple[slice, slice]
    target: tuple[slice, slice]


def mosaic(
    class_maps: Tiles,
    boundary: str | Path | gpd.GeoDataFrame | BaseGeometry | None = None,
    geobox: GeoBox | None = None,
    *,
    country: str | None = None,
    confidence: Tiles | None = None,
    rule: Rule | str | None = None,
    chunks: int = 2048,
) -> xr.DataArray:
    """Join class maps that share a grid into one map; lazy.

    Where tiles overlap, the result does not depend on their order: ``"confidence"`` takes the
    class of the highest confidence, ``"majority"`` the class that most tiles give; what is equal
    goes to the lowest tile id. ``"first"`` takes the first tile given that has data.

    Parameters
    ----------
    class_maps : sequence or mapping of DataArray, dims (y, x), uint8
        No data is what each states in ``attrs["nodata"]``, 0 by default. A tile's id is its key in
        a mapping, else ``attrs["tile"]``, else its place (from north to south, then west to east).
    boundary : path, GeoDataFrame or geometry, optional
        Polygons in any CRS (a bare geometry in the tiles' CRS); pixels whose center lies outside
        become no data.
    geobox : GeoBox, optional
        Extent of the result, on the tiles' grid; by default the smallest that covers all tiles.
    country : str, optional
        A name or code as ``find_country`` takes: only this country's rows of the vector file that
        ``boundary`` names, or without one Natural Earth's outline at 1:50 million.
    confidence : sequence or mapping of DataArray, dims (y, x), optional
        In the same order or with the same keys; higher is surer, NaN counts as none.
    rule : {"majority", "confidence", "first"}, optional
        By default ``"confidence"`` where confidence is given, else ``"majority"``.
    chunks : int
        Edge of the result's chunks in pixels.

    Returns
    -------
    DataArray (y, x), uint8
        No data is that of the tiles, or 0 where they differ; attrs are those of the first tile.
        Only chunks that a tile touches inside the
        boundary depend on pixels.

    Raises
    ------
    InputError
        If no tile is given, tiles do not share a grid or fill less than a thousandth of a wide one,
        two tiles have one id, or the boundary holds no polygon or no such country, or does not
        meet the grid.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> west = oxr.target_geobox((4321000, 3210000, 4321020, 3210010))
    >>> east = oxr.target_geobox((4321010, 3210000, 4321030, 3210010))
    >>> tiles = {
    ...     "b": georeference(np.array([[8, 8]], dtype="uint8"), west),
    ...     "a": georeference(np.array([[12, 12]], dtype="uint8"), east),
    ... }
    >>> oxr.mosaic(tiles).values.tolist()  # a draw goes to the lowest id
    [[8, 12, 12]]
    """
    if country is not None:
        if not isinstance(boundary, str | Path | None):
            raise InputError(
                f"country {country!r} with a boundary that is no file",
                advice="give {boundary} the path of a boundaries file, or leave it out",
            )
        boundary = country_boundary(country, boundary)
    if rule not in (None, *get_args(Rule)):
        raise InputError(f"rule={rule!r}", advice=f"choose one of {', '.join(get_args(Rule))}")
    maps, sure = _in_order(class_maps, confidence, ordered=rule != "first")
    rule = rule or ("majority" if sure is None else "confidence")
    if rule == "confidence" and sure is None:
        raise InputError(
            "rule 'confidence' needs a confidence raster per tile", advice="give {confidence}"
        )
    boxes = [geobox_of(m) for m in maps]
    maps, nodata = _one_nodata(maps)
    target = _target(boxes, geobox)
    clip = None if boundary is None else read_boundary(boundary, target)
    data = _assemble(
        maps, sure if rule == "confidence" else None, boxes, target, clip, (rule, nodata), chunks
    )
    attrs = {**maps[0].attrs, "nodata": nodata}
    attrs.pop("tile", None)
    return georeference(data, target, attrs=attrs, name="class_map")


def _in_order(
    class_maps: Tiles, confidence: Tiles | None, *, ordered: bool
) -> tuple[list[xr.DataArray], list[xr.DataArray] | None]:
    """Return tiles (and their confidences) in order of their ids, or as given."""
    given = _keyed(class_maps)
    if not given:
        raise InputError("no class map to join", advice="give at least one")
    for key, m in given:
        if m.dims != ("y", "x") or m.dtype != np.uint8:
            raise InputError(
                f"tile {key} has dims {m.dims} of {m.dtype}", expected="(y, x) of uint8"
            )
    sure = None if confidence is None else dict(_keyed(confidence, like=given))
    if sure is not None and set(sure) != {k for k, _ in given}:
        raise InputError("confidence and class maps name different tiles", advice="give one each")
    if ordered:
        _refuse_twice(given)
        given = sorted(given, key=lambda item: item[0])
    return [m for _, m in given], None if sure is None else [sure[k] for k, _ in given]


def _refuse_twice(tiles: list[tuple[str, xr.DataArray]]) -> None:
    """Refuse tiles that no id orders where they differ."""
    name, times = Counter(k for k, _ in tiles).most_common(1)[0]
    if times == 1:
        return
    alike = [str(n) for n, (key, _) in enumerate(tiles, start=1) if key == name]
    placed = name == _place(tiles[int(alike[0]) - 1][1])
    called = "have one grid" if placed else f"are called {name}"
    raise InputError(
        f"tiles {' and '.join(alike[:2])} of {len(tiles)} {called}, so that nothing orders them",
        advice="pass {rule=first} to prefer them as they are given, or in Python a mapping of ids",
    )


def _one_nodata(maps: list[xr.DataArray]) -> tuple[list[xr.DataArray], int]:
    """Return class maps that share a no-data value, and the value."""
    stated = {int(nodata_of(m, NO_DATA)) for m in maps}
    if len(stated) == 1:
        return maps, stated.pop()
    return [zero_nodata(m) for m in maps], NO_DATA


def _keyed(
    tiles: Tiles, like: list[tuple[str, xr.DataArray]] | None = None
) -> list[tuple[str, xr.DataArray]]:
    """Pair each tile with an id that does not depend on the order in which tiles are given."""
    if isinstance(tiles, Mapping):
        return [(str(k), v) for k, v in tiles.items()]
    if like is not None:
        if len(tiles) != len(like):
            raise InputError(
                f"{len(tiles)} confidences for {len(like)} tiles", advice="give one each"
            )
        return [(key, v) for (key, _), v in zip(like, tiles, strict=True)]
    return [(str(m.attrs["tile"]) if "tile" in m.attrs else _place(m), m) for m in tiles]


def _place(raster: xr.DataArray) -> str:
    """Name a tile after its upper left corner, so that names sort north to south, west to east."""
    box = geobox_of(raster).boundingbox
    return f"top {1e9 - box.top:014.3f} left {1e9 + box.left:014.3f} {raster.shape}"


def _target(boxes: list[GeoBox], geobox: GeoBox | None) -> GeoBox:
    """Return the smallest grid around all tiles, or check the one given."""
    first = boxes[0] if geobox is None else geobox
    for k, box in enumerate(boxes):
        if not same_grid(first, box):
            raise InputError(
                f"tile {k + 1} lies on {crs_name(box.crs)} with pixels of {box.resolution.xy}, "
                f"shifted or unlike {crs_name(first.crs)} with {first.resolution.xy}",
                advice="bring tiles onto one grid first",
            )
    return grid_around(boxes) if geobox is None else geobox


def grid_around(boxes: Sequence[GeoBox]) -> GeoBox:
    """Return the smallest grid around tiles that share pixel edges.

    Raises
    ------
    InputError
        If they fill less than a thousandth of a wide grid.
    """
    first = boxes[0]
    windows = [_window(first, box) for box in boxes]
    top, left = (min(w[axis][0] for w in windows) for axis in (0, 1))
    bottom, right = (max(w[axis][1] for w in windows) for axis in (0, 1))
    affine = first.affine @ first.affine.translation(left, top)
    grid = GeoBox((bottom - top, right - left), affine, first.crs)
    _check_near(boxes, grid)
    return grid


def _check_near(boxes: Sequence[GeoBox], grid: GeoBox) -> None:
    """Refuse tiles that lie so far apart that one of them must be misplaced."""
    height, width = grid.shape
    filled = sum(rows * cols for rows, cols in (box.shape for box in boxes))
    if height * width > _WIDE and filled < _LEAST_FILLED * height * width:
        places = [tuple(round(v) for v in box.boundingbox) for box in boxes]
        far = sorted(range(len(places)), key=lambda k: places[k])
        raise InputError(
            f"the tiles cover {filled / (height * width):.4%} of the {width:,} x {height:,} pixels "
            f"around them: tile {far[0] + 1} lies at {places[far[0]]}, tile {far[-1] + 1} at "
            f"{places[far[-1]]}",
            expected="tiles of one country",
            advice="correct the place of the one that is off, or join those that lie together",
        )


def _window(grid: GeoBox, box: GeoBox) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return first and past-the-last row and column of ``box`` in pixels of ``grid``."""
    left, top = ~grid.affine @ (box.affine.c, box.affine.f)
    row, column = round(top), round(left)
    return (row, row + box.shape[0]), (column, column + box.shape[1])


def _assemble(
    maps: list[xr.DataArray],
    sure: list[xr.DataArray] | None,
    boxes: list[GeoBox],
    target: GeoBox,
    clip: BaseGeometry | None,
    how: tuple[str, int],
    chunks: int,
) -> Any:
    """Build one task per output chunk, which names just the blocks of tiles that it needs."""
    arrays = [_lazy(m) for m in maps]
    layers = [_lazy(s.chunk(dict(m.chunksizes))) for s, m in zip(sure or [], maps, strict=False)]
    pieces = _plan([a.chunks for a in arrays], [_window(target, b) for b in boxes], target, chunks)
    sizes = _split(target.shape[0], chunks), _split(target.shape[1], chunks)
    outlines = _outlines(clip, sizes)
    name = "mosaic-" + tokenize([a.name for a in arrays + layers], target, clip, how, chunks)
    graph: dict[Any, Any] = {}
    for i, j in itertools.product(range(len(sizes[0])), range(len(sizes[1]))):
        shape, inside = (sizes[0][i], sizes[1][j]), outlines[i, j]
        here = [] if inside is False else pieces.get((i, j), [])
        if not here:
            graph[name, i, j] = (np.full, shape, how[1], np.uint8)
            continue
        values = [(arrays[p.tile].name, *p.block) for p in here]
        weights = [(layers[p.tile].name, *p.block) for p in here] if layers else None
        polygon = inside if isinstance(inside, BaseGeometry) else None
        graph[name, i, j] = (_resolve_block, values, weights, _Cut(here, shape, polygon, *how))
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
            plan.setdefault((i, j), []).append(_Piece(tile, (bi, bj), (sy, sx), (ty, tx)))
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
    rule: str
    nodata: int


def _resolve_block(
    values: list[np.ndarray], weights: list[np.ndarray] | None, cut: _Cut
) -> np.ndarray:
    """Lay the pieces into one layer per tile, merge the layers and clip."""
    layer = {tile: k for k, tile in enumerate(sorted({p.tile for p in cut.pieces}))}
    stack = np.zeros((len(layer), *cut.shape), np.uint8)
    sure = np.zeros(stack.shape if weights else (0, 0, 0), np.float32)
    for k, piece in enumerate(cut.pieces):
        stack[layer[piece.tile], *piece.target] = _swapped(values[k][piece.source], cut.nodata)
        if weights:
            sure[layer[piece.tile], *piece.target] = weights[k][piece.source]
    out = resolve(stack, sure, cut.rule)
    if cut.outline is not None:
        outside = geometry_mask([cut.outline], out_shape=cut.shape, transform=_PIXELS)
        out[outside] = NO_DATA
    return _swapped(out, cut.nodata)


def _swapped(block: np.ndarray, nodata: int) -> np.ndarray:
    """Let 0 and the no-data value change places, so that 0 is no data, or is again what it was."""
    if nodata == NO_DATA:
        return block
    table = np.arange(256, dtype=np.uint8)
    table[[NO_DATA, nodata]] = nodata, NO_DATA
    return table[block]
