"""Bands on one grid: which grid, which chunks, and what the scene says of itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.imagery.lazy_scene import scene_of_bands
from osm4eo_xr.imagery.products.band_files import bands_of_file, name_bands
from osm4eo_xr.imagery.reader import Band

LEFT, TOP = 600_000, 5_500_000


def write(path: Path, meters: int, *, block: int = 0, edge: int = 960, left: int = LEFT) -> Path:
    side = edge // meters
    place: dict[str, Any] = {
        "crs": "EPSG:32633",
        "transform": from_origin(left, TOP, meters, meters),
    }
    tiles = {"tiled": True, "blockxsize": block, "blockysize": block} if block else {}
    shape = {"height": side, "width": side, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", "GTiff", **shape, **place, **tiles) as file:
        file.write(np.arange(side * side, dtype=np.uint16).reshape(1, side, side) + 1)
        file.scales = (1e-4,)
    return path


@pytest.fixture
def bands(tmp_path: Path) -> list[Band]:
    """A band of 10 m in blocks of 32 pixels, and one of 20 m."""
    files = (write(tmp_path / "B04.tif", 10, block=32), write(tmp_path / "B11.tif", 20, block=16))
    how: Any = {"resampling": "nearest", "nodata": 0}
    return name_bands([b for f in files for b in bands_of_file(str(f), **how)], None)


def test_native_is_the_finest_bands_own_grid(bands: list[Band]) -> None:
    for order in (bands, bands[::-1]):
        scene = scene_of_bands(order, "native", 1024)
        assert geobox_of(scene) == bands[0].geobox
    expected = np.arange(96 * 96).reshape(96, 96) + 1
    found = scene_of_bands(bands, "native", 1024).compute()
    np.testing.assert_allclose(found.sel(band="red"), expected * 1e-4, rtol=1e-6)
    coarse = (np.arange(48 * 48).reshape(48, 48) + 1).repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(found.sel(band="swir16"), coarse * 1e-4, rtol=1e-6)


def test_a_given_grid_is_taken_as_it_is(bands: list[Band]) -> None:
    box = GeoBox((7, 5), from_origin(LEFT + 100, TOP - 50, 30, 30), "EPSG:32633")
    scene = scene_of_bands(bands, box, 1024)
    assert geobox_of(scene) == box
    assert scene.shape == (2, 7, 5)


def test_without_one_the_grid_is_of_ten_meters_over_all_bands(bands: list[Band]) -> None:
    grid = geobox_of(scene_of_bands(bands, None, 1024))
    assert grid.crs == "EPSG:3035"
    assert grid.resolution.x == 10
    ground = bands[0].geobox.footprint("EPSG:3035")
    assert grid.extent.geom.buffer(1e-6).contains(ground.geom)


def test_chunks_are_whole_blocks_of_the_file_whose_grid_it_is(bands: list[Band]) -> None:
    assert scene_of_bands(bands, "native", 40).chunks == ((2,), (64, 32), (64, 32))
    assert scene_of_bands(bands, "native", 64).chunks == ((2,), (64, 32), (64, 32))
    assert scene_of_bands(bands, "native", 1).chunks == ((2,), (32,) * 3, (32,) * 3)
    assert scene_of_bands(bands, "native", 5000).chunks == ((2,), (96,), (96,))
    other = GeoBox((60, 60), from_origin(LEFT, TOP, 15, 15), "EPSG:32633")
    assert scene_of_bands(bands, other, 40).chunks == ((2,), (40, 20), (40, 20))


@pytest.mark.usefixtures("no_compute")
def test_a_scene_says_what_it_is_before_a_pixel_is_read(bands: list[Band]) -> None:
    scene = scene_of_bands(bands, "native", 1024)
    assert scene.dtype == np.float32
    assert scene.dims == ("band", "y", "x")
    assert scene["band"].to_numpy().tolist() == ["red", "swir16"]
    assert scene.name == "reflectance"
    assert (scene.attrs["units"], scene.attrs["long_name"]) == ("1", "reflectance")
    assert np.isnan(scene.attrs["nodata"])
    assert scene.attrs["validity"]


@pytest.mark.parametrize("chunks", [0, -3])
def test_chunks_of_no_pixels_are_refused(bands: list[Band], chunks: int) -> None:
    with pytest.raises(InputError) as refused:
        scene_of_bands(bands, "native", chunks)
    assert refused.value.given == f"chunks={chunks} is not a positive number of pixels"
    assert refused.value.advice == "give e.g. 1024"


@pytest.mark.parametrize("geobox", ["finest", 10, (0, 0, 1, 1)])
def test_what_is_no_grid_is_refused(bands: list[Band], geobox: Any) -> None:
    with pytest.raises(InputError) as refused:
        scene_of_bands(bands, geobox, 1024)
    assert refused.value.given == f"geobox={geobox!r} is not a grid"
    assert refused.value.advice == "give a GeoBox, 'native' or nothing"


def test_a_grid_elsewhere_is_refused_with_the_files(bands: list[Band]) -> None:
    far = GeoBox((10, 10), from_origin(LEFT + 10**5, TOP, 10, 10), "EPSG:32633")
    with pytest.raises(InputError, match=r"B04\.tif.*does not touch"):
        scene_of_bands(bands, far, 1024)
