"""Products of either format by one opener: what is a product, its level, its layers' no data."""

from pathlib import Path

import numpy as np
import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.imagery.clouds.masks import mask_clouds
from osm4eo_xr.imagery.products.eopf import _moment, _polygon, array_paths, read_eopf, resolutions
from osm4eo_xr.imagery.products.opening import (
    PROBABILITY_NO_DATA,
    is_product,
    open_cloud_probability,
    open_product,
    open_product_classes,
    open_safe,
    product_level,
)
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.rasters.store_paths import StorePath
from tests.cases.eopf_case import REFLECTANCE, write_eopf
from tests.cases.safe_case import classes_of, probabilities_of, write_safe

BANDS = ("B02", "B04", "B11")


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safe(tmp_path_factory.mktemp("safe"), "2A", "03.01", bands=BANDS)


@pytest.fixture(scope="module")
def store(safe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_eopf(safe, tmp_path_factory.mktemp("eopf"))


@pytest.fixture(scope="module")
def level_1c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safe(tmp_path_factory.mktemp("safe1c"), "1C", "03.01", bands=("B02",))


def test_products_are_known_by_what_they_are(safe: Path, store: Path, level_1c: Path) -> None:
    metadata = safe / "MTD_MSIL2A.xml"
    inside = store / REFLECTANCE / "r10m"
    for path in (safe, metadata, store, inside):
        assert is_product(path)
        assert product_level(path) == "2A"
    assert product_level(level_1c) == "1C"
    for path in (safe.parent, store / "quality", safe / "GRANULE"):
        assert not is_product(path)
        assert product_level(path) is None


@pytest.mark.parametrize("kind", ["safe", "store"])
def test_layers_say_their_no_data_and_hold_the_files_numbers(
    kind: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(kind)
    classes = open_product_classes(path, geobox="native")
    assert classes.attrs == {"nodata": 0, "long_name": "scene classification"}
    assert (classes.name, classes.dtype) == ("scl", np.uint8)
    np.testing.assert_array_equal(classes, classes_of())
    chance = open_cloud_probability(path, geobox="native")
    assert chance.attrs["nodata"] == PROBABILITY_NO_DATA == 255
    np.testing.assert_array_equal(chance, probabilities_of())
    assert chance.chunks is not None


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("address", ["s3://eodata/S2A_X.SAFE", "https://x.org/S2A_X.SAFE.zip"])
@pytest.mark.parametrize("opened", [open_scene, open_safe])
def test_safe_products_at_addresses_are_refused(opened, address: str, kind: type) -> None:
    with pytest.raises(InputError, match=f"^{address} is an address, .*; download it, or give"):
        opened(kind(address))


def test_classes_to_mask_may_be_an_array(safe: Path) -> None:
    masked = open_safe(safe, mask=np.array([8, 9]))
    assert masked.identical(open_safe(safe, mask=(8, 9)))
    assert open_safe(safe, mask=np.array([], int)).identical(open_safe(safe))


def test_a_scene_is_masked_by_its_probability_also_beyond_the_product(safe: Path) -> None:
    scene = open_product(safe, bands=["red"])  # the default grid turns: corners lie outside
    chance = open_cloud_probability(safe, geobox=geobox_of(scene))
    masked = mask_clouds(scene, chance, method="probability").compute()
    beyond = chance.values == PROBABILITY_NO_DATA
    assert beyond.any()
    expected = np.isnan(scene.values) | ((chance.values > 40) & ~beyond)
    np.testing.assert_array_equal(np.isnan(masked.values), expected)


def test_level_1c_has_neither_layer(level_1c: Path) -> None:
    for opener in (open_product_classes, open_cloud_probability):
        with pytest.raises(InputError):
            opener(level_1c)


def test_the_scene_says_whose_it_is(store: Path) -> None:
    scene = open_safe(store, bands=["red"], geobox="native")
    assert scene.attrs["level"] == "2A"
    assert scene.attrs["baseline"] == "03.01"
    assert scene.attrs["product"].startswith("S2B_MSIL2A_20230820T094549")
    assert scene.attrs["date"] == "2023-08-20T09:45:49.024Z"
    assert scene.attrs["footprint"].startswith("POLYGON ((16.38 49.65")
    assert (scene.attrs["sun_azimuth"], scene.attrs["sun_zenith"]) == (151.25, 33.5)


@pytest.mark.parametrize("tile", ["33UXQ", "t33uxq", "T33UXQ"])
def test_a_tile_may_be_named_where_there_is_one(store: Path, tile: str) -> None:
    assert open_product(store, bands=["red"], geobox="native", tile=tile).sizes["y"] == 240
    with pytest.raises(InputError) as refused:
        open_product(store, tile="32UNB")
    assert refused.value.given.endswith("holds 33UXQ; not 32UNB")
    assert refused.value.advice == "leave {tile} out"


def test_what_is_no_product_is_told_as_of_its_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no product .*none\.zarr; give an EOPF store"):
        open_product(tmp_path / "none.zarr")
    with pytest.raises(InputError, match=r"no product .*none\.SAFE"):
        open_product(tmp_path / "none.SAFE")


def test_arrays_and_resolutions_are_listed_the_finest_first(store: Path) -> None:
    where = StorePath(str(store))
    names = tuple(REFLECTANCE.split("/"))
    assert [r.rpartition("/")[2] for r in resolutions(where, names)] == ["r10m", "r20m", "r60m"]
    assert resolutions(where, ("nothing",)) == []
    paths = [p.removeprefix(f"{store}/") for p in array_paths(where)]
    assert f"{REFLECTANCE}/r10m/b02" in paths
    assert f"{REFLECTANCE}/r20m/b02" not in paths
    assert "conditions/mask/l2a_classification/r20m/scl" in paths
    group = array_paths(StorePath(str(store), f"{REFLECTANCE}/r20m"))
    assert all(f"{REFLECTANCE}/r20m/" in p for p in group)
    assert not [p for p in group if p.endswith("scl")]


def test_metadata_that_are_silent_leave_the_name_to_tell(store: Path) -> None:
    found = read_eopf(store)
    assert (found.tile, found.level, found.baseline) == ("33UXQ", "2A", "03.01")
    assert len(found.bounds) == 4


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-08-20T09:45:49.024000+00:00", "2023-08-20T09:45:49.024Z"),
        ("2023-08-20T11:45:49+02:00", "2023-08-20T09:45:49.000Z"),
        ("20230820T094549", "2023-08-20T09:45:49.000Z"),
        ("2023-08-20", "2023-08-20T00:00:00.000Z"),
        ("yesterday", "yesterday"),
        ("", ""),
    ],
)
def test_moments_are_written_as_safe_writes_them(text: str, moment: str) -> None:
    assert _moment(text) == moment


@pytest.mark.parametrize(
    ("geometry", "text"),
    [
        (
            {"type": "Polygon", "coordinates": [[[1, 2], [3.5, 2], [3, 4], [1, 2]]]},
            "POLYGON ((1 2, 3.5 2, 3 4, 1 2))",
        ),
        (  # six digits would move a corner in the far east by a hundred meters
            {"type": "Polygon", "coordinates": [[[116.3812345, -33.1234567], [117.5, 2]]]},
            "POLYGON ((116.3812345 -33.1234567, 117.5 2))",
        ),
        ({"type": "Point", "coordinates": [1, 2]}, ""),
        (None, ""),
        ("POLYGON", ""),
    ],
)
def test_outlines_are_wkt_or_nothing(geometry: object, text: str) -> None:
    assert _polygon(geometry) == text
