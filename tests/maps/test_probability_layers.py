"""Layers of probabilities: thresholds, units, no data, chunkings."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.maps.layers import extract_layer
from osm4eo_xr.maps.probability_layers import OTHER, likeliest

LEGEND = default_legend()
NAMED = ("forest", "urban", "water")
BOX = target_geobox((4_320_000, 3_210_000, 4_320_300, 3_210_200))


def probabilities(seed: int = 0, names: tuple = NAMED) -> xr.DataArray:
    """Return (class, y, x) float32 of 20 x 30 pixels that add up to 1; NaN in a corner."""
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(names)), BOX.shape)
    pixels = shares.transpose(2, 0, 1).astype(np.float32)
    pixels[:, :4, :5] = np.nan
    dims = ("class", "y", "x")
    coords: dict[Hashable, Any] = {"class": list(names)}
    return georeference(pixels, BOX, dims=dims, coords=coords, attrs={"nodata": np.nan})


def scaled(given: xr.DataArray) -> xr.DataArray:
    """Return the same as ``classify`` writes them: uint8, 0-250, 255 = no data."""
    whole = np.where(np.isfinite(given), np.round(given.to_numpy() * 250), 255).astype(np.uint8)
    return given.copy(data=whole).assign_attrs(nodata=255, scale_factor=1 / 250)


def chosen(given: xr.DataArray, slugs: list[str], threshold: float) -> xr.DataArray:
    classes = [LEGEND.find(slug) for slug in slugs]
    return likeliest(given, classes, threshold, LEGEND)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 1.0])
def test_one_class_is_where_its_probability_reaches_the_threshold(threshold: float) -> None:
    given = probabilities()
    water = given.sel({"class": "water"}).to_numpy()
    expected = np.where(water >= threshold, 12, OTHER)
    expected[np.isnan(water)] = 0
    np.testing.assert_array_equal(chosen(given, ["water"], threshold), expected)


def test_several_classes_reach_it_together_and_the_likeliest_is_named() -> None:
    given = probabilities(1)
    forest, urban = (given.sel({"class": slug}).to_numpy() for slug in ("forest", "urban"))
    expected = np.where(forest > urban, 8, 1)
    expected[forest + urban < 0.6] = OTHER
    expected[np.isnan(forest)] = 0
    np.testing.assert_array_equal(chosen(given, ["urban", "forest"], 0.6), expected)


def test_all_classes_together_are_certain_in_spite_of_rounding() -> None:
    found = chosen(probabilities(2), ["forest", "urban", "water"], 1.0).to_numpy()
    np.testing.assert_array_equal(found == 0, np.isnan(probabilities(2)[0]))
    assert not (found == OTHER).any()


def test_scaled_probabilities_give_the_layer_of_their_own_values() -> None:
    given = scaled(probabilities())
    as_float = given.copy(data=np.where(given == 255, np.nan, given / 250).astype(np.float32))
    for slugs in (["water"], ["urban", "water"]):
        found = chosen(given, slugs, 0.5)
        np.testing.assert_array_equal(found, chosen(as_float, slugs, 0.5))
        assert found.dtype == np.uint8
        assert found.attrs["nodata"] == 0
        assert "scale_factor" not in found.attrs


@settings(max_examples=6)
@given(st.integers(1, 3), st.integers(1, 20), st.integers(1, 30))
def test_any_chunking_gives_the_same_layer(of_class: int, y: int, x: int) -> None:
    given = probabilities(3)
    expected = extract_layer(given, ["urban", "water"], threshold=0.6)
    chunked = given.chunk({"class": of_class, "y": y, "x": x})
    found = extract_layer(chunked, ["urban", "water"], threshold=0.6)
    xr.testing.assert_equal(found.compute(), expected.compute())


@pytest.mark.usefixtures("no_compute")
def test_layers_of_probabilities_are_lazy() -> None:
    given = probabilities().chunk({"y": 7, "x": 9})
    assert extract_layer(given, "water", threshold=0.5).chunks == (given.chunks or ())[1:]


@pytest.mark.parametrize("names", [(8, 1, 12), ("forest", "urban", "water"), ("8", "1", "12")])
def test_classes_are_found_by_id_and_by_slug(names: tuple) -> None:
    given = probabilities().assign_coords({"class": list(names)})
    np.testing.assert_array_equal(
        chosen(given, ["water"], 0.5), chosen(probabilities(), ["water"], 0.5)
    )


def test_a_class_of_unlabeled_ground_shifts_no_other() -> None:
    """Where it came first, each class was given the probabilities of the one before it."""
    given = probabilities(names=("0", *NAMED))
    water, forest = (given.sel({"class": name}).to_numpy() for name in ("water", "forest"))
    for slug, share, code in (("water", water, 12), ("forest", forest, 8)):
        expected = np.where(share >= 0.4, code, OTHER)
        expected[np.isnan(share)] = 0
        np.testing.assert_array_equal(chosen(given, [slug], 0.4), expected)


def test_numbers_beyond_all_probabilities_are_refused() -> None:
    with pytest.raises(InputError, match=r"range from .* to .*; expected 0 to 1; divide them by"):
        chosen(probabilities() * 100, ["water"], 0.5).compute()
    bytes_of_255 = scaled(probabilities()).copy(data=np.full((3, *BOX.shape), 254, np.uint8))
    with pytest.raises(InputError, match="probabilities hold 254; expected 0 to 250, or 255"):
        chosen(bytes_of_255, ["water"], 0.5).compute()


def test_what_has_no_probability_is_named() -> None:
    with pytest.raises(InputError, match="there are no probabilities of mine"):
        chosen(probabilities(), ["water", "mine"], 0.5)
    with pytest.raises(InputError, match="name no classes; assign a coordinate 'class'"):
        chosen(probabilities().drop_vars("class"), ["water"], 0.5)


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01])
def test_thresholds_out_of_range_are_refused(threshold: float) -> None:
    with pytest.raises(InputError, match=f"threshold={threshold}; give a probability above 0"):
        extract_layer(probabilities(), "water", threshold=threshold)


def test_a_class_map_is_not_thresholded() -> None:
    flat = georeference(np.ones(BOX.shape, np.uint8), BOX)
    with pytest.raises(InputError, match="threshold"):
        extract_layer(flat, "water", threshold=0.5)
