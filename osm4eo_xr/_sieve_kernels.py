"""Compiled kernels of the sieve that touch pixels: runs, regions and neighbours of one chunk.

A chunk is cut into runs, the maximal pieces of a row with one value. Runs of all rows stand in one
array: run ``i`` covers the columns ``start[i]`` to ``start[i + 1] - 1``, row ``y`` holds the runs
``first[y]`` to ``first[y + 1] - 2``, and the last entry of each row is a sentinel that starts at
the chunk's width. ``label[i]`` is the region a run belongs to, -1 for masked runs and sentinels.

All kernels that call each other live in this file, because numba's cache watches only the file of
the outer one.
"""

from typing import Any

import numpy as np
from numba import njit

SATURATION = 2**31 - 1
"""Region sizes stop growing here, as GDAL's do (pixels)."""

NONE = -1
"""No region, no neighbour, no new value."""


@njit(nogil=True, cache=True)
def cut_runs(values: Any, mask: Any) -> Any:
    """Return ``first`` (int64, height + 1) and ``start`` (int32) of the runs of a chunk.

    ``values`` is a C-contiguous unsigned (height, width) array and ``mask`` a uint8 array of its
    shape, or an empty one when there is no mask; a change of either begins a run.
    """
    height, width = values.shape
    masked = mask.size > 0
    count = 2 * height
    for y in range(height):
        for x in range(1, width):
            count += values[y, x] != values[y, x - 1]
        if masked:
            for x in range(1, width):
                count += (mask[y, x] != mask[y, x - 1]) & (values[y, x] == values[y, x - 1])
    first = np.empty(height + 1, np.int64)
    start = np.empty(count, np.int32)
    i = 0
    for y in range(height):
        first[y] = i
        start[i] = 0
        i += 1
        # Written before it is known to be one, so that the loop has no branch to mispredict; the
        # sentinel overwrites the last surplus entry.
        for x in range(1, width):
            start[i] = x
            change = values[y, x] != values[y, x - 1]
            if masked:
                change |= mask[y, x] != mask[y, x - 1]
            i += change
        start[i] = width
        i += 1
    first[height] = i
    return first, start


@njit(nogil=True, cache=True)
def find_root(parent: Any, i: int) -> int:
    """Return the root of ``i`` and halve the path to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)
def unite(parent: Any, i: int, j: int) -> None:
    """Join the trees of ``i`` and ``j`` under the lower root."""
    i = find_root(parent, i)
    j = find_root(parent, j)
    if i < j:
        parent[j] = i
    else:
        parent[i] = j


@njit(nogil=True, cache=True)
def number_trees(parent: Any) -> int:
    """Replace each entry by the number of its tree, in order of roots; return their count.

    Entries below zero belong to no tree and stay. A root is never above its members.
    """
    count = 0
    for i in range(parent.size):
        if parent[i] == i:
            parent[i] = count
            count += 1
        elif parent[i] >= 0:
            parent[i] = parent[parent[i]]
    return count


@njit(nogil=True, cache=True)
def unite_pairs(count: int, a: Any, b: Any) -> Any:
    """Return the number of each region's union (int64), and the count of unions."""
    parent = np.arange(count)
    for i in range(a.size):
        unite(parent, a[i], b[i])
    return parent, number_trees(parent)


@njit(nogil=True, cache=True)
def label_runs(values: Any, mask: Any, nodata: int, diagonal: int, first: Any, start: Any) -> Any:
    """Return ``label`` (int32 per run) and the number of regions.

    Regions are numbered in scan order of their first pixels. ``diagonal`` is 1 for 8 and 0 for
    4 neighbours; ``nodata`` is -1 where every value takes part.
    """
    height, width = values.shape
    label = np.full(start.size, NONE, np.int32)
    for y in range(height):
        for i in range(first[y], first[y + 1] - 1):
            x = start[i]
            if values[y, x] != nodata and (mask.size == 0 or mask[y, x]):
                label[i] = i
        if y == 0:
            continue
        j = first[y - 1]
        for i in range(first[y], first[y + 1] - 1):
            left = start[i] - diagonal
            right = min(start[i + 1] + diagonal, width)
            while start[j + 1] <= left:
                j += 1
            if label[i] == NONE:
                continue
            k = j
            value = values[y, start[i]]
            while start[k] < right:
                if values[y - 1, start[k]] == value and label[k] != NONE:
                    unite(label, i, k)
                k += 1
    return label, number_trees(label)


@njit(nogil=True, cache=True)
def measure_regions(values: Any, first: Any, start: Any, label: Any, count: int) -> Any:
    """Return each region's size in pixels (int32) and value (uint32)."""
    size = np.zeros(count, np.int32)
    value = np.empty(count, np.uint32)
    for y in range(values.shape[0]):
        for i in range(first[y], first[y + 1] - 1):
            if label[i] != NONE:
                size[label[i]] += start[i + 1] - start[i]
                value[label[i]] = values[y, start[i]]
    return size, value


@njit(nogil=True, cache=True)
def label_row(first: Any, start: Any, label: Any, y: int) -> Any:
    """Return the region of each pixel of row ``y`` (int32)."""
    out = np.empty(start[first[y + 1] - 1], np.int32)
    for i in range(first[y], first[y + 1] - 1):
        out[start[i] : start[i + 1]] = label[i]
    return out


@njit(nogil=True, cache=True)
def note_link(n: int, a: int, b: int, at: int, later: Any, earlier: Any, place: Any) -> int:
    """Write link ``n`` and return the next number, the same if it joins no two regions."""
    later[n], earlier[n], place[n] = a, b, at
    return n + ((a != b) & (b != NONE))


@njit(nogil=True, cache=True)
def links_of_top_row(
    first: Any, start: Any, label: Any, later: Any, earlier: Any, place: Any
) -> int:
    """Write the links of row 0 as ``links_of_row`` does; return their number."""
    n = 0
    for i in range(1, first[1] - 1):
        if label[i] != NONE:
            at = 4 * start[i] + 3
            n = note_link(n, label[i], label[i - 1], at, later, earlier, place)
    return n


@njit(nogil=True, cache=True)
def links_of_row(
    y: int, first: Any, start: Any, label: Any, diagonal: int, later: Any, earlier: Any, place: Any
) -> int:
    """Write the links between regions whose later pixel is in row ``y``; return their number.

    A link joins a pixel to one visited before it. They come in the order that decides ties: pixel
    by pixel, and at each the one above (0), above left (1), above right (2), left (3); ``place`` is
    4 * column + that number. Links between the same two runs are given once, by the first.
    """
    if y == 0:
        return links_of_top_row(first, start, label, later, earlier, place)
    n = 0
    j = first[y - 1]
    width = start[first[y] - 1]
    for i in range(first[y], first[y + 1] - 1):
        a, x = label[i], start[i]
        while start[j + 1] <= x:
            j += 1
        if a == NONE:
            continue
        n = note_link(n, a, label[j], 4 * x, later, earlier, place)
        k = j + 1
        if diagonal:
            if x > 0 and start[j] == x:
                n = note_link(n, a, label[j - 1], 4 * x + 1, later, earlier, place)
            if start[k] == x + 1:
                n = note_link(n, a, label[k], 4 * x + 2, later, earlier, place)
                k += start[k] < width
        if x > 0:
            n = note_link(n, a, label[i - 1], 4 * x + 3, later, earlier, place)
        end = min(start[i + 1] + diagonal, width)
        while start[k] < end:
            at = 4 * start[k] - 2 * diagonal  # by the pixel below, or above right of the one before
            n = note_link(n, a, label[k], at, later, earlier, place)
            k += 1
    return n


@njit(nogil=True, cache=True)
def biggest_neighbours(
    first: Any, start: Any, label: Any, size: Any, asks: Any, diagonal: int
) -> Any:
    """Return the biggest neighbour of each region that asks, and the place where they first meet.

    Parameters
    ----------
    size : int array
        Size of each region; a region of size 0 is nobody's neighbour.
    asks : bool array
        Whether the region wants to know.

    Returns
    -------
    best : int32 array
        Number of the biggest neighbour, the first met in scan order among equals; -1 for none.
    row, place : int32 arrays
        The row and ``place`` (see ``links_of_row``) of that first link.
    """
    width = start[first[1] - 1]
    later = np.empty(4 * width + 4, np.int32)
    earlier = np.empty(4 * width + 4, np.int32)
    at = np.empty(4 * width + 4, np.int32)
    best = np.full(size.size, NONE, np.int32)
    best_size = np.zeros(size.size, np.int32)
    row = np.empty(size.size, np.int32)
    place = np.empty(size.size, np.int32)
    for y in range(first.size - 1):
        n = links_of_row(y, first, start, label, diagonal, later, earlier, at)
        for i in range(n):
            a = later[i]
            b = earlier[i]
            if asks[a] and size[b] > best_size[a]:
                best[a], best_size[a], row[a], place[a] = b, size[b], y, at[i]
            if asks[b] and size[a] > best_size[b]:
                best[b], best_size[b], row[b], place[b] = a, size[a], y, at[i]
    return best, row, place


@njit(nogil=True, cache=True)
def border_links(first: Any, start: Any, label: Any, asks: Any, border: Any, diagonal: int) -> Any:
    """Return all links between a region that asks and one on the border, in scan order.

    Returns
    -------
    a, b, row, place : int32 arrays
        The two regions of each link and where it is (see ``links_of_row``).
    """
    width = start[first[1] - 1]
    later = np.empty(4 * width + 4, np.int32)
    earlier = np.empty(4 * width + 4, np.int32)
    at = np.empty(4 * width + 4, np.int32)
    found = np.empty((4 * width + 4, 4), np.int32)
    count = 0
    for y in range(first.size - 1):
        n = links_of_row(y, first, start, label, diagonal, later, earlier, at)
        if count + n > found.shape[0]:
            grown = np.empty((2 * found.shape[0], 4), np.int32)
            grown[:count] = found[:count]
            found = grown
        for i in range(n):
            a = later[i]
            b = earlier[i]
            if (asks[a] and border[b]) or (asks[b] and border[a]):
                found[count, 0], found[count, 1], found[count, 2] = a, b, y
                found[count, 3] = at[i]
                count += 1
    return found[:count]


@njit(nogil=True, cache=True)
def paint_runs(out: Any, first: Any, start: Any, label: Any, value: Any, target: Any) -> None:
    """Give the pixels of each region whose ``target`` differs from its value that target."""
    for y in range(out.shape[0]):
        for i in range(first[y], first[y + 1] - 1):
            region = label[i]
            if region != NONE and target[region] != NONE and target[region] != value[region]:
                out[y, start[i] : start[i + 1]] = target[region]
