"""What numbers in EOPF's arrays mean, array by array: type, unit, attributes, baseline, caller."""

from typing import Any

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.products.eopf import EopfProduct
from osm4eo_xr.imagery.products.eopf_numbers import settled_band
from osm4eo_xr.imagery.reader import Band
from osm4eo_xr.imagery.reflectance import Scaling
from osm4eo_xr.rasters.store_paths import StorePath
from osm4eo_xr.rasters.validity import Validity

BOX = GeoBox((8, 8), from_origin(0, 80, 10, 10), "EPSG:32633")
USUAL = {"units": "digital_counts", "scale_factor": 1e-4, "add_offset": -0.1}


def band(dtype: str = "uint16") -> Band:
    return Band(
        name="red",
        path="p.zarr/r10m",
        stamp=0,
        index=1,
        geobox=BOX,
        dtype=dtype,
        block=(8, 8),
        scaling=Scaling(1.0),
        validity=Validity(low=1, high=6553, sources=("valid_max",)),
        resampling="cubic",
        lossy=False,
    )


def product(baseline: str = "05.09", processed: str = "2023-08-20T13:00:00Z") -> EopfProduct:
    return EopfProduct(
        where=StorePath("p.zarr"),
        name="S2B",
        level="2A",
        baseline=baseline,
        date="2023-08-20T09:45:49.024Z",
        footprint="",
        processed=processed,
        tile="33UXQ",
        bounds=(),
    )


def settle(dtype: str, said: dict[str, Any], baseline: str = "05.09", **numbers: Any) -> Band:
    def look() -> Any:
        raise AssertionError("pixels were read although the metadata tell")

    given: dict[str, Any] = {"scale": None, "offset": None} | numbers
    return settled_band(band(dtype), said, product(baseline), look=look, **given)


@pytest.mark.parametrize(
    ("dtype", "said", "baseline", "expected"),
    [
        ("uint16", USUAL, "05.09", (1e-4, -0.1)),
        ("uint16", {"scale_factor": [2e-4], "add_offset": [0.0]}, "05.09", (2e-4, 0.0)),
        ("uint16", {}, "03.01", (1e-4, 0.0)),  # before 04.00 there was none
        ("float32", USUAL, "05.09", (1e-4, -0.1)),  # floats that say they are counts
        ("float32", USUAL | {"units": "Digital_Counts"}, "05.09", (1e-4, -0.1)),
        ("float32", {"units": "1"}, "05.09", (1.0, 0.0)),
        ("float64", {"units": "reflectance", "scale_factor": 1e-4}, "05.09", (1.0, 0.0)),
        ("float32", {}, "05.09", (1.0, 0.0)),
    ],
)
def test_type_unit_and_attributes_tell_the_scale(
    dtype: str, said: dict[str, Any], baseline: str, expected: tuple[float, float]
) -> None:
    scaling = settle(dtype, said, baseline).scaling
    assert (scaling.scale, scaling.offset) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("dtype", "said", "numbers", "expected"),
    [
        ("uint16", USUAL, {"scale": 5e-5}, (5e-5, -0.1)),
        ("uint16", USUAL, {"offset": 0.0}, (1e-4, 0.0)),
        ("uint16", {}, {"offset": -0.1}, (1e-4, -0.1)),
        ("float32", {"units": "1"}, {"scale": 1e-4, "offset": -0.1}, (1e-4, -0.1)),
        ("float32", {"scale_factor": 1e-4}, {"scale": 1.0, "offset": 0.0}, (1.0, 0.0)),
    ],
)
def test_the_callers_words_win(
    dtype: str, said: dict[str, Any], numbers: dict[str, Any], expected: tuple[float, float]
) -> None:
    scaling = settle(dtype, said, **numbers).scaling
    assert (scaling.scale, scaling.offset) == pytest.approx(expected)


def test_counts_have_the_products_special_values_whatever_range_is_stated() -> None:
    found = settle("uint16", USUAL).validity
    assert set(found.values) == {0.0, 65535.0}
    assert (found.low, found.high) != (1, 6553)
    assert settle("float32", {"units": "1"}).validity == band("float32").validity


def test_floats_with_a_scale_and_no_unit_are_a_question() -> None:
    for said, words in (
        ({"scale_factor": 1e-4}, "of unit 'unknown' with scale_factor 0.0001"),
        (
            {"scale_factor": 1e-4, "add_offset": -0.1, "units": "counts"},
            "of unit 'counts' with scale_factor 0.0001 and add_offset -0.1",
        ),
    ):
        alone: tuple[dict[str, Any], ...] = ({}, {"scale": 1.0}, {"offset": 0.0})
        for numbers in alone:  # one of both does not settle it
            with pytest.raises(InputError) as refused:
                settle("float32", said, **numbers)
            assert words in refused.value.given
            assert refused.value.given.startswith("p.zarr/r10m: red holds float32 numbers")
            assert refused.value.expected == "integers, or floats of unit 1 or digital_counts"
            assert "{scale=1} and {offset=0}" in refused.value.advice


def test_from_baseline_04_00_on_the_offset_must_stand_on_the_array() -> None:
    said = {"units": "digital_counts", "scale_factor": 1e-4}
    with pytest.raises(InputError) as refused:
        settle("uint16", said, "04.00")
    assert "states no add_offset" in refused.value.given
    assert "S2B of baseline 04.00, p.zarr/r10m: red" in refused.value.given
    assert settle("uint16", said, "04.00", offset=-0.1).scaling.offset == -0.1


@pytest.mark.parametrize("said", [{"_FillValue": 65535}, {"fill_value": -1}, {"_FillValue": [9]}])
def test_another_no_data_than_sentinels_is_refused_for_counts(said: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        settle("uint16", USUAL | said)
    assert refused.value.given.startswith("p.zarr/r10m: red states the no-data value ")
    assert refused.value.expected == "0, as in every Sentinel-2 product"
    floats = settle("float32", {"units": "1"} | said)  # of floats NaN is none as well
    assert floats.scaling == Scaling(1.0, 0.0)
    assert np.dtype(floats.dtype) == np.float32
