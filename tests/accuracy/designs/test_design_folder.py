"""A design as a folder: interpreters see no map class, and the folder opens as it was."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.image import imread
from odc.geo.geobox import GeoBox

from osm4eo_xr.accuracy.designs.design import open_design, write_design
from osm4eo_xr.accuracy.designs.points import design_points
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox

BOX = target_geobox((4_400_000, 2_699_000, 4_400_800, 2_700_000))
IN_FEET = "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80 +units=ft"


@pytest.fixture
def classes() -> xr.DataArray:
    rng = np.random.default_rng(1)
    return georeference(rng.integers(1, 4, (100, 80)).astype(np.uint8), BOX)


def test_a_design_opens_as_it_was_written(tmp_path: Path, classes: xr.DataArray) -> None:
    for scheme in ("stratified", "cluster"):
        design = design_points(
            classes, n=30, scheme=scheme, min_per_stratum=5, cluster_pixels=20, per_cluster=5
        )
        write_design(design, tmp_path / scheme, interpreters=2)
        opened = open_design(tmp_path / scheme)
        assert opened.to_dict() == design.to_dict()
        assert opened.points.drop(columns="geometry").equals(design.points.drop(columns="geometry"))
        assert opened.points.geom_equals(design.points.geometry).all()


def test_sheets_hide_strata_and_map_and_differ_in_order(
    tmp_path: Path, classes: xr.DataArray
) -> None:
    design = design_points(classes, n=40, min_per_stratum=5)
    write_design(design, tmp_path / "d", interpreters=2)
    first, second = (pd.read_csv(tmp_path / f"d/sheet_{k}.csv") for k in (1, 2))
    assert list(first.columns) == ["id", "lon", "lat", "class", "alternative", "comment"]
    assert set(first["class"].notna()) == {False}
    assert first["id"].tolist() != second["id"].tolist()
    assert set(first["id"]) == set(second["id"]) == set(design.points["id"])
    places = gpd.points_from_xy(first["lon"], first["lat"], crs=4326).to_crs(3035)
    expected = design.points.set_index("id").geometry[first["id"]]
    assert np.allclose(places.x, expected.x, atol=1e-3)
    table = pd.read_csv(tmp_path / "d/points.csv")
    assert {"stratum", "inclusion_probability", "lon", "lat", "map_class"} <= set(table.columns)
    online = pd.read_csv(tmp_path / "d/collect_earth.csv")
    assert list(online.columns) == ["LON", "LAT", "PLOTID"]


def scene_on(box: GeoBox) -> xr.DataArray:
    gray = np.full((3, *box.shape), 0.1, np.float32)
    return georeference(
        gray, box, dims=("band", "y", "x"), coords={"band": ["red", "green", "blue"]}
    )


def test_chips_are_so_many_meters_across_and_refuse_degrees(
    tmp_path: Path, classes: xr.DataArray
) -> None:
    design = design_points(classes, n=6, min_per_stratum=2)
    west, south, east, north = design.points.to_crs(4326).total_bounds
    bounds = (west - 0.01, south - 0.01, east + 0.01, north + 0.01)
    degrees = target_geobox(bounds, bounds_crs="EPSG:4326", crs="EPSG:4326", resolution=0.0001)
    with pytest.raises(InputError, match=r"the scene: EPSG:4326 counts in degrees"):
        write_design(design, tmp_path / "d", scene=scene_on(degrees))
    assert not list(tmp_path.iterdir())
    feet = target_geobox(bounds, bounds_crs="EPSG:4326", crs=IN_FEET, resolution=30)
    write_design(design, tmp_path / "d", scene=scene_on(feet), extent=600)
    chip = imread(next(iter((tmp_path / "d/chips").glob("*.png"))))[..., :3]
    rows, _ = np.nonzero(((chip * 255).round() == (255, 230, 0)).all(axis=-1))
    assert np.ptp(rows) + 1 == pytest.approx(512 / (600 / 9.144) + 4, abs=1.5)  # a pixel, framed


def test_chips_show_the_point_in_a_frame(tmp_path: Path, classes: xr.DataArray) -> None:
    design = design_points(classes, n=6, min_per_stratum=2)
    reflectance = np.random.default_rng(0).random((3, 100, 80)).astype(np.float32)
    scene = georeference(
        reflectance, BOX, dims=("band", "y", "x"), coords={"band": ["red", "green", "blue"]}
    )
    write_design(design, tmp_path / "d", scene=scene.chunk(y=30), extent=310)
    chips = sorted((tmp_path / "d/chips").glob("*.png"))
    assert len(chips) == 6
    for chip in chips:
        picture = (imread(chip)[..., :3] * 255).round()
        assert picture.shape == (512, 512, 3)
        frame = (picture == (255, 230, 0)).all(axis=-1)
        rows, cols = np.nonzero(frame)
        assert 240 < rows.min() < 256 < rows.max() < 272
        assert 240 < cols.min() < 256 < cols.max() < 272
        assert not frame[256, 256]


def test_other_folders_are_no_designs(tmp_path: Path, classes: xr.DataArray) -> None:
    with pytest.raises(InputError, match="is no sampling design"):
        open_design(tmp_path)
    with pytest.raises(InputError, match="interpreters 0"):
        write_design(design_points(classes, n=6, min_per_stratum=2), tmp_path / "d", interpreters=0)
    assert not (tmp_path / "d").exists()
