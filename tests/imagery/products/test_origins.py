"""One offset on every way in: metadata around loose files, the table, pixels, the question."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.imagery.offsets import Evidence, settle_offset
from osm4eo_xr.imagery.products.origins import level_of
from osm4eo_xr.imagery.products.safe import read_product
from tests.cases.safe_case import numbers_of, write_jp2, write_safe

NATIVE: Any = {"geobox": "native", "bands": ["blue"]}


def first(path: Any, **options: Any) -> float:
    """Return a scene's first blue pixel."""
    return float(oxr.open_scene(path, **(NATIVE | options))[0, 0, 0])


def refusal(path: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        oxr.open_scene(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def reprocessed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product of 2023's folders with offsets of its own."""
    offsets = dict.fromkeys(range(13), -1000)
    return write_safe(
        tmp_path_factory.mktemp("n0500"), "2A", "05.00", offsets=offsets, bands=("B02", "B12")
    )


def test_folder_resolution_file_and_zip_give_one_reflectance(reprocessed: Path) -> None:
    (blue,) = reprocessed.rglob("*_B02_10m.jp2")
    expected = (int(numbers_of("B02", 10)[0, 0]) - 1000) / 1e4
    for path in (reprocessed, [reprocessed], blue.parent, blue, str(blue)):
        assert first(path) == pytest.approx(expected, abs=1e-6), path
    assert first(blue, offset=0.0) == pytest.approx(expected + 0.1, abs=1e-6)
    assert first(blue, scale=1e-4) == pytest.approx(expected, abs=1e-6)
    assert oxr.open_scene(blue, **NATIVE).attrs["level"] == "2A"


def test_files_of_several_dates_or_tiles_are_no_scene(tmp_path: Path) -> None:
    """Bands of two dates were read side by side in silence, from folders of files and from SAFE."""
    numbers = numbers_of("B02", 60)
    for place, band in (
        ("T33UXQ_20180820T094549", "B02"),
        ("T33UXQ_20180901T094549", "B03"),
        ("T33UYQ_20180820T094549", "B04"),
    ):
        write_jp2(tmp_path / f"{place}_{band}.jp2", numbers, 10)
    dates = [tmp_path / f"T33UXQ_20180{d}T094549_B0{b}.jp2" for d, b in ((820, 2), (901, 3))]
    said = refusal(dates, offset=0)
    assert "band blue is of T33UXQ_20180820T094549" in said
    assert "green of T33UXQ_20180901T094549" in said
    tiles = [dates[0], tmp_path / "T33UYQ_20180820T094549_B04.jp2"]
    assert "red of T33UYQ_20180820T094549" in refusal(tiles, offset=0)


def test_a_product_of_two_dates_is_refused(reprocessed: Path, tmp_path: Path) -> None:
    mixed = Path(shutil.copytree(reprocessed, tmp_path / reprocessed.name))
    (blue,) = mixed.rglob("*_B02_10m.jp2")
    other = blue.with_name(blue.name.replace("20230820", "20230910"))
    shutil.copy(blue, other)
    assert "holds band B02 of tile 33UXQ twice" in refusal(mixed)
    other.rename(other.with_name(f"._{blue.name}"))  # as macOS leaves in zips
    expected = (int(numbers_of("B02", 10)[0, 0]) - 1000) / 1e4
    assert first(mixed) == first(blue.parent) == pytest.approx(expected, abs=1e-6)
    other.with_name(f"._{blue.name}").rename(other)
    blue.unlink()
    assert "band blue is of T33UXQ_20230910T094549" in refusal(mixed)


def test_numbers_that_are_no_reals_are_no_reflectance(tmp_path: Path) -> None:
    """The imaginary part was dropped in silence."""
    place: Any = {"crs": "EPSG:3035", "transform": from_origin(4_321_000, 3_210_000, 10, 10)}
    shape: Any = {"count": 1, "height": 20, "width": 20, "dtype": "complex64"}
    with rasterio.open(tmp_path / "red.tif", "w", driver="GTiff", **place, **shape) as sink:
        sink.write(np.full((1, 20, 20), 0.2 + 0.3j, np.complex64))
    assert "holds complex64 numbers; expected integers or floats" in refusal(
        tmp_path / "red.tif", names=["red"]
    )


def test_without_its_metadata_a_product_is_known_by_name(reprocessed: Path, tmp_path: Path) -> None:
    shutil.copytree(reprocessed, tmp_path / reprocessed.name)
    (tmp_path / reprocessed.name / "MTD_MSIL2A.xml").unlink()
    (blue,) = tmp_path.rglob("*_B02_10m.jp2")
    expected = (int(numbers_of("B02", 10)[0, 0]) - 1000) / 1e4
    assert first(blue) == pytest.approx(expected, abs=1e-6)
    assert first(blue.parent) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "told", "offset"),
    [
        ("productInfo.json", {"name": "S2B_MSIL2A_20230820T094549_N0509_R079_T33UXQ_2023"}, -0.1),
        ("productInfo.json", {"name": "S2B_MSIL2A_20180820T094549_N0208_R079_T33UXQ_2018"}, 0.0),
        ("tileInfo.json", {"datastrip": {"id": "S2B_OPER_MSI_L2A_DS_2BPS_S2023_N05.09"}}, -0.1),
    ],
)
def test_layout_of_aws_is_understood(
    tmp_path: Path, name: str, told: dict[str, Any], offset: float
) -> None:
    blue = tmp_path / "tiles/33/U/XQ/2023/8/20/0/R10m/B02.jp2"
    write_jp2(blue, numbers_of("B02", 10), 10)
    assert "nothing tells whether digital numbers carry the offset" in refusal(blue)
    (blue.parents[1] / name).write_text(json.dumps(told))
    assert first(blue) == pytest.approx(int(numbers_of("B02", 10)[0, 0]) / 1e4 + offset, abs=1e-6)


def loose(folder: Path, number: int, name: str = "T33UUU_20180601T101031_B02_10m.jp2") -> Path:
    write_jp2(folder / name, np.full((40, 40), number, np.uint16), 10)
    return folder / name


def test_the_day_of_acquisition_tells_nothing(tmp_path: Path) -> None:
    message = refusal(loose(tmp_path / "bright", 2000))
    assert "5 % of its numbers reach 2000, so pixels do not tell; expected" in message
    assert "pass offset=-0.1, or offset=0" in message
    assert first(loose(tmp_path / "dark", 400)) == pytest.approx(0.04, abs=1e-6)
    beside = loose(tmp_path / "beside", 2000, "T33UUU_20180601T101031_B02.jp2")
    loose(tmp_path / "beside", 15, "T33UUU_20180601T101031_B10.jp2")
    assert first(beside) == pytest.approx(0.2, abs=1e-6)  # cirrus is dark only without it


def test_placeholders_for_baselines_tell_nothing(tmp_path: Path) -> None:
    name = "S2A_MSIL2A_20180601T101031_N9999_R022_T33UUU_{}T101031.SAFE"
    old, new = (tmp_path / name.format(day) for day in ("20180601", "20230601"))
    assert first(loose(old, 2000)) == pytest.approx(0.2, abs=1e-6)  # processed in 2018
    assert "nothing tells" in refusal(loose(new, 2000))
    assert first(loose(new / "dark", 400)) == pytest.approx(0.04, abs=1e-6)
    safe = write_safe(tmp_path, "2A", "99.99", bands=("B02",))
    assert "of baseline 99.99, B02: nothing tells" in refusal(safe)


def test_stores_say_their_baseline(tmp_path: Path) -> None:
    grid = target_geobox((4_321_000, 3_210_000, 4_321_400, 3_210_400))
    numbers = np.full((1, *grid.shape), 3000, np.uint16)
    cube = georeference(numbers, grid, dims=("band", "y", "x"), coords={"band": ["B02"]})
    for k, (attrs, value) in enumerate(
        (
            ({"stac_discovery": {"properties": {"processing:version": "05.10"}}}, 0.2),
            ({"s2:processing_baseline": "02.09"}, 0.3),
            ({}, 0.3),
        )
    ):
        dataset = xr.Dataset({"dn": cube}, attrs=attrs)
        dataset.to_zarr(tmp_path / f"{k}.zarr", consolidated=False)
        assert first(tmp_path / f"{k}.zarr") == pytest.approx(value, abs=1e-6)


def test_numbers_that_state_their_scale_and_floats_need_no_offset(tmp_path: Path) -> None:
    folder = tmp_path / "S2B_MSIL2A_20230820T094549_N0509_R079_T33UXQ_20230820T130000"
    folder.mkdir()
    place: Any = {"crs": "EPSG:3035", "transform": from_origin(4_321_000, 3_210_000, 10, 10)}
    for name, value, tags in (("a_B02.tif", 0.3, None), ("b_B02.tif", 3500, (1e-4, -0.05))):
        numbers = np.full((40, 40), value, np.float32 if tags is None else np.uint16)
        shape: Any = {"height": 40, "width": 40, "count": 1, "dtype": numbers.dtype}
        with rasterio.open(folder / name, "w", driver="GTiff", **place, **shape) as sink:
            sink.write(numbers, 1)
            if tags:
                sink.scales, sink.offsets = [tags[0]], [tags[1]]
        assert first(folder / name) == pytest.approx(0.3, abs=1e-6)


def test_a_tagged_offset_counts_beside_the_scale_that_it_is_tagged_with(tmp_path: Path) -> None:
    path = tmp_path / "tagged.tif"
    place: Any = {"crs": "EPSG:3035", "transform": from_origin(4_321_000, 3_210_000, 10, 10)}
    shape: Any = {"height": 40, "width": 40, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", driver="GTiff", **place, **shape) as sink:
        sink.write(np.full((40, 40), 3596, np.uint16), 1)
        sink.scales, sink.offsets, sink.descriptions = [1e-4], [-0.1], ["blue"]
    for given in ({}, {"scale": 1e-4}, {"scale": float(np.float32(1e-4))}):
        assert first(path, **given) == pytest.approx(0.2596, abs=1e-6)
    assert first(path, scale=5e-5, offset=0.0) == pytest.approx(0.1798, abs=1e-6)
    said = refusal(path, scale=5e-5, **NATIVE)
    assert "is tagged with scale 0.0001 and offset -0.1, and is to be read with scale 5e-05" in said
    assert said.endswith("; pass offset= too, or leave scale= out")


def test_each_row_of_the_table_and_its_order() -> None:
    rows: list[tuple[dict[str, Any], float]] = [
        ({"removed": True, "stated": -0.1, "baseline": (5, 9)}, 0.0),
        ({"stated": -0.05, "baseline": (2, 9)}, -0.05),
        ({"baseline": (4, 0), "processed": "2018-01-01"}, -0.1),
        ({"baseline": (3, 1)}, 0.0),
        ({"processed": "2022-01-24"}, 0.0),
    ]
    for known, offset in rows:
        assert settle_offset(Evidence("x", **known), lambda: pytest.fail("looked")) == offset
    assert settle_offset(Evidence("x", processed="2023-01-01"), lambda: 799.0) == 0.0
    for dark in (None, 800.0):
        with pytest.raises(InputError, match=r"pass offset=-0.1, or offset=0"):
            settle_offset(Evidence("x"), lambda dark=dark: dark)


def test_products_before_december_2016_are_read(tmp_path: Path) -> None:
    safe = write_safe(tmp_path, "1C", "02.04", tiles=("33UXQ", "33UYQ"), bands=("B02",))
    old = tmp_path / "S2A_OPER_PRD_MSIL1C_PDMC_20160605T180101_R079_V20160605.SAFE"
    safe.rename(old)
    xml = old / "S2A_OPER_MTD_SAFL1C_PDMC_20160605T180101_R079_V20160605.xml"
    (old / "MTD_MSIL1C.xml").rename(xml)
    for granule in (old / "GRANULE").iterdir():
        tile = granule.name.split("_")[1]
        name = f"S2A_OPER_MSI_L1C_TL_EPA__20160605T113933_A000734_{tile}_N02.04"
        (image,) = (granule / "IMG_DATA").glob("*_B02.jp2")
        image.rename(image.with_name(f"{name[:-7]}_B02.jp2"))
        granule.rename(granule.with_name(name))
    assert read_product(old).tiles == ["33UXQ", "33UYQ"]
    expected = int(numbers_of("B02", 10)[0, 0]) / 1e4
    for path in (old, xml):
        scene = oxr.open_safe(path, tile="33UXQ", **NATIVE)
        assert float(scene[0, 0, 0]) == pytest.approx(expected, abs=1e-6)
    image, _ = sorted(old.glob("GRANULE/*/IMG_DATA/*_B02.jp2"))
    assert first(image) == pytest.approx(expected, abs=1e-6)
    assert level_of(str(image)) == "1C"


@pytest.mark.parametrize(
    ("lowest", "tags", "options", "warns"),
    [
        (1100, None, {}, True),
        (600, None, {}, False),  # with the offset these would be negative
        (1100, (1e-4, -0.1), {}, False),
        (1100, None, {"offset": -0.1}, False),
        (1100, None, {"scale": 1e-4}, False),
    ],
)
def test_a_plain_file_whose_pixels_leave_the_offset_open_is_warned_of(
    lowest: int, tags: tuple[float, float] | None, options: Any, *, warns: bool, tmp_path: Path
) -> None:
    path = tmp_path / "stack.tif"
    numbers = np.random.default_rng(0).integers(lowest, 3000, (64, 64), np.uint16)
    place = {"crs": "EPSG:3035", "transform": from_origin(4_400_000, 3_280_000, 10, 10)}
    shape = {"count": 1, "dtype": "uint16", "height": 64, "width": 64, "nodata": 0}
    with rasterio.open(path, "w", "GTiff", **place, **shape) as file:
        file.write(numbers, 1)
        file.descriptions = ("blue",)
        if tags:
            file.scales, file.offsets = (tags[:1], tags[1:])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", InputWarning)
        oxr.open_scene(path, **NATIVE, **options)
    said = [str(w.message) for w in told if w.category is InputWarning]
    assert len(said) == warns
    low = np.percentile(numbers, 5)
    for line in said:
        assert (
            f"{path} states no offset, and 5 % of its darkest band's numbers reach {low:g}" in line
        )
        assert line.endswith(
            "pass offset=-0.1 if they carry that of processing baseline 04.00, else offset=0"
        )
