from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.labels import rasterize_labels, read_labels
from osm4eo_xr.legend import default_legend
from osm4eo_xr.osm import read_landuse

DEMO_BOUNDS = (4_492_000.0, 3_265_000.0, 4_494_300.0, 3_266_700.0)
PRIORITY = {c.id: c.priority for c in default_legend().classes}


@pytest.fixture(scope="module")
def polygons() -> gpd.GeoDataFrame:
    return read_landuse(demo_osm_path())


def grid(bounds: tuple[float, float, float, float] = DEMO_BOUNDS) -> xr.DataArray:
    geobox = target_geobox(bounds)
    return georeference(np.zeros(geobox.shape, np.uint8), geobox)


def burnt_by_gdal(polygons: gpd.GeoDataFrame, like: xr.DataArray) -> np.ndarray:
    geobox = geobox_of(like)
    rank = np.array([-PRIORITY[i] for i in polygons["class_id"]])
    ordered = polygons.to_crs("EPSG:3035").iloc[np.argsort(rank, kind="stable")]
    pairs = zip(ordered.geometry, ordered["class_id"], strict=True)
    shape = tuple(geobox.shape)
    return rasterize(pairs, out_shape=shape, transform=geobox.affine, dtype="uint8")


@pytest.mark.usefixtures("no_compute")
def test_rasterizing_and_reading_are_lazy(polygons: gpd.GeoDataFrame, tmp_path: Path) -> None:
    labels = rasterize_labels(polygons, grid().chunk(64))
    assert labels.chunks is not None
    assert labels.dtype == np.uint8
    assert labels.attrs["nodata"] == 0
    assert labels.attrs["flag_values"] == list(range(1, 13))
    assert read_labels(write(tmp_path / "l.tif", np.eye(4, dtype=np.uint8))).chunks is not None


@settings(max_examples=12)
@given(rows=st.integers(1, 170), columns=st.integers(7, 230))
def test_any_chunking_equals_gdal_on_the_whole_grid(
    polygons: gpd.GeoDataFrame, rows: int, columns: int
) -> None:
    like = grid().chunk(y=max(rows, 7), x=columns)
    labels = rasterize_labels(polygons, like)
    assert labels.chunks == like.chunks
    expected = burnt_by_gdal(polygons, like)
    assert len(np.unique(expected)) > 4
    np.testing.assert_array_equal(labels.to_numpy(), expected)


def frame(*parts: tuple[int, shapely.Geometry]) -> gpd.GeoDataFrame:
    ids, shapes = zip(*parts, strict=True)
    return gpd.GeoDataFrame({"class_id": np.array(ids, np.uint8)}, geometry=list(shapes), crs=3035)


def test_priority_decides_overlaps_not_order_or_size() -> None:
    like = grid((0, 0, 100, 100))
    water, forest = shapely.box(20, 20, 60, 60), shapely.box(0, 0, 100, 100)
    expected = np.full((10, 10), 8)
    expected[4:8, 2:6] = 12
    for parts in (((12, water), (8, forest)), ((8, forest), (12, water))):
        np.testing.assert_array_equal(rasterize_labels(frame(*parts), like), expected)


def test_holes_stay_open() -> None:
    ring = shapely.box(0, 0, 100, 100) - shapely.box(30, 30, 70, 70)
    labels = rasterize_labels(frame((8, ring)), grid((0, 0, 100, 100))).to_numpy()
    assert (labels == 0).sum() == 16
    assert (labels[3:7, 3:7] == 0).all()


def test_wrong_polygons_are_refused() -> None:
    like = grid((0, 0, 100, 100))
    box = shapely.box(0, 0, 50, 50)
    with pytest.raises(InputError, match="do not overlap"):
        rasterize_labels(frame((8, shapely.box(5000, 0, 6000, 50))), like)
    with pytest.raises(InputError, match="class 99 of the polygons"):
        rasterize_labels(frame((99, box)), like)
    with pytest.raises(InputError, match="no CRS"):
        rasterize_labels(gpd.GeoDataFrame({"class_id": [8]}, geometry=[box]), like)


def write(path: Path, values: np.ndarray) -> Path:
    transform = target_geobox((0, 0, 10.0 * values.shape[1], 10.0 * values.shape[0])).affine
    profile = {"driver": "GTiff", "count": 1, "crs": "EPSG:3035", "transform": transform}
    height, width = values.shape
    with rasterio.open(
        path, "w", height=height, width=width, dtype=values.dtype, **profile
    ) as file:
        file.write(values, 1)
    return path


def test_corine_codes_become_ids_in_one_pass(tmp_path: Path) -> None:
    clc = np.array([[11, 12, 13, 14, 21, 22], [23, 31, 32, 33, 41, 5], [0, 0, 5, 12, 11, 1]])
    path = write(tmp_path / "clc.tif", clc[:2].astype(np.uint8))
    expected = np.arange(1, 13).reshape(2, 6)
    np.testing.assert_array_equal(read_labels(path, codes="clc"), expected)


def test_ids_are_read_as_they_are(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 13, (40, 30)).astype(np.int16)
    labels = read_labels(write(tmp_path / "ids.tif", ids), chunks=16)
    np.testing.assert_array_equal(labels, ids)
    assert labels.dtype == np.uint8


def test_values_outside_the_legend_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.tif", np.full((4, 4), 77, np.uint8))
    with pytest.raises(InputError, match=r"odd\.tif holds the value 77"):
        read_labels(path).compute()
    with pytest.raises(InputError, match="holds float32"):
        read_labels(write(tmp_path / "f.tif", np.ones((4, 4), np.float32)))
