"""Probabilities as shares and as steps: both ways round, and what is neither is refused."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.rasters.shares import as_shares, steps_of

STEPS = st.integers(0, 250) | st.just(255)


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=3, max_side=5), elements=STEPS))
def test_steps_are_shares_of_250_and_back(steps: np.ndarray) -> None:
    shares = as_shares(steps)
    assert shares.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(shares), steps == 255)
    known = steps != 255
    np.testing.assert_allclose(shares[known], steps[known] / 250, rtol=1e-6)
    np.testing.assert_array_equal(steps_of(shares), steps)
    assert steps_of(steps) is steps


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_shares_already(dtype: Any) -> None:
    given = np.array([0, 0.25, 1, np.nan], dtype)
    np.testing.assert_array_equal(as_shares(given), given.astype(np.float32))
    assert steps_of(given).tolist() == [0, 62, 250, 255]


def test_what_floats_miss_by_rounding_is_no_fault() -> None:
    near = np.array([-0.0005, 1.0005], np.float32)
    assert steps_of(near).tolist() == [0, 250]
    np.testing.assert_array_equal(as_shares(near), near)


@pytest.mark.parametrize("convert", [as_shares, steps_of])
@pytest.mark.parametrize(
    ("numbers", "given", "rest"),
    [
        (np.array([0, 254, 255], np.uint8), "probabilities hold 254", "by 250, not by 255"),
        (np.array([0.0, 57.0]), "probabilities range from 0 to 57", "divide them by 100"),
        (np.array([-0.2, 0.5]), "probabilities range from -0.2 to 0.5", "divide them by 100"),
        (np.array([0.5, np.inf]), "probabilities range from 0 to inf", "divide them by 100"),
        (np.array([1, 2], np.int16), "probabilities are int16", "uint8 (0-250) or floats (0-1)"),
        (np.array([True]), "probabilities are bool", "uint8 (0-250) or floats (0-1)"),
    ],
)
def test_what_is_neither_is_refused_either_way(
    convert: Any, numbers: np.ndarray, given: str, rest: str
) -> None:
    """57 per cent as a step would be 14,250, of which a byte keeps 170."""
    with pytest.raises(InputError) as refused:
        convert(numbers)
    assert refused.value.given == given
    assert rest in f"{refused.value.expected}; {refused.value.advice}"


def test_nothing_is_no_fault() -> None:
    for dtype in (np.uint8, np.float32):
        assert as_shares(np.empty((0, 3), dtype)).shape == (0, 3)
        assert steps_of(np.empty((0, 3), dtype)).shape == (0, 3)
    assert steps_of(np.full(3, np.nan)).tolist() == [255] * 3


@pytest.mark.parametrize("scale", [100.0, 255.0])
def test_tiles_are_not_blended_by_numbers_that_are_no_probabilities(scale: float) -> None:
    ids = [8, 12]
    tiles, shares = [], []
    for k, left in enumerate((0, 40)):
        box = target_geobox((4_400_000 + left, 2_700_000, 4_400_080 + left, 2_700_040))
        values = np.full(box.shape, ids[k], np.uint8)
        tiles.append(georeference(values, box))
        one = np.stack([np.full(box.shape, 0.6, np.float32), np.full(box.shape, 0.4, np.float32)])
        given = one * np.float32(scale)
        pixels = da.from_array(given.astype(np.uint8) if scale > 100 else given)
        coords: Any = {"class": ids}
        shares.append(georeference(pixels, box, dims=("class", "y", "x"), coords=coords))
    blended = oxr.mosaic(tiles, rule="blend", probabilities=shares, legend=default_legend())
    if scale > 100:  # 153 and 102 of 255 are steps that could be right
        blended.compute()
        return
    with pytest.raises(InputError, match="probabilities range from 0 to 60"):
        blended.compute()
