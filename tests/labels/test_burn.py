"""Polygons of a block burnt in order, against GDAL and one polygon at a time."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize

from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.labels.burn import Shapes, burn, count_classes, ranks

WEST, SOUTH = 4_321_000, 3_210_000
BOX = target_geobox((WEST, SOUTH, WEST + 240, SOUTH + 180))


def shapes_of(seed: int, n: int = 12) -> Shapes:
    draw = np.random.default_rng(seed)
    x, y = draw.uniform(-20, 240, n) + WEST, draw.uniform(-20, 180, n) + SOUTH
    round_ones = shapely.buffer(shapely.points(x, y), draw.uniform(5, 60, n))
    holes = shapely.buffer(shapely.points(x, y), draw.uniform(1, 5, n))
    classes = draw.integers(1, 13, n).astype(np.uint8)
    own = np.where(draw.random(n) < 0.3, draw.integers(1, 9, n), 0)
    priority = {i: 1 + (i * 5) % 13 for i in range(1, 13)}
    return Shapes(shapely.difference(round_ones, holes), classes, ranks(classes, own, priority))


def by_gdal(geometry: np.ndarray, values: np.ndarray, box: GeoBox) -> np.ndarray:
    pairs = zip(geometry, values.tolist(), strict=True)
    return rasterize(pairs, out_shape=tuple(box.shape), transform=box.affine, dtype="uint8")


def test_a_rules_own_priority_takes_the_place_of_its_classs() -> None:
    found = ranks(np.array([8, 12, 8], np.uint8), np.array([0, 0, 3]), {8: 7, 12: 2})
    assert found.tolist() == [-7, -2, -3]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999), st.randoms(use_true_random=False))
def test_any_order_of_polygons_gives_gdals_raster_of_the_winners_last(
    seed: int, deal: object
) -> None:
    shapes = shapes_of(seed)
    order = np.lexsort((shapes.class_id, shapes.rank))
    expected = by_gdal(shapes.geometry[order], shapes.class_id[order], BOX)
    index = list(range(len(order)))
    deal.shuffle(index)  # pyright: ignore[reportAttributeAccessIssue] - a Random
    mixed = Shapes(shapes.geometry[index], shapes.class_id[index], shapes.rank[index])
    np.testing.assert_array_equal(burn(mixed, BOX, "center"), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999))
def test_claims_count_classes_and_mixed_pixels_are_left_out(seed: int) -> None:
    shapes = shapes_of(seed)
    single = [
        by_gdal(shapes.geometry[shapes.class_id == i], np.ones((shapes.class_id == i).sum()), BOX)
        for i in np.unique(shapes.class_id)
    ]
    np.testing.assert_array_equal(count_classes(shapes, BOX), sum(single))
    plain, pure = burn(shapes, BOX, "center"), burn(shapes, BOX, "ignore")
    np.testing.assert_array_equal(pure[pure > 0], plain[pure > 0])
    cells = shapely.box(
        *(WEST + 10 * np.arange(24), SOUTH + 180 - 10 * (np.arange(18)[:, None] + 1)),
        *(WEST + 10 * (np.arange(24) + 1), SOUTH + 180 - 10 * np.arange(18)[:, None]),
    )
    for i in np.unique(pure[pure > 0]):
        union = shapely.union_all(shapes.geometry[shapes.class_id == i])
        outside = shapely.area(shapely.difference(cells[pure == i], union))
        assert outside.max() < 0.1  # of 100 m²; GDAL may miss an outline that cuts a corner
