"""Scenes and composites opened without their clouds, from products and from STAC items."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.catalogs.items import read_items
from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.bands import METHOD_BANDS
from osm4eo_xr.imagery.clouds.opening import open_clear_scene
from tests.cases.safe_case import write_safe


@pytest.fixture(scope="module")
def level_2a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safe(tmp_path_factory.mktemp("safe"), "2A", "03.01")


def test_bands_that_a_mask_needs_are_read_and_left_out(level_2a: Path) -> None:
    used = ["B04", "swir16", "blue", "green", "nir"]
    whole = oxr.open_safe(level_2a, bands=used, geobox="native")
    clear = open_clear_scene(
        level_2a, "threshold", bands=["B04", "swir16"], geobox="native", chunks=100, dilation=1
    )
    assert isinstance(clear.data, da.Array)
    assert list(clear["band"].values) == ["red", "swir16"]
    assert "level 2A" in clear.attrs["clouds"]
    assert "shadows by the sun (azimuth 1" in clear.attrs["clouds"]  # of the product's own time
    expected = oxr.mask_clouds(whole, method="threshold", dilation=1)[:2]
    np.testing.assert_array_equal(clear, expected)


def test_classes_of_a_product_mask_it(level_2a: Path) -> None:
    clear = open_clear_scene(level_2a, "scl", bands=["red"], geobox="native")
    expected = oxr.open_safe(level_2a, bands=["red"], geobox="native", mask=(0, 1, 3, 8, 9, 10))
    assert np.isnan(expected).any()
    xr.testing.assert_equal(clear, expected)


def test_what_has_no_classes_or_no_level_is_refused(level_2a: Path) -> None:
    files = [str(p) for p in sorted(level_2a.rglob("*_10m.jp2"))]
    assert files
    with pytest.raises(
        InputError, match="has no scene classification; expected a SAFE or EOPF product"
    ):
        open_clear_scene(files, "scl")
    opened = open_clear_scene(files, "threshold", level="1C", geobox="native")
    assert "level 1C" in opened.attrs["clouds"]
    with pytest.raises(InputError, match="lacks|missing|no band"):
        open_clear_scene(files, "s2cloudless")


def test_a_level_1c_product_shows_its_cirrus(tmp_path: Path) -> None:
    product = write_safe(tmp_path, "1C", "03.01")
    clear = open_clear_scene(product, "threshold", geobox="native")
    assert list(clear["band"].values) == list(METHOD_BANDS)
    used = oxr.open_safe(product, bands=[*METHOD_BANDS, "cirrus"], geobox="native")
    assert (used[-1] > 0.01).any()
    assert clear[0].isnull().where(used[-1] > 0.01, True).all()


def test_composites_of_items_need_no_classification(data_dir: Path) -> None:
    found = read_items(data_dir / "stac_33TW" / "catalog.json")
    items = [i for i in found if "33TWM" in i["id"]][:2]
    for item in items:
        del item["assets"]["scl"]
    grid = oxr.target_geobox((4788e3, 2612e3, 4794e3, 2618e3), resolution=240)
    made = oxr.composite_items(items, grid, ["red"], clouds="threshold", dilation=0)
    assert list(made["band"].values) == ["red"]
    assert made["reflectance"].attrs["level"] == "2A"
    cube = oxr.stack_items(items, grid, ["red", "blue", "green", "nir"])
    assert (
        made["reflectance"].attrs["clouds"]
        == oxr.mask_clouds(cube, method="threshold").attrs["clouds"]
    )
    with pytest.raises(InputError, match="coastal"):
        oxr.composite_items(items, grid, ["red"], clouds="s2cloudless")
