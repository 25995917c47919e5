"""Composites of a block, beside numpy and a search pixel by pixel."""

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.composite_kernels import greenest, medians
from osm4eo_xr.imagery.compositing import block_side, composite

MAKES = settings(max_examples=25, deadline=None)


def observations(seed: int, times: int = 5, *, steps: int = 50) -> np.ndarray:
    """Return (time, band, y, x) reflectance in few steps, so that ties occur, with gaps."""
    rng = np.random.default_rng(seed)
    cube = (rng.integers(1, steps, (times, 3, 4, 6)) / steps).astype(np.float32)
    cube[rng.random(cube.shape) < 0.1] = np.nan
    cube[:, :, 0, 0] = np.nan
    return cube


def complete(cube: np.ndarray) -> np.ndarray:
    """Return the cube without observations that lack a band."""
    whole = np.isfinite(cube).all(axis=1, keepdims=True)
    return np.where(whole, cube, np.nan)


@MAKES
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_medians_and_counts_are_numpys(seed: int, times: int) -> None:
    cube = observations(seed, times)
    found, counts = medians(cube, False)
    whole = complete(cube)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of pixels that nobody saw
        expected = np.nanmedian(whole.astype(np.float64), axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(counts, np.isfinite(whole[:, 0]).sum(axis=0))
    assert (found.dtype, counts.dtype) == (np.float32, np.uint16)


@MAKES
@given(st.integers(0, 10_000))
def test_a_medoid_is_the_earliest_observation_next_to_the_medians(seed: int) -> None:
    cube = observations(seed, steps=4)
    whole, centers = complete(cube).astype(np.float64), medians(cube, False)[0].astype(np.float64)
    found, _ = medians(cube, True)
    for y, x in np.ndindex(cube.shape[2:]):
        distance = ((whole[:, :, y, x] - centers[:, y, x]) ** 2).sum(axis=1)
        if np.isnan(distance).all():
            assert np.isnan(found[:, y, x]).all()
            continue
        near = np.flatnonzero(distance <= np.nanmin(distance) + 1e-9)
        same = [k for k in near if np.array_equal(cube[k, :, y, x], found[:, y, x])]
        assert same, (y, x)
        exact = np.flatnonzero(distance == np.nanmin(distance))
        if len(exact) == len(near):  # no tie by rounding
            assert same[0] == near[0]


@MAKES
@given(st.integers(0, 10_000))
def test_the_greenest_is_the_earliest_of_the_highest_ndvi(seed: int) -> None:
    cube = observations(seed)
    whole = complete(cube)
    ndvi = (whole[:, 2] - whole[:, 0]) / (whole[:, 2] + whole[:, 0])
    found, counts = greenest(cube, 0, 2)
    for y, x in np.ndindex(cube.shape[2:]):
        if counts[y, x] == 0:
            assert np.isnan(found[:, y, x]).all()
        else:
            best = int(np.nanargmax(ndvi[:, y, x]))
            np.testing.assert_array_equal(found[:, y, x], cube[best, :, y, x])


def test_water_without_any_reflectance_is_kept_where_nothing_else_was_seen() -> None:
    dark = np.zeros((1, 2, 1, 1), np.float32)
    found, counts = greenest(dark, 0, 1)
    assert (float(found.sum()), int(counts[0, 0])) == (0.0, 1)


@pytest.mark.parametrize(
    ("observed", "best"),
    [
        ([(-0.005, 0.006), (0.05, 0.30)], 1),  # plain division gives an NDVI of 11
        ([(0.0, 0.2), (0.05, 0.06)], 1),
        ([(0.04, -0.039), (0.0, 0.2)], 0),  # and here of -79 and 1
        ([(0.04, -0.5), (0.05, 0.0)], 0),
        ([(-0.01, 0.3), (-0.02, -0.1)], 0),
    ],
)
def test_reflectance_below_0_is_never_the_greenest_beside_others(
    observed: list[tuple[float, float]], best: int
) -> None:
    cube = np.array(observed, np.float32)[:, :, np.newaxis, np.newaxis]
    found, counts = greenest(cube, 0, 1)
    np.testing.assert_array_equal(found, cube[best])
    assert int(counts[0, 0]) == 2


def cube_of(values: np.ndarray, chunks: Any = None) -> xr.DataArray:
    cube = xr.DataArray(
        values, dims=("time", "band", "y", "x"), coords={"band": ["red", "green", "nir"]}
    )
    return cube if chunks is None else cube.chunk(chunks)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.sampled_from(["medoid", "median", "best"]))
def test_any_chunking_composes_the_same(time: int, side: int, method: Any) -> None:
    values = observations(3)
    whole = composite(cube_of(values), method).compute()
    parts = composite(cube_of(values, {"time": time, "y": side, "x": side}), method)
    xr.testing.assert_identical(parts.compute(), whole)


@pytest.mark.parametrize(("times", "bands"), [(1, 1), (10, 4), (200, 10), (5000, 13)])
def test_a_task_holds_at_most_128_mb_of_observations(times: int, bands: int) -> None:
    side = block_side(times, bands)
    assert side % 64 == 0
    assert 64 <= side <= 1024
    if side > 64:
        assert 4 * times * bands * side**2 <= 128 * 2**20
    if 64 < side < 1024:
        assert 4 * times * bands * (side + 64) ** 2 > 128 * 2**20


def test_what_cannot_be_composed_is_refused() -> None:
    cube = cube_of(observations(0))
    with pytest.raises(InputError, match="transpose it"):
        composite(cube.transpose("band", "time", "y", "x"))
    with pytest.raises(InputError, match="oldest"):
        composite(cube, "oldest")  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(InputError, match="nir"):
        composite(cube.isel(band=slice(2)), "best")
