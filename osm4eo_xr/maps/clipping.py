"""Which pixels of a map's chunks lie inside an outline: those of GDAL's mask of the whole map.

An outline that is cut to a chunk gets rounded corners, and GDAL rounds what is shifted in another
way: both move edges by less than can be seen, and turn pixels whose center lies on an edge. So
chunks see the edges as they are, in pixels of the whole map, and burn them as GDAL does.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64


@dataclass(frozen=True)
class Outline:
    """What a chunk has to know of an outline.

    Attributes
    ----------
    edges : ndarray (edge, 4)
        First and second x and y of the edges that may cross the chunk, in pixels of the map.
    odd : ndarray (row,)
        Whether an odd number of edges crosses a row before the chunk.
    top, left : int
        The chunk's first row and column in the map.
    """

    edges: Float64[np.ndarray, "edge 4"]
    odd: Bool[np.ndarray, " row"]
    top: int
    left: int


def outlines(
    clip: BaseGeometry | None, sizes: tuple[tuple[int, ...], ...], *, mirrored: bool = False
) -> dict[tuple[int, int], Outline | bool]:
    """Return for each chunk True (inside), False (outside) or its part of the outline.

    Parameters
    ----------
    clip : Polygon or MultiPolygon, optional
        In pixels of the map; without one, all chunks are inside.
    sizes : tuple of tuple of int
        Rows and columns of the chunks.
    mirrored : bool
        Whether rows run against y, as in a map whose first row is in the north.
    """
    cells = itertools.product(range(len(sizes[0])), range(len(sizes[1])))
    if clip is None:
        return dict.fromkeys(cells, True)
    shapely.prepare(clip)
    edges = _edges_of(clip, mirrored=mirrored)
    tops, lefts = (np.cumsum((0, *s)).tolist() for s in sizes)
    found: dict[tuple[int, int], Outline | bool] = {}
    for i, (top, bottom) in enumerate(itertools.pairwise(tops)):
        y = edges[:, 1::2]
        near = edges[(y.min(axis=1) <= bottom) & (y.max(axis=1) >= top)]
        for j, (left, right) in enumerate(itertools.pairwise(lefts)):
            box = shapely.box(left, top, right, bottom)
            if not clip.intersects(box):
                found[i, j] = False
            elif clip.contains(box):
                found[i, j] = True
            else:
                found[i, j] = _part(near, (top, bottom), (left, right))
    return found


def _edges_of(clip: BaseGeometry, *, mirrored: bool) -> Float64[np.ndarray, "edge 4"]:
    """Return the edges of all rings; they run clockwise, holes too, as GDAL turns them.

    GDAL does so in the map's CRS: what runs clockwise there runs counterclockwise in pixels whose
    rows run against y.
    """
    rings = shapely.get_rings(shapely.get_parts(clip))
    rings = np.where(shapely.is_ccw(rings) != mirrored, shapely.reverse(rings), rings)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    return np.concatenate((points[:-1], points[1:]), axis=1)[ring[:-1] == ring[1:]]


def _part(
    near: Float64[np.ndarray, "edge 4"], rows: tuple[int, int], columns: tuple[int, int]
) -> Outline:
    """Return the outline for a chunk, of the edges that meet its rows."""
    x, height = near[:, ::2], rows[1] - rows[0]
    before = x.max(axis=1) < columns[0] - 1
    reached = np.ceil(near[before, 1::2] - 0.5) - rows[0]  # first row whose centers lie behind
    turns = np.bincount(np.clip(reached, 0, height).astype(np.int64).ravel(), minlength=height)
    odd = np.cumsum(turns)[:height] % 2 == 1
    return Outline(near[~before & (x.min(axis=1) <= columns[1] + 1)], odd, rows[0], columns[0])


def inside(outline: Outline, shape: tuple[int, int]) -> Bool[np.ndarray, "y x"]:
    """Return which pixels of a chunk have their center inside the outline, or on it as GDAL says.

    A row of centers that an edge runs along is inside where the edge runs to the left.
    """
    turns = np.zeros((shape[0], shape[1] + 1), np.bool_)
    turns[:, 0] = outline.odd
    along = np.zeros(shape, np.bool_)
    _cross(outline.edges, outline.top, outline.left, turns, along)
    return np.logical_xor.accumulate(turns[:, :-1], axis=1) | along


@numba.njit(nogil=True, cache=True)
def _cross(
    edges: Float64[np.ndarray, "edge 4"],
    top: int,
    left: int,
    turns: Bool[np.ndarray, "y x1"],
    along: Bool[np.ndarray, "y x"],
) -> None:
    """Turn in from out, or out from in, in each row at the first pixel behind each edge.

    The arithmetic is that of GDAL 3.10, ``GDALdllImageFilledPolygon`` in ``llrasterize.cpp``, its
    order of operations too.
    """
    height, width = along.shape
    for k in range(len(edges)):
        x1, y1, x2, y2 = edges[k]
        if y1 == y2:
            row = int(np.floor(y1)) - top
            if x1 > x2 and 0 <= row < height and y1 == top + row + 0.5:
                start = max(int(np.floor(x2 + 0.5)) - left, 0)
                stop = min(int(np.floor(x1 + 0.5)) - left, width)
                for column in range(start, stop):
                    along[row, column] = True
            continue
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        start = max(int(np.floor(y1)) - top, 0)
        stop = min(int(np.floor(y2)) - top + 1, height)
        for row in range(start, stop):
            center = top + row + 0.5
            if y1 <= center < y2:
                x = (center - y1) * (x2 - x1) / (y2 - y1) + x1
                column = min(max(int(np.floor(x + 0.5)) - left, 0), width)
                turns[row, column] = not turns[row, column]
