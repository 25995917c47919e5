"""Statistics of bands from counts that add up, beside those of numpy on the whole scene."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.statistics import band_statistics

BIN = 1e-4


def scene(*, low: float = 0.0, high: float = 0.6) -> xr.DataArray:
    """Return (band, y, x) reflectance; the second band has gaps, the third nothing at all."""
    rng = np.random.default_rng(5)
    values = rng.uniform(low, high, (3, 40, 50)).astype(np.float32)
    values[1, 3:30] = np.nan
    values[2] = np.nan
    return xr.DataArray(values, dims=("band", "y", "x"), coords={"band": ["red", "nir", "swir16"]})


def test_they_are_numpys() -> None:
    found, values = band_statistics(scene()), scene().to_numpy().astype(np.float64)
    for k in (0, 1):
        valid = values[k][np.isfinite(values[k])]
        row = found.isel(band=k)
        assert int(row["count"]) == valid.size
        for name, share in (("p02", 2), ("p50", 50), ("p98", 98)):
            expected = np.percentile(valid, share, method="inverted_cdf")
            assert float(row[name]) == pytest.approx(expected, abs=BIN)
        assert float(row["mean"]) == pytest.approx(valid.mean(), rel=1e-6)
        assert float(row["std"]) == pytest.approx(valid.std(), rel=1e-5)
        assert (float(row["min"]), float(row["max"])) == (valid.min(), valid.max())


def test_a_band_without_data_has_none() -> None:
    empty = band_statistics(scene()).sel(band="swir16")
    assert int(empty["count"]) == 0
    assert all(np.isnan(float(empty[name])) for name in empty.data_vars if name != "count")


def test_values_beyond_the_bins_move_no_quantile_out_of_the_values() -> None:
    found = band_statistics(scene(low=3.0, high=4.0)).isel(band=0)
    assert float(found["min"]) <= float(found["p02"]) <= float(found["p98"]) <= float(found["max"])
    assert float(found["mean"]) == pytest.approx(3.5, abs=0.05)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 3))
def test_any_chunking_gives_the_same_figures(y: int, x: int, band: int) -> None:
    parts = scene().chunk({"band": band, "y": max(y, 8), "x": max(x, 8)})
    found = band_statistics(parts)
    assert found["p50"].chunks
    whole = band_statistics(scene())
    for name in ("p02", "p50", "p98", "min", "max", "count"):
        np.testing.assert_array_equal(found[name], whole[name])
    for name in ("mean", "std"):
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-6)


@pytest.mark.usefixtures("no_compute")
def test_a_lazy_scene_stays_lazy() -> None:
    assert band_statistics(scene().chunk({"y": 10}))["mean"].chunks


def test_series_are_taken_together_and_a_scene_without_bands_is_refused() -> None:
    series = xr.concat([scene(), scene() + np.float32(0.1)], "time")
    whole = band_statistics(series).isel(band=0)
    assert int(whole["count"]) == 2 * 40 * 50
    assert float(whole["mean"]) == pytest.approx(float(series.isel(band=0).mean()), rel=1e-5)
    with pytest.raises(InputError, match="need a band dimension"):
        band_statistics(scene().isel(band=0, drop=True))
