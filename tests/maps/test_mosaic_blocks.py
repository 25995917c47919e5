"""Blocks of a country's map, beside plain NumPy pasting and GDAL's mask of the whole outline."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
import shapely
import xarray as xr
from dask.base import compute
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask
from rasterio.transform import Affine
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.maps.mosaic_blocks import Merging, assemble, window_in

ROWS, COLS = 40, 60
LEFT, TOP = 4_400_000, 2_700_000
BOX = target_geobox((LEFT, TOP - 10 * ROWS, LEFT + 10 * COLS, TOP))
FIRST = Merging("first", 0)


def tile(top: int, left: int, rows: int, cols: int, *, seed: int = 0, holes: float = 0.3) -> Any:
    """Return a class map whose first pixel is there in the target, with holes of no data."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 13, (rows, cols)).astype(np.uint8)
    values[rng.random((rows, cols)) < holes] = 0
    west, north = LEFT + 10 * left, TOP - 10 * top
    return georeference(values, target_geobox((west, north - 10 * rows, west + 10 * cols, north)))


def boxes(maps: list[xr.DataArray]) -> list[GeoBox]:
    return [geobox_of(m) for m in maps]


PLACES = [(-5, -7, 30, 40), (10, 20, 25, 30), (22, 45, 30, 30)]  # over all edges of the target
TILES = [tile(*place, seed=k) for k, place in enumerate(PLACES)]


def pasted(maps: list[xr.DataArray] = TILES) -> np.ndarray:
    """Return the first class that a tile has at each pixel, tile after tile."""
    out = np.zeros((ROWS, COLS), np.uint8)
    for (top, left, rows, cols), m in zip(PLACES, maps, strict=True):
        whole = np.zeros((ROWS + 200, COLS + 200), np.uint8)
        whole[100 + top : 100 + top + rows, 100 + left : 100 + left + cols] = m.to_numpy()
        part = whole[100 : 100 + ROWS, 100 : 100 + COLS]
        out = np.where(out == 0, part, out)
    return out


def joined(
    maps: list[xr.DataArray],
    *,
    chunks: int = 16,
    clip: BaseGeometry | None = None,
    how: Any = FIRST,
    target: GeoBox = BOX,
) -> np.ndarray:
    return assemble(maps, None, boxes(maps), target, clip, how, chunks).compute()


def masked(clip: BaseGeometry, *, north_up: bool = True) -> np.ndarray:
    """Return where GDAL finds pixels inside, of an outline in pixels of the map."""
    down = -1 if north_up else 1
    placed = shapely.transform(clip, lambda xy: xy * (1, down))
    return geometry_mask([placed], (ROWS, COLS), Affine.scale(1, down), invert=True)


def test_windows_are_counted_in_pixels_of_the_grid() -> None:
    for (top, left, rows, cols), box in zip(PLACES, boxes(TILES), strict=True):
        assert window_in(BOX, box) == ((top, top + rows), (left, left + cols))
    shifted = GeoBox((3, 4), Affine.translation(1e-7, -1e-7) * BOX.affine, BOX.crs)
    assert window_in(BOX, shifted) == ((0, 3), (0, 4))  # what floats are off is no pixel


@settings(max_examples=10)
@given(out=st.integers(5, 70), y=st.integers(5, 31), x=st.integers(5, 41))
def test_any_chunks_of_tiles_and_map_are_pasted_alike(out: int, y: int, x: int) -> None:
    found = joined([m.chunk({"y": y, "x": x}) for m in TILES], chunks=out)
    np.testing.assert_array_equal(found, pasted())


def test_chunks_are_of_one_size_but_for_the_last() -> None:
    lazy = assemble(TILES, None, boxes(TILES), BOX, None, FIRST, 16)
    assert lazy.chunks == ((16, 16, 8), (16, 16, 16, 12))
    assert assemble(TILES, None, boxes(TILES), BOX, None, FIRST, 20).chunks == ((20, 20), (20,) * 3)
    assert lazy.dtype == np.uint8


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), chunks=st.integers(5, 60))
def test_an_outline_cuts_at_pixel_centers_as_gdal_does_with_the_whole(
    seed: int, chunks: int
) -> None:
    """Whatever the chunks: each sees only its part of the boundary."""
    rng = np.random.default_rng(seed)
    hull = shapely.MultiPoint(rng.uniform((-10, -10), (COLS + 10, ROWS + 10), (6, 2))).convex_hull
    hole = shapely.Point(*rng.uniform((0, 0), (COLS, ROWS))).buffer(rng.uniform(1, 9))
    clip = shapely.difference(hull, hole)
    if clip.is_empty or clip.area == 0:
        return
    expected = np.where(masked(clip), pasted(), 0)
    np.testing.assert_array_equal(joined(TILES, chunks=chunks, clip=clip), expected)


@settings(max_examples=60)
@given(
    corners=st.lists(st.tuples(st.integers(-8, 68), st.integers(-8, 48)), min_size=3, max_size=7),
    unit=st.sampled_from([(1, 0), (1, 0.5), (0.5, 0), (10, 0), (0.1, 0), (1 / 3, 0.5)]),
    chunks=st.integers(5, 33),
    north_up=st.booleans(),
)
@example(corners=[(2, 2), (2, 30), (50, 30), (50, 2)], unit=(1, 0.5), chunks=16, north_up=True)
@example(corners=[(2, 2), (2, 30), (50, 30), (50, 2)], unit=(1, 0.5), chunks=16, north_up=False)
def test_pixels_whose_center_lies_on_an_edge_fall_alike_for_any_chunks(
    corners: list[tuple[int, int]], unit: tuple[float, float], chunks: int, north_up: bool
) -> None:
    """Corners at pixel edges and centers, and edges that run through centers."""
    step, first = unit
    target = BOX if north_up else BOX.flipy()
    shape = shapely.make_valid(shapely.Polygon(np.array(corners) * step + first))
    clip = shapely.MultiPolygon(
        [p for p in shapely.get_parts(shapely.get_parts(shape)) if p.geom_type == "Polygon"]
    )
    assume(not clip.is_empty)
    for turned in (clip, shapely.reverse(clip)):
        whole = [georeference(np.ones((ROWS, COLS), np.uint8), target)]
        found = joined(whole, chunks=chunks, clip=turned, target=target)
        np.testing.assert_array_equal(found > 0, masked(turned, north_up=north_up))


def test_an_outline_elsewhere_leaves_nothing_and_asks_no_tile() -> None:
    def never(block: np.ndarray) -> np.ndarray:
        raise AssertionError(block.shape)

    broken = [
        m.copy(data=da.from_array(m.to_numpy()).rechunk(10).map_blocks(never, dtype=np.uint8))
        for m in TILES
    ]
    assert not joined(broken, clip=shapely.box(1000, 1000, 1010, 1010)).any()


def test_no_data_of_another_value_is_filled_and_kept() -> None:
    """Zeros of such maps are a class of their own: of masks, "no water"."""
    coded = [m.copy(data=np.where(m == 0, 255, m.to_numpy() - 1).astype(np.uint8)) for m in TILES]
    found = joined(coded, how=Merging("first", 255), clip=shapely.box(3, 3, 50, 30))
    inside = np.zeros((ROWS, COLS), bool)
    inside[3:30, 3:50] = True
    expected = np.where((pasted() == 0) | ~inside, 255, pasted() - 1)
    np.testing.assert_array_equal(found, expected)


def test_ground_between_tiles_is_no_data() -> None:
    for nodata in (0, 255):
        apart = [tile(0, 0, 5, 5, holes=0), tile(30, 50, 10, 10, holes=0)]
        found = joined(apart, chunks=7, how=Merging("first", nodata))
        there = np.zeros((ROWS, COLS), bool)
        there[:5, :5] = there[30:, 50:] = True
        assert (found[~there] == nodata).all()
        assert (found[there] > 0).all()


@settings(max_examples=8)
@given(out=st.integers(5, 60), y=st.integers(5, 31), x=st.integers(5, 41))
def test_the_surest_tile_wins_for_any_chunks(out: int, y: int, x: int) -> None:
    """Where only one tile has a class it stands, however unsure."""
    rng = np.random.default_rng(7)
    sure = [m.copy(data=rng.random(m.shape).astype(np.float32)) for m in TILES]
    best, expected = np.full((ROWS, COLS), -1.0), np.zeros((ROWS, COLS), np.uint8)
    for (top, left, rows, cols), m, s in zip(PLACES, TILES, sure, strict=True):
        for i in range(max(top, 0), min(top + rows, ROWS)):
            for j in range(max(left, 0), min(left + cols, COLS)):
                value, weight = int(m[i - top, j - left]), float(s[i - top, j - left])
                if value and weight > best[i, j]:
                    best[i, j], expected[i, j] = weight, value
    lazy = [m.chunk({"y": y, "x": x}) for m in TILES]
    cut = [s.chunk({"y": 11, "x": 13}) for s in sure]  # weights are cut as their maps are
    how = Merging("confidence", 0)
    found = assemble(lazy, cut, boxes(TILES), BOX, None, how, out).compute()
    np.testing.assert_array_equal(found, expected)


def test_weights_are_read_only_where_tiles_overlap() -> None:
    reads: list[int] = []

    def count(block: np.ndarray) -> np.ndarray:
        reads.append(block.size)
        return block

    alone = [tile(0, 0, 16, 16, holes=0), tile(0, 16, 16, 16, holes=0)]
    sure = [
        m.copy(
            data=da.ones(m.shape, np.float32, chunks=16).map_blocks(
                count, dtype=np.float32, meta=np.empty((0, 0), np.float32)
            )
        )
        for m in alone
    ]
    how = Merging("confidence", 0)
    found = assemble(alone, sure, boxes(alone), BOX, None, how, 16).compute()
    assert (found[:16, :32] > 0).all()
    assert not reads


@pytest.mark.usefixtures("no_compute")
def test_building_is_lazy_and_two_of_the_same_are_one() -> None:
    lazy = [m.chunk({"y": 8, "x": 8}) for m in TILES]
    first, second = (assemble(lazy, None, boxes(lazy), BOX, None, FIRST, 16) for _ in range(2))
    assert first.name == second.name
    other = assemble(lazy, None, boxes(lazy), BOX, None, Merging("majority", 0), 16)
    assert other.name != first.name
    moved = [box.pad(0).translate_pix(1, 0) for box in boxes(lazy)]
    assert assemble(lazy, None, moved, BOX, None, FIRST, 16).name != first.name


def test_the_same_arrays_at_other_places_are_another_map() -> None:
    """Also where both are computed at once, as dask merges tasks of one name."""
    one = da.from_array(np.full((8, 8), 3, np.uint8), name="one")
    places = [target_geobox((LEFT + x, TOP - 80, LEFT + x + 80, TOP)) for x in (0, 80)]
    maps = [georeference(one, place) for place in places]
    west, east = (assemble([m], None, boxes([m]), BOX, None, FIRST, 16) for m in maps)
    found = compute(west, east)
    assert [int(np.nonzero(f)[1].min()) for f in found] == [0, 8]
