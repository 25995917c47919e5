"""A map beside another product: areas, agreement, and the two kinds of difference."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.warp import reproject

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.crosswalk import read_crosswalk
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox

LEGEND = oxr.default_legend()
ROWS, COLS = 60, 50
BOX = target_geobox((4_400_000, 2_700_000 - 10 * ROWS, 4_400_000 + 10 * COLS, 2_700_000))
PRODUCTS = ("worldcover", "dynamic-world", "clc", "clcplus")


def raster(seed: int, values: list[int], box: GeoBox = BOX) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    return georeference(rng.choice(np.array(values, np.uint8), tuple(box.shape)), box)


@pytest.fixture
def ours() -> xr.DataArray:
    return raster(0, [0, 1, 5, 8, 12])


def test_a_map_agrees_with_itself(ours: xr.DataArray) -> None:
    found = oxr.compare(ours, ours)
    assert found.differences() == {
        "agreement": 1,
        "quantity_difference": 0,
        "allocation_difference": 0,
    }
    assert found.km2.sum() == pytest.approx(int((ours > 0).sum()) * 1e-4)
    assert (found.agreement.values == (ours.values > 0)).all()


def test_quantity_and_allocation_differ_as_pontius_and_millones_say() -> None:
    """The eqs. 2 to 7 of Pontius & Millones 2011 by hand: 6, 1 of 10 pixels gained, 2 swapped."""
    box = target_geobox((0, 0, 100, 10))
    first = georeference(np.array([[8, 8, 8, 8, 8, 5, 5, 5, 8, 5]], np.uint8), box)
    second = georeference(np.array([[8, 8, 8, 8, 8, 5, 5, 8, 5, 8]], np.uint8), box)
    assert oxr.compare(first, second).differences() == {
        "agreement": 0.7,
        "quantity_difference": 0.1,
        "allocation_difference": 0.2,
    }


def test_codes_are_compared_by_group_and_the_rest_is_undecided(ours: xr.DataArray) -> None:
    other = raster(1, [0, 10, 40, 80, 95])
    found = oxr.compare(ours, other, crosswalk="worldcover")
    a, b = ours.values, other.values
    both = (a > 0) & (b > 0)
    assert found.km2[10, 8] == pytest.approx(((a == 8) & (b == 10)).sum() * 1e-4)
    assert found.km2.sum() == pytest.approx(both.sum() * 1e-4)
    tree = found.to_dict()
    assert tree["undecided_km2"] == pytest.approx((both & (b == 95)).sum() * 1e-4)
    same = ((a == 8) & (b == 10)) | ((a == 5) & (b == 40)) | ((a == 12) & (b == 80))
    compared = both & (b != 95)
    assert tree["agreement"] == pytest.approx(same.sum() / compared.sum(), abs=1e-6)
    expected = np.select([~both, b == 95, same], [0, 3, 1], 2)
    assert (found.agreement.values == expected).all()
    parts = ("agreement", "quantity_difference", "allocation_difference")
    assert sum(tree[part] for part in parts) == pytest.approx(1, abs=2e-6)


@settings(max_examples=10)
@given(rows=st.integers(5, ROWS), cols=st.integers(5, COLS), wide=st.integers(7, 80))
def test_any_chunking_gives_the_same_figures(rows: int, cols: int, wide: int) -> None:
    degrees = GeoBox.from_bbox(BOX.footprint("EPSG:4326").boundingbox, shape=(70, 80))
    ours, other = raster(0, [0, 1, 5, 8, 12]), raster(1, [0, 10, 40, 80], degrees)
    whole = oxr.compare(ours, other, crosswalk="worldcover")
    parts = oxr.compare(
        ours.chunk(y=rows, x=cols), other.chunk(y=wide, x=wide), crosswalk="worldcover"
    )
    assert parts.to_dict() == whole.to_dict()
    assert (parts.agreement.values == whole.agreement.values).all()


def test_other_grids_are_taken_by_the_nearest_pixel_as_gdal_does(ours: xr.DataArray) -> None:
    degrees = GeoBox.from_bbox(BOX.footprint("EPSG:4326").boundingbox, shape=(70, 80))
    other = raster(1, [10, 40, 80], degrees)
    expected = np.zeros(ours.shape, np.uint8)
    reproject(
        other.values,
        expected,
        src_transform=geobox_of(other).affine,
        src_crs="EPSG:4326",
        dst_transform=BOX.affine,
        dst_crs="EPSG:3035",
        tolerance=0,
    )
    found = oxr.compare(ours, other, crosswalk="worldcover")
    assert found.km2[10, 8] == pytest.approx(((ours == 8) & (expected == 10)).sum().item() * 1e-4)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_say_for_each_class_what_it_is_compared_with_or_why_not(name: str) -> None:
    walk = read_crosswalk(name, LEGEND)
    grouped = {class_id for group in walk.groups for class_id in group.classes}
    for c in LEGEND.classes:
        assert (c.id in grouped) != (c.slug in walk.undecided)
    codes = {code for group in walk.groups for code in group.codes}
    assert not codes & {int(code) for code in walk.undecided if code.isdigit()}


def test_agreement_stays_lazy(ours: xr.DataArray) -> None:
    other = raster(1, [0, 10, 40, 80]).chunk(y=20)
    found = oxr.compare(ours.chunk(y=30), other, crosswalk="worldcover")
    assert found.agreement.chunks == ((30, 30), (COLS,))


def test_wrong_crosswalks_and_maps_are_refused(tmp_path: Path, ours: xr.DataArray) -> None:
    with pytest.raises(InputError, match=r"no crosswalk landsat; expected worldcover"):
        oxr.compare(ours, ours, crosswalk="landsat")
    file = tmp_path / "c.toml"
    table = 'title = "x"\nnodata = [0]\ngroups = [{{ name = "a", classes = ["{}"], codes = [{}] }}]'
    for classes, codes, words in (
        ("lake", "1", "no class 'lake'"),
        ("water", "0", "has code 0 more than once"),
        ("water", "300", "code 300; expected 0 to 255"),
    ):
        file.write_text(table.format(classes, codes))
        with pytest.raises(InputError, match=words):
            oxr.compare(ours, ours, crosswalk=file)
    file.write_text('title = "x"')
    with pytest.raises(InputError, match="is incomplete"):
        oxr.compare(ours, ours, crosswalk=file)
    far = raster(0, [1], target_geobox((0, 0, 100, 100)))
    with pytest.raises(InputError, match="does not touch"):
        oxr.compare(ours, far)
    with pytest.raises(InputError, match="holds class 77"):
        oxr.compare(ours.where(ours != 5, 77).astype(np.uint8), ours)


def test_a_comparison_is_written(tmp_path: Path, ours: xr.DataArray) -> None:
    found = oxr.compare(ours, ours)
    text = found.save(tmp_path / "c.json").read_text()
    assert "agreement of two maps is not the accuracy" in text
    oxr.write_cog(found.agreement, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert (file.read(1) == (ours.values > 0)).all()
