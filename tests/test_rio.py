"""Every raster of the package answers rioxarray's accessor, with the right values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.warp import Resampling, reproject
from shapely.geometry import Polygon

import osm4eo_xr as oxr
from osm4eo_xr.geometry.grid import geobox_of
from tests.cases.train_case import ground, raster
from tests.inference.test_classify import make_model, make_scene

pytestmark = pytest.mark.steps

SHAPE = (150, 205)  # of make_scene
TRIANGLE = [(200, 100), (1800, 700), (500, 1400)]  # meters from the lower left corner


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a scene, labels, a class map and its probabilities."""
    folder = tmp_path_factory.mktemp("rio")
    scene = make_scene().chunk({"y": 64, "x": 64})
    found = oxr.classify(scene, make_model(), outputs=("classes", "probabilities"))
    labels = raster(ground(*SHAPE), geobox_of(scene)).assign_attrs(nodata=0)
    oxr.write_cog(scene, folder / "scene.tif")
    oxr.write_cog(labels, folder / "labels.tif")
    oxr.write_cog(found["classes"], folder / "map.tif")
    oxr.write_cog(found["probabilities"], folder / "probabilities.tif")
    return folder


def _map(folder: Path) -> xr.DataArray:
    return oxr.open_raster(folder / "map.tif", chunks=64)


def _items(folder: Path) -> xr.DataArray:
    """Stack one STAC item of the written scene's first band."""
    scene = oxr.open_scene(folder / "scene.tif", geobox="native")
    west, south, east, north = geobox_of(scene).geographic_extent.boundingbox
    item = {
        "type": "Feature",
        "id": "one",
        "bbox": [west, south, east, north],
        "geometry": None,
        "links": [],
        "properties": {"datetime": "2023-08-20T00:00:00Z"},
        "assets": {"blue": {"href": str(folder / "map.tif")}},
    }
    return oxr.stack_items([item], geobox_of(scene), ["blue"], scale=0.01, offset=0.0).isel(time=0)


RASTERS: dict[str, tuple[Callable[[Path], xr.DataArray], float]] = {
    "scene": (lambda p: oxr.open_scene(p / "scene.tif", geobox="native", chunks=64), np.nan),
    "labels": (lambda p: oxr.open_raster(p / "labels.tif", chunks=64), 0),
    "map": (_map, 0),
    "probabilities": (lambda p: oxr.open_probabilities(p / "probabilities.tif", chunks=64), 255),
    "classified": (lambda _: oxr.classify(make_scene().chunk(), make_model()), 0),
    "sieved": (lambda p: oxr.sieve(_map(p)), 0),
    "mosaic": (lambda p: oxr.mosaic([oxr.sieve(_map(p))]), 0),
    "layer": (lambda p: oxr.extract_layer(_map(p), "water"), 0),
    "mask": (lambda p: oxr.extract_layer(_map(p), "water", codes="mask"), 255),
    "share": (lambda p: oxr.fraction(_map(p), 50), np.nan),
    "items": (_items, np.nan),
}
"""Each lazy result, and its no-data value."""


@pytest.fixture(params=RASTERS)
def case(request: pytest.FixtureRequest, files: Path) -> tuple[xr.DataArray, float]:
    make, nodata = RASTERS[request.param]
    return make(files), nodata


def same(a: Any, b: Any) -> bool:
    return np.array_equal(a, b, equal_nan=np.asarray(b).dtype.kind == "f")


def test_crs_transform_and_nodata_are_stated_without_computing(
    case: tuple[xr.DataArray, float], no_compute: None
) -> None:
    del no_compute
    lazy, nodata = case
    assert lazy.chunks is not None
    assert lazy.rio.crs.to_epsg() == 3035
    assert same(lazy.rio.transform(), geobox_of(lazy).affine)
    assert same(lazy.rio.nodata, nodata)
    part = lazy.isel(y=slice(3, 9), x=slice(2, 7))
    assert same(part.rio.transform(), geobox_of(part).affine)
    assert same(part.rio.nodata, nodata)


def test_clipping_leaves_no_data_around_the_polygon(case: tuple[xr.DataArray, float]) -> None:
    lazy, nodata = case
    area = Polygon(TRIANGLE)
    clipped = lazy.rio.clip([area])
    assert clipped.dtype == lazy.dtype
    x, y = np.meshgrid(clipped.x, clipped.y)
    step = abs(geobox_of(lazy).resolution.x)
    distance = np.vectorize(lambda a, b: area.boundary.distance(Polygon([(a, b)] * 3).centroid))
    from shapely import contains_xy

    inside = contains_xy(area, x, y)
    away = distance(x, y) > step  # GDAL and shapely may differ on the line itself
    values = clipped.to_numpy()
    whole = lazy.sel(x=clipped.x, y=clipped.y).to_numpy()
    outside = np.broadcast_to(~inside & away, values.shape)
    assert outside.sum() > 100
    assert same(values[outside], np.full(outside.sum(), nodata, values.dtype))
    kept = np.broadcast_to(inside & away, values.shape)
    assert same(values[kept], whole[kept])
    assert same(clipped.rio.nodata, nodata)


def test_reprojection_is_gdals_and_fills_with_no_data(case: tuple[xr.DataArray, float]) -> None:
    lazy, nodata = case
    found = lazy.rio.reproject("EPSG:32632", resampling=Resampling.nearest)
    source, box = lazy.to_numpy(), geobox_of(lazy)
    expected = np.full(found.shape, nodata, source.dtype)
    reproject(
        source,
        expected,
        src_transform=box.affine,
        src_crs="EPSG:3035",
        src_nodata=nodata,
        dst_transform=found.rio.transform(),
        dst_crs="EPSG:32632",
        dst_nodata=nodata,
        resampling=Resampling.nearest,
    )
    assert found.dtype == lazy.dtype
    assert same(found.to_numpy(), expected)
    assert same(found.rio.nodata, nodata)
    corner = found.to_numpy()[..., 0, 0]
    assert same(corner, np.full(corner.shape, nodata, corner.dtype))


def test_a_written_file_holds_values_grid_and_no_data(
    case: tuple[xr.DataArray, float], tmp_path: Path
) -> None:
    lazy, nodata = case
    path = tmp_path / "out.tif"
    lazy.rio.to_raster(path)
    with rasterio.open(path) as file:
        pixels = file.read()
        assert same(file.nodata, float(nodata))
        assert file.transform == geobox_of(lazy).affine
        assert file.crs.to_epsg() == 3035
    assert same(pixels.reshape(lazy.shape), lazy.to_numpy())


def test_what_rioxarray_returns_keeps_its_no_data_in_the_package(
    files: Path, tmp_path: Path
) -> None:
    mask = RASTERS["mask"][0](files).rio.reproject("EPSG:32632")
    assert "nodata" not in mask.attrs  # rioxarray calls it _FillValue
    with rasterio.open(oxr.write_cog(mask, tmp_path / "mask.tif")) as file:
        assert file.nodata == 255
        water = (file.read(1) == 1).sum()
    assert oxr.to_vector(mask).area.sum() == pytest.approx(water * mask.rio.resolution()[0] ** 2)
