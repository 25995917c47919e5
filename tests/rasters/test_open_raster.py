"""Single rasters: masks, alpha bands and tags fill in no data; grids that are none are refused."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError

EDGE = 48
HIDDEN = np.zeros((EDGE, EDGE), bool)
HIDDEN[5:20, 10:30] = True
PLACE = from_origin(4_500_000, 3_260_000, 10, 10)


def write(
    path: Path, layers: np.ndarray, *, mask: Any = None, alpha: bool = False, **how: Any
) -> Path:
    options = {"crs": "EPSG:3035", "transform": PLACE} | how
    count, rows, cols = layers.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=rows,
        width=cols,
        dtype=layers.dtype,
        **options,
    ) as sink:
        if alpha:
            sink.colorinterp = [*([ColorInterp.gray] * (count - 1)), ColorInterp.alpha]
        sink.write(layers)
        if mask is not None:
            sink.write_mask(~mask)
    return path


def classes(dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 13, (1, EDGE, EDGE)).astype(dtype)


OPAQUE = np.where(HIDDEN, 0, 255).astype(np.uint8)[None]


@pytest.mark.parametrize(
    ("how", "nodata", "said"),
    [
        ({"nodata": 255}, 255, "no-data tag 255"),
        ({"nodata": 3}, 3, "no-data tag 3"),
        ({}, 0, "every number"),
        ({"mask": HIDDEN}, 0, "mask"),
        ({"mask": HIDDEN, "nodata": 255}, 255, "no-data tag 255; mask"),
    ],
)
def test_what_is_hidden_becomes_no_data(
    tmp_path: Path, how: dict[str, Any], nodata: int, said: str
) -> None:
    path = write(tmp_path / "a.tif", classes(), **how)
    opened = oxr.open_raster(path, chunks=17)
    expected = np.where(HIDDEN if "mask" in how else False, nodata, classes()[0])
    np.testing.assert_array_equal(opened, expected)
    assert (opened.dtype, opened.attrs["nodata"]) == (np.uint8, nodata)
    assert opened.attrs["validity"] == said
    theirs: Any = rioxarray.open_rasterio(path, masked=True)
    if "nodata" not in how or "mask" not in how:  # of both, GDAL heeds the mask alone
        seen = opened != nodata if "nodata" in how else ~HIDDEN | ("mask" not in how)
        np.testing.assert_array_equal(opened.where(seen), theirs[0])


def test_what_a_mask_hides_holds_another_number_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", classes(), mask=HIDDEN)
    opened = oxr.open_raster(path, fill=77)
    np.testing.assert_array_equal(opened, np.where(HIDDEN, 77, classes()[0]))
    assert opened.attrs["nodata"] == 77
    stated: tuple[dict[str, Any], ...] = ({}, {"nodata": 3})
    for how in stated:  # nothing is hidden; the file says what is no data
        other = oxr.open_raster(write(tmp_path / "b.tif", classes(), **how), fill=77)
        assert other.attrs["nodata"] == how.get("nodata", 0)
    with pytest.raises(InputError, match=r"holds uint8, which has no -1; give another fill"):
        oxr.open_raster(path, fill=-1)


def test_an_alpha_band_is_no_band(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.concatenate([classes(), OPAQUE]), alpha=True)
    opened = oxr.open_raster(path)
    np.testing.assert_array_equal(opened, np.where(HIDDEN, 0, classes()[0]))
    assert opened.attrs["validity"] == "alpha band 2"


def test_floats_have_nan(tmp_path: Path) -> None:
    numbers = classes("float32")
    numbers[0, 0, :3] = np.inf, -3.4e38, np.nan
    opened = oxr.open_raster(write(tmp_path / "a.tif", numbers, nodata=5, mask=HIDDEN))
    assert np.isnan(opened.attrs["nodata"])
    gone = HIDDEN | (numbers[0] == 5) | ~np.isfinite(numbers[0]) | (numbers[0] < -3e38)
    np.testing.assert_array_equal(np.isnan(opened), gone)


@settings(max_examples=10)
@given(chunk=st.integers(1, 60), masked=st.booleans())
def test_any_chunking_reads_the_same(chunk: int, masked: bool, masks: dict[bool, Path]) -> None:
    whole = oxr.open_raster(masks[masked]).compute()
    parts = oxr.open_raster(masks[masked], chunks=max(chunk, 9)).compute()
    xr.testing.assert_identical(parts, whole)


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    folder = tmp_path_factory.mktemp("masks")
    hidden = {False: None, True: HIDDEN}
    return {k: write(folder / f"{k}.tif", classes(), mask=v) for k, v in hidden.items()}


GEOCENTRIC = CRS.from_epsg(4978)
LOCAL = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"crs": GEOCENTRIC}, "has the CRS 'EPSG:4978'; expected a projected or geographic one"),
        ({"crs": LOCAL}, "has the CRS 'site'; expected a projected or geographic one"),
        ({"transform": Affine(0, 0, 4.5e6, 0, -10, 3.2e6)}, "has no CRS or position; assign"),
        (
            {"transform": Affine(10, 0, 4.5e6, 0, 0, 3.2e6)},
            "expected pixels with a width and a height",
        ),
    ],
)
def test_grids_that_are_none_are_refused_in_a_line(
    tmp_path: Path, how: dict[str, Any], line: str
) -> None:
    """Case D3."""
    path = write(tmp_path / "a.tif", classes(), **how)
    for opener in (oxr.open_raster, oxr.open_scene):
        with pytest.raises(InputError, match=line) as error:
            opener(path)
        assert "\n" not in str(error.value)


def test_a_raster_longer_than_the_earth_is_refused(tmp_path: Path) -> None:
    vrt = tmp_path / "long.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="2000000000" rasterYSize="1"><SRS>EPSG:3035</SRS>'
        "<GeoTransform>4500000,10,0,3260000,0,-10</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    with pytest.raises(InputError, match="claims 2,000,000,000 x 1 pixels; expected at most"):
        oxr.open_raster(vrt)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_netcdf_is_read_or_refused_without_further_words(tmp_path: Path) -> None:
    grid = {"y": [35.0, 25.0, 15.0], "x": [5.0, 15.0, 25.0]}
    layer = xr.DataArray(np.ones((3, 3), np.uint8), grid, ("y", "x")).rio.write_crs("EPSG:3035")
    whole = tmp_path / "whole.nc"
    layer.to_dataset(name="a").to_netcdf(whole, engine="h5netcdf")
    content, refused = whole.read_bytes(), 0
    for start in range(0, 1024, 16):
        path = tmp_path / f"{start}.nc"
        path.write_bytes(content[:start] + b"\xff" * 8 + content[start + 8 :])
        try:
            oxr.open_raster(path).compute()
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either end is right
            refused += 1
    gc.collect()
    assert 0 < refused < 64
