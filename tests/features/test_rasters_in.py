"""Files of radar, heights and anything else: values in their unit, names, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioIOError

from osm4eo_xr.errors import InputError
from osm4eo_xr.features.rasters_in import AXES, layer_of_files, method_of, pixel_of
from osm4eo_xr.features.sources import FeatureSource, Kind, Layer
from tests.cases.train_case import box
from tests.features.test_open_features import heights, write

ROWS, COLS = 16, 20
GRID = box(ROWS, COLS)
RNG = np.random.default_rng(0)


def layer(kind: Kind, data: Any, grid: GeoBox = GRID, **how: Any) -> Layer:
    return layer_of_files("x", "2024", kind, FeatureSource(data, **how), grid, 9)


def values(found: Layer) -> np.ndarray:
    return found.data.compute(scheduler="sync")


def tagged(path: str, scale: float, offset: float = 0.0) -> str:
    """State in a file how its numbers become values."""
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (scale,) * file.count, (offset,) * file.count
    return path


def numbers_of(dtype: str = "int16", bands: int = 1, cols: int = COLS) -> np.ndarray:
    return RNG.integers(1, 100, (bands, ROWS, cols)).astype(dtype)


@pytest.mark.parametrize("stated", [True, False])
def test_heights_are_scaled_before_their_slopes_are_taken(tmp_path: Path, stated: bool) -> None:
    meters = heights(GRID)
    exact = values(layer("terrain", write(tmp_path / "m.tif", meters)))
    path = write(tmp_path / "cm.tif", np.round((meters + 100) * 100).astype(np.int32))
    how: dict[str, Any] = {} if stated else {"scale": 0.01, "offset": -100.0}
    found = layer("terrain", tagged(path, 0.01, -100) if stated else path, **how)
    assert (found.bands[:2], found.units[:2]) == (("height", "slope"), ("m", "degree"))
    np.testing.assert_allclose(values(found)[0], meters[0], atol=0.006)
    np.testing.assert_allclose(values(found)[1], exact[1], atol=0.1)
    assert np.nanmax(exact[1]) > 15


def test_packed_backscatter_is_unpacked_before_it_is_judged_and_averaged(tmp_path: Path) -> None:
    decibels = RNG.uniform(-25, -5, (1, ROWS, COLS))
    packed = np.round((decibels + 50) * 100).astype(np.uint16)
    path = tagged(write(tmp_path / "vv_desc.tif", packed), 0.01, -50)
    np.testing.assert_allclose(values(layer("radar", path, unit="dB")), decibels, atol=0.006)
    with pytest.raises(InputError, match="100 % of numbers are below 0, which power is not"):
        layer("radar", path, unit="linear")
    coarse = GeoBox((ROWS // 2, COLS // 2), GRID.affine * GRID.affine.scale(2), GRID.crs)
    power = (10 ** (decibels / 10)).reshape(ROWS // 2, 2, COLS // 2, 2).mean(axis=(1, 3))
    found = layer("radar", path, coarse, unit="dB", resampling="average")
    np.testing.assert_allclose(values(found)[0], 10 * np.log10(power), atol=0.01)


def test_files_of_one_band_may_state_different_scales(tmp_path: Path) -> None:
    west, east = numbers_of(cols=8), numbers_of(cols=12)
    files = [
        tagged(write(tmp_path / "w.tif", west, grid=box(ROWS, 8)), 0.5),
        tagged(write(tmp_path / "e.tif", east, grid=box(ROWS, 12, 0, 8)), 2.0, -7.0),
    ]
    wanted = np.concatenate([west * 0.5, east * 2.0 - 7.0], axis=2)
    np.testing.assert_array_equal(values(layer("raster", files)), wanted)
    with pytest.raises(InputError, match=r"e\.tif is tagged with scale 2 and offset -7, and is to"):
        layer("raster", files, scale=3.0)
    given = layer("raster", files, scale=3.0, offset=1.0)
    assert given.scaling == ("number * 3 + 1",)
    np.testing.assert_array_equal(values(given), np.concatenate([west, east], axis=2) * 3.0 + 1)


def test_the_callers_no_data_stands_in_place_of_the_files(tmp_path: Path) -> None:
    pixels = numbers_of()
    pixels[0, :2, :2], pixels[0, 5, 5] = 0, 255
    path = write(tmp_path / "x.tif", pixels, nodata=0)
    assert (values(layer("raster", path, nodata=255))[0, :2, :2] == 0).all()
    assert np.argwhere(np.isnan(values(layer("raster", path, nodata=255)))).tolist() == [[0, 5, 5]]
    assert np.isnan(values(layer("raster", path))).sum() == 4


def test_an_alpha_band_hides_pixels_and_is_no_feature(tmp_path: Path) -> None:
    pixels = numbers_of("uint8", 4)
    pixels[3], pixels[3, 2, 3] = 255, 0
    path = write(tmp_path / "x.tif", pixels)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = tuple(ColorInterp[k] for k in ("red", "green", "blue", "alpha"))
    found = layer("raster", path)
    assert found.bands == ("b1", "b2", "b3")
    assert np.argwhere(np.isnan(values(found))).tolist() == [[k, 2, 3] for k in range(3)]


@pytest.mark.parametrize(
    ("file", "described", "names"),
    [
        ("S1_IW_GRD_asc.tif", ("VV", "VH"), ("vv_asc", "vh_asc")),
        ("mean.tif", ("gamma0_VH_descending", "HH"), ("vh_desc", "hh")),
        ("ascii_hv.tif", (), ("hv",)),
    ],
)
def test_polarization_and_orbit_are_read_from_descriptions_and_file_names(
    tmp_path: Path, file: str, described: tuple[str, ...], names: tuple[str, ...]
) -> None:
    power = numbers_of("float32", len(names))
    assert layer("radar", write(tmp_path / file, power, names=described), unit="linear").bands == (
        names
    )


def test_descriptions_become_names_that_ids_may_hold(tmp_path: Path) -> None:
    said = ("Canopy height (m)", "", "--", "B8A")
    found = layer("raster", write(tmp_path / "x.tif", numbers_of(bands=4), names=said))
    assert found.bands == ("Canopy_height_m", "b2", "b3", "B8A")
    assert found.ids[0] == "x:Canopy_height_m@2024"


def test_names_are_dealt_out_to_files(tmp_path: Path) -> None:
    pixels = [numbers_of(bands=2), numbers_of(bands=1)]
    files = [write(tmp_path / f"{k}.tif", part) for k, part in enumerate(pixels)]
    found = layer("raster", files, names=["a", "b", "c"], bands=["c", "a"])
    np.testing.assert_array_equal(values(found), np.stack([pixels[1][0], pixels[0][0]]))
    with pytest.raises(InputError, match="names has 2 entries for 3 bands; name each band"):
        layer("raster", files, names=["a", "b"])


def test_embeddings_are_numbers_of_8_bits_or_values_that_may_be_scaled(tmp_path: Path) -> None:
    quantized = RNG.integers(-127, 128, (64, ROWS, COLS)).astype(np.int8)
    path = tagged(write(tmp_path / "q.tif", quantized), 0.5)  # a tag that the formula leaves out
    found = layer("alphaearth", path, bands=["A63"])
    exact = (quantized[63] / 127.5) ** 2 * np.sign(quantized[63])
    np.testing.assert_allclose(values(found)[0], exact, rtol=3e-7)
    floats = write(tmp_path / "f.tif", quantized[:2].astype(np.float32), names=AXES[5:7])
    found = layer("alphaearth", floats, scale=0.25)
    assert (found.bands, found.units) == (("A05", "A06"), ("1", "1"))
    np.testing.assert_array_equal(values(found), quantized[:2] * 0.25)


@pytest.mark.usefixtures("no_compute")
def test_opening_reads_no_pixels(tmp_path: Path) -> None:
    pixels = numbers_of()
    path = Path(write(tmp_path / "x.tif", pixels))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(pixels.tobytes())])
    found = layer("raster", str(path))
    assert (found.data.shape, found.data.chunks[1:]) == ((1, ROWS, COLS), ((9, 7), (9, 9, 2)))
    with pytest.raises(RasterioIOError, match=r"x\.tif"):
        found.data.compute(scheduler="sync")


def test_pixels_are_measured_in_meters_and_have_a_direction() -> None:
    feet = GeoBox((5, 5), GRID.affine.scale(10, -20), "EPSG:2263")
    assert pixel_of(feet) == pytest.approx((3.048006, 6.096012), abs=1e-6)
    assert pixel_of(GeoBox((5, 5), GRID.affine.scale(10, 10), "EPSG:3035")) == (10, -10)
    with pytest.raises(InputError, match="EPSG:4326, which counts degrees; expected a projected"):
        pixel_of(GeoBox((5, 5), GRID.affine.scale(1e-4, -1e-4), "EPSG:4326"))


def test_methods_are_those_of_the_kind_unless_somebody_says() -> None:
    kinds: tuple[Kind, ...] = ("terrain", "radar", "raster", "alphaearth", "tessera")
    found = [method_of(kind, FeatureSource("x.tif")) for kind in kinds]
    assert found == ["cubic", "bilinear", "bilinear", "nearest", "nearest"]
    assert method_of("radar", FeatureSource("x.tif", resampling="average")) == "average"
    for kind in kinds[3:]:
        assert method_of(kind, FeatureSource("x.tif", resampling="nearest")) == "nearest"
        with pytest.raises(InputError, match="resampling 'mode' of embeddings"):
            method_of(kind, FeatureSource("x.tif", resampling="mode"))


REFUSED: dict[str, tuple[Kind, Callable[[Path], Any], dict[str, Any], str]] = {
    "complex": (
        "radar",
        lambda p: write(p / "vv.tif", numbers_of("complex64")),
        {"unit": "linear"},
        "holds complex64 numbers; expected integers or floats",
    ),
    "two bands of heights": (
        "terrain",
        lambda p: write(p / "x.tif", numbers_of(bands=2)),
        {},
        "has 2 bands; expected one of heights",
    ),
    "no heights": (
        "terrain",
        lambda p: write(p / "x.tif", numbers_of()),
        {"names": ["elevation"]},
        "has bands elevation; expected height",
    ),
    "one name twice": (
        "raster",
        lambda p: write(p / "x.tif", numbers_of(bands=2), names=("k", "k")),
        {},
        "has two bands called k; pass names=",
    ),
    "no axes": (
        "alphaearth",
        lambda p: write(p / "x.tif", numbers_of("int8", 2), names=("A00", "")),
        {},
        "has bands A00, unnamed …; expected AlphaEarth's A00 to A63; pass names=",
    ),
    "bare embeddings": (
        "tessera",
        lambda p: write(p / "x.tif", numbers_of("int8", 2), names=("T000", "T001")),
        {},
        "8-bit numbers without their scales; expected values, as float32; give the tile's .npy",
    ),
    "orbits mixed": (
        "radar",
        lambda p: [write(p / f"{k}_vv.tif", numbers_of()) for k in range(2)],
        {"unit": "linear"},
        "hold vv without an orbit direction; expected vv_asc and vv_desc",
    ),
    "unit of another kind": (
        "radar",
        lambda p: write(p / "vv.tif", numbers_of()),
        {"unit": "db"},
        "unit of radar is db; expected 'linear' power or 'dB'",
    ),
    "elsewhere": (
        "raster",
        lambda p: [write(p / f"{k}.tif", numbers_of(), grid=box(ROWS, COLS, 900)) for k in "ab"],
        {},
        r"x \(2 files\) does not touch the grid: it covers lon/lat",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_cannot_be_what_they_are_said_to_be_are_refused(
    tmp_path: Path, case: str
) -> None:
    kind, make, how, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as refused:
        layer(kind, make(tmp_path), **how)
    assert "\n" not in str(refused.value)
