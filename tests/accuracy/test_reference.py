"""Reference points as they are found, against a map of known classes."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

from osm4eo_xr.accuracy.assessment import assess
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import georeference, target_geobox

LEFT, TOP = 4_400_000, 2_700_000
BOX = target_geobox((LEFT, TOP - 100, LEFT + 100, TOP))


@pytest.fixture
def forest() -> xr.DataArray:
    """Class 8 on the left half, 12 on the right, 10 by 10 pixels."""
    classes = np.repeat(np.array([[8, 12]], np.uint8), 5, axis=1).repeat(10, axis=0)
    return georeference(classes, BOX)


def frame(classes: list, **columns: list) -> gpd.GeoDataFrame:
    """Return points on the first columns of the map's first row."""
    places = [shapely.Point(LEFT + 5 + 10 * k, TOP - 5) for k in range(len(classes))]
    return gpd.GeoDataFrame({"class": classes, **columns}, geometry=places, crs=3035)


@pytest.mark.parametrize(
    "classes",
    [
        pd.array([8, None, 12, 8], dtype="Int64"),
        [8.0, np.nan, 12.0, 8.0],
        ["8", None, "12", "8"],
        ["8", " ", "12", "8"],
    ],
)
def test_points_without_a_class_are_left_out(forest: xr.DataArray, classes: list) -> None:
    report = assess(forest, frame(classes))
    assert (report.total, report.left_out) == (3, 1)
    assert report.overall_accuracy == pytest.approx(2 / 3)
    assert report.to_dict()["left_out"] == 1
    assert "1 points without class or place left out" in repr(report)
    assert (report + report).left_out == 2


def test_points_without_a_place_are_left_out_and_counted(forest: xr.DataArray) -> None:
    points = frame([8, 8, 8])
    points.loc[[0, 1], "geometry"] = [None, shapely.Point()]
    report = assess(forest, points)
    assert (report.total, report.left_out) == (1, 2)
    with pytest.raises(InputError, match="no point with both a class and a place"):
        assess(forest, gpd.GeoDataFrame(points.drop(index=2)))


def test_points_that_stand_twice_are_told(forest: xr.DataArray) -> None:
    """They counted twice without a word, as after joining two tables."""
    points = frame([8, 12, 8])
    twice = gpd.GeoDataFrame(pd.concat([points, points]))
    with pytest.warns(InputWarning, match="3 of 6 points .* repeat another's place and class"):
        assert assess(forest, twice).total == 6
    other = gpd.GeoDataFrame(pd.concat([points, points.assign(**{"class": 12})]))
    with pytest.warns(InputWarning) as told:
        assess(forest, other)
    assert [str(w.message).partition(" bear")[0] for w in told][-1].startswith("2 places of")


def test_multipoints_of_one_are_that_point(forest: xr.DataArray) -> None:
    points = frame([8, 12])
    points.geometry = [shapely.MultiPoint([p]) for p in points.geometry]
    assert assess(forest, points).counts.sum() == 2
    assert points.geom_type.tolist() == ["MultiPoint", "MultiPoint"]  # the caller's stay
    points.loc[1, "geometry"] = shapely.MultiPoint([(LEFT, TOP), (LEFT + 9, TOP)])
    with pytest.raises(InputError, match="holds a MultiPoint in row 1"):
        assess(forest, points)


@pytest.mark.parametrize("names", [("th_long", "th_lat"), ("longitude", "latitude")])
def test_a_table_with_degrees_is_read(
    tmp_path: Path, forest: xr.DataArray, names: tuple[str, str]
) -> None:
    points = frame([8, 8, 12, 12, 12, 12])
    places = points.to_crs(4326).geometry
    table = pd.DataFrame(
        {names[0]: places.x, names[1]: places.y, "lc1": points["class"], "class": "A11"}
    )
    table.to_csv(tmp_path / "lucas.csv", index=False)
    report = assess(forest, tmp_path / "lucas.csv", column="lc1")
    assert (report.total, report.overall_accuracy) == (6, pytest.approx(3 / 6))
    with pytest.raises(InputError, match=r"lucas\.csv, row \d, column class: .*A11"):
        assess(forest, tmp_path / "lucas.csv")


def test_of_several_layers_one_is_named(tmp_path: Path, forest: xr.DataArray) -> None:
    frame([8]).to_file(tmp_path / "p.gpkg", layer="first")
    frame([8, 12]).to_file(tmp_path / "p.gpkg", layer="second")
    with pytest.raises(InputError, match=r"first, second; name one with layer="):
        assess(forest, tmp_path / "p.gpkg")
    assert assess(forest, tmp_path / "p.gpkg", layer="second").total == 2
