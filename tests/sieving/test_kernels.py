"""The sieve's kernels one by one, beside SciPy's regions, unions and plain Python."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label as scipy_label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from osm4eo_xr.sieving.borders import Rule
from osm4eo_xr.sieving.chains import biggest_links, follow_chains, mark_chains
from osm4eo_xr.sieving.chunks import NO_MASK, Pixels, Place, find_regions, unsigned
from osm4eo_xr.sieving.kernels import NONE, cut_runs, label_runs, unite_pairs
from tests.sieving.runs import pixels_of

ALONE = Place(0, 0, top=False, bottom=False, left=False, right=False)


def rule(width: int, diagonal: int = 1, nodata: int | None = 0) -> Rule:
    return Rule(size=4, diagonal=diagonal, width=width, nodata=nodata, protected=(3,))


@st.composite
def chunks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray | None]:
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(0, draw(st.integers(1, 5)), shape).astype(np.uint8)
    return values, rng.random(shape) < 0.8 if draw(st.booleans()) else None


def pixel_labels(values: np.ndarray, mask: np.ndarray | None, diagonal: int) -> np.ndarray:
    """Return SciPy's regions of equal values, numbered in scan order; -1 where none takes part."""
    takes_part = (values != 0) & (True if mask is None else mask)
    structure = np.ones((3, 3)) if diagonal else None
    found, count = np.full(values.shape, NONE), 0
    for value in set(values[takes_part].tolist()):
        both: Any = scipy_label(takes_part & (values == value), structure)
        numbered, n = both
        found[numbered > 0] = numbered[numbered > 0] + count
        count += n
    _, first = np.unique(found[found != NONE], return_index=True)
    order = found[found != NONE][np.sort(first)]
    table = {old: new for new, old in enumerate(order.tolist())} | {NONE: NONE}
    return np.vectorize(table.get, otypes=[int])(found)


@settings(max_examples=60)
@given(chunks(), st.sampled_from([0, 1]))
def test_regions_are_scipys_in_scan_order(case: tuple, diagonal: int) -> None:
    values, mask = case
    expected = pixel_labels(values, mask, diagonal)
    regions = find_regions(Pixels(values, mask), rule(values.shape[1], diagonal), ALONE)
    numbers = np.arange(regions.size.size, dtype=np.uint32)
    background = np.full(regions.runs[2].size, 9999, np.uint32)
    found = pixels_of(regions.runs, background, numbers).astype(np.int64)
    np.testing.assert_array_equal(np.where(found == 9999, NONE, found), expected)
    inside = expected[expected != NONE]
    np.testing.assert_array_equal(regions.size, np.bincount(inside, minlength=numbers.size))
    for k in numbers:
        assert set(values[expected == k].tolist()) == {int(regions.value[k])}
    np.testing.assert_array_equal(regions.protected, regions.value == 3)
    assert not regions.outer.any()


@settings(max_examples=40)
@given(chunks())
def test_runs_hold_every_pixel_and_no_two_neighbors_of_one_value(case: tuple) -> None:
    values, mask = case
    where = unsigned(NO_MASK if mask is None else mask.astype(np.uint8))
    bits = unsigned(values)
    first, start, value = cut_runs(bits, where)
    label = label_runs(value, where, 0, first, start)
    without = np.full(label.size, NONE, np.int32)
    nothing = np.empty(0, np.uint8)
    np.testing.assert_array_equal(pixels_of((first, start, without), value, nothing), values)
    part = np.ones(values.shape, bool) if mask is None else mask
    for y in range(values.shape[0]):
        cuts = start[first[y] : first[y + 1]]
        changes = np.diff(values[y]) != 0
        changes |= part[y, 1:] != part[y, :-1]
        assert cuts.tolist() == [0, *(np.flatnonzero(changes) + 1).tolist(), values.shape[1]]


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_regions_along_an_open_side_are_outer(side: str) -> None:
    values = np.random.default_rng(0).integers(0, 4, (9, 11)).astype(np.uint8)
    expected = pixel_labels(values, None, 1)
    edge = {"top": expected[0], "bottom": expected[-1], "left": expected[:, 0]}
    edge["right"] = expected[:, -1]
    regions = find_regions(Pixels(values, None), rule(11), ALONE._replace(**{side: True}))
    np.testing.assert_array_equal(getattr(regions.sides, side), edge[side])
    assert np.flatnonzero(regions.outer).tolist() == sorted(set(edge[side].tolist()) - {NONE})


@given(st.integers(1, 30), st.integers(0, 40), st.integers(0, 99))
def test_unions_are_scipys_components(count: int, links: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, count, (2, links)).astype(np.int32)
    number, unions = unite_pairs(count, a, b)
    graph = coo_array((np.ones(links, bool), (a, b)), shape=(count, count))
    expected, components = connected_components(graph, directed=False)[::-1]
    assert unions == components
    pairs = set(zip(number.tolist(), expected.tolist(), strict=True))
    assert len(pairs) == components  # one number per component and back
    firsts = [number.tolist().index(k) for k in range(unions)]
    assert firsts == sorted(firsts)


@given(st.integers(1, 12), st.integers(0, 30), st.integers(0, 99))
def test_the_biggest_neighbor_is_the_first_met_of_equals(n: int, links: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, n, (2, links)).astype(np.int32)
    size, asks = rng.integers(0, 4, n), rng.random(n) < 0.7
    found = biggest_links(a, b, size, asks)
    for region in range(n):
        ends = [
            (int(size[b[i] if a[i] == region else a[i]]), -i)
            for i in range(links)
            if region in (a[i], b[i])
        ]
        most, place = max(ends, default=(0, 1))
        expected = -place if asks[region] and most > 0 else NONE
        assert found[region] == expected


def end_of(best: list[int], known: list[bool], region: int) -> int:
    """Walk a chain in plain Python; -1 where it ends or runs in a circle."""
    seen: set[int] = set()
    while region != NONE and not known[region]:
        if region in seen:
            return NONE
        seen.add(region)
        region = best[region]
    return region


@given(st.integers(1, 15), st.integers(0, 200))
def test_chains_end_where_a_walk_ends(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    best = rng.integers(NONE, n, n)
    known = rng.random(n) < 0.3
    given_targets = np.where(known, 100 + np.arange(n), -7)
    target = given_targets.copy()
    follow_chains(best, target, known)
    ends = [end_of(best.tolist(), known.tolist(), k) for k in range(n)]
    assert target.tolist() == [NONE if end == NONE else 100 + end for end in ends]


@given(st.integers(1, 15), st.integers(0, 200))
def test_regions_on_chains_are_those_that_walks_meet(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    best, begin = rng.integers(NONE, n, n), rng.random(n) < 0.4
    met = set()
    for start in np.flatnonzero(begin).tolist():
        step, seen = int(best[start]), set()
        while step != NONE and step not in seen:
            seen.add(step)
            step = int(best[step])
        met |= seen
    assert np.flatnonzero(mark_chains(best, begin)).tolist() == sorted(met)
