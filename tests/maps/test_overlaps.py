"""Where class maps overlap: the kernel beside NumPy's and SciPy's own counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from osm4eo_xr.maps.overlaps import resolve

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
