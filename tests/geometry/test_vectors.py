"""One reader for boundaries and points, over files as they are found."""

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
import shapely

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.vectors import read_table, read_vector

POINTS = gpd.GeoDataFrame(
    {"label": ["a", "b"]}, geometry=gpd.points_from_xy([9.5, 9.6], [47.1, 47.2]), crs=4326
)


@pytest.mark.parametrize(
    ("lon", "lat"),
    [("lon", "lat"), ("Longitude", "Latitude"), ("X", "Y"), ("th_long", "th_lat"), ("lng", "lat")],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_have_points_by_the_names_of_their_columns(
    tmp_path: Path, lon: str, lat: str, separator: str
) -> None:
    table = pd.DataFrame({lat: [47.1, None, 47.2], lon: [9.5, 9.7, 9.6], "label": ["a", "n", "b"]})
    table.to_csv(tmp_path / "p.csv", sep=separator, index=False)
    frame = read_vector(tmp_path / "p.csv", "points")
    assert frame.crs == 4326
    assert frame.geometry.isna().tolist() == [False, True, False]
    assert frame.geometry.dropna().tolist() == POINTS.geometry.tolist()
    assert frame["label"].tolist() == ["a", "n", "b"]


def test_lucas_is_read_where_its_grid_says(tmp_path: Path) -> None:
    head = "point_id,nuts0,gps_lat,gps_long,th_lat,th_long,lc1,class\n"
    (tmp_path / "l.csv").write_text(head + "1,AT,88.888888,88.888888,47.1,9.5,A11,forest\n")
    assert read_vector(tmp_path / "l.csv", "points").geometry.tolist() == [shapely.Point(9.5, 47.1)]


def test_tables_without_a_place_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"class": [1], "east": [3]}).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(InputError, match=r"no columns lon and lat; it has class, east"):
        read_vector(tmp_path / "p.csv", "points")
    pd.DataFrame({"x": [4_321_000.0], "y": [3_210_000.0]}).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(InputError, match=r"m\.csv: x 4.321e\+06 and y 3.21e\+06 in row 0"):
        read_vector(tmp_path / "m.csv", "points")
    pd.DataFrame({"class": [1]}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"p\.parquet has no geometries"):
        read_vector(tmp_path / "p.parquet", "points")


def test_of_several_layers_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.gpkg"
    POINTS.to_file(path, layer="first")
    assert len(read_vector(path, "points")) == 2
    POINTS[:1].to_file(path, layer="second")
    with pytest.raises(InputError, match=r"has 2 layers, first, second; name one with layer="):
        read_vector(path, "points", option="points.layer")
    assert len(read_vector(path, "points", layer="second")) == 1
    with pytest.raises(InputError, match=r"no layer 'third'; it has first, second"):
        read_vector(path, "points", layer="third")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_layer_of_a_file_without_layers_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    if suffix == "csv":
        pd.DataFrame({"lon": [9.5], "lat": [47.1]}).to_csv(path)
    else:
        POINTS.to_parquet(path)
    with pytest.raises(InputError, match=f"^points .*p.{suffix} has no layers, and 'a' is named"):
        read_vector(path, "points", layer="a")


def test_tables_beside_a_layer_are_not_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "p.gpkg"
    POINTS.to_file(path, layer="places")
    pyogrio.write_dataframe(pd.DataFrame({"styleName": ["plain"]}), path, layer="layer_styles")
    assert len(read_vector(path, "points")) == 2


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.csv", "a.parquet", "a.shp"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"no points .*{name}"):
        read_vector(tmp_path / name, "points")
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=rf"points .*{name}"):
        read_vector(tmp_path / name, "points")
    (tmp_path / name).write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=rf"points .*{name}"):
        read_vector(tmp_path / name, "points")


def test_codes_stay_text_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;code\n1;08\n2;E10\n")
    (tmp_path / "b.csv").write_text("id;code\n1;08\n2;10\n")
    assert read_table(tmp_path / "a.csv", "table", as_text=True)["code"].tolist() == ["08", "E10"]
    assert read_table(tmp_path / "b.csv", "table", as_text=True)["code"].tolist() == ["08", "10"]
    assert read_table(tmp_path / "b.csv", "table")["code"].tolist() == [8, 10]
    (tmp_path / "c.csv").write_bytes("id;code\n1;2\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"cannot read table .*c\.csv"):
        read_table(tmp_path / "c.csv", "table", as_text=True)
