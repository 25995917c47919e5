"""Where class maps overlap: the kernel beside NumPy's and SciPy's own counts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from osm4eo_xr.maps.overlaps import edge_distance, resolve

NO_CONFIDENCE = np.empty((0, 0, 0), np.float32)


@st.composite
def stacks(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 8)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(0, draw(st.integers(1, 5)), shape).astype(np.uint8)


@settings(max_examples=30)
@given(stacks())
def test_first_is_the_first_layer_with_data(stack: np.ndarray) -> None:
    where = (stack != 0).argmax(axis=0)
    expected = np.take_along_axis(stack, where[None], axis=0)[0]
    np.testing.assert_array_equal(resolve(stack, NO_CONFIDENCE, "first"), expected)


@settings(max_examples=30)
@given(stacks())
def test_majority_is_a_mode_of_what_has_data_and_ties_go_to_the_first(stack: np.ndarray) -> None:
    found = resolve(stack, NO_CONFIDENCE, "majority")
    for y, x in np.ndindex(found.shape):
        votes = stack[:, y, x][stack[:, y, x] > 0]
        if not votes.size:
            assert found[y, x] == 0
            continue
        most = stats.mode(votes).count
        tied = [v for v in votes if (votes == v).sum() == most]
        assert found[y, x] == tied[0]


@settings(max_examples=30)
@given(stacks(), st.booleans())
def test_confidence_is_that_of_the_surest_layer_with_data(stack: np.ndarray, gaps: bool) -> None:
    rng = np.random.default_rng(stack.size)
    confidence = rng.integers(0, 4, stack.shape).astype(np.float32)  # many ties
    if gaps:
        confidence[rng.random(stack.shape) < 0.4] = np.nan
    ranked = np.where(np.isnan(confidence), -1.0, confidence)
    ranked[stack == 0] = -2.0
    expected = np.take_along_axis(stack, ranked.argmax(axis=0)[None], axis=0)[0]
    np.testing.assert_array_equal(resolve(stack, confidence, "confidence"), expected)


@pytest.mark.parametrize("rule", ["majority", "confidence", "first"])
def test_one_layer_is_itself_and_not_the_same_memory(rule: str) -> None:
    stack = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    merged = resolve(stack, np.zeros((1, 3, 4), np.float32), rule)
    np.testing.assert_array_equal(merged, stack[0])
    assert not np.shares_memory(merged, stack)


@settings(max_examples=30)
@given(
    whole=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    first=st.tuples(st.integers(0, 11), st.integers(0, 11)),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_distances_from_a_tiles_edge_are_scipys_of_the_whole_tile(
    whole: tuple[int, int], first: tuple[int, int], shape: tuple[int, int]
) -> None:
    """SciPy counts in whole pixels to the nearest one outside, half a pixel beyond the edge."""
    first = (min(first[0], whole[0] - 1), min(first[1], whole[1] - 1))
    shape = (min(shape[0], whole[0] - first[0]), min(shape[1], whole[1] - first[1]))
    inside = np.pad(np.ones(whole, bool), 1)
    chess: Any = ndimage.distance_transform_cdt(inside, "chessboard")
    chess = chess[1:-1, 1:-1]
    part = chess[first[0] : first[0] + shape[0], first[1] : first[1] + shape[1]]
    found = edge_distance(first, shape, whole)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, part - 0.5)
