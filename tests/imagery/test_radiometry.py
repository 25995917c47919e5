"""Numbers: band names, scaling, statistics and normalization."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.bands import common_name
from osm4eo_xr.imagery.reflectance import Scaling


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("T33UUU_20170216T102101_B04.jp2", "red"),
        ("T33UUU_20170216T102101_B8A_20m.jp2", "nir08"),
        ("B8", "nir"),
        ("b08", "nir"),
        ("S2A_33TWM_20230815_0_L2A-B11.tif", "swir16"),
        ("Red", "red"),
        ("nir08", "nir08"),
        ("mosaic_green_10m.tif", "green"),
        ("SWIR1", "swir16"),
        ("SWIR 1", "swir16"),
        ("Red Edge 1", "rededge1"),
        ("red-edge-2", "rededge2"),
        ("RedEdge3", "rededge3"),
        ("scene_red_edge_1.tif", "rededge1"),
        ("2020_rede2_20m.tif", "rededge2"),
        ("Vegetation red edge", None),
        ("Red Edge4", None),
        ("Narrow NIR", "nir08"),
        ("nir (narrow)", "nir08"),
        ("2020_narrow_nir.tif", "nir08"),
        ("mosaic_nir_2.tif", "nir"),
        ("red_1.tif", "red"),
        ("B10", "cirrus"),
        ("B1", "coastal"),
        ("SCL", None),
        ("ndvi", None),
        ("B13", None),
        ("infrared", None),
        ("", None),
    ],
)
def test_band_names_are_understood(label: str, name: str | None) -> None:
    assert common_name(label) == name


def noisy_scene(seed: int, chunk: int) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    values = rng.gamma(4.0, 0.05, (3, 70, 90)).astype(np.float32)
    values[:, :5, 10:30] = np.nan
    return xr.DataArray(
        da.from_array(values).rechunk((2, chunk, chunk)),
        dims=("band", "y", "x"),
        coords={"band": ["blue", "red", "nir"]},
    )


@pytest.mark.usefixtures("no_compute")
def test_statistics_are_lazy_and_robust() -> None:
    lazy = oxr.band_statistics(noisy_scene(1, 33))
    assert all(isinstance(v.data, da.Array) for v in lazy.data_vars.values())


@settings(max_examples=10)
@given(seed=st.integers(0, 999), chunk=st.integers(9, 100))
def test_statistics_equal_numpys_for_any_chunking(seed: int, chunk: int) -> None:
    scene = noisy_scene(seed, chunk)
    stats = oxr.band_statistics(scene).compute()
    flat = scene.values.reshape(3, -1)
    for name, q in (("p02", 2), ("p50", 50), ("p98", 98)):
        exact = np.nanpercentile(flat, q, axis=1, method="inverted_cdf")
        np.testing.assert_allclose(stats[name], exact, atol=1e-4)
    np.testing.assert_allclose(stats["mean"], np.nanmean(flat, axis=1), rtol=1e-5)
    np.testing.assert_allclose(stats["std"], np.nanstd(flat, axis=1), rtol=1e-4)
    np.testing.assert_array_equal(stats["min"], np.nanmin(flat, axis=1))
    np.testing.assert_array_equal(stats["max"], np.nanmax(flat, axis=1))
    np.testing.assert_array_equal(stats["count"], np.isfinite(flat).sum(axis=1))


def test_statistics_need_bands() -> None:
    scene = noisy_scene(5, 50)
    with pytest.raises(InputError, match="band dimension"):
        oxr.band_statistics(scene[0])


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"scale": float("nan")}, {"offset": np.inf}])
def test_scaling_refuses_what_is_no_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Scaling(**wrong)
