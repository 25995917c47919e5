"""Neighbors of regions and their first links, beside a walk over all pairs of pixels."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.sieving.borders import Rule
from osm4eo_xr.sieving.chunks import Pixels, Place, find_regions, rows_of
from osm4eo_xr.sieving.kernels import NONE
from osm4eo_xr.sieving.neighbors import Biggest, biggest_neighbors, border_links, nothing_known
from tests.sieving.runs import pixels_of

ALONE = Place(0, 0, top=False, bottom=False, left=False, right=False)
EARLIER = {(-1, 0): 0, (-1, -1): 1, (-1, 1): 2, (0, -1): 3}  # place of a pixel's earlier neighbor

Case = tuple[np.ndarray, int, np.ndarray]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw values, whether diagonals count, and which regions ask (of more than there are)."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(0, draw(st.integers(2, 5)), shape).astype(np.uint8)
    return values, draw(st.sampled_from([0, 1])), rng.random(100) < 0.7


def regions_of(values: np.ndarray, diagonal: int):
    rule = Rule(size=4, diagonal=diagonal, width=values.shape[1], nodata=0, protected=())
    return find_regions(Pixels(values, None), rule, ALONE)


def labels_of(regions) -> np.ndarray:
    numbers = np.arange(regions.size.size, dtype=np.uint32)
    background = np.full(regions.runs[2].size, 9999, np.uint32)
    found = pixels_of(regions.runs, background, numbers).astype(np.int64)
    return np.where(found == 9999, NONE, found)


def neighbors_of(regions, size: np.ndarray, asks: np.ndarray, diagonal: int) -> Biggest:
    known = nothing_known(size.size)
    biggest_neighbors(regions.runs, size, asks, diagonal, known)
    return known


def links(labels: np.ndarray, diagonal: int) -> Iterator[tuple[int, int, int]]:
    """Yield both regions and the key of each link between pixels, as the module states keys."""
    height, width = labels.shape
    for y, x in np.ndindex(height, width):
        for (dy, dx), place in EARLIER.items():
            v, u = y + dy, x + dx
            if (dy and dx and not diagonal) or not (0 <= v < height and 0 <= u < width):
                continue
            a, b = int(labels[y, x]), int(labels[v, u])
            if NONE not in (a, b) and a != b:
                key = 4 * (y * width + x) + place
                yield a, b, key
                yield b, a, key


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_biggest_neighbor_is_the_first_met_of_equals(case: Case) -> None:
    values, diagonal, asks = case
    regions = regions_of(values, diagonal)
    count = regions.size.size
    if count == 0:
        return
    size, asking = regions.size.astype(np.int32), asks[:count]
    best, key = neighbors_of(regions, size, asking, diagonal)
    first: dict[tuple[int, int], int] = {}
    for a, b, at in links(labels_of(regions), diagonal):
        first[a, b] = min(at, first.get((a, b), at))
    for region in range(count):
        around = [(-int(size[b]), at, b) for (a, b), at in first.items() if a == region]
        if asking[region] and around:
            _, at, neighbor = min(around)
            assert (best[region], key[region]) == (neighbor, at)
        else:
            assert best[region] == NONE


@settings(max_examples=60, deadline=None)
@given(cases())
def test_regions_may_ask_in_turns_and_in_their_rows_alone(case: Case) -> None:
    values, diagonal, asks = case
    regions = regions_of(values, diagonal)
    count, labels = regions.size.size, labels_of(regions)
    if count == 0:
        return
    whole, turns = neighbors_of(regions, regions.size, asks[:count], diagonal), nothing_known(count)
    for parity in (0, 1):
        asking = asks[:count] & (np.arange(count) % 2 == parity)
        rows = np.isin(labels, np.flatnonzero(asking)).any(axis=1)
        np.testing.assert_array_equal(rows_of(regions, np.flatnonzero(asking)), rows)
        biggest_neighbors(regions.runs, regions.size, asking, diagonal, turns, rows)
    np.testing.assert_array_equal(turns.best, whole.best)
    np.testing.assert_array_equal(turns.key[turns.best != NONE], whole.key[turns.best != NONE])


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(0, 2**16))
def test_links_to_border_regions_are_all_found(case: Case, seed: int) -> None:
    values, diagonal, asks = case
    regions = regions_of(values, diagonal)
    count = regions.size.size
    if count == 0:
        return
    border = np.random.default_rng(seed).random(count) < 0.5
    asking = asks[:count]
    found = border_links(regions.runs, asking, border, diagonal)
    pairs: dict[tuple[int, int], int] = {}
    for a, b, at in zip(*(array.tolist() for array in found), strict=True):
        pairs[a, b] = min(at, pairs.get((a, b), at))
    expected: dict[tuple[int, int], int] = {}
    for a, b, at in links(labels_of(regions), diagonal):
        if asking[a] and border[b]:
            expected[a, b] = min(at, expected.get((a, b), at))
    assert pairs == expected


def test_a_region_of_size_0_is_nobodys_neighbor() -> None:
    regions = regions_of(np.array([[1, 2, 3]], np.uint8), 0)
    size, asks = np.array([1, 0, 5], np.int32), np.ones(3, bool)
    best, _ = neighbors_of(regions, size, asks, 0)
    assert best.tolist() == [NONE, 2, NONE]


@pytest.mark.parametrize(("diagonal", "expected"), [(0, [1, 0]), (1, [1, 0])])
def test_keys_are_places_in_scan_order(diagonal: int, expected: list[int]) -> None:
    regions = regions_of(np.array([[1, 1], [1, 2]], np.uint8), diagonal)
    best, key = neighbors_of(regions, regions.size, np.ones(2, bool), diagonal)
    assert best.tolist() == expected
    assert key.tolist() == [4 * 3, 4 * 3]  # the last pixel, and the one above it
