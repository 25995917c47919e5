"""Polygons of blocks: traced where each lies, joined to those of the whole raster."""

from collections import Counter
from typing import Any

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from scipy.ndimage import label

from osm4eo_xr.maps.polygon_tracing import join, trace

NOTHING = 0


def traced(values: np.ndarray, rows: list[int], columns: list[int]) -> tuple:
    ends = [*rows[1:], values.shape[0]], [*columns[1:], values.shape[1]]
    parts = [
        trace(values[top:bottom, left:right], top, left, NOTHING)
        for top, bottom in zip(rows, ends[0], strict=True)
        for left, right in zip(columns, ends[1], strict=True)
    ]
    return join(parts, rows, columns)[:2]


def patches(values: np.ndarray) -> Counter[tuple[int, int]]:
    """Count the 4-connected patches of each value by their size in pixels, by SciPy."""
    found: Counter[tuple[int, int]] = Counter()
    for value in np.unique(values[values != NOTHING]):
        labeled: Any = label(values == value)
        numbered, _ = labeled
        sizes = np.bincount(numbered.ravel())[1:]
        found.update((int(value), int(size)) for size in sizes)
    return found


@st.composite
def rasters(draw: st.DrawFn) -> tuple[np.ndarray, list[int], list[int]]:
    shape = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(0, draw(st.integers(2, 4)), shape).astype(np.uint8)
    # A cut that comes twice makes an empty block.
    cuts = [[0, *sorted(draw(st.lists(st.integers(0, n), max_size=3)))] for n in shape]
    return values, cuts[0], cuts[1]


@settings(max_examples=25)
@given(rasters())
def test_polygons_are_scipys_patches_wherever_the_raster_is_cut(case: tuple) -> None:
    values, rows, columns = case
    polygons, of = traced(values, rows, columns)
    areas = shapely.area(polygons)
    assert Counter(zip(of.tolist(), areas.round().astype(int).tolist(), strict=True)) == patches(
        values
    )
    assert shapely.is_valid(polygons).all()
    whole, of_whole = traced(values, [0], [0])
    assert of.tolist() == of_whole.tolist()
    assert all(map(shapely.equals, polygons, whole))


@settings(max_examples=15)
@given(rasters())
def test_burnt_again_the_polygons_are_the_raster(case: tuple) -> None:
    values, rows, columns = case
    polygons, of = traced(values, rows, columns)
    pairs = list(zip(polygons, of.tolist(), strict=True))
    back = rasterize(pairs, values.shape, dtype="uint8") if pairs else np.zeros_like(values)
    np.testing.assert_array_equal(back, values)


def test_a_joined_outline_has_no_vertex_of_the_border_between_blocks() -> None:
    values = np.full((8, 8), 5, np.uint8)
    polygons, of = traced(values, [0, 3], [0, 6])
    assert of.tolist() == [5]
    assert shapely.get_num_coordinates(polygons).tolist() == [5]  # a square and its first corner


def test_a_hole_across_four_blocks_stays_open() -> None:
    values = np.full((6, 6), 2, np.uint8)
    values[2:4, 2:4] = NOTHING
    polygons, _ = traced(values, [0, 3], [0, 3])
    assert shapely.get_num_interior_rings(polygons).tolist() == [1]
    assert shapely.area(polygons).tolist() == [32]


def test_blocks_of_nothing_have_no_polygon() -> None:
    polygons, of = traced(np.zeros((4, 4), np.uint16), [0, 2], [0])
    assert (polygons.size, of.size, of.dtype) == (0, 0, np.uint16)
