"""Compiled kernels of the sieve that touch pixels: the runs and regions of one chunk.

A chunk is cut into runs, the maximal pieces of a row with one value. Runs of all rows stand in one
array: run ``i`` covers the columns ``start[i]`` to ``start[i + 1] - 1``, row ``y`` holds the runs
``first[y]`` to ``first[y + 1] - 2``, and the last entry of each row is a sentinel that starts at
the chunk's width. ``label[i]`` is the region a run belongs to, -1 for masked runs and sentinels.

Kernels fill arrays that numpy made, write loops out and call little: so each compiles in a fraction
of a second, which a new machine waits for. Those that call each other live in one file, because
numba's cache watches only the file of the outer one.
"""

from typing import Any

import numba
import numpy as np

SATURATION = 2**31 - 1
"""Region sizes stop growing here, as GDAL's do (pixels)."""

NONE = -1
"""No region, no neighbor, no new value."""

_AT_ONCE = 16  # pixels that are painted at once
_PIXELS = 2**16  # of a chunk, about, whose changes are counted at a time

_njit: Any = numba.njit  # typed without some of its options

kernel = _njit(nogil=True, cache=True)
"""Compiles a kernel that Python calls."""

part = _njit(nogil=True, cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compiles a part that kernels alone call."""

inlined = _njit(
    nogil=True, cache=True, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
)
"""Compiles a part into each place that calls it: arrays are passed slowly."""


def cut_runs(values: Any, mask: Any) -> Any:
    """Return ``first`` (int64, height + 1), ``start`` (int32) and value of the runs of a chunk.

    ``values`` is a C-contiguous unsigned (height, width) array and ``mask`` a uint8 array of its
    shape, or an empty one when there is no mask; a change of either begins a run. The values of
    sentinels mean nothing.
    """
    count = _count_runs(values, mask)
    first, start = np.empty(values.shape[0] + 1, np.int64), np.empty(count, np.int32)
    value = np.empty(count, values.dtype)
    fill_runs(values, mask, first, start, value)
    return first, start, value


def _count_runs(values: Any, mask: Any) -> int:
    """Return the number of runs, sentinels included."""
    count = 2 * len(values)
    high = max(1, _PIXELS // values.shape[1])
    for y in range(0, len(values), high):
        rows = values[y : y + high]
        change = rows[:, 1:] != rows[:, :-1]
        if mask.size:
            rows = mask[y : y + high]
            change |= rows[:, 1:] != rows[:, :-1]
        count += int(np.count_nonzero(change))
    return count


@kernel
def fill_runs(values: Any, mask: Any, first: Any, start: Any, value: Any) -> None:
    """Fill the arrays that ``cut_runs`` returns."""
    height, width = values.shape
    masked = mask.size > 0
    i = 0
    for y in range(height):
        first[y] = i
        start[i] = 0
        value[i] = values[y, 0]
        i += 1
        # Written before it is known to be one, so that the loop has no branch to mispredict; the
        # sentinel overwrites the last surplus entry.
        for x in range(1, width):
            start[i] = x
            value[i] = values[y, x]
            change = values[y, x] != values[y, x - 1]
            if masked:
                change |= mask[y, x] != mask[y, x - 1]
            i += change
        start[i] = width
        i += 1
    first[height] = i


def label_runs(value: Any, mask: Any, nodata: int, first: Any, start: Any) -> Any:
    """Return each run's own number (int32), or -1 where it is masked or a sentinel.

    ``nodata`` is -1 where every value takes part.
    """
    label = np.arange(start.size, dtype=np.int32)
    if nodata != NONE:
        label[value == nodata] = NONE
    sentinels = first[1:] - 1
    if mask.size:
        rows = np.repeat(np.arange(len(mask)), np.diff(first))
        columns = start.copy()
        columns[sentinels] = 0
        label[mask[rows, columns] == 0] = NONE
    label[sentinels] = NONE
    return label


@inlined
def find_root(parent: Any, i: Any) -> int:
    """Return the root of ``i`` and halve the path to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@part
def number_trees(parent: Any) -> int:
    """Replace each entry by the number of its tree, in order of roots; return their count.

    Entries below zero belong to no tree and stay. A root is never above its members.
    """
    count = 0
    for i in range(parent.size):
        above = parent[i]
        if above == i:
            parent[i] = count
            count += 1
        elif above >= 0:
            parent[i] = parent[above]
    return count


def unite_pairs(count: int, a: Any, b: Any) -> Any:
    """Return the number of each region's union (int32), and the count of unions.

    Regions ``a[i]`` and ``b[i]`` (int32) are of one union.
    """
    parent = np.arange(count, dtype=np.int32)
    return parent, join_pairs(parent, a, b)


@kernel
def join_pairs(parent: Any, a: Any, b: Any) -> int:
    """Replace each entry of ``parent`` as ``unite_pairs`` says; return the count of unions."""
    for k in range(a.size):
        i = find_root(parent, np.int64(a[k]))  # one type of index, one compilation
        j = find_root(parent, np.int64(b[k]))
        if i < j:
            parent[j] = i
        else:
            parent[i] = j
    return number_trees(parent)


@inlined
def join_pair(i: int, j: int, value: Any, label: Any) -> None:
    """Make the trees of two runs one, if they have one value and take part."""
    if value[i] == value[j] and label[i] != NONE and label[j] != NONE:
        a = find_root(label, i)
        b = find_root(label, j)
        if a < b:
            label[b] = a
        else:
            label[a] = b


@kernel
def join_runs(value: Any, label: Any, diagonal: int, first: Any, start: Any) -> int:
    """Replace each run's own number in ``label`` by its region's; return the count of regions.

    Regions are numbered in scan order of their first pixels. ``diagonal`` is 1 for 8 and 0 for
    4 neighbors.
    """
    for y in range(1, first.size - 1):
        i, j = first[y], first[y - 1]
        end, above = first[y + 1] - 2, i - 2
        join_pair(i, j, value, label)
        while i < end or j < above:
            ends = start[i + 1]
            others = start[j + 1]
            if diagonal and ends == others:
                join_pair(i, j + 1, value, label)
                join_pair(i + 1, j, value, label)
            # What ends first is left behind, without a branch to mispredict.
            i += ends <= others
            j += others <= ends
            join_pair(i, j, value, label)
    return number_trees(label)


def measure_regions(value: Any, first: Any, start: Any, label: Any, count: int) -> Any:
    """Return each region's size in pixels (int32), value (uint32) and last row (int32).

    And the regions that begin above each row, and behind the last row all (int64).
    """
    size, found = np.zeros(count, np.int32), np.empty(count, np.uint32)
    last, begun = np.empty(count, np.int32), np.zeros(first.size, np.int64)
    add_runs(value, first, start, label, size, found, last, begun)
    return size, found, last, begun


@kernel
def add_runs(
    value: Any, first: Any, start: Any, label: Any, size: Any, found: Any, last: Any, begun: Any
) -> None:
    """Fill what ``measure_regions`` returns."""
    count = np.int64(0)
    for y in range(first.size - 1):
        for i in range(first[y], first[y + 1] - 1):
            region = label[i]
            if region != NONE:
                size[region] += start[i + 1] - start[i]
                found[region] = value[i]
                last[region] = y
                count = max(count, region + 1)
        begun[y + 1] = count


def label_row(first: Any, start: Any, label: Any, y: int) -> Any:
    """Return the region of each pixel of row ``y`` (int32)."""
    runs = slice(first[y], first[y + 1] - 1)
    return np.repeat(label[runs], np.diff(start[first[y] : first[y + 1]]))


@kernel
def paint_runs(
    first: Any, start: Any, label: Any, value: Any, painted: Any, width: int, out: Any
) -> None:
    """Fill the pixels of all runs, row after row: what their region is painted, or their value.

    ``value`` is one per run, which stays where a run has no region, and ``painted`` one per region;
    both are of the dtype of ``out``, which is flat. Most runs are short: as many pixels as a vector
    has are written at once, and those that are the next run's are written again by it.
    """
    for y in range(first.size - 1):
        row = y * width
        for i in range(first[y], first[y + 1] - 1):
            region = label[i]
            pixel = painted[region] if region != NONE else value[i]
            end = row + start[i + 1]
            for begin in range(row + start[i], end, _AT_ONCE):
                if begin + _AT_ONCE <= out.size:
                    for x in range(begin, begin + _AT_ONCE):
                        out[x] = pixel
                else:
                    for x in range(begin, end):
                        out[x] = pixel
