"""The four rules of ``merge_known``, against plain numpy, for any chunks."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.maps.known_ground import merge_known, provenance_of
from osm4eo_xr.maps.known_rules import noise_table
from osm4eo_xr.maps.polygons import to_vector

IDS = list(default_legend().ids)
SHAPE = (9, 11)


def raster(values: np.ndarray, **more: Any) -> xr.DataArray:
    height, width = values.shape[-2:]
    return georeference(values, target_geobox((0, 0, 10 * width, 10 * height)), **more)


def layers(values: np.ndarray, ids: list[int] = IDS) -> xr.DataArray:
    return raster(values, dims=("class", "y", "x"), coords={"class": ids})


def table(values: np.ndarray) -> xr.DataArray:
    rows = values / values.sum(axis=1, keepdims=True)
    return xr.DataArray(rows, coords={"class": IDS, "osm": IDS}, dims=("class", "osm"))


def case(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    known, predicted = rng.integers(0, 13, (2, *SHAPE), dtype=np.uint8)
    shares = rng.integers(0, 251, (12, *SHAPE), dtype=np.uint8)
    shares[:, predicted == 0] = 255
    return {
        "known": known,
        "predicted": predicted,
        "confidence": shares.max(axis=0),
        "probabilities": shares,
        "noise": table(rng.random((12, 12)) + 3 * np.eye(12)),
    }


def one_by_one(rule: str, case: dict[str, Any]) -> np.ndarray:
    """Decide pixel after pixel."""
    out, noise = np.zeros(SHAPE, np.uint8), case["noise"].to_numpy().astype(np.float32)
    for at in np.ndindex(SHAPE):
        osm, model = int(case["known"][at]), int(case["predicted"][at])
        if 0 in (osm, model) or rule in ("osm", "model"):
            first, second = (model, osm) if rule == "model" else (osm, model)
            out[at] = first or second
        elif rule == "confidence":
            sure = noise[osm - 1, osm - 1] / noise[:, osm - 1].sum()
            out[at] = model if case["confidence"][at] / np.float32(250) > sure else osm
        else:
            shares = case["probabilities"][(slice(None), *at)] / np.float32(250)
            scores = np.maximum(shares, np.float32(0.002)) * noise[:, osm - 1]
            out[at] = IDS[int(scores.argmax())]
    return out


@examples(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    rule=st.sampled_from(("osm", "model", "confidence", "bayes")),
    rows=st.integers(1, 9),
    columns=st.integers(1, 11),
    deep=st.integers(1, 12),
)
def test_rules_are_those_of_single_pixels_for_any_chunks(
    seed: int, rule: str, rows: int, columns: int, deep: int
) -> None:
    given_ = case(seed)
    known, predicted = raster(given_["known"]), raster(given_["predicted"])
    how = {
        "confidence": raster(given_["confidence"]).chunk(y=columns % 9 + 1, x=5),
        "probabilities": layers(given_["probabilities"]).chunk({"class": deep, "y": 4, "x": rows}),
        "noise": given_["noise"],
    }
    merged = merge_known(
        known.chunk(y=rows, x=columns), predicted.chunk(y=3, x=7), rule=rule, **how
    )
    assert isinstance(merged["classes"].data, da.Array)
    found, origin = da.compute(merged["classes"].data, merged["provenance"].data, scheduler="sync")
    expected = one_by_one(rule, given_)
    np.testing.assert_array_equal(found, expected)
    agree, unknown = given_["known"] == expected, given_["known"] == 0
    np.testing.assert_array_equal(
        origin, np.select([expected == 0, unknown, agree], [0, 2, 1], default=3)
    )


def test_noise_that_is_none_leaves_openstreetmap_right() -> None:
    given_, right = case(3), table(np.eye(12))
    pair = raster(given_["known"]), raster(given_["predicted"])
    osm = merge_known(*pair)["classes"]
    bayes = merge_known(
        *pair, rule="bayes", probabilities=layers(given_["probabilities"]), noise=right
    )
    surer = merge_known(
        *pair, rule="confidence", confidence=raster(given_["confidence"]), noise=right
    )
    np.testing.assert_array_equal(bayes["classes"], osm)
    np.testing.assert_array_equal(surer["classes"], osm)


def test_a_likely_error_loses_and_a_plausible_label_wins() -> None:
    legend = default_legend()
    forest, meadow = legend.find("forest").id, legend.find("pastures").id
    noise = noise_table({"forest": {"forest": 0.7, "pastures": 0.3}}, legend)
    known = raster(np.full((1, 2), meadow, np.uint8))
    shares = np.zeros((12, 1, 2), np.float32)
    shares[forest - 1], shares[meadow - 1] = [[0.95, 0.6]], [[0.05, 0.4]]
    predicted = raster(np.full((1, 2), forest, np.uint8))
    merged = merge_known(known, predicted, rule="bayes", probabilities=layers(shares), noise=noise)
    assert merged["classes"].to_numpy().tolist() == [[forest, meadow]]  # 0.285 > 0.05; 0.18 < 0.4
    assert merged["provenance"].to_numpy().tolist() == [[3, 1]]


@pytest.mark.parametrize(("steps", "wins"), [(False, 12), (True, 8)])
def test_only_an_8_bit_probability_counts_as_half_a_step(*, steps: bool, wins: int) -> None:
    """A float is what it is: 0.9 x 0.0001 is below 0.001 x 0.9999; of 8 bits 0.9 x 0.002 above."""
    noise = noise_table({"water": {"forest": 0.001, "water": 0.999}}, default_legend())
    noise.loc[{"class": 8, "osm": 8}], noise.loc[{"class": 8, "osm": 12}] = 0.9, 0.1
    shares = np.array([0.0001, 0.9999], np.float32).reshape(2, 1, 1)
    given_ = np.rint(shares * 250).astype(np.uint8) if steps else shares
    pair = (raster(np.full((1, 1), i, np.uint8)) for i in (8, 12))
    merged = merge_known(*pair, rule="bayes", probabilities=layers(given_, [8, 12]), noise=noise)
    assert merged["classes"].item() == wins


def test_what_a_rule_lacks_is_named() -> None:
    given_ = case(0)
    pair = raster(given_["known"]), raster(given_["predicted"])
    shares, noise = layers(given_["probabilities"]), given_["noise"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"rule": "both"}, "choose one of osm, model"),
        ({"rule": "bayes", "noise": noise}, "give probabilities="),
        ({"rule": "confidence", "confidence": pair[0]}, "give noise="),
        ({"rule": "bayes", "probabilities": shares, "noise": 2 * noise}, "rows that sum to 1"),
        ({"rule": "bayes", "probabilities": shares[0], "noise": noise}, "ids, slugs or names"),
        ({"rule": "bayes", "probabilities": shares, "noise": noise[1:]}, "how class 1 is labeled"),
        ({"rule": "bayes", "probabilities": shares[:, 1:], "noise": noise}, "not on one grid"),
    ]
    for how, message in wrong:
        with pytest.raises(InputError, match=message):
            merge_known(*pair, **how)
    never = noise.copy()
    never[:, 2], never[:, 0] = 0, never[:, 0] + never[:, 2]
    with pytest.raises(InputError, match="never says class 3"):
        merge_known(*pair, rule="bayes", probabilities=shares, noise=never)


@examples(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 9), columns=st.integers(2, 11))
def test_polygons_say_which_share_is_known(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    shown = rng.integers(0, 3, SHAPE, dtype=np.uint8)
    labels = np.where(rng.random(SHAPE) < 0.5, shown, 0).astype(np.uint8)
    known = provenance_of(raster(labels), raster(shown)) == 1
    found = to_vector(raster(shown).chunk(y=rows, x=columns), known=known)
    assert list(found.columns) == ["value", "slug", "area", "known_share", "geometry"]
    for value in (1, 2):
        rows_ = found[found["value"] == value]
        pixels = (rows_["area"] / 100 * rows_["known_share"]).sum()
        assert pixels == pytest.approx((labels == value).sum(), abs=1e-3)
    whole = to_vector(raster(shown), known=known)
    np.testing.assert_array_equal(found["known_share"], whole["known_share"])
