"""Numbers to features, compared with worked examples, planes, and numpy's own."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.features.indices import INDICES, index_of
from osm4eo_xr.features.kernels import AlphaEarth, Backscatter, Tessera, terrain
from osm4eo_xr.features.periods import percentile, reduce_period, split_periods

RNG = np.random.default_rng(0)


def test_slope_and_aspect_are_those_of_the_worked_examples() -> None:
    """ArcGIS's documentation works both out by hand, "How Slope works" and "How Aspect works"."""
    steep = np.array([[50, 45, 50], [30, 30, 30], [8, 10, 10]], np.float32)
    assert terrain(steep, (5.0, 5.0))[1].item() == pytest.approx(75.25762, abs=1e-4)
    eastward = np.array([[101, 92, 85], [101, 92, 85], [101, 91, 84]], np.float32)
    _, _, sine, cosine = terrain(eastward, (5.0, 5.0)).ravel()
    assert np.degrees(np.arctan2(sine, cosine)) == pytest.approx(92.64, abs=5e-3)


@settings(max_examples=30)
@given(st.floats(-2, 2), st.floats(-2, 2), st.sampled_from([(10.0, 10.0), (10.0, 25.0)]))
def test_planes_have_their_slope_and_face_downhill(
    east: float, north: float, pixel: tuple[float, float]
) -> None:
    row, col = np.mgrid[0:5, 0:6]
    heights = 500 + east * col * pixel[0] - north * row * pixel[1]
    height, slope, sine, cosine = terrain(heights.astype(np.float32), pixel)
    np.testing.assert_array_equal(height, heights[1:-1, 1:-1].astype(np.float32))
    steep = np.hypot(east, north)
    np.testing.assert_allclose(slope, np.degrees(np.arctan(steep)), atol=0.01)
    if steep > 0.05:
        np.testing.assert_allclose(sine, -east / steep, atol=5e-3)
        np.testing.assert_allclose(cosine, -north / steep, atol=5e-3)


def test_flat_ground_faces_nowhere_and_gaps_have_no_slope() -> None:
    flat = np.full((4, 5), 3.0, np.float32)
    assert (terrain(flat, (10.0, 10.0))[1:] == 0).all()
    flat[1, 1] = np.nan
    found = terrain(flat, (10.0, 10.0))
    assert np.isnan(found[0]).tolist() == [[True, False, False], [False, False, False]]
    assert np.isnan(found[1:]).tolist() == [[[True, True, False], [True, True, False]]] * 3


@pytest.mark.parametrize("decibels", [False, True])
def test_backscatter_is_in_decibels_and_power_of_nothing_is_no_data(decibels: bool) -> None:
    power = np.array([[[0.01, 0.5, np.nan, 2.0]]], np.float32)
    stored = 10 * np.log10(power) if decibels else power
    kernel = Backscatter(decibels)
    np.testing.assert_allclose(kernel.before(stored), power, rtol=1e-6)
    np.testing.assert_allclose(
        kernel.after(kernel.before(stored)), 10 * np.log10(power), rtol=1e-5, atol=1e-6
    )
    nothing = np.array([[[0.0, -0.1]]], np.float32)
    assert np.isnan(Backscatter(False).before(nothing)).all()
    assert np.isnan(Backscatter(False).after(nothing)).all()


def test_embeddings_are_dequantized_as_their_documentation_says() -> None:
    stored = np.arange(-127, 128, dtype=np.float32).reshape(1, 1, -1)
    exact = (stored.astype(np.float64) / 127.5) ** 2 * np.sign(stored)
    np.testing.assert_allclose(AlphaEarth().after(stored), exact, rtol=2e-7)
    numbers = RNG.integers(-127, 128, (3, 2, 4)).astype(np.float32)
    scale = np.array([[0.1, 0.02, np.nan, 0.0], [1, 2, 3, 4]], np.float32)
    found = Tessera().after(Tessera().before(np.concatenate([numbers, scale[None]])))
    wanted = np.where(scale > 0, numbers * scale, np.nan)
    np.testing.assert_array_equal(found, wanted.astype(np.float32))


@pytest.mark.parametrize("name", INDICES)
def test_indices_are_their_formulas_and_bounded_wherever_there_is_data(name: str) -> None:
    index = INDICES[name]
    bands = RNG.uniform(0.01, 0.6, (len(index.bands), 4, 5)).astype(np.float32)
    values = {b: v.astype(np.float64) for b, v in zip(index.bands, bands, strict=True)}
    text = index.text.replace("1.5 (", "1.5 * (")
    wanted = eval(text, {"__builtins__": {}}, values)  # noqa: S307 - our own formulas
    np.testing.assert_allclose(index_of(name, *bands), wanted, rtol=1e-4, atol=1e-6)
    bands[0, 0], bands[:, 1], bands[0, 2, 0] = -0.1, -0.1, np.nan
    found = index_of(name, *bands)
    assert np.isnan(found).sum() == 1
    assert np.nanmax(np.abs(found)) <= 1.5
    assert (found[1] == 0).all()


@pytest.mark.parametrize("share", [0, 10, 50, 75, 100])
def test_percentiles_are_numpys_over_complete_observations(share: int) -> None:
    series = RNG.normal(size=(7, 2, 5, 6)).astype(np.float32)
    series[RNG.random((7, 2, 5, 6)) < 0.3] = np.nan
    series[:, :, 0, 0] = np.nan
    complete = np.where(np.isfinite(series).all(axis=1, keepdims=True), series, np.nan)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="All-NaN"):
        wanted = np.nanpercentile(complete.astype(np.float64), share, axis=0)
    np.testing.assert_allclose(percentile(series, share), wanted, rtol=1e-5, atol=1e-6)


def series_of(days: list[str]) -> xr.DataArray:
    values = RNG.uniform(size=(len(days), 1, 2, 3)).astype(np.float32)
    coords = {"time": np.array(days, "datetime64[ns]"), "band": ["nir"]}
    return xr.DataArray(values, dims=("time", "band", "y", "x"), coords=coords)


def test_series_are_divided_into_months_seasons_and_years() -> None:
    series = series_of(["2024-03-01", "2023-12-31", "2024-02-29", "2024-12-01", "2024-03-31"])
    found = {n: p.sizes["time"] for n, p in split_periods(series, "season").items()}
    assert found == {"2024-winter": 2, "2024-spring": 2, "2025-winter": 1}
    assert list(split_periods(series, "month")) == ["2023-12", "2024-02", "2024-03", "2024-12"]
    assert {n: p.sizes["time"] for n, p in split_periods(series, "year").items()} == {
        "2023": 1,
        "2024": 4,
    }
    names, flat = reduce_period(series, ("medoid", "p90"))
    assert (names, flat.shape) == (["nir", "nir_p90"], (2, 2, 3))
    with pytest.raises(InputError, match="statistic 'mean' is unknown"):
        reduce_period(series, ("mean",))
    with pytest.raises(InputError, match="times of the series are int64"):
        split_periods(series.assign_coords(time=np.arange(5)), "month")
