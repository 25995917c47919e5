"""Polygons of a class raster, traced block by block and joined across block borders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from rasterio.features import rasterize, shapes
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from jaxtyping import Bool, Int, UInt

Traced = tuple[np.ndarray, np.ndarray]


def trace(block: UInt[np.ndarray, "y x"], row: int, column: int, nodata: int) -> Traced:
    """Return polygons of 4-connected equal pixels in a block, and their values.

    Coordinates are whole pixels: x = column, y = row, of the raster that the block is cut from.
    """
    found = list(shapes(block, mask=block != nodata, connectivity=4)) if block.size else []
    if not found:
        return np.array([], dtype=object), np.array([], dtype=block.dtype)
    polygons = shapely.from_geojson([_geojson(g) for g, _ in found])
    values = np.array([v for _, v in found]).astype(block.dtype)
    return shapely.transform(polygons, lambda xy: xy + np.array((column, row))), values


def _geojson(geometry: dict[str, object]) -> str:
    rings = str(geometry["coordinates"]).replace("(", "[").replace(")", "]")
    return f'{{"type":"Polygon","coordinates":{rings}}}'


def count_flags(
    polygons: np.ndarray, flags: Bool[np.ndarray, "y x"], row: int, column: int
) -> Int[np.ndarray, "polygon 2"]:
    """Return how many pixels of each polygon of a block are flagged, and how many there are."""
    if not len(polygons):
        return np.zeros((0, 2), np.int64)
    inside = shapely.transform(polygons, lambda xy: xy - np.array((column, row)))
    numbered = zip(inside.tolist(), range(1, len(inside) + 1), strict=True)
    owner: Any = rasterize(numbered, out_shape=flags.shape, fill=0, dtype=np.int32)
    counts = [np.bincount(owner[w].ravel(), minlength=len(inside) + 1) for w in (flags, ...)]
    return np.stack(counts, axis=1)[1:].astype(np.int64)


def join(
    parts: Iterable[Traced],
    rows: list[int],
    columns: list[int],
    counts: Sequence[np.ndarray] = (),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unite polygons of one value that share an edge along the block borders given.

    Parameters
    ----------
    parts : iterable of (polygons, values)
        What ``trace`` gave for each block.
    rows, columns : list of int
        First row and first column of each block.
    counts : sequence of ndarray (polygon, 2), optional
        What ``count_flags`` gave for each block.

    Returns
    -------
    (polygons, values, share)
        Valid, in order of value, then of their first pixel, row by row. The share (0-1) of the
        polygons' pixels that are flagged; 0 without counts.
    """
    pieces = list(parts)
    polygons = np.concatenate([p for p, _ in pieces])
    values = np.concatenate([v for _, v in pieces])
    if not len(polygons):
        return polygons, values, np.zeros(0)
    flagged = np.concatenate(counts) if len(counts) else np.tile((0, 1), (len(polygons), 1))
    labels = _groups(polygons, values, rows, columns)
    members = defaultdict(list)
    for k, label in enumerate(labels.tolist()):
        members[label].append(k)
    united = np.array([_unite(polygons[m]) for m in members.values()], dtype=object)
    value = np.array([values[m[0]] for m in members.values()])
    total = np.array([flagged[m].sum(axis=0) for m in members.values()])
    left, top, _, _ = shapely.bounds(united).T
    order = np.lexsort((_first_column(united, left, top), left, top, value))
    return united[order], value[order], (total[:, 0] / total[:, 1])[order]


def _groups(
    polygons: np.ndarray, values: np.ndarray, rows: list[int], columns: list[int]
) -> np.ndarray:
    """Give every polygon the number of its connected group."""
    left, top, right, bottom = shapely.bounds(polygons).T
    at_border = np.isin(left, columns) | np.isin(right, columns)
    at_border |= np.isin(top, rows) | np.isin(bottom, rows)
    edge = np.flatnonzero(at_border)
    tree = shapely.STRtree(polygons[edge])
    a, b = tree.query(polygons[edge], predicate="intersects")
    a, b = edge[a], edge[b]
    likely = (a < b) & (values[a] == values[b])
    a, b = a[likely], b[likely]
    shared = shapely.length(shapely.intersection(polygons[a], polygons[b])) > 0
    n = len(polygons)
    links = coo_array((np.ones(shared.sum(), bool), (a[shared], b[shared])), shape=(n, n))
    return connected_components(links, directed=False)[1]


def _unite(pieces: np.ndarray) -> shapely.Geometry:
    """Unite pieces; drop the vertices that only a block border had made."""
    whole = pieces[0] if len(pieces) == 1 else shapely.union_all(pieces)
    return shapely.normalize(shapely.make_valid(shapely.simplify(whole, 0)))


def _first_column(polygons: np.ndarray, left: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Return where each first row begins: it orders polygons that share a corner of their boxes."""
    strips = shapely.box(left, top, shapely.bounds(polygons)[:, 2], top + 1)
    return shapely.bounds(shapely.intersection(polygons, strips))[:, 0]
