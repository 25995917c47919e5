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
def value_runs(values: Any, mask: Any, nodata: int, first: Any, start: Any) -> Any:
    """Return each run's value, and its own number or -1 where it is masked or a sentinel.

    ``nodata`` is -1 where every value takes part.
    """
    value = np.zeros(start.size, values.dtype)
    label = np.full(start.size, NONE, np.int32)
    for y in range(values.shape[0]):
        for i in range(first[y], first[y + 1] - 1):
            value[i] = values[y, start[i]]
            if value[i] != nodata and (mask.size == 0 or mask[y, start[i]]):
                label[i] = i
    return value, label


@njit(nogil=True, cache=True)
def join_runs(value: Any, label: Any, diagonal: int, first: Any, start: Any) -> int:
    """Replace each run's own number in ``label`` by its region's; return the count of regions.

    Regions are numbered in scan order of their first pixels. ``diagonal`` is 1 for 8 and 0 for
    4 neighbours.
    """
    for y in range(1, first.size - 1):
        width = start[first[y] - 1]
        j = first[y - 1]
        for i in range(first[y], first[y + 1] - 1):
            left = start[i] - diagonal
            while start[j + 1] <= left:
                j += 1
            if label[i] == NONE:
                continue
            right = min(start[i + 1] + diagonal, width)
            root = i
            k = j
            while start[k] < right:
                if value[k] == value[i] and label[k] != NONE:
                    other = find_root(label, k)
                    label[max(root, other)] = root = min(root, other)
                k += 1
    return number_trees(label)


@njit(nogil=True, cache=True)
def measure_regions(run_value: Any, start: Any, label: Any, count: int) -> Any:
    """Return each region's size in pixels (int32) and value (uint32)."""
    size = np.zeros(count, np.int32)
    value = np.empty(count, np.uint32)
    for i in range(label.size - 1):
        if label[i] != NONE:
            size[label[i]] += start[i + 1] - start[i]
            value[label[i]] = run_value[i]
    return size, value


@njit(nogil=True, cache=True)
def label_row(first: Any, start: Any, label: Any, y: int) -> Any:
    """Return the region of each pixel of row ``y`` (int32)."""
    out = np.empty(start[first[y + 1] - 1], np.int32)
    for i in range(first[y], first[y + 1] - 1):
        out[start[i] : start[i + 1]] = label[i]
    return out


@njit(nogil=True, cache=True)
def meeting(later: int, earlier: int, start: Any, diagonal: int) -> int:
    """Return the place of the first link from a run to one that it touches in the row above."""
    x, above = start[later], start[earlier]
    if above > x:
        return 4 * above - 2 * diagonal  # above right of the pixel before, or straight above
    return 4 * x + (start[earlier + 1] <= x)


@njit(nogil=True, cache=True)
def neighbours_of_run(
    i: int, y: int, above: int, below: int, first: Any, start: Any, label: Any, diagonal: int,
    region: Any, key: Any,
) -> int:  # fmt: skip
    """Write the regions next to run ``i`` of row ``y``, with the key of the first link to each.

    ``above`` and ``below`` are the first runs of those rows that reach as far right as the run.
    A key is 4 * (row * width + column) of the link's later pixel, plus 0, 1, 2 or 3 for the earlier
    one above, above left, above right or left of it: the order of keys decides ties. A region may
    come more than once; returned is the number of entries.
    """
    n = 0
    own = label[i]
    width = start[first[1] - 1]
    right = min(start[i + 1] + diagonal, width)
    base = 4 * width * np.int64(y)
    if y > 0:
        while start[above] < right:
            region[n], key[n] = label[above], base + meeting(i, above, start, diagonal)
            n += (label[above] != NONE) & (label[above] != own)
            above += 1
    if start[i] > 0:
        region[n], key[n] = label[i - 1], base + 4 * start[i] + 3
        n += label[i - 1] != NONE
    if start[i + 1] < width:
        region[n], key[n] = label[i + 1], base + 4 * start[i + 1] + 3
        n += label[i + 1] != NONE
    if y + 2 < first.size:
        base += 4 * width
        while start[below] < right:
            region[n], key[n] = label[below], base + meeting(below, i, start, diagonal)
            n += (label[below] != NONE) & (label[below] != own)
            below += 1
    return n


@njit(nogil=True, cache=True)
def neighbours_of_row(
    y: int, first: Any, start: Any, label: Any, asks: Any, diagonal: int, asker: Any, region: Any,
    key: Any,
) -> int:  # fmt: skip
    """Write the neighbours of all runs of row ``y`` whose region asks; return their number.

    ``asker`` is the region that asks; see ``neighbours_of_run`` for the others.
    """
    n = 0
    above = first[y - 1] if y > 0 else 0
    below = first[y + 1]
    for i in range(first[y], first[y + 1] - 1):
        if label[i] == NONE or not asks[label[i]]:
            continue
        left = start[i] - diagonal
        if y > 0:
            while start[above + 1] <= left:
                above += 1
        if y + 2 < first.size:
            while start[below + 1] <= left:
                below += 1
        m = neighbours_of_run(
            i, y, above, below, first, start, label, diagonal, region[n:], key[n:]
        )
        asker[n : n + m] = label[i]
        n += m
    return n


@njit(nogil=True, cache=True)
def row_buffers(width: int) -> Any:
    """Return room for what ``neighbours_of_row`` writes."""
    room = 8 * width + 8  # a run has two neighbours beside it, and touches its length + 2 per row
    return np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int64)


@njit(nogil=True, cache=True)
def biggest_neighbours(
    first: Any, start: Any, label: Any, size: Any, asks: Any, diagonal: int
) -> Any:
    """Return the biggest neighbour of each region that asks, and the key of their first link.

    Parameters
    ----------
    size : int32 array
        Size of each region; a region of size 0 is nobody's neighbour.
    asks : bool array
        Whether the region wants to know.

    Returns
    -------
    best : int32 array
        Number of the biggest neighbour, the first met in scan order among equals; -1 for none.
    best_key : int64 array
        Key of the first link between the two (see ``neighbours_of_run``).
    """
    asker, region, key = row_buffers(start[first[1] - 1])
    best = np.full(size.size, NONE, np.int32)
    best_size = np.zeros(size.size, np.int32)
    best_key = np.empty(size.size, np.int64)
    for y in range(first.size - 1):
        n = neighbours_of_row(y, first, start, label, asks, diagonal, asker, region, key)
        for i in range(n):
            a, b = asker[i], region[i]
            if size[b] > best_size[a] or (
                size[b] == best_size[a] and best_size[a] > 0 and key[i] < best_key[a]
            ):
                best[a], best_size[a], best_key[a] = b, size[b], key[i]
    return best, best_key


@njit(nogil=True, cache=True)
def border_links(first: Any, start: Any, label: Any, asks: Any, border: Any, diagonal: int) -> Any:
    """Return all links of the regions that ask to regions on the border.

    Returns
    -------
    a, b : int32 arrays
        The region that asks and the other.
    key : int64 array
        See ``neighbours_of_run``.
    """
    asker, region, key = row_buffers(start[first[1] - 1])
    a, b, keys = asker.copy(), region.copy(), key.copy()
    count = 0
    for y in range(first.size - 1):
        n = neighbours_of_row(y, first, start, label, asks, diagonal, asker, region, key)
        if count + n > a.size:
            more = np.empty(a.size, np.int32)
            a, b = np.append(a, more), np.append(b, more)
            keys = np.append(keys, np.empty(keys.size, np.int64))
        for i in range(n):
            a[count], b[count], keys[count] = asker[i], region[i], key[i]
            count += border[region[i]]
    return a[:count], b[:count], keys[:count]


@njit(nogil=True, cache=True)
def paint_runs(out: Any, first: Any, start: Any, label: Any, value: Any, target: Any) -> None:
    """Give the pixels of each region whose ``target`` differs from its value that target."""
    for y in range(out.shape[0]):
        for i in range(first[y], first[y + 1] - 1):
            region = label[i]
            if region != NONE and target[region] != NONE and target[region] != value[region]:
                out[y, start[i] : start[i + 1]] = target[region]
