"""Compiled kernels of the sieve that touch pixels: runs, regions and neighbors of one chunk.

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
"""No region, no neighbor, no new value."""

LAST_KEY = 2**63 - 1
"""Later than any link."""


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
    4 neighbors.
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


@njit(nogil=True, cache=True, inline="always")
def neighbors_of_run(
    i: int, y: int, above: int, below: int, runs: Any, diagonal: int, weight: Any, least: int,
    region: Any, key: Any, n: int,
) -> int:  # fmt: skip
    """Write the regions next to run ``i`` of row ``y``, with the key of the first link to each.

    ``above`` and ``below`` are the first runs of those rows that reach as far right as the run.
    Regions that weigh less than ``least``, or than one already written, are left out. Entries begin
    at place ``n``; returned is the place after the last. A region may come more than once.

    A key is 4 * (row * width + column) of the link's later pixel, plus 0, 1, 2 or 3 for the earlier
    one above, above left, above right or left of it: the order of keys decides ties.
    """
    first, start, label = runs
    own = label[i]
    width = start[first[1] - 1]
    right = min(start[i + 1] + diagonal, width)
    base = 4 * width * np.int64(y)
    if y > 0:
        while start[above] < right:
            other = label[above]
            if NONE != other != own and weight[other] >= least:
                region[n], key[n] = other, base + meeting(i, above, start, diagonal)
                least = weight[other]
                n += 1
            above += 1
    for j, x in ((i - 1, start[i]), (i + 1, start[i + 1])):
        if 0 < x < width and label[j] != NONE and weight[label[j]] >= least:
            region[n], key[n] = label[j], base + 4 * x + 3
            least = weight[label[j]]
            n += 1
    if y + 2 < first.size:
        base += 4 * width
        while start[below] < right:
            other = label[below]
            if NONE != other != own and weight[other] >= least:
                region[n], key[n] = other, base + meeting(below, i, start, diagonal)
                least = weight[other]
                n += 1
            below += 1
    return n


@njit(nogil=True, cache=True)
def neighbors_of_row(
    y: int, runs: Any, asks: Any, diagonal: int, weight: Any, least: Any, asker: Any, region: Any,
    key: Any,
) -> int:  # fmt: skip
    """Write the neighbors of all runs of row ``y`` whose region asks; return their number.

    ``asker`` is the region that asks and ``least`` the least weight it asks for, at least 1; see
    ``neighbors_of_run`` for the others.
    """
    first, start, label = runs
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
        end = neighbors_of_run(
            i, y, above, below, runs, diagonal, weight, least[label[i]], region, key, n
        )
        for k in range(n, end):
            asker[k] = label[i]
        n = end
    return n


@njit(nogil=True, cache=True)
def row_buffers(width: int) -> Any:
    """Return room for what ``neighbors_of_row`` writes."""
    room = 8 * width + 8  # a run has two neighbors beside it, and touches its length + 2 per row
    return np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int64)


@njit(nogil=True, cache=True)
def biggest_neighbors(runs: Any, size: Any, asks: Any, diagonal: int) -> Any:
    """Return the biggest neighbor of each region that asks, and the key of their first link.

    Parameters
    ----------
    runs : tuple
        ``first``, ``start``, ``label``.
    size : int32 array
        Size of each region; a region of size 0 is nobody's neighbor.
    asks : bool array
        Whether the region wants to know.

    Returns
    -------
    best : int32 array
        Number of the biggest neighbor, the first met in scan order among equals; -1 for none.
    best_key : int64 array
        Key of the first link between the two (see ``neighbors_of_run``).
    """
    first, start, _ = runs
    asker, region, key = row_buffers(start[first[1] - 1])
    best = np.full(size.size, NONE, np.int32)
    best_size = np.ones(size.size, np.int32)
    best_key = np.full(size.size, LAST_KEY, np.int64)
    for y in range(first.size - 1):
        n = neighbors_of_row(y, runs, asks, diagonal, size, best_size, asker, region, key)
        for i in range(n):
            a, b = asker[i], region[i]
            if size[b] > best_size[a] or (size[b] == best_size[a] and key[i] < best_key[a]):
                best[a], best_size[a], best_key[a] = b, size[b], key[i]
    return best, best_key


@njit(nogil=True, cache=True)
def border_links(runs: Any, asks: Any, border: Any, diagonal: int) -> Any:
    """Return all links of the regions that ask to regions on the border.

    Returns
    -------
    a, b : int32 arrays
        The region that asks and the other.
    key : int64 array
        See ``neighbors_of_run``.
    """
    first, start, _ = runs
    asker, region, key = row_buffers(start[first[1] - 1])
    a, b, keys = asker.copy(), region.copy(), key.copy()
    weight, least = border.astype(np.int32), np.ones(border.size, np.int32)
    count = 0
    for y in range(first.size - 1):
        n = neighbors_of_row(y, runs, asks, diagonal, weight, least, asker, region, key)
        if count + n > a.size:
            more = np.empty(a.size, np.int32)
            a, b = np.append(a, more), np.append(b, more)
            keys = np.append(keys, np.empty(keys.size, np.int64))
        for i in range(n):
            a[count + i], b[count + i], keys[count + i] = asker[i], region[i], key[i]
        count += n
    return a[:count], b[:count], keys[:count]


@njit(nogil=True, cache=True)
def paint_runs(first: Any, start: Any, label: Any, value: Any, target: Any) -> Any:
    """Return the pixels of all runs: their region's ``target`` or, where it is -1, their value."""
    out = np.empty((first.size - 1, start[first[1] - 1]), value.dtype)
    for y in range(out.shape[0]):
        for i in range(first[y], first[y + 1] - 1):
            painted = value[i]
            if label[i] != NONE and target[label[i]] != NONE:
                painted = target[label[i]]
            out[y, start[i] : start[i + 1]] = painted
    return out
