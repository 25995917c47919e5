"""EOPF products: the same scene as from SAFE in every form; what is not clear is refused."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.imagery.clouds.masks import CLOUD_CLASSES
from tests.cases.eopf_case import REFLECTANCE, pack, write_eopf
from tests.cases.safe_case import classes_of, numbers_of, probabilities_of, write_safe

OFFSETS = dict.fromkeys(range(13), -1000)
BANDS = ("B02", "B04", "B08", "B09", "B11")
FEW = ("B02", "B04", "B11")
NATIVE: dict[str, Any] = {"geobox": "native"}


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("safe")
    return write_safe(folder, "2A", "05.09", offsets=OFFSETS, bands=BANDS)


@pytest.fixture(scope="module")
def store(safe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_eopf(safe, tmp_path_factory.mktemp("eopf"), chunks=50)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safe(tmp_path_factory.mktemp("small"), "2A", "05.09", offsets=OFFSETS, bands=FEW)


@pytest.fixture(scope="module")
def expected(safe: Path) -> xr.DataArray:
    return oxr.open_safe(safe, mask=CLOUD_CLASSES, dilation=1).compute()


@pytest.fixture(scope="module")
def plain(safe: Path) -> xr.DataArray:
    return oxr.open_safe(safe, bands=["red", "swir16"]).compute()


def test_a_store_is_the_same_scene_as_the_safe(store: Path, expected: xr.DataArray) -> None:
    for path in (store, pack(store), pack(store, within="_in_a_folder")):
        scene = oxr.open_product(path, mask=CLOUD_CLASSES, dilation=1)
        xr.testing.assert_identical(scene.compute(), expected)


def test_format_3_whose_root_alone_says_where_it_lies_is_the_same(
    safe: Path, tmp_path: Path, expected: xr.DataArray
) -> None:
    modern = write_eopf(safe, tmp_path, version=3, chunks=240)
    scene = oxr.open_product(modern, mask=CLOUD_CLASSES, dilation=1)
    xr.testing.assert_identical(scene.compute(), expected)


@pytest.mark.usefixtures("no_compute")
def test_opening_computes_nothing(store: Path) -> None:
    scene = oxr.open_product(store, mask=CLOUD_CLASSES, dilation=2)
    assert list(scene["band"].values) == ["blue", "red", "nir", "swir16"]
    assert scene.dtype == np.float32
    assert scene.attrs["date"] == "2023-08-20T09:45:49.024Z"
    assert oxr.open_cloud_probability(store, geobox=geobox_of(scene)).dtype == np.uint8


def test_layers_are_those_of_the_safe(safe: Path, store: Path) -> None:
    for path in (safe, store):
        classes = oxr.open_product_classes(path, geobox="native")
        np.testing.assert_array_equal(classes, classes_of())
        probability = oxr.open_cloud_probability(path, geobox="native")
        np.testing.assert_array_equal(probability, probabilities_of())
        assert probability.attrs["nodata"] == 255
    box = geobox_of(oxr.open_product(store))
    both = [oxr.open_cloud_probability(path, geobox=box).compute() for path in (safe, store)]
    xr.testing.assert_identical(both[0], both[1])
    assert 0 < (both[0] == 255).mean() < 0.5  # beyond the tile; 0 is a probability


def test_groups_and_arrays_are_read_by_their_paths(store: Path, safe: Path) -> None:
    whole = oxr.open_safe(safe, bands=["red"], geobox="native").compute()
    for path in (store, pack(store)):
        for inside in (
            "measurements",
            REFLECTANCE,
            f"{REFLECTANCE}/r10m",
            f"{REFLECTANCE}/r10m/b04",
        ):
            part = oxr.open_scene(f"{path}/{inside}", bands=["red"], geobox="native")
            np.testing.assert_array_equal(part, whole)
    coarse = oxr.open_scene(store / REFLECTANCE / "r60m", bands=["red"], geobox="native")
    assert abs(geobox_of(coarse).resolution.x) == 60
    probability = oxr.open_raster(store / "quality/probability/r20m/cld")
    assert geobox_of(probability).crs == "EPSG:32633"


@settings(max_examples=10, deadline=None)
@given(chunks=st.integers(30, 300), start=st.integers(0, 200), edge=st.integers(1, 90))
def test_windows_cross_chunks_and_any_chunking_is_the_same(
    store: Path, plain: xr.DataArray, chunks: int, start: int, edge: int
) -> None:
    scene = oxr.open_product(store, bands=["red", "swir16"], chunks=chunks)
    part = slice(start, start + edge)
    # warped in other windows, whose corners are rounded otherwise
    np.testing.assert_allclose(scene[:, part, part], plain[:, part, part], atol=5e-7)


def geozarr(safe: Path, folder: Path, stated: Mapping[str, Any]) -> xr.DataArray:
    folder.mkdir()
    path = write_eopf(safe, folder, geozarr=True, stated=stated)
    return oxr.open_product(path, bands=["B02", "B04"], geobox="native").compute()


def test_floats_that_are_scaled_already_are_not_scaled_again(small: Path, tmp_path: Path) -> None:
    plain = oxr.open_safe(small, bands=["B02", "B04"], geobox="native").compute()
    tags = {"scale_factor": 1e-4, "add_offset": -0.1}
    for i, stated in enumerate(({}, tags, {"units": None})):  # tags that a conversion left
        scene = geozarr(small, tmp_path / str(i), stated)
        np.testing.assert_array_equal(scene, plain)
        assert scene.attrs["level"] == "2A"
        assert scene.attrs["baseline"] == "05.09"
    said = "float32 numbers of unit 'unknown' with scale_factor 0.0001 and add_offset -0.1, so noth"
    with pytest.raises(InputError, match=said):
        geozarr(small, tmp_path / "unclear", tags | {"units": None})
    (unclear,) = (tmp_path / "unclear").iterdir()
    settled = oxr.open_product(unclear, bands=["B02", "B04"], scale=1, offset=0, geobox="native")
    np.testing.assert_array_equal(settled, plain)


def test_floats_of_digital_counts_are_scaled(small: Path, tmp_path: Path) -> None:
    path = write_eopf(small, tmp_path)
    plain = oxr.open_safe(small, bands=["B04"], **NATIVE).compute()
    group = zarr.open_group(path / REFLECTANCE / "r10m", mode="a")
    attributes = dict(group["b04"].attrs)
    del group["b04"]
    array = group.create_array("b04", data=numbers_of("B04", 10).astype(np.float32))
    array.attrs.update(attributes | {"_ARRAY_DIMENSIONS": ["y", "x"]})
    np.testing.assert_array_equal(oxr.open_product(path, bands=["B04"], **NATIVE), plain)


def test_stated_ranges_and_corners_do_not_mislead(small: Path, tmp_path: Path) -> None:
    path = write_eopf(small, tmp_path, version=3, stated={"valid_max": 1800})
    plain = oxr.open_safe(small, **NATIVE).compute()
    np.testing.assert_array_equal(oxr.open_product(path, **NATIVE), plain)
    for resolution, half in (("r10m", 5), ("r20m", 10), ("r60m", 30)):
        group = zarr.open_group(path / REFLECTANCE / resolution, mode="a")
        for name, shift in (("x", -half), ("y", half)):
            array: Any = group[name]
            array[:] = array[:] + shift  # now the upper left corners of pixels
    moved = oxr.open_product(path, **NATIVE).compute()
    assert geobox_of(moved) == geobox_of(plain)
    np.testing.assert_array_equal(moved, plain)


def test_a_missing_offset_follows_the_table(tmp_path: Path) -> None:
    old = write_safe(tmp_path, "2A", "03.01", bands=("B04",))
    path = write_eopf(old, tmp_path / "old", stated={"add_offset": None})
    np.testing.assert_array_equal(oxr.open_product(path, **NATIVE), oxr.open_safe(old, **NATIVE))
    new = write_safe(tmp_path, "2A", "05.09", offsets=OFFSETS, bands=("B04",))
    path = write_eopf(new, tmp_path / "new", stated={"add_offset": None})
    assert "states no add_offset; pass offset=-0.1, or" in refusal(path)
    kept = oxr.open_product(path, offset=-0.1, **NATIVE)
    np.testing.assert_array_equal(kept, oxr.open_safe(new, **NATIVE))


def refusal(path: Path, **options: Any) -> str:
    """Return the one-line message of a refused product."""
    with pytest.raises(InputError) as caught:
        oxr.open_product(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_whole_product_is_refused(small: Path, tmp_path: Path) -> None:
    path = write_eopf(small, tmp_path)
    packed = pack(path)
    assert "has no band nir; it has blue, red, swir16" in refusal(path, bands=["nir"])
    assert "holds 33UXQ; not 32UPU" in refusal(path, tile="32UPU")
    assert "no product" in refusal(tmp_path / "gone.zarr")
    assert "no product" in refusal(tmp_path / "gone.zarr.zip")
    cut = tmp_path / "cut.zarr.zip"
    cut.write_bytes(packed.read_bytes()[:-2000])
    assert "cut.zarr.zip is no Zarr store" in refusal(cut)
    shutil.rmtree(path / "quality")
    with pytest.raises(InputError, match="has no layer cld"):
        oxr.open_cloud_probability(path)
    wrong = write_eopf(small, tmp_path / "fill", stated={"fill_value": 7})
    assert "states the no-data value 7; expected 0" in refusal(wrong)
    shutil.rmtree(wrong / "measurements")
    assert "has no group measurements/reflectance; expected a Sentinel-2 product" in refusal(wrong)


def test_a_store_without_a_crs_or_with_a_wrong_one_is_refused(small: Path, tmp_path: Path) -> None:
    path = write_eopf(small, tmp_path, version=3)
    root = zarr.open_group(path, mode="a")
    item: Any = root.attrs["stac_discovery"]
    for crs, said in (
        (None, "has no CRS"),
        (999999, "states the CRS 'EPSG:999999', which is none"),
    ):
        item["properties"]["proj:epsg"] = crs
        root.attrs["stac_discovery"] = item
        assert said in refusal(path)


@pytest.mark.parametrize("box", ["../x", [1, 2, None, 4], {"x": 1}, [[1, 2], 3, 4]])
def test_a_box_of_the_product_that_is_none_is_damage(small: Path, tmp_path: Path, box: Any) -> None:
    path = write_eopf(small, tmp_path)
    root = json.loads((path / ".zattrs").read_text())
    root["stac_discovery"]["properties"]["proj:bbox"] = box
    (path / ".zattrs").write_text(json.dumps(root))
    assert re.search("is damaged: |proj:bbox is", refusal(path))


def test_damaged_metadata_and_chunks_are_named(small: Path, tmp_path: Path) -> None:
    path = write_eopf(small, tmp_path)
    chunk = path / REFLECTANCE / "r10m" / "b04" / "0.0"
    whole = oxr.open_product(path, bands=["red"], **NATIVE)
    chunk.write_bytes(chunk.read_bytes()[:40])
    with pytest.raises(InputError, match="r10m is damaged: "):
        whole.compute()
    attributes = path / REFLECTANCE / "r10m" / "b04" / ".zattrs"
    attributes.write_text(attributes.read_text()[:-20])
    assert "r10m is no Zarr store" in refusal(path)
    (path / ".zattrs").write_text(json.dumps({"stac_discovery": {"properties": {"proj:bbox": 1}}}))
    assert "r10m is no Zarr store" in refusal(path)
