"""Ground of boxes and outlines, and areas, in any CRS."""

from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from rasterio.transform import from_origin

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import (
    is_equal_area,
    meters_per_unit,
    pixel_area,
    polygon_areas,
    project_bounds,
    segmentized,
)
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.maps.boundary import read_boundary

DEGREES = GeoBox((40, 40), from_origin(10.0, 50.0, 1e-4, 1e-4), "EPSG:4326")
MERCATOR = GeoBox((40, 40), from_origin(1_113_194.0, 6_446_275.0, 10, 10), "EPSG:3857")
EQUAL = GeoBox((40, 40), from_origin(4_321_000, 3_210_000, 10, 10), "EPSG:3035")


def class_map(grid: GeoBox) -> Any:
    classes = np.full(grid.shape.yx, 1, np.uint8)
    classes[10:20, 5:25] = 12
    return georeference(classes, grid, attrs={"nodata": 0})


def test_all_ground_of_a_box_in_degrees_is_inside() -> None:
    bounds = (5.9, 47.3, 15.0, 55.1)
    grid = target_geobox(bounds, bounds_crs="EPSG:4326")
    edge = shapely.get_coordinates(shapely.segmentize(shapely.box(*bounds), 0.0005))
    x, y = Transformer.from_crs(4326, 3035, always_xy=True).transform(*edge.T)
    left, bottom, right, top = grid.boundingbox
    assert left <= x.min() <= left + 10
    assert bottom <= y.min() <= bottom + 10  # 8,600 m of it were missing
    assert right - 10 <= x.max() <= right
    assert top - 10 <= y.max() <= top


def test_boxes_across_the_antimeridian() -> None:
    grid = target_geobox((179.5, 45, -179.5, 46), bounds_crs="EPSG:4326", crs="EPSG:32601")
    assert 80_000 < grid.boundingbox.span_x < 84_000
    west, _, east, _ = project_bounds(grid.boundingbox.bbox, grid.crs, "EPSG:4326")
    assert west > 179.4
    assert east < -179.4
    with pytest.raises(InputError, match="empty; give left < right"):
        target_geobox((179.5, 45, -179.5, 46), bounds_crs="EPSG:4326", crs="EPSG:4326")
    with pytest.raises(InputError, match=r"has no place in EPSG:3035; choose a CRS"):
        target_geobox((10, 91, 11, 95), bounds_crs="EPSG:4326")


def test_long_edges_of_a_boundary_bend_as_the_ground_does() -> None:
    frame = gpd.GeoDataFrame(geometry=[shapely.box(9, 50, 11, 52)], crs=4326)
    grid = target_geobox((9.5, 49.9, 10.5, 50.1), bounds_crs="EPSG:4326")
    shape = read_boundary(frame, grid)
    x, y = Transformer.from_crs(4326, 3035, always_xy=True).transform(10.0, 50.0)
    column, row = ~grid.affine @ (x, y)
    line = shapely.LineString([(column, 0), (column, grid.shape[0])])
    lowest = max(y for _, y in shapely.get_coordinates(shape.intersection(line)))
    assert lowest == pytest.approx(row, abs=0.1)  # pixels of 10 m; it was 50 off


@pytest.mark.parametrize(("grid", "off"), [(DEGREES, 1.254e-10), (MERCATOR, 2.41), (EQUAL, 1.0)])
def test_areas_of_polygons_are_square_meters(grid: GeoBox, off: float) -> None:
    found = oxr.to_vector(oxr.extract_layer(class_map(grid), "water"))
    (area,) = found["area"]
    step = 1e-5 if grid is DEGREES else 1
    lon, lat = shapely.get_coordinates(found.geometry.segmentize(step)).T
    if grid is not DEGREES:
        lon, lat = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform(lon, lat)
    exact = abs(Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)[0])
    assert area == pytest.approx(exact, rel=1e-4)
    planar = float(found.geometry.area.iloc[0])
    assert planar / area == pytest.approx(off, rel=0.05)


def test_a_smallest_area_means_the_same_on_every_grid() -> None:
    for grid, fits in ((EQUAL, 200 * 100.0), (DEGREES, 200 * 79.7), (MERCATOR, 200 * 41.5)):
        pixel = pixel_area(grid)
        assert pixel == pytest.approx(fits / 200, rel=0.005)
        for least, stays in ((199.5 * pixel, True), (200.5 * pixel, False)):
            layer = oxr.extract_layer(class_map(grid), "water", min_area=least)
            assert bool((layer == 12).any()) is stays


def test_what_has_no_area_is_refused() -> None:
    tall = GeoBox((100, 100), from_origin(10.0, 60.0, 0.1, 0.1), "EPSG:4326")
    with pytest.raises(InputError, match=r"on EPSG:4326 hold 6\S+ to 7\S+ m²; .*equal-area CRS"):
        oxr.extract_layer(class_map(tall), "water", min_area=1000)
    with pytest.raises(InputError, match="EPSG:4326 counts in degrees"):
        oxr.fraction(class_map(DEGREES), 1000)
    with pytest.raises(InputError, match="EPSG:4326 counts in degrees"):
        oxr.to_vector(class_map(DEGREES), simplify=10)
    with pytest.raises(InputError, match="no CRS"):
        pixel_area(GeoBox((2, 2), EQUAL.affine, None))


def test_feet_are_no_meters() -> None:
    square = np.array([shapely.box(0, 0, 100, 100)])
    feet = "+proj=laea +lat_0=52 +lon_0=10 +units=us-ft"
    assert polygon_areas(square, feet)[0] == pytest.approx(929.03, rel=1e-4)


def test_coordinates_that_are_no_degrees_are_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(InputError, match="assign the CRS that they are in"):
        segmentized(np.array([shapely.box(0, 0, 5e6, 50)]), 4326)
    assert not len(segmentized(np.array([], object), 4326))


@pytest.mark.parametrize(
    ("crs", "meters"),
    [
        ("EPSG:3035", 1.0),
        ("EPSG:32633", 1.0),
        ("EPSG:2263", 1200 / 3937),  # US survey feet of New York
        ("EPSG:27700", 1.0),
        ("+proj=utm +zone=33 +units=km", 1000.0),
    ],
)
def test_units_are_as_long_as_pyproj_says(crs: str, meters: float) -> None:
    assert meters_per_unit(crs) == pytest.approx(meters, rel=1e-9)


def test_degrees_have_no_length() -> None:
    with pytest.raises(InputError) as refused:
        meters_per_unit("EPSG:4326")
    assert refused.value.given == "EPSG:4326 counts in degrees"
    assert refused.value.expected == "a CRS in meters"


@pytest.mark.parametrize(
    ("crs", "expected"),
    [
        ("EPSG:3035", True),
        ("EPSG:6933", True),
        ("EPSG:5070", True),
        ("EPSG:32633", False),
        ("EPSG:3857", False),
        ("EPSG:4326", False),
    ],
)
def test_grids_whose_areas_are_those_of_the_ground_are_known(crs: str, expected: bool) -> None:
    assert is_equal_area(crs) is expected


def test_areas_in_feet_and_on_other_grids_are_square_meters() -> None:
    """A kilometer square in the middle of Long Island, by four grids."""
    there = Transformer.from_crs(5070, 4326, always_xy=True)
    square = shapely.box(1_850_000, 2_170_000, 1_851_000, 2_171_000).segmentize(50)
    degrees = shapely.transform(square, lambda xy: np.stack(there.transform(*xy.T), axis=-1))
    for code in (5070, 2263, 32618, 4326):
        move = Transformer.from_crs(4326, code, always_xy=True)
        shape = shapely.transform(degrees, lambda xy, m=move: np.stack(m.transform(*xy.T), axis=-1))
        area = polygon_areas(np.array([shape], object), f"EPSG:{code}")
        assert area[0] == pytest.approx(1e6, rel=1e-4)
