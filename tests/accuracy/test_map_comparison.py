"""A map beside another product: areas, agreement, and the two kinds of difference."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp
from rasterio.warp import reproject
from rich.console import Console
from sklearn.metrics import accuracy_score, confusion_matrix

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.crosswalk import read_crosswalk
from osm4eo_xr.accuracy.map_comparison import NOTE
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.legend import BUILT_IN
from tests.cases.commands import attempt

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
    assert (found.agreement.to_numpy() == (ours.to_numpy() > 0)).all()


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
    a, b = ours.to_numpy(), other.to_numpy()
    both = (a > 0) & (b > 0)
    assert found.km2[10, 8] == pytest.approx(((a == 8) & (b == 10)).sum() * 1e-4)
    assert found.km2.sum() == pytest.approx(both.sum() * 1e-4)
    tree = found.to_dict()
    assert tree["undecided_km2"] == pytest.approx((both & (b == 95)).sum() * 1e-4)
    same = ((a == 8) & (b == 10)) | ((a == 5) & (b == 40)) | ((a == 12) & (b == 80))
    compared = both & (b != 95)
    assert tree["agreement"] == pytest.approx(same.sum() / compared.sum(), abs=1e-6)
    expected = np.select([~both, b == 95, same], [0, 3, 1], 2)
    assert (found.agreement.to_numpy() == expected).all()
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
    assert (parts.agreement.to_numpy() == whole.agreement.to_numpy()).all()


def test_other_grids_are_taken_by_the_nearest_pixel_as_gdal_does(ours: xr.DataArray) -> None:
    degrees = GeoBox.from_bbox(BOX.footprint("EPSG:4326").boundingbox, shape=(70, 80))
    other = raster(1, [10, 40, 80], degrees)
    expected = np.zeros(ours.shape, np.uint8)
    reproject(
        other.to_numpy(),
        expected,
        src_transform=geobox_of(other).affine,
        src_crs="EPSG:4326",
        dst_transform=BOX.affine,
        dst_crs="EPSG:3035",
        tolerance=0,
    )
    found = oxr.compare(ours, other, crosswalk="worldcover")
    assert found.km2[10, 8] == pytest.approx(((ours == 8) & (expected == 10)).sum().item() * 1e-4)


@pytest.mark.parametrize("legend", BUILT_IN)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_say_for_each_class_what_it_is_compared_with_or_why_not(
    name: str, legend: str
) -> None:
    walk = read_crosswalk(name, oxr.load_legend(legend))
    grouped = {class_id for group in walk.groups for class_id in group.classes}
    for c in oxr.load_legend(legend).classes:
        assert (c.id in grouped) != (c.slug in walk.undecided)
    codes = {code for group in walk.groups for code in group.codes}
    assert not codes & {int(code) for code in walk.undecided if code.isdigit()}
    slugs = {c.slug for c in oxr.load_legend(legend).classes}
    assert {said for said in walk.undecided if not said.isdigit()} <= slugs


def test_coastal_wetlands_of_corine_count_where_the_legend_has_them() -> None:
    box = target_geobox((4_400_000, 2_700_000, 4_400_040, 2_700_010))
    classes = georeference(np.array([[13, 13, 8, 8]], np.uint8), box)
    corine = georeference(np.array([[37, 39, 23, 37]], np.uint8), box)
    thirteen = oxr.load_legend("osmlanduse-13")
    found = oxr.compare(classes, corine, crosswalk="clc", legend=thirteen).to_dict()
    assert (found["agreement"], found["compared_km2"]) == (0.75, 0.0004)
    forest = classes.copy(data=np.full((1, 4), 8, np.uint8))
    found = oxr.compare(forest, corine, crosswalk="clc").to_dict()
    assert (found["agreement"], found["compared_km2"]) == (1, 0.0001)
    assert found["undecided"]["37"] == "CLC 42, coastal wetlands, is not in the legend"


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
        assert (file.read(1) == (ours.to_numpy() > 0)).all()


NONE_AS = {"zero": (np.uint8, 0), "byte": (np.uint8, 255), "negative": (np.int16, -9999)}


def stated(values: np.ndarray, how: str, box: GeoBox = BOX) -> xr.DataArray:
    """Return codes, 0 for none, with no data as a file of another maker states it."""
    dtype, none = NONE_AS[how]
    coded = np.where(values == 0, dtype(none), values.astype(dtype))
    return georeference(coded, box, attrs={"nodata": none})


@pytest.mark.parametrize("how", NONE_AS)
@pytest.mark.parametrize("chunks", [None, 17])
def test_no_data_is_what_the_other_map_states(
    ours: xr.DataArray, how: str, chunks: int | None
) -> None:
    """Without a class on one side a pixel is neither compared nor undecided."""
    theirs = raster(1, [0, 1, 5, 12])
    expected = oxr.compare(ours, theirs)
    other = stated(theirs.to_numpy(), how)
    found = oxr.compare(ours, other if chunks is None else other.chunk(chunks))
    assert found.to_dict() == expected.to_dict()
    assert found.to_dict()["undecided_km2"] == 0
    np.testing.assert_array_equal(found.agreement, expected.agreement)
    assert ((found.agreement == 0) == ((ours == 0) | (theirs == 0))).all()


def test_no_data_of_the_map_itself_is_what_it_states(ours: xr.DataArray) -> None:
    theirs = raster(1, [0, 1, 5, 12])
    found = oxr.compare(stated(ours.to_numpy(), "byte"), theirs)
    assert found.to_dict() == oxr.compare(ours, theirs).to_dict()
    assert found.agreement.attrs["nodata"] == 0


def test_a_zero_that_is_a_class_is_one_whatever_the_file_states(ours: xr.DataArray) -> None:
    """In Dynamic World 0 is water, and files without a no-data value are opened with 0 for it."""
    other = georeference(np.zeros(BOX.shape, np.uint8), BOX, attrs={"nodata": 0})
    found = oxr.compare(ours, other, crosswalk="dynamic-world").to_dict()
    [water] = [g for g in found["groups"] if g["both_km2"]]
    assert water["both_km2"] == pytest.approx(int((ours == 12).sum()) * 1e-4)


@pytest.mark.parametrize("alpha", [False, True])
def test_pixels_that_a_file_masks_are_no_code_0(tmp_path: Path, *, alpha: bool) -> None:
    codes, seen = np.array([[0, 0, 1, 1], [7, 7, 0, 7]], np.uint8), np.array([[255] * 4, [0] * 4])
    how: dict[str, Any] = {"count": 2} if alpha else {"count": 1}
    how |= {"dtype": "uint8", "crs": "EPSG:3035", "transform": BOX.affine}
    path, ours = tmp_path / "dw.tif", tmp_path / "ours.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", width=4, height=2, **how) as sink,
    ):
        sink.write(codes, 1)
        if alpha:
            sink.write(seen.astype(np.uint8), 2)
            sink.colorinterp = (ColorInterp.gray, ColorInterp.alpha)
        else:
            sink.write_mask(seen.astype(np.uint8))
    classes = np.array([[12, 12, 8, 8], [8, 8, 8, 8]], np.uint8)
    oxr.write_cog(georeference(classes, BOX[:2, :4]), ours)
    named = "alpha band 2" if alpha else "mask"
    with pytest.raises(InputError, match=rf"hides \({named}\) hold 0, a code of .*fill=127"):
        oxr.compare(oxr.open_raster(ours), oxr.open_raster(path), crosswalk="dynamic-world")
    other = oxr.open_raster(path, fill=127)
    found = oxr.compare(oxr.open_raster(ours), other, crosswalk="dynamic-world").to_dict()
    assert (found["agreement"], found["compared_km2"]) == (1, 0.0004)
    out = tmp_path / "found.json"
    asked = ("--crosswalk", "dynamic-world", "--out", str(out))
    assert attempt("compare", str(ours), str(path), *asked).exit_code == 0
    assert json.loads(out.read_text())["agreement"] == 1


def test_the_table_of_codes_and_classes_is_pandas_crosstab(ours: xr.DataArray) -> None:
    other = raster(1, [0, 10, 40, 80, 95])
    tree = oxr.compare(ours, other, crosswalk="worldcover").to_dict()["contingency_km2"]
    pairs = pd.DataFrame({"code": other.to_numpy().ravel(), "class": ours.to_numpy().ravel()})
    pairs = pairs[(pairs > 0).all(axis=1)]
    expected = pd.crosstab(pairs["code"], pairs["class"]).reindex(columns=LEGEND.ids, fill_value=0)
    assert tree["codes"] == expected.index.tolist()
    assert tree["columns"] == [c.slug for c in LEGEND.classes]
    np.testing.assert_allclose(tree["km2"], expected.to_numpy() * 1e-4, atol=1e-9)


def test_the_three_differences_are_those_of_scikit_learns_confusion(ours: xr.DataArray) -> None:
    """Agreement is its accuracy; quantity and allocation follow from its matrix (eqs. 2 to 7)."""
    theirs = raster(5, [0, 1, 5, 8, 12])
    both = ((ours > 0) & (theirs > 0)).to_numpy()
    a, b = theirs.to_numpy()[both], ours.to_numpy()[both]
    share = confusion_matrix(a, b, normalize="all")
    gained = np.abs(share.sum(axis=0) - share.sum(axis=1)).sum() / 2
    found = oxr.compare(ours, theirs).differences()
    assert found["agreement"] == pytest.approx(accuracy_score(a, b), abs=1e-6)
    assert found["quantity_difference"] == pytest.approx(gained, abs=1e-6)
    assert found["allocation_difference"] == pytest.approx(
        1 - accuracy_score(a, b) - gained, abs=2e-6
    )


@pytest.mark.parametrize("side", ["map", "other"])
def test_maps_of_no_data_have_no_figures_and_say_so(ours: xr.DataArray, side: str) -> None:
    empty = ours * np.uint8(0)
    found = oxr.compare(*((empty, ours) if side == "map" else (ours, empty)))
    assert set(found.differences().values()) == {None}
    assert found.to_dict()["compared_km2"] == 0
    assert "no ground that both decide" in repr(found)
    assert not found.agreement.any()


def test_one_pixel_is_a_map(ours: xr.DataArray) -> None:
    one = ours[7:8, 3:4] * np.uint8(0) + np.uint8(8)
    found = oxr.compare(one, ours)
    assert found.km2.sum() == pytest.approx(1e-4 * (int(ours[7, 3]) > 0))
    assert found.agreement.shape == (1, 1)


def test_a_map_that_covers_a_part_is_compared_there_alone(ours: xr.DataArray) -> None:
    part = ours[20:35, 10:30]
    found = oxr.compare(ours.chunk(y=16, x=16), part)
    assert found.km2.sum() == pytest.approx(int((part > 0).sum()) * 1e-4)
    assert found.differences()["agreement"] == 1
    outside = found.agreement.to_numpy().copy()
    outside[20:35, 10:30] = 0
    assert not outside.any()


@pytest.mark.parametrize(
    ("other", "given", "expected"),
    [
        (lambda m: m.astype(np.float32), "the other map is float32 ('y', 'x')", "integers (y, x)"),
        (
            lambda m: m.expand_dims("band"),
            "the other map is uint8 ('band', 'y', 'x')",
            "integers (y, x)",
        ),
        (
            lambda m: m.astype(np.int16).where(m != 8, 300).astype(np.int16),
            "the other map holds code 300",
            "0 to 255, or no data",
        ),
        (
            lambda m: m.astype(np.int16).where(m != 8, -1).astype(np.int16),
            "the other map holds code -1",
            "0 to 255, or no data",
        ),
    ],
)
def test_what_is_no_map_of_codes_is_refused(
    ours: xr.DataArray, other: Any, given: str, expected: str
) -> None:
    with pytest.raises(InputError) as refused:
        oxr.compare(ours, other(ours))
    assert (refused.value.given, refused.value.expected) == (given, expected)


def test_maps_in_degrees_have_no_area_per_pixel_and_are_refused() -> None:
    degrees = GeoBox.from_bbox((8.0, 40.0, 9.0, 50.0), "EPSG:4326", shape=(20, 4))
    with pytest.raises(InputError, match="EPSG:4326"):
        oxr.compare(raster(0, [8], degrees), raster(1, [8], degrees))


def test_the_printed_table_has_a_row_for_each_group(ours: xr.DataArray) -> None:
    found = oxr.compare(ours, raster(1, [0, 10, 40, 80]), crosswalk="worldcover")
    console = Console(width=150, color_system=None, record=True, file=io.StringIO())
    console.print(found)
    text = console.export_text()
    assert "osmlanduse-12 and ESA WorldCover, km²" in text
    for group in found.to_dict()["groups"]:
        [row] = [line for line in text.splitlines() if f" {group['name']} " in line]
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert cells[1:] == [f"{group[k]:,.2f}" for k in ("map_km2", "other_km2", "both_km2")]
    assert NOTE in " ".join(text.split())
