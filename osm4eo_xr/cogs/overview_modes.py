"""The most frequent class of square cells, for several sizes of cell at once.

Land use comes in patches, so most cells of four by four pixels hold one class: those are found by
comparing words, the others are counted, and counts of larger cells are sums of those of smaller
ones. Where two classes are equally frequent, the first to reach its count wins, row by row, as in
GDAL: that is the one whose last pixel comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Int, UInt

_WORD = 4  # pixels in a word, and edge of the smallest cells that are counted
_FEW = 64  # classes that are counted under their own numbers
_COUNTS = 2**20  # numbers that are counted with at a time
_DEEPEST = 2**12  # largest scale that anyone asks for


def modes(
    band: UInt[np.ndarray, "y x"], scales: Sequence[int], nodata: int | None
) -> list[UInt[np.ndarray, "h w"]]:
    """Return the modes of cells; those at the lower and right edge may be partial.

    Parameters
    ----------
    band : ndarray (y, x)
        Classes, uint8 or uint16.
    scales : sequence of int
        Pixels per cell and axis, ascending powers of two.
    nodata : int or None
        Value that does not count; a cell of nothing else keeps it.
    """
    found = [_halves(band, nodata) if s == 2 else band for s in scales if s < _WORD]  # noqa: PLR2004
    rest = [s for s in scales if s >= _WORD]
    if not rest:
        return found
    coded, values, none = _coded(band, nodata)
    outs = [np.empty([-(-n // s) for n in band.shape], np.intp) for s in rest]
    edge = max(int(np.sqrt(_COUNTS / len(values))) * _WORD // rest[-1], 1) * rest[-1]
    for top, left in product(*(range(0, n, edge) for n in band.shape)):
        part = coded[top : top + edge, left : left + edge]
        for out, s, mode in zip(outs, rest, _modes(part, rest, len(values), none), strict=True):
            h, w = mode.shape
            out[top // s : top // s + h, left // s : left // s + w] = mode
    return found + [values[out] for out in outs]


def _coded(
    band: UInt[np.ndarray, "y x"], nodata: int | None
) -> tuple[UInt[np.ndarray, "y x"], UInt[np.ndarray, " value"], int]:
    """Return small numbers that stand for classes, the classes, and the number of no data or -1."""
    none = -1 if nodata is None else nodata
    highest = max(int(band.max()), none)
    if highest < _FEW:
        return band.astype(np.uint8, copy=False), np.arange(highest + 1, dtype=band.dtype), none
    values, coded = np.unique(band, return_inverse=True)
    found = np.flatnonzero(values == none)
    narrow = np.uint8 if len(values) <= np.iinfo(np.uint8).max else np.uint32
    return coded.astype(narrow), values, int(found[0]) if found.size else -1


def _halves(band: UInt[np.ndarray, "y x"], nodata: int | None) -> UInt[np.ndarray, "h w"]:
    """Return the modes of cells of two by two pixels."""
    # At an odd edge the last pixels stand in for those that are missing: each then counts twice,
    # in the same order, so the mode stays.
    y, x = (n % 2 for n in band.shape)
    band = np.pad(band, ((0, y), (0, x)), mode="edge") if y or x else band
    corners = [band[i::2, j::2] for i, j in product((0, 1), (0, 1))]
    out = corners[0].copy()
    mixed = np.nonzero(np.logical_or.reduce([out != c for c in corners[1:]]))
    a, b, c, d = (corner[mixed] for corner in corners)
    none = -1 if nodata is None else nodata
    # Of two pairs the one that is complete first, else the first pixel.
    cases = [
        ((a == b) | (a == c)) & (a != none),
        (b == c) & (b != none),
        (a == d) & (a != none),
        (b == d) & (b != none),
        (c == d) & (c != none),
        a != none,
        b != none,
        c != none,
    ]
    out[mixed] = np.select(cases, [a, b, a, b, c, a, b, c], d)
    return out


def _modes(
    part: UInt[np.ndarray, "y x"], scales: Sequence[int], kinds: int, none: int
) -> list[Int[np.ndarray, "h w"]]:
    """Return the modes of a part that begins at cells of the largest scale."""
    counts, reached, found = _count(part, kinds, none), _WORD, []
    for scale in scales:
        while reached < scale:
            counts, reached = _add_up(counts), 2 * reached
        best, most = _most(counts)
        best[most == 0] = none
        leads = counts == most
        leaders = np.add.reduce(leads.view(np.uint8), axis=0, dtype=np.uint16)
        tied = np.nonzero((leaders > 1) & (most > 0))
        if tied[0].size:
            pixels = _cells(_padded(part, scale, kinds), scale, tied)
            best[tied] = _first_complete(pixels, leads[:, *tied])
        found.append(best)
    return found


def _count(part: UInt[np.ndarray, "y x"], kinds: int, none: int) -> Int[np.ndarray, "value h w"]:
    """Count the classes of each cell of ``_WORD`` pixels; no data counts for nothing."""
    part = _padded(part, _WORD, kinds)
    height, width = (n // _WORD for n in part.shape)
    mixed = np.flatnonzero(_is_mixed(part))
    counts = np.zeros((kinds + 1, height * width), np.int32)
    counts[part[::_WORD, ::_WORD].ravel(), np.arange(height * width)] = _WORD**2
    pixels = _cells(part, _WORD, np.divmod(mixed, width))
    places = pixels * np.intp(len(mixed)) + np.arange(len(mixed))[:, None]
    size = (kinds + 1) * len(mixed)
    counts[:, mixed] = np.bincount(places.ravel(), minlength=size).reshape(kinds + 1, -1)
    counts[none] = 0  # without no data this is the last row, of pixels that are beyond the edge
    return counts[:kinds].reshape(kinds, height, width)


def _padded(part: UInt[np.ndarray, "y x"], scale: int, fill: int) -> UInt[np.ndarray, "Y X"]:
    """Return a part with whole cells."""
    y, x = (-n % scale for n in part.shape)
    return np.pad(part, ((0, y), (0, x)), constant_values=fill) if y or x else part


def _cells(
    part: UInt[np.ndarray, "y x"], scale: int, index: tuple[np.ndarray, ...]
) -> UInt[np.ndarray, "cell pixel"]:
    """Return the pixels of some cells, row by row."""
    height, width = (n // scale for n in part.shape)
    cells = part.reshape(height, scale, width, scale).transpose(0, 2, 1, 3)
    return cells[index].reshape(len(index[0]), scale**2)


def _is_mixed(part: UInt[np.ndarray, "y x"]) -> Bool[np.ndarray, " cell"]:
    """Say which cells of ``_WORD`` pixels hold more than one class."""
    if part.dtype != np.uint8:
        height, width = (n // _WORD for n in part.shape)
        cells = part.reshape(height, _WORD, width, _WORD)
        return (cells.min(axis=(1, 3)) != cells.max(axis=(1, 3))).ravel()
    words = np.ascontiguousarray(part).view(np.uint32)
    rows = [words[k::_WORD] for k in range(_WORD)]
    mixed = rows[0] != (rows[0] & np.uint32(0xFF)) * np.uint32(0x01010101)
    for row in rows[1:]:
        mixed |= row != rows[0]
    return mixed.ravel()


def _add_up(counts: Int[np.ndarray, "value y x"]) -> Int[np.ndarray, "value h w"]:
    """Sum the counts of four cells each."""
    y, x = (n % 2 for n in counts.shape[1:])
    counts = np.pad(counts, ((0, 0), (0, y), (0, x))) if y or x else counts
    rows = counts[:, ::2] + counts[:, 1::2]
    return rows[:, :, ::2] + rows[:, :, 1::2]


def _most(
    counts: Int[np.ndarray, "value h w"],
) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, "h w"]]:
    """Return a most frequent class of each cell, and its count."""
    kinds = len(counts)
    # One maximum finds both, when the class is written behind its count.
    kind = np.arange(kinds).reshape(-1, 1, 1)
    wide = np.int32 if kinds * _DEEPEST**2 <= np.iinfo(np.int32).max else np.int64
    best = (counts * wide(kinds) + kind.astype(wide)).max(axis=0)
    return best % kinds, best // kinds


def _first_complete(
    pixels: UInt[np.ndarray, "cell pixel"], leads: Bool[np.ndarray, "value cell"]
) -> Int[np.ndarray, " cell"]:
    """Return, of the classes that lead in a cell, the one whose last pixel comes first."""
    cells, kinds = np.nonzero(leads.T)
    after = (pixels[cells, ::-1] == kinds[:, None]).argmax(axis=1)  # pixels after its last
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    best = np.maximum.reduceat(after * len(leads) + kinds, starts)
    return best % len(leads)
