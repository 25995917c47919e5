"""The one rule of validity, against rioxarray's masked reading and xarray's decoding."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rasterio.windows import Window

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters.bands import describe_bands
from osm4eo_xr.rasters.validity import Validity, invalid_pixels, mask_invalid
from osm4eo_xr.rasters.windows import read_hidden, read_window

GRID = {"crs": "EPSG:3035", "transform": from_origin(4_500_000, 3_260_000, 10, 10)}
NAMES = ("blue", "green", "red", "nir")
EDGE = 64
HIDDEN = np.zeros((EDGE, EDGE), bool)
HIDDEN[:20, 3:40] = True


def numbers_of(dtype: str = "uint16", bands: int = 4) -> np.ndarray:
    """Return (bands, EDGE, EDGE) numbers, some of them 0, 5 and 255 in one band or in all."""
    rng = np.random.default_rng(1)
    numbers = rng.integers(300, 4000, (bands, EDGE, EDGE))
    for value in (0, 5, 255):
        numbers[rng.random(numbers.shape) < 0.05] = value
        numbers[:, rng.random((EDGE, EDGE)) < 0.05] = value
    return numbers.astype(dtype)


def write(path: Path, numbers: np.ndarray, **options: Any) -> Path:
    """Write a GeoTIFF of described bands, and what only an open file takes."""
    mask, beside = options.pop("mask", None), options.pop("beside", False)
    alpha, tuple_ = options.pop("alpha", None), options.pop("tuple_", None)
    layers = numbers if alpha is None else np.concatenate([numbers, alpha[None]])
    profile = {"count": len(layers), "height": EDGE, "width": EDGE, "dtype": layers.dtype, **GRID}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=not beside),
        rasterio.open(path, "w", driver="GTiff", **profile, **options) as sink,
    ):
        for i, name in enumerate(NAMES[: len(numbers)], start=1):
            sink.set_band_description(i, name)
        if alpha is not None:
            plain = [ColorInterp.undefined] * (len(numbers) - 1)
            sink.colorinterp = [ColorInterp.gray, *plain, ColorInterp.alpha]
        if tuple_ is not None:
            sink.update_tags(NODATA_VALUES=tuple_)
        sink.write(layers)
        if mask is not None:
            sink.write_mask(~mask)
    return path


ALPHA = np.where(HIDDEN, 0, 65535).astype(np.uint16)
ALPHA[40:, :] = 1  # nearly transparent is seen

FORMS: dict[str, Callable[[Path], Path]] = {
    "nothing": lambda p: write(p, numbers_of()),
    "tag": lambda p: write(p, numbers_of(), nodata=5),
    "tag of floats": lambda p: write(p, numbers_of("float32"), nodata=5),
    "tag nan": lambda p: write(
        p, np.where(HIDDEN, np.nan, numbers_of("float32")).astype(np.float32), nodata=np.nan
    ),
    "internal mask": lambda p: write(p, numbers_of(), mask=HIDDEN),
    ".msk file": lambda p: write(p, numbers_of(), mask=HIDDEN, beside=True),
    "alpha band": lambda p: write(p, numbers_of(bands=3), alpha=ALPHA),
    "alpha of one band": lambda p: write(p, numbers_of(bands=1), alpha=ALPHA),
    "8-bit alpha": lambda p: write(p, numbers_of("uint8", 3), alpha=(ALPHA >> 8).astype(np.uint8)),
    "tuple": lambda p: write(p, numbers_of(), tuple_="5 5 5 5"),
    "one band's tuple": lambda p: write(p, numbers_of(bands=1), tuple_="0"),
    "tag of a big float": lambda p: write(
        p, np.where(HIDDEN, 1e20, numbers_of("float64")), nodata=1e20
    ),
    "tag of float32's lowest": lambda p: write(
        p,
        np.where(HIDDEN, np.finfo("f4").min, numbers_of("float32")).astype(np.float32),
        nodata=float(np.finfo("f4").min),
    ),
    "tag below 0": lambda p: write(
        p, np.where(HIDDEN, -9999, numbers_of("int16")).astype(np.int16), nodata=-9999
    ),
    "tag of int8": lambda p: write(p, (numbers_of() % 100).astype(np.int8), nodata=5),
    "tag and colors": lambda p: colored(write(p, numbers_of("uint8", 1), nodata=255)),
    "mask of one band": lambda p: masked_vrt(write(p, numbers_of())),
}
"""Each form that GDAL knows."""


def colored(path: Path) -> Path:
    """Give a band a color table with a transparent entry."""
    with rasterio.open(path, "r+") as sink:
        sink.write_colormap(1, {1: (255, 0, 0, 255), 255: (0, 0, 0, 0)})
    return path


def masked_vrt(path: Path) -> Path:
    """Return a VRT of two bands of a file, the second of which has a mask of its own."""
    mask = path.with_name("mask.tif")
    write(mask, np.where(HIDDEN, 0, 255).astype(np.uint8)[None])
    source = (
        '<SimpleSource><SourceFilename relativeToVRT="1">{}</SourceFilename>'
        "<SourceBand>{}</SourceBand></SimpleSource>"
    )
    hidden = (
        f'<MaskBand><VRTRasterBand dataType="Byte">{source.format(mask.name, 1)}'
        "</VRTRasterBand></MaskBand>"
    )
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{i}">{hidden if i == 2 else ""}'
        f"{source.format(path.name, i)}</VRTRasterBand>"
        for i in (1, 2)
    )
    vrt = path.with_suffix(".vrt")
    vrt.write_text(
        f'<VRTDataset rasterXSize="{EDGE}" rasterYSize="{EDGE}"><SRS>EPSG:3035</SRS>'
        f"<GeoTransform>4500000,10,0,3260000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )
    return vrt


def ours(path: Path, window: Window | None = None) -> np.ndarray:
    """Return (band, y, x) float32 with NaN by the rule of validity alone."""
    window = window or Window(0, 0, EDGE, EDGE)  # pyright: ignore[reportCallIssue] - attrs class
    found = []
    for band in describe_bands(str(path)):
        if not band.alpha:
            how = band.path, band.stamp, band.index
            hidden = read_hidden(*how, band.validity, window)
            found.append(mask_invalid(read_window(*how, window), band.validity, hidden))
    return np.stack(found)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_mask_equals_rioxarrays_masked_reading(form: str, tmp_path: Path) -> None:
    path = FORMS[form](tmp_path / "a.tif")
    mine = ours(path)
    theirs: Any = rioxarray.open_rasterio(path, masked=True)
    np.testing.assert_array_equal(mine, theirs.to_numpy()[: len(mine)].astype(np.float32))
    assert np.isnan(mine).any() == (form != "nothing")


def test_a_vrt_may_tag_each_band_differently(tmp_path: Path) -> None:
    source = write(tmp_path / "a.tif", numbers_of(bands=2))
    band = (
        '<VRTRasterBand dataType="UInt16" band="{0}"><NoDataValue>{1}</NoDataValue><SimpleSource>'
        '<SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>{0}</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
    )
    vrt = tmp_path / "a.vrt"
    vrt.write_text(
        f'<VRTDataset rasterXSize="{EDGE}" rasterYSize="{EDGE}"><SRS>EPSG:3035</SRS>'
        f"<GeoTransform>4500000,10,0,3260000,0,-10</GeoTransform>{band.format(1, 5)}"
        f"{band.format(2, 255)}</VRTDataset>"
    )
    with rasterio.open(source) as opened:
        numbers = opened.read()
    mine = ours(vrt)
    np.testing.assert_array_equal(np.isnan(mine[0]), numbers[0] == 5)
    np.testing.assert_array_equal(np.isnan(mine[1]), numbers[1] == 255)


def test_what_states_something_is_added_up(tmp_path: Path) -> None:
    """For GDAL a tag hides an alpha band, a mask the tag, and of 5 bands none is alpha."""
    path = write(tmp_path / "a.tif", numbers_of(), alpha=ALPHA)
    np.testing.assert_array_equal(np.isnan(ours(path)), np.broadcast_to(HIDDEN, (4, EDGE, EDGE)))
    path = write(tmp_path / "a.tif", numbers_of(), alpha=ALPHA, nodata=5)
    expected = (numbers_of() == 5) | HIDDEN
    np.testing.assert_array_equal(np.isnan(ours(path)), expected)
    path = write(tmp_path / "b.tif", numbers_of(), mask=HIDDEN, nodata=5)
    np.testing.assert_array_equal(np.isnan(ours(path)), expected)


def test_a_value_that_the_type_cannot_hold_states_nothing() -> None:
    numbers = np.array([55537, 0, 7], np.uint16)  # -9999 modulo 2**16
    for value in (-9999, 65536, 1.5, float("nan"), "seven", None):
        found = Validity().excluding(value, numbers.dtype, "no-data tag")
        assert found == Validity()
        assert not invalid_pixels(numbers, found).any()
    floats = np.array([0.1, np.inf, -np.inf, np.nan, -3.4e38, 1.0], np.float32)
    found = Validity().excluding(0.1, floats.dtype, "no-data tag")
    assert invalid_pixels(floats, found).tolist() == [True] * 5 + [False]


def test_a_store_states_it_by_attributes_of_ours(tmp_path: Path) -> None:
    for kind in ("nc", "zarr"):
        path = stored(tmp_path / f"a.{kind}", "int16", {"nodata": np.int16(7)})
        (band,) = describe_bands(str(path))
        assert (band.validity.values, band.nodata) == ((7,), 7)
        assert band.validity.sources == ("nodata 7",)


def test_pixels_under_a_mask_or_alpha_band_are_no_data_in_a_scene(tmp_path: Path) -> None:
    """Case A1: rows 0-99 hold 7777 under a mask."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(300, 4000, (4, EDGE, EDGE)).astype(np.uint16)
    numbers[:, HIDDEN] = 7777
    for name, how in (
        ("mask", {"mask": HIDDEN}),
        ("mask (.msk file)", {"mask": HIDDEN, "beside": True}),
        ("alpha band 5", {"alpha": ALPHA}),
    ):
        path = write(tmp_path / f"{name}.tif", numbers, **how)
        scene = oxr.open_scene(path, geobox="native")
        assert scene["band"].values.tolist() == list(NAMES)
        assert scene.attrs["validity"] == f"{name}; integers that state nothing: 0; saturated 65535"
        np.testing.assert_array_equal(
            np.isnan(scene.values), np.broadcast_to(HIDDEN, numbers.shape)
        )
        assert float(scene.max()) < 0.4001
        warped = oxr.open_scene(path, geobox=shifted()).compute()
        assert float(warped.max()) < 0.5  # cubic overshoots; 7777 would be 0.78
        named = oxr.open_scene(path, names=NAMES, geobox="native")
        xr.testing.assert_identical(scene.compute(), named.compute())


def shifted() -> GeoBox:
    """Return a grid half a pixel off."""
    transform = GRID["transform"] * GRID["transform"].translation(0.5, 0.5)
    return GeoBox((EDGE - 1, EDGE - 1), transform, "EPSG:3035")


def test_four_described_8_bit_bands_are_bands(tmp_path: Path) -> None:
    """GDAL calls the last of them alpha; it holds a class's probability here."""
    numbers = numbers_of("uint8")
    path = write(tmp_path / "p.tif", numbers, nodata=255)
    with rasterio.open(path) as source:
        assert source.colorinterp[3] == ColorInterp.alpha
    np.testing.assert_array_equal(oxr.open_probabilities(path).to_numpy(), numbers)
    zero = write(tmp_path / "z.tif", numbers, nodata=0)  # pixels of probability 0 were no data
    with pytest.raises(InputError, match="states the no-data value 0, which may be a probability"):
        oxr.open_probabilities(zero)
    with rasterio.open(path, "r+") as source:
        source.descriptions = ("", "", "", "")
    scene = oxr.open_scene(path, names=NAMES, scale=1e-2, geobox="native", nodata=255).compute()
    np.testing.assert_array_equal(np.isnan(scene), numbers == 255)


CF: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "plain": ("int16", {}, {}),
    "fill": ("int16", {"_FillValue": np.int16(-5)}, {}),
    "missing": ("int16", {"missing_value": np.int16(7)}, {}),
    "fill and missing": (
        "int16",
        {"_FillValue": np.int16(-5), "missing_value": np.int16(7)},
        {},
    ),
    "several missing": ("int16", {"missing_value": np.array([7, 9], np.int16)}, {}),
    "scaled": (
        "int16",
        {"_FillValue": np.int16(-5), "scale_factor": 1e-4, "add_offset": 0.01},
        {},
    ),
    "unsigned": (
        "int16",
        {"_Unsigned": "true", "_FillValue": np.int16(-5), "scale_factor": 1e-5},
        {},
    ),
    "signed bytes": ("uint8", {"_Unsigned": "false", "_FillValue": np.uint8(251)}, {}),
    "float fill": ("float32", {"_FillValue": np.float32(-5)}, {}),
    "nan fill": ("float32", {"_FillValue": np.float32(np.nan)}, {}),
    "range": ("int16", {"valid_range": np.array([-4, 90], np.int16)}, {"low": -4, "high": 90}),
    "least": ("int16", {"valid_min": np.int16(2)}, {"low": 2}),
    "most": ("float32", {"valid_max": np.float32(90)}, {"high": 90}),
    "range of unpacked": (
        "int16",
        {"valid_range": np.array([0.0, 0.009]), "scale_factor": 1e-4, "add_offset": 0.0},
        {"low": 0.0, "high": 0.009},
    ),
    "fill in a range": (
        "int16",
        {"_FillValue": np.int16(7), "valid_range": np.array([-4, 90], np.int16)},
        {"low": -4, "high": 90},
    ),
    "falling scale": (
        "int16",
        {"valid_min": np.int16(2), "scale_factor": -1e-4, "add_offset": 0.0},
        {"high": -2e-4},
    ),
    "fill and nan": ("float32", {"_FillValue": np.float32(7), "missing_value": np.nan}, {}),
    "bytes": ("uint8", {"_FillValue": np.uint8(7), "scale_factor": 0.01}, {}),
    "wide": ("int32", {"_FillValue": np.int32(-5), "missing_value": np.int32(7)}, {}),
    "unsigned range": (
        "int16",
        {"_Unsigned": "true", "valid_range": np.array([2, -2], np.int16)},
        {"low": 2, "high": 65534},
    ),
}
"""Stored type, attributes, and the range of decoded numbers, which xarray leaves to its user."""


SUFFIXES = (".nc", "2.zarr", "3.zarr")
CF_FORMS = [(form, suffix) for form in CF for suffix in SUFFIXES]
CF_FORMS.remove(("signed bytes", "3.zarr"))  # which xarray itself cannot decode: OverflowError


@pytest.mark.parametrize(("form", "suffix"), CF_FORMS)
def test_every_cf_form_equals_xarrays_decoding(form: str, suffix: str, tmp_path: Path) -> None:
    dtype, attributes, ends = CF[form]
    path = stored(tmp_path / f"a{suffix}", dtype, attributes)
    (band,) = describe_bands(str(path))
    window = Window(0, 0, EDGE, EDGE)  # pyright: ignore[reportCallIssue] - attrs class
    numbers = read_window(band.path, band.stamp, 1, window)
    mine = mask_invalid(numbers, band.validity).astype(np.float64) * band.scale + band.offset
    engine: Any = "h5netcdf" if suffix == ".nc" else "zarr"
    with warnings.catch_warnings(), xr.open_dataset(path, engine=engine) as opened:
        warnings.simplefilter("ignore", xr.SerializationWarning)  # several fill values
        theirs = opened["red"].astype(np.float64)
        theirs = theirs.where(~(theirs < ends["low"])) if "low" in ends else theirs
        theirs = theirs.where(~(theirs > ends["high"])) if "high" in ends else theirs
        np.testing.assert_allclose(mine, theirs.to_numpy(), rtol=2e-6, atol=1e-9)
    assert np.isnan(mine).any() == (form != "plain")


def test_unsigned_numbers_are_never_read_as_signed_ones(tmp_path: Path) -> None:
    """Case A7: int16 that stores digital number 40000, scale 1e-4: 4.0, not -2.5536."""
    attributes = {"_Unsigned": "true", "scale_factor": 1e-4, "long_name": "red"}
    path = stored(tmp_path / "a.nc", "int16", attributes, fixed=40000 - 65536)
    with pytest.raises(InputError, match=r"reflectances above 2.5 \(5, 50 and 95 %: 4, 4, 4\)"):
        oxr.open_scene(path)
    path = stored(tmp_path / "b.nc", "int16", attributes | {"scale_factor": 1e-5}, 40000 - 65536)
    scene = oxr.open_scene(path, geobox="native")
    np.testing.assert_allclose(scene, 0.4, rtol=1e-6)


SHIFTED: Any = {"geobox": shifted(), "bands": ["blue", "red"]}
HIDING = ("tag", "internal mask", "alpha band", "tuple")


@settings(max_examples=10)
@given(form=st.sampled_from(HIDING), chunk=st.integers(11, 63))
def test_any_chunking_reads_the_same(
    form: str, chunk: int, kept: dict[str, tuple[Path, xr.DataArray]]
) -> None:
    path, whole = kept[form]
    parts = oxr.open_scene(path, **SHIFTED, chunks=chunk).compute()
    xr.testing.assert_identical(parts, whole)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, xr.DataArray]]:
    """Write a form of each kind once, and read it in one piece."""
    folder = tmp_path_factory.mktemp("forms")
    paths = {form: FORMS[form](folder / f"{form}.tif") for form in HIDING}
    return {form: (path, oxr.open_scene(path, **SHIFTED).compute()) for form, path in paths.items()}


def stored(path: Path, dtype: str, attributes: dict[str, Any], fixed: int | None = None) -> Path:
    """Write (y, x) numbers -5 … 100, or one number, with attributes as they are."""
    rng = np.random.default_rng(2)
    low = -5 if dtype != "uint8" else 0
    numbers = rng.integers(low, 100, (EDGE, EDGE)).astype(dtype)
    numbers[3, 3] = numbers[0, 0] = 251 if dtype == "uint8" else -5
    numbers[5] = 7
    if dtype == "float32":
        numbers[6] = np.nan
    if fixed is not None:
        numbers[:] = fixed
    transform = GRID["transform"]
    coords = {
        "x": transform.c + 10 * (np.arange(EDGE) + 0.5),
        "y": transform.f - 10 * (np.arange(EDGE) + 0.5),
    }
    raster = xr.DataArray(numbers, dims=("y", "x"), coords=coords, name="red")
    raster = raster.rio.write_crs("EPSG:3035")
    raster.attrs |= attributes
    dataset = raster.to_dataset()
    if path.suffix == ".nc":  # which knows a fill value only when the variable is made
        dataset["red"].encoding["_FillValue"] = dataset["red"].attrs.pop("_FillValue", None)
        dataset.to_netcdf(path, engine="h5netcdf")
    else:
        dataset.to_zarr(path, zarr_format=3 if path.stem.endswith("3") else 2, consolidated=False)
    return path
