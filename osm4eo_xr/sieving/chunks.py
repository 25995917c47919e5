"""The first and the last phase of the sieve: one chunk to its border, one chunk to its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.sieving.borders import Border, Fates, Links, Rule, Sides, number_told
from osm4eo_xr.sieving.chains import follow_chains, mark_chains
from osm4eo_xr.sieving.kernels import (
    NONE,
    cut_runs,
    join_runs,
    label_row,
    label_runs,
    measure_regions,
    paint_runs,
)
from osm4eo_xr.sieving.neighbors import biggest_neighbors, border_links, nothing_known

if TYPE_CHECKING:
    from jaxtyping import Bool, Integer, UInt8

_ROUNDS = 8  # links of each chain that are followed one by one

ROOM = 2
"""Bytes that a chunk's regions may take between the phases, per byte of its pixels."""

NO_MASK = np.empty((0, 0), np.uint8)
"""Stands for a mask that lets every pixel take part."""


class Place(NamedTuple):
    """Where a chunk lies, and beyond which of its sides the raster goes on."""

    row: int
    column: int
    top: bool
    bottom: bool
    left: bool
    right: bool


def unsigned(values: Integer[np.ndarray, "y x"]) -> Integer[np.ndarray, "y x"]:
    """Return the bit patterns of integers, C-contiguous and read-only.

    Kernels compare values for equality alone, so that one compiled version serves each width. They
    are read-only in every case because numba would compile another version for writable ones.
    """
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    bits = native.view(f"u{native.dtype.itemsize}")
    bits.setflags(write=False)
    return bits


PROTECTED = 2
"""Value of a chunk's mask where a pixel protects its region; elsewhere it is 1 or, masked, 0."""


class Pixels(NamedTuple):
    """A chunk as it comes: values (y, x) and where they take part (None for everywhere)."""

    values: Integer[np.ndarray, "y x"]
    mask: Bool[np.ndarray, "y x"] | UInt8[np.ndarray, "y x"] | None


@dataclass(frozen=True)
class Regions:
    """A chunk's runs (see ``sieving.kernels``) and regions: all there is to know of it."""

    runs: tuple[np.ndarray, np.ndarray, np.ndarray]  # first, start, label
    run_value: np.ndarray  # unsigned bit patterns
    dtype: np.dtype  # of the pixels
    size: np.ndarray
    value: np.ndarray
    protected: np.ndarray
    sides: Sides
    outer: np.ndarray
    last: np.ndarray  # the last row of each region
    begun: np.ndarray  # regions that begin above each row, and behind the last row all

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays but the sides."""
        rest = (self.size, self.value, self.protected, self.outer, self.last, self.begun)
        return sum(a.nbytes for a in (*self.runs, self.run_value, *rest))


class Held(NamedTuple):
    """A chunk between the phases: its border, and its regions or, if smaller, its pixels."""

    border: Border
    chunk: Regions | Pixels


def hold_chunk(pixels: Pixels, rule: Rule, place: Place) -> Held:
    """Return the border of a chunk with what ``finish_chunk`` needs."""
    regions = find_regions(pixels, rule, place)
    fits = regions.nbytes <= ROOM * pixels.values.nbytes
    return Held(describe_regions(regions, rule, place), regions if fits else pixels)


def describe_regions(regions: Regions, rule: Rule, place: Place) -> Border:
    """Return the border of a chunk with these regions."""
    outer = regions.outer
    asks = (regions.size < rule.size) & ~regions.protected
    told, links = _links_told(regions, asks, rule, place)
    number, order = number_told(outer, told)
    return Border(
        row=place.row,
        column=place.column,
        sides=regions.sides.renumber(number),
        outer=int(outer.sum()),
        size=regions.size[order].astype(np.int64),
        value=regions.value[order],
        protected=regions.protected[order],
        links=links.renumber(number).in_order().firsts(),
    )


def finish_chunk(
    chunk: Regions | Pixels,
    rule: Rule,
    place: Place,
    fates: Fates,
    out: Integer[np.ndarray, "y x"] | None = None,
) -> Integer[np.ndarray, "y x"]:
    """Return the sieved chunk, given what the raster tells its outer regions.

    If ``out`` is given, C-contiguous, of the chunk's shape and its dtype in this machine's order of
    bytes, it takes the pixels.

    Raises
    ------
    InputError
        If the chunk is not the one its border was made from.
    """
    regions = chunk if isinstance(chunk, Regions) else find_regions(chunk, rule, place)
    outer, size = regions.outer, regions.size.copy()
    if int(outer.sum()) != fates.size.size:
        raise InputError(
            f"the chunk at row {place.row}, column {place.column} gave other values when it was "
            "read again",
            advice="write the class map to a file first and sieve that",
        )
    size[outer] = fates.size
    stays = (size >= rule.size) | regions.protected
    target = np.where(stays, regions.value.astype(np.int64), NONE)
    target[outer] = fates.target
    known, found = outer | stays, nothing_known(size.size)
    biggest_neighbors(regions.runs, size, ~known, rule.diagonal, found)
    follow_chains(found.best, target, known)
    painted = np.where(target == NONE, regions.value, target).astype(regions.run_value.dtype)
    first, start, _ = regions.runs
    native = regions.dtype.newbyteorder("=")
    to = np.empty((first.size - 1, int(start[first[1] - 1])), native) if out is None else out
    pixels = to.view(painted.dtype).reshape(-1)
    paint_runs(*regions.runs, regions.run_value, painted, to.shape[1], pixels)
    return to.astype(regions.dtype, copy=False) if out is None else out


def find_regions(pixels: Pixels, rule: Rule, place: Place) -> Regions:
    """Label a chunk."""
    bits, mask = unsigned(pixels.values), pixels.mask
    where = unsigned(NO_MASK if mask is None else (mask != 0).astype(np.uint8))
    first, start, run_value = cut_runs(bits, where)
    nodata = NONE if rule.nodata is None else rule.nodata
    label = label_runs(run_value, where, nodata, first, start)
    count = join_runs(run_value, label, rule.diagonal, first, start)
    size, value, last, begun = measure_regions(run_value, first, start, label, count)
    protected = np.isin(value, np.array(rule.protected, np.uint32))
    if mask is not None:
        protected[_with_protected_pixels(mask, first, start, label)] = True
    sides = _find_sides(first, start, label, place)
    outer = np.zeros(count, bool)
    for side in sides.all():
        outer[side[side != NONE]] = True
    return Regions(
        runs=(first, start, label),
        run_value=run_value,
        dtype=pixels.values.dtype,
        size=size,
        value=value,
        protected=protected,
        sides=sides,
        outer=outer,
        last=last,
        begun=begun,
    )


def _with_protected_pixels(
    mask: np.ndarray, first: np.ndarray, start: np.ndarray, label: np.ndarray
) -> np.ndarray:
    """Return the regions, some of them several times, that have a protected pixel."""
    real = np.ones(label.size, bool)
    real[first[1:] - 1] = False  # sentinels; without them runs cover each row, pixel by pixel
    rows = np.repeat(np.arange(len(mask)), np.diff(first))
    begins = (rows * mask.shape[1] + start)[real]
    found = np.logical_or.reduceat((mask == PROTECTED).ravel(), begins)
    return label[real][found & (label[real] != NONE)]


def _find_sides(first: np.ndarray, start: np.ndarray, label: np.ndarray, place: Place) -> Sides:
    """Return the regions along the open sides."""
    closed = np.empty(0, np.int32)
    return Sides(
        top=label_row(first, start, label, 0) if place.top else closed,
        bottom=label_row(first, start, label, first.size - 2) if place.bottom else closed,
        left=label[first[:-1]] if place.left else closed,
        right=label[first[1:] - 2] if place.right else closed,
    )


def _links_told(
    regions: Regions, asks: np.ndarray, rule: Rule, place: Place
) -> tuple[np.ndarray, Links]:
    """Return the regions on the chains from small outer ones, with the outer ones, and their links.

    ``asks`` says which regions are below the threshold.
    """
    outer = regions.outer
    best, key = _inner_neighbors(regions, asks, rule.diagonal)
    told = outer | mark_chains(best, outer & asks)
    have = np.flatnonzero(told & (best != NONE))
    inner = Links(have.astype(np.int32), best[have], key[have])
    open_ended = Links(*border_links(regions.runs, told & asks, outer, rule.diagonal))
    links = Links.concatenate([inner, open_ended])
    first, start, _ = regions.runs
    key = _raster_key(links.key, int(start[first[1] - 1]), rule, place)
    return told, Links(links.a, links.b, key)


def _inner_neighbors(
    regions: Regions, asks: np.ndarray, diagonal: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the biggest inner neighbor of every region on a chain, and the key of its link.

    Chains begin at outer regions that ask and go on through those that ask. Most are short, so
    they are followed link by link; what is left after some rounds is settled for all regions.
    """
    inner_size = np.where(regions.outer, np.int32(0), regions.size)
    found = nothing_known(asks.size)
    asking, waiting = np.flatnonzero(asks & regions.outer), asks.copy()
    marks = np.zeros(asks.size, bool)
    for rounds_left in reversed(range(_ROUNDS)):
        marks[asking] = True
        rows = rows_of(regions, asking)
        biggest_neighbors(regions.runs, inner_size, marks, diagonal, found, rows)
        marks[asking] = waiting[asking] = False
        best = found.best[asking]
        met = np.unique(best[best != NONE])
        met = met[waiting[met]]
        if not met.size:
            break
        asking = met if rounds_left > 1 else np.flatnonzero(waiting)
    return found.best, found.key


def rows_of(regions: Regions, some: np.ndarray) -> Bool[np.ndarray, " y"]:
    """Return the rows that some regions reach over."""
    count = regions.begun.size - 1
    top = np.searchsorted(regions.begun, some, side="right") - 1
    begin = np.bincount(top, minlength=count + 1)
    end = np.bincount(regions.last[some] + 1, minlength=count + 1)
    return np.cumsum(begin - end)[:count] > 0


def _raster_key(key: np.ndarray, width: int, rule: Rule, place: Place) -> np.ndarray:
    """Return the raster-wide key of links (see ``Links``) for keys within a chunk."""
    row, at = np.divmod(key, 4 * np.int64(width))
    return 4 * ((row + place.row) * rule.width + place.column) + at
