"""Where a model was trained: from its record, from polygons, from a country; its km² by pyproj."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import pyproj
import pytest
import shapely

from osm4eo_xr.errors import InputError
from osm4eo_xr.models.exchange.training_area import bounds_and_km2, training_area

BOX = shapely.box(9.0, 47.0, 9.5, 47.5)


def model(**training: Any) -> Any:
    return SimpleNamespace(training=training)


def frame(*shapes: Any, crs: Any = 4326) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=list(shapes), crs=crs)


@pytest.mark.parametrize("training", [{}, {"samples": None}, {"samples": 7}, {"samples": {}}])
def test_a_record_that_says_nothing_gives_nothing(training: dict[str, Any]) -> None:
    assert training_area(model(**training), None, None) is None


def test_polygons_win_over_the_record_and_are_taken_to_degrees(tmp_path: Path) -> None:
    recorded = model(samples={"area": {"type": "Point"}})
    given = frame(BOX).to_crs(3035)
    found = training_area(recorded, given, None)
    assert found is not None
    shape = shapely.geometry.shape(dict(found))
    assert shapely.hausdorff_distance(shape, BOX) < 2e-3
    given.to_file(tmp_path / "a.gpkg")
    assert training_area(recorded, tmp_path / "a.gpkg", None) == found


def test_several_polygons_are_one_area_and_the_order_does_not_matter() -> None:
    other = shapely.box(10, 47, 10.5, 47.5)
    found = [training_area(model(), frame(*pair), None) for pair in ((BOX, other), (other, BOX))]
    shapes = [shapely.geometry.shape(dict(f or {})) for f in found]
    assert shapes[0].geom_type == "MultiPolygon"
    assert shapes[0].equals(shapes[1])
    overlapping = training_area(model(), frame(BOX, shapely.box(9.25, 47, 9.75, 47.5)), None)
    assert shapely.geometry.shape(dict(overlapping or {})).equals(shapely.box(9, 47, 9.75, 47.5))


def test_an_outline_is_kept_to_about_a_hundred_meters() -> None:
    rough = BOX.segmentize(0.0001)
    found = training_area(model(), frame(rough), None)
    shape: Any = shapely.geometry.shape(dict(found or {}))
    assert len(shape.exterior.coords) <= 6
    assert shape.equals(BOX)


def test_a_plot_smaller_than_that_stays_a_polygon() -> None:
    plot = shapely.box(9, 47, 9.0002, 47.0002)
    found = training_area(model(), frame(plot), None)
    assert shapely.geometry.shape(dict(found or {})).equals(plot)


def test_a_country_is_its_outline() -> None:
    found = training_area(model(), None, "Liechtenstein")
    shape = shapely.geometry.shape(dict(found or {}))
    assert shape.contains(shapely.Point(9.55, 47.15))
    assert bounds_and_km2(found or {})[1] == pytest.approx(160, rel=0.15)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (frame(BOX, crs=None), "the area has no CRS; give polygons with one"),
        (frame(shapely.Point(9, 47)), "the area is a Point; expected one or more polygons"),
        (frame(shapely.LineString([(9, 47), (10, 48)])), "the area is a LineString"),
        (frame(BOX, shapely.Point(1, 1)), "the area is a GeometryCollection"),
        (frame(), "the area is a GeometryCollection"),
    ],
)
def test_what_is_no_area_is_refused(given: gpd.GeoDataFrame, words: str) -> None:
    with pytest.raises(InputError) as refused:
        training_area(model(), given, None)
    assert str(refused.value).startswith(words)


def test_square_kilometers_are_those_of_the_ellipsoid() -> None:
    hole = shapely.box(9.1, 47.1, 9.2, 47.2)
    parts: Any = [shapely.difference(BOX, hole), shapely.box(20, -5, 21, -4)]
    shape = shapely.MultiPolygon(parts)
    bounds, km2 = bounds_and_km2(shapely.geometry.mapping(shape))
    geod = pyproj.Geod(ellps="WGS84")
    area = sum(
        geod.geometry_area_perimeter(shapely.geometry.polygon.orient(part))[0] for part in parts
    )
    assert bounds == [9.0, -5.0, 21.0, 47.5]
    assert km2 == pytest.approx(area / 1e6, rel=2e-3)
