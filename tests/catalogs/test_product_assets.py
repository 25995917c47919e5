"""EOPF products as assets of STAC items: whole stores, groups and arrays, in both backends."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.catalogs.product_assets import (
    STAGED,
    asset_numbers,
    digital_band,
    is_product,
    place_of,
    product_band,
    with_arrays,
)
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from tests.cases.eopf_case import REFLECTANCE, write_eopf
from tests.cases.safe_case import write_safe

BANDS = ["blue", "swir16"]


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    offsets = dict.fromkeys(range(13), -1000)
    folder = tmp_path_factory.mktemp("safe")
    return write_safe(folder, "2A", "05.09", offsets=offsets, bands=("B02", "B11"))


def item_of(store: Path, **assets: str) -> dict[str, Any]:
    """Return an item whose assets lie in a store; it states another scale, which does not count."""
    discovery = json.loads((store / ".zattrs").read_text())["stac_discovery"]
    discovery["properties"]["datetime"] = "2023-08-20T09:45:49Z"
    wrong = [{"scale": 1e-3, "offset": 0}]
    found = {
        key: {"href": f"{store}{inside and '/'}{inside}", "raster:bands": wrong}
        for key, inside in assets.items()
    }
    return discovery | {"type": "Feature", "assets": found, "links": []}


def test_stores_groups_and_arrays_are_the_scene_of_the_safe(safe: Path, tmp_path: Path) -> None:
    store = write_eopf(safe, tmp_path)
    scene = oxr.open_safe(safe, bands=BANDS).compute()
    box = geobox_of(scene)
    groups = {"SR_10m": f"{REFLECTANCE}/r10m", "SR_20m": f"{REFLECTANCE}/r20m"}
    arrays = {"B02_10m": f"{REFLECTANCE}/r10m/b02", "B11_20m": f"{REFLECTANCE}/r20m/b11"}
    for assets in ({"product": ""}, groups, arrays):
        item = item_of(store, **assets)
        for backend in ("stackstac", "odc"):
            cube = oxr.stack_items(item, box, BANDS, backend=backend, chunks=1024)
            np.testing.assert_array_equal(cube[0], scene)
    classes = oxr.open_safe_classes(safe, geobox=box)
    for assets in ({"product": ""}, {"SCL_20m": "conditions/mask/l2a_classification/r20m/scl"}):
        np.testing.assert_array_equal(oxr.stack_classes(item_of(store, **assets), box)[0], classes)


def test_scaled_floats_of_an_item_are_not_scaled_again(safe: Path, tmp_path: Path) -> None:
    plain, scaled = write_eopf(safe, tmp_path), write_eopf(safe, tmp_path / "geo", geozarr=True)
    item = item_of(plain, product="")
    item["assets"] = {"data": {"href": str(scaled)}}
    scene = oxr.open_safe(safe, bands=BANDS).compute()
    cube = oxr.stack_items(item, geobox_of(scene), BANDS)
    np.testing.assert_allclose(cube[0], scene, atol=5e-7)
    unclear = {"units": None, "scale_factor": 1e-4}
    item["assets"]["data"]["href"] = str(
        write_eopf(safe, tmp_path / "unclear", geozarr=True, stated=unclear)
    )
    with pytest.raises(InputError, match="nothing tells whether they are scaled already"):
        oxr.stack_items(item, geobox_of(scene), BANDS)


FAR = "https://x.org/S2B_MSIL2A.zarr"


def test_a_copy_is_read_in_the_place_of_its_original() -> None:
    assert place_of({"href": "a"}) == "a"
    assert place_of({"href": "a", STAGED: "b"}) == "b"


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        (FAR, True),
        (f"{FAR}/{REFLECTANCE}/r10m", True),
        (f"{FAR}/{REFLECTANCE}/r10m/b02", True),
        (f"{FAR}/quality/probability/r20m", False),
        ("https://x.org/a.tif", False),
        ("none.zarr", False),
    ],
)
def test_products_are_told_by_what_their_path_means(href: str, expected: bool) -> None:
    assert is_product(href) is expected


def test_of_addresses_the_listed_bands_are_arrays() -> None:
    bands = [{"name": "b02"}, {"name": "b11"}, {"name": "angles"}, {}]
    group = {"href": f"{FAR}/{REFLECTANCE}/r10m", "bands": bands}
    array = {"href": f"{FAR}/{REFLECTANCE}/r10m/b02"}
    plain = {"href": "https://x.org/thumb.png"}
    assets = {"SR_10m": group, "B02": array, "thumbnail": plain}
    found = with_arrays(assets)
    assert list(found) == ["SR_10m", "B02", "thumbnail", "SR_10m/b02", "SR_10m/b11"]
    assert found["SR_10m/b02"]["href"] == f"{FAR}/{REFLECTANCE}/r10m/b02"
    assert found["SR_10m/b02"]["roles"] == ["data"]
    assert list(assets) == ["SR_10m", "B02", "thumbnail"]
    old = with_arrays({"x": {"href": f"{FAR}/{REFLECTANCE}/r20m", "eo:bands": bands[:1]}})
    assert "x/b02" in old
    assert list(with_arrays({"x": {"href": f"{FAR}/{REFLECTANCE}/r20m"}})) == ["x"]


def test_local_stores_are_looked_into(safe: Path, tmp_path: Path) -> None:
    store = write_eopf(safe, tmp_path)
    found = with_arrays({"product": {"href": str(store)}})
    assert {"product/b02", "product/b11", "product/scl"} <= found.keys()
    assert found["product/b02"]["href"] == f"{store}/{REFLECTANCE}/r10m/b02"


def test_scale_and_offset_are_the_stores_or_the_callers(safe: Path, tmp_path: Path) -> None:
    store = write_eopf(safe, tmp_path)
    item = item_of(store, b02=f"{REFLECTANCE}/r10m/b02")  # which states 1e-3, 0 for itself
    own = asset_numbers(item, "b02", "blue")
    assert (own.scale, own.offset) == pytest.approx((1e-4, -0.1))
    given = asset_numbers(item, "b02", "blue", scale=5e-5, offset=0.0)
    assert (given.scale, given.offset) == (5e-5, 0.0)
    digital = digital_band(item["assets"]["b02"]["href"], "blue", "nearest")
    assert (digital.scaling.scale, digital.scaling.offset) == (1.0, 0.0)
    with pytest.raises(InputError, match=r"b02 is no array of swir16"):
        product_band(item["assets"]["b02"]["href"], "swir16", "nearest")
