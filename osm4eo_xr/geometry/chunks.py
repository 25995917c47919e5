"""Chunks along an axis: even ones of a length, and those that windows of pixels meet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

Spans = Sequence[tuple[int, int]]
"""Rows or columns of windows: the first, and the one after the last."""


class Meeting(NamedTuple):
    """What a window shows of a chunk along an axis.

    Attributes
    ----------
    chunk : int
        Which chunk, from 0.
    cut : slice
        Of the chunk's pixels.
    at : int
        The first of them in the window.
    """

    chunk: int
    cut: slice
    at: int

    @property
    def pixels(self) -> int:
        """How many."""
        return self.cut.stop - self.cut.start


def even_spans(length: int, edge: int) -> list[tuple[int, int]]:
    """Cut a length from 0 on; the last span may be shorter."""
    return [(at, min(at + edge, length)) for at in range(0, length, edge)]


def lengths(spans: Spans) -> tuple[int, ...]:
    """Return the pixels of each span, as dask states the chunks of an axis."""
    return tuple(stop - start for start, stop in spans)


def meetings(sizes: Sequence[int], first: int, spans: Spans) -> list[list[Meeting]]:
    """Return, for each span, what it shows of chunks that begin at ``first``.

    Parameters
    ----------
    sizes : sequence of int
        Pixels of the chunks, one after another.
    first : int
        First pixel of the first chunk, counted as the spans are.
    spans : sequence of (int, int)
        In any order; they may overlap, and reach beyond the chunks.

    Examples
    --------
    >>> from osm4eo_xr.geometry.chunks import meetings
    >>> [(seen.chunk, seen.at, seen.pixels) for seen in meetings([4, 4], 10, [(12, 17)])[0]]
    [(0, 0, 2), (1, 2, 3)]
    """
    ends = list(accumulate(sizes, initial=first))[1:]
    found = []
    for start, stop in spans:
        here = []
        for chunk in range(bisect_right(ends, start), len(ends)):
            origin = ends[chunk] - sizes[chunk]
            if origin >= stop:
                break
            low, high = max(start, origin), min(stop, ends[chunk])
            here.append(Meeting(chunk, slice(low - origin, high - origin), low - start))
        found.append(here)
    return found
