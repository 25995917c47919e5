"""Open rasters as features: no data and scale come first, then dates, pixels and slopes."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.features.arrays_in import layers_of_array, needed_bands
from osm4eo_xr.features.kernels import terrain
from osm4eo_xr.features.sources import FeatureSource, Kind, Layer
from osm4eo_xr.geometry.grid import georeference
from tests.cases.train_case import box
from tests.features.test_open_features import heights, upside_down

ROWS, COLS = 18, 22
GRID = box(ROWS, COLS)
RNG = np.random.default_rng(0)


def layers(
    kind: Kind, data: Any, grid: GeoBox = GRID, *, period: str = "", chunks: int = 64, **how: Any
) -> list[Layer]:
    return list(layers_of_array("x", period, kind, FeatureSource(data, **how), grid, chunks))


def values(found: Layer) -> np.ndarray:
    return found.data.compute(scheduler="sync")


def scene(numbers: np.ndarray, *names: str, **attrs: Any) -> xr.DataArray:
    coords: dict[Any, Any] = {"band": list(names)} if names else {}
    return georeference(numbers, GRID, dims=("band", "y", "x"), coords=coords, attrs=attrs)


def series(*numbers: np.ndarray, **attrs: Any) -> xr.DataArray:
    days = np.array([f"2024-0{k + 1}-15" for k in range(len(numbers))], "datetime64[ns]")
    parts = [scene(part, *(f"k{i}" for i in range(len(part))), **attrs) for part in numbers]
    return xr.concat(parts, "time").assign_coords(time=days)


def uniform(bands: int = 1) -> np.ndarray:
    return RNG.uniform(0.01, 0.5, (bands, ROWS, COLS)).astype(np.float32)


@pytest.mark.parametrize("given_by", ["attrs", "caller"])
def test_no_data_of_a_date_leaves_percentiles_to_the_others(given_by: str) -> None:
    first, second = (RNG.integers(1, 90, (1, ROWS, COLS)).astype(np.int16) for _ in range(2))
    first[0, 2], second[0, 2, :4] = -99, -99
    stated: dict[str, Any] = {"nodata": -99}
    attrs, how = (stated, {}) if given_by == "attrs" else ({}, stated)
    (found,) = layers("raster", series(first, second, **attrs), statistics=["p50"], **how)
    wanted = (first[0] + second[0]) / 2
    wanted[2] = second[0, 2]
    wanted[2, :4] = np.nan
    assert found.bands == ("k0_p50",)
    np.testing.assert_allclose(values(found)[0], wanted)


def test_numbers_of_any_kind_are_scaled_as_the_caller_says() -> None:
    how: dict[str, Any] = {"scale": 0.01, "offset": -1.0}
    numbers = RNG.integers(101, 200, (2, ROWS, COLS)).astype(np.uint16)
    exact = numbers * 0.01 - 1
    red, nir = exact
    raster = scene(numbers, "red", "nir")
    (found,) = layers("optical", raster, bands=["nir", "ndvi"], **how)
    np.testing.assert_allclose(values(found)[0], nir, atol=1e-6)
    np.testing.assert_allclose(values(found)[1], (nir - red) / (nir + red), atol=1e-4)
    (found,) = layers("radar", raster, unit="linear", **how)
    np.testing.assert_allclose(values(found), 10 * np.log10(exact), atol=1e-3)
    (found,) = layers("raster", raster, bands=["nir"], **how)
    assert found.scaling == ("number * 0.01 + -1",)
    np.testing.assert_allclose(values(found)[0], nir, atol=1e-6)
    assert (raster == numbers).all()  # what is the caller's is left as it was
    stated = scene(numbers, "red", "nir", scale_factor=0.01, add_offset=-1.0)  # as rioxarray does
    for how in ({}, {"scale": 0.01}, {"offset": -1.0}):
        (found,) = layers("raster", stated, bands=["nir"], **how)
        np.testing.assert_allclose(values(found)[0], nir, atol=1e-6)
        assert found.scaling == ("number * 0.01 + -1",)
    told = {"scale_factor": 0.01, "add_offset": -1.0}
    for floats, how in (
        (exact.astype(np.float32), {"scale": 1.0, "offset": 0.0}),  # scaled by hand, as attrs stay
        (numbers.astype(np.float32), {"scale": 0.01, "offset": -1.0}),  # opened with masked=True
    ):
        with pytest.raises(
            InputError, match="float32 numbers of .* state scale_factor 0.01, which may have"
        ):
            layers("raster", scene(floats, "red", "nir", **told), bands=["nir"])
        (found,) = layers("raster", scene(floats, "red", "nir", **told), bands=["nir"], **how)
        np.testing.assert_allclose(values(found)[0], nir, atol=1e-6)
    centimeters = np.round(heights(GRID)[0] * 100).astype(np.int32)
    (found,) = layers("terrain", georeference(centimeters, GRID), bands=["height"], scale=0.01)
    np.testing.assert_allclose(values(found), heights(GRID), atol=0.006)


@settings(max_examples=10)
@example(1, (9, 4), True)
@given(st.integers(2, 40), st.tuples(st.integers(3, 30), st.integers(3, 30)), st.booleans())
def test_slopes_are_those_of_the_whole_for_any_chunks(
    chunks: int, cut: tuple[int, int], wide: bool
) -> None:
    grid = box(ROWS + 4, COLS + 6, -2, -3) if wide else GRID
    size: Any = cut
    lazy = da.from_array(heights(grid)[0], chunks=size)
    (found,) = layers("terrain", georeference(lazy, grid), chunks=chunks)
    exact = terrain(heights(grid)[0], (10.0, 10.0))
    if wide:
        wanted = exact[:, 1 : 1 + ROWS, 2 : 2 + COLS]
    else:
        wanted = np.pad(exact, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
        wanted[0] = heights(grid)[0]
    np.testing.assert_array_equal(values(found), wanted)


@pytest.mark.parametrize("bottom_up", [False, True])
def test_slopes_face_the_same_way_on_grids_of_either_direction(bottom_up: bool) -> None:
    row, _ = np.mgrid[0:ROWS, 0:COLS]
    northward = georeference((500 - 3.0 * row).astype(np.float32), GRID)  # it rises to the north
    grid = upside_down(GRID) if bottom_up else GRID
    (found,) = layers("terrain", northward, grid, bands=["aspect_sin", "aspect_cos"])
    inner = values(found)[:, 1:-1, 1:-1]
    np.testing.assert_array_equal(inner, np.stack([0 * inner[0], 0 * inner[0] - 1]))


def test_power_is_averaged_and_not_its_decibels() -> None:
    decibels = RNG.uniform(-30, 0, (1, ROWS, COLS)).astype(np.float32)
    coarse = GeoBox((ROWS // 2, COLS // 2), GRID.affine * GRID.affine.scale(2), GRID.crs)
    raster = scene(decibels, "vv_asc")
    (found,) = layers("radar", raster, coarse, unit="dB", resampling="average", chunks=4)
    power = (10 ** (decibels / 10.0)).reshape(ROWS // 2, 2, COLS // 2, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(values(found)[0], 10 * np.log10(power), atol=1e-4)
    assert found.units == ("dB",)


def test_8_bit_embeddings_are_dequantized_and_have_a_number_for_no_data() -> None:
    quantized = RNG.integers(-127, 128, (2, ROWS, COLS)).astype(np.int8)
    quantized[:, 4, 5] = -128
    (found,) = layers("alphaearth", scene(quantized, "A07", "A60"))
    exact = quantized / 127.5 * np.abs(quantized / 127.5)
    exact[:, 4, 5] = np.nan
    np.testing.assert_allclose(values(found), exact, rtol=3e-7)
    whole = RNG.integers(-127, 128, (64, ROWS, COLS)).astype(np.int8)
    for names in ({}, {"band": np.arange(1, 65)}):  # as files without descriptions open
        (found,) = layers("alphaearth", scene(whole).assign_coords(names), bands=["A63"])
        exact = whole[63] / 127.5 * np.abs(whole[63] / 127.5)
        np.testing.assert_allclose(values(found)[0], exact, rtol=3e-7)
    floats = uniform(2)
    (found,) = layers("alphaearth", scene(floats, "A07", "A60"), bands=["A60"])
    np.testing.assert_array_equal(values(found), floats[1:])


def test_names_and_units_come_from_the_caller_else_from_the_raster() -> None:
    flat = georeference(uniform()[0], GRID, name="canopy height", attrs={"units": "m"})
    found = layers("raster", flat)[0], layers("raster", flat, names=["tall"], unit="dm")[0]
    assert [(x.bands, x.units) for x in found] == [
        (("canopy_height",), ("m",)),
        (("tall",), ("dm",)),
    ]
    assert layers("raster", georeference(uniform()[0], GRID))[0].bands == ("b1",)
    numbers = uniform(2)
    (found,) = layers("raster", scene(numbers), names=["p", "q"], bands=["q"])
    np.testing.assert_array_equal(values(found), numbers[1:])


def test_indices_are_offered_where_their_bands_are_and_a_band_of_that_name_is_itself() -> None:
    numbers = uniform(3)
    raster = scene(numbers, "swir16", "nir", "ndmi")
    (found,) = layers("optical", raster, bands=["ndmi", "ndbi"])
    swir, nir, own = numbers.astype(np.float64)
    np.testing.assert_allclose(values(found), [own, (swir - nir) / (swir + nir)], rtol=1e-4)
    assert found.scaling == ("reflectance", "(swir16 - nir) / (swir16 + nir)")
    assert layers("optical", raster)[0].bands == ("swir16", "nir", "ndmi")
    with pytest.raises(InputError, match="has no 'ndvi'; expected some of swir16, nir, ndmi, ndbi"):
        layers("optical", raster, bands=["ndvi"])
    assert needed_bands(["ndvi", "red", "nbr"]) == ["nir", "red", "swir22"]
    assert needed_bands(["ndvi", "nbr"], ["ndvi", "nir"]) == ["ndvi", "nir", "swir22"]


@pytest.mark.usefixtures("no_compute")
def test_nothing_is_computed_for_any_kind() -> None:
    moved = box(ROWS, COLS, 2, 3)
    size: Any = 7
    lazy = da.from_array(uniform(2), chunks=size)
    how: dict[str, Any] = {"scale": 0.1, "nodata": 0.0}
    kinds: tuple[Kind, ...] = ("optical", "radar", "alphaearth", "tessera", "raster")
    for kind in kinds:
        (found,) = layers(kind, scene(lazy, "red", "nir"), moved, unit="dB", chunks=8, **how)
        assert found.data.shape == (2, ROWS, COLS)
    (found,) = layers("terrain", georeference(lazy[0], GRID), moved, chunks=8, **how)
    assert found.data.shape == (4, ROWS, COLS)


def dated(dtype: str = "float32") -> xr.DataArray:
    return series(uniform().astype(dtype), uniform().astype(dtype))


REFUSED: dict[str, tuple[Kind, Any, dict[str, Any], str]] = {
    "dims": (
        "raster",
        scene(uniform(), "k").transpose("y", "x", "band"),
        {},
        r"has dims \('y', 'x', 'band'\); expected \(time, band, y, x\)",
    ),
    "no raster": ("raster", "x.tif", {}, "x is str; expected a DataArray"),
    "complex": ("raster", scene(uniform() * 1j, "k"), {}, "complex64 numbers; expected integers"),
    "unnamed": ("raster", scene(uniform(2)), {}, "bands without names; pass names="),
    "few names": ("raster", scene(uniform(2), "a", "b"), {"names": ["a"]}, "1 entries for 2 bands"),
    "many names": (
        "raster",
        georeference(uniform()[0], GRID),
        {"names": ["a", "b"]},
        "names has 2 entries for 1 bands; name each band",
    ),
    "one date": (
        "raster",
        scene(uniform(), "k"),
        {"by": "month"},
        "x has one date; expected a series, to divide by month",
    ),
    "two periods": (
        "raster",
        dated(),
        {"by": "month", "period": "2024"},
        "x@2024 is divided by month; expected x without a period",
    ),
    "no heights": ("terrain", scene(uniform(), "dsm"), {}, "has bands dsm; expected height"),
    "no scales": (
        "tessera",
        scene(np.ones((1, ROWS, COLS), np.int8), "T000"),
        {},
        "8-bit numbers without their scales; expected values, as float32; give the tile's .npy",
    ),
    "dates of embeddings": ("alphaearth", dated("int8"), {}, "8-bit embeddings of several dates"),
    "numbers of no axes": (
        "alphaearth",
        scene(np.ones((2, ROWS, COLS), np.int8)).assign_coords(band=[1, 2]),
        {},
        "x has bands 1, 2 …; expected AlphaEarth's A00 to A63; pass names=",
    ),
    "statistics of one date": (
        "raster",
        scene(uniform(), "k"),
        {"statistics": ["p90"]},
        "x has one date; expected a series, to take p90 of",
    ),
    "several scales": (
        "raster",
        scene(uniform(), "k", scales=(0.1, 0.2)),
        {},
        "the bands of x have scales of their own; expected one for all; open it with mask_and",
    ),
    "negative scale": ("raster", scene(uniform(), "k"), {"scale": -1.0}, "not a positive number"),
    "no unit": ("radar", scene(uniform(), "vv"), {}, "unit of radar is not stated; .*'dB'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rasters_that_cannot_be_what_they_are_said_to_be_are_refused(case: str) -> None:
    kind, data, how, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as refused:
        layers(kind, data, **how)
    assert "\n" not in str(refused.value)
