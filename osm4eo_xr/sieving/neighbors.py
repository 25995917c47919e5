"""Compiled kernels of the sieve that find the neighbors of a chunk's regions.

Runs are those of ``osm4eo_xr.sieving.kernels``, which also says how kernels are written. The place
of a link between two pixels in scan order is its key: 4 * (row * width + column) of the later
pixel, plus 0, 1, 2 or 3 for the earlier one above, above left, above right or left of it. The order
of keys decides ties.
"""

from typing import Any, NamedTuple

import numpy as np

from osm4eo_xr.sieving.kernels import NONE, SATURATION, inlined, kernel, part

_ALL_ROWS = np.empty(0, bool)


@inlined
def meeting(later: int, earlier: int, start: Any, diagonal: int) -> int:
    """Return the place of the first link from a run to one that it touches in the row above."""
    x = start[later]
    above = start[earlier]
    if above > x:
        return 4 * above - 2 * diagonal  # above right of the pixel before, or straight above
    return 4 * x + (start[earlier + 1] <= x)


@inlined
def tell_both(
    later: int, earlier: int, here: int, start: Any, label: Any, diagonal: int, size: Any,
    least: Any, best: Any, best_key: Any,
) -> None:  # fmt: skip
    """Tell the regions of two runs that touch of each other, where one outweighs all before it.

    ``least`` is the heaviest neighbor of each region before, and ``here`` the key at which the
    later one's row begins.
    """
    none = np.uint64(size.size - 1)
    a = min(np.uint64(np.uint32(label[later])), none)
    b = min(np.uint64(np.uint32(label[earlier])), none)
    # One branch, seldom taken: what it hangs on cannot be foreseen.
    if (a != b) & ((size[b] > least[a]) | (size[a] > least[b])):
        if later == earlier + 1:
            key = here + 4 * start[later] + 3
        else:
            key = here + meeting(later, earlier, start, diagonal)
        if size[b] > least[a]:
            best[a] = b
            least[a] = size[b]
            best_key[a] = key
        if size[a] > least[b]:
            best[b] = a
            least[b] = size[a]
            best_key[b] = key


class Biggest(NamedTuple):
    """What is known of the biggest neighbors of a chunk's regions.

    Attributes
    ----------
    best : int32 array
        Number of each region's biggest neighbor, the first met in scan order among equals; -1 for
        none.
    key : int64 array
        Key of the first link between the two; means nothing without one.
    """

    best: Any
    key: Any


def nothing_known(count: int) -> Biggest:
    """Return that nothing is known of so many regions."""
    return Biggest(np.full(count, NONE, np.int32), np.empty(count, np.int64))


def biggest_neighbors(
    runs: Any, size: Any, asks: Any, diagonal: int, known: Biggest, rows: Any = _ALL_ROWS
) -> None:
    """Find the biggest neighbor of each region that asks.

    Parameters
    ----------
    runs : tuple
        ``first``, ``start``, ``label``.
    size : int32 array
        Size of each region; a region of size 0 is nobody's neighbor.
    asks : bool array
        Whether the region wants to know; none may twice.
    diagonal : int
        1 for 8 and 0 for 4 neighbors.
    known : Biggest
        Takes the answers.
    rows : bool array
        Where there are regions that ask; an empty one if they may be anywhere.
    """
    least = np.full(asks.size + 1, SATURATION, np.int32)
    least[:-1][asks] = 0
    find_biggest(*runs, np.append(size, np.int32(0)), diagonal, rows, least, *known)


@kernel
def find_biggest(
    first: Any, start: Any, label: Any, size: Any, diagonal: int, rows: Any, least: Any, best: Any,
    best_key: Any,
) -> None:  # fmt: skip
    """Fill what ``biggest_neighbors`` finds; ``least`` is 0 for regions that ask, else infinite.

    Links are met in the order of their keys, so that among equals the first stays.
    """
    width = start[first[1] - 1]
    for y in range(first.size - 1):
        asked = not rows.size or rows[y]
        here = 4 * width * np.int64(y)
        begin, end = first[y], first[y + 1] - 2
        if y == 0:
            for i in range(begin + 1, end + 1):
                tell_both(i, i - 1, here, start, label, diagonal, size, least, best, best_key)
            continue
        if not (asked or rows[y - 1]):
            continue
        i, j, above = begin, first[y - 1], begin - 2
        tell_both(i, j, here, start, label, diagonal, size, least, best, best_key)
        while i < end or j < above:
            ends = start[i + 1]
            others = start[j + 1]
            corner = diagonal & (ends == others)
            if corner:
                tell_both(i, j + 1, here, start, label, diagonal, size, least, best, best_key)
            # What ends first is left behind, without a branch to mispredict.
            i += ends <= others
            j += others <= ends
            tell_both(i, j, here, start, label, diagonal, size, least, best, best_key)
            if corner:
                tell_both(i, j - 1, here, start, label, diagonal, size, least, best, best_key)
            if ends <= others:
                if diagonal and start[j + 1] == ends + 1:
                    tell_both(i, j + 1, here, start, label, diagonal, size, least, best, best_key)
                tell_both(i, i - 1, here, start, label, diagonal, size, least, best, best_key)


@part
def links_of_row(  # noqa: C901 - written out, it compiles in half the time
    y: int, first: Any, start: Any, label: Any, asks: Any, border: Any, diagonal: int, asker: Any,
    region: Any, key: Any, n: int,
) -> int:  # fmt: skip
    """Write the links from all runs of row ``y`` whose region asks to regions on the border.

    Entries begin at place ``n``; returned is the place after the last. ``asker`` is the region that
    asks, ``region`` its neighbor and ``key`` that of the first link between two runs.
    """
    width = start[first[1] - 1]
    here = 4 * width * np.int64(y)
    above = first[y - 1] if y > 0 else 0
    below = first[y + 1]
    for i in range(first[y], first[y + 1] - 1):
        own = label[i]
        if own == NONE or not asks[own]:
            continue
        left = start[i] - diagonal
        right = start[i + 1] + diagonal
        right = min(right, width)
        if y > 0:
            while start[above + 1] <= left:
                above += 1
            j = above
            while start[j] < right:
                other = label[j]
                if NONE != other != own and border[other]:
                    asker[n] = own
                    region[n] = other
                    key[n] = here + meeting(i, j, start, diagonal)
                    n += 1
                j += 1
        for side in range(2):  # the run before, and the run behind
            x = start[i + side]
            other = label[i - 1 + 2 * side] if 0 < x < width else NONE
            if other != NONE and border[other]:
                asker[n] = own
                region[n] = other
                key[n] = here + 4 * x + 3
                n += 1
        if y + 2 < first.size:
            while start[below + 1] <= left:
                below += 1
            j = below
            while start[j] < right:
                other = label[j]
                if NONE != other != own and border[other]:
                    asker[n] = own
                    region[n] = other
                    key[n] = here + 4 * width + meeting(j, i, start, diagonal)
                    n += 1
                j += 1
    return n


def _room(width: int) -> int:
    """Return the most entries that ``links_of_row`` writes."""
    return 8 * width + 8  # a run has two neighbors beside it, and touches its length + 2 per row


def _buffers(size: int) -> tuple[Any, Any, Any]:
    """Return room for what ``links_of_row`` writes."""
    return np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int64)


def border_links(runs: Any, asks: Any, border: Any, diagonal: int) -> Any:
    """Return all links of the regions that ask to regions on the border.

    Parameters are those of ``biggest_neighbors``; ``border`` (bool) marks regions.

    Returns
    -------
    a, b : int32 arrays
        The region that asks and the other.
    key : int64 array
        Key of the link.
    """
    first, start, _ = runs
    room, y, parts = _room(int(start[first[1] - 1])), 0, []
    while y < first.size - 1:
        found = _buffers(4 * room)
        y, count = collect_links(*runs, asks, border, diagonal, *found, room, y)
        parts.append([array[:count].copy() for array in found])
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


@kernel
def collect_links(
    first: Any, start: Any, label: Any, asks: Any, border: Any, diagonal: int, a: Any, b: Any,
    key: Any, room: int, y: int,
) -> Any:  # fmt: skip
    """Write the links of row ``y`` and those after it while there is ``room`` for a row more.

    Returned are the first row that is not done and the number of links.
    """
    count = np.int64(0)
    while y < first.size - 1 and count + room <= a.size:
        count = links_of_row(y, first, start, label, asks, border, diagonal, a, b, key, count)
        y += 1
    return y, count
