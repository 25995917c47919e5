"""Tiles with gains and offsets of their own are brought to one radiometry."""

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.imagery.harmonization import harmonize

BOX = target_geobox((4_321_000, 3_210_000, 4_323_000, 3_212_000))  # 200 x 200
BANDS = ["red", "nir"]


def ground() -> np.ndarray:
    rng = np.random.default_rng(0)
    fields = rng.uniform(0.03, 0.4, (2, 20, 20)).repeat(10, axis=1).repeat(10, axis=2)
    return (fields + rng.normal(0, 0.01, fields.shape)).astype(np.float32)


def four(*, wrong: bool = True) -> tuple[dict[str, xr.DataArray], np.ndarray, np.ndarray]:
    """Return four tiles that overlap by 40, with gains and offsets of their own."""
    rng, values = np.random.default_rng(1), ground()
    gain, offset = np.ones((4, 2)), np.zeros((4, 2))
    if wrong:
        gain, offset = rng.uniform(0.85, 1.15, (4, 2)), rng.uniform(-0.02, 0.02, (4, 2))
    tiles = {}
    for k, (i, j) in enumerate(itertools.product((0, 80), repeat=2)):
        part = values[:, i : i + 120, j : j + 120] * gain[k][:, None, None]
        part = (part + offset[k][:, None, None]).astype(np.float32)
        part[:, k : k + 3] = np.nan
        box = BOX[i : i + 120, j : j + 120]
        tiles[f"T{k}"] = georeference(part, box, dims=("band", "y", "x"), coords={"band": BANDS})
    return tiles, gain, offset


def test_overlaps_are_alike_afterwards() -> None:
    tiles, gain, offset = four()
    found = harmonize(tiles)
    assert len(found.pairs) == len(found.pixels) == 6
    assert 1000 < min(found.pixels) <= max(found.pixels) <= 120 * 40
    made = {t: found.apply(scene, t) for t, scene in tiles.items()}
    left, right = made["T0"][:, :, 80:], made["T1"][:, :, :40]
    before = np.nanmax(abs(tiles["T0"][:, :, 80:].to_numpy() - tiles["T1"][:, :, :40].to_numpy()))
    assert before > 0.02
    assert np.nanmax(abs(left.to_numpy() - right.to_numpy())) < 0.002
    # Over all tiles nothing moves much; what they share cannot be known.
    np.testing.assert_allclose(found.gain.mean("tile"), 1, atol=0.05)
    ratio = found.gain.to_numpy() * gain
    np.testing.assert_allclose(ratio / ratio[0], np.ones((4, 2)), rtol=5e-3)
    shift = found.gain.to_numpy() * offset + found.offset.to_numpy()
    np.testing.assert_allclose(shift - shift[0], np.zeros((4, 2)), atol=2e-3)
    assert made["T0"].dtype == np.float32
    assert made["T0"].attrs == tiles["T0"].attrs


@pytest.mark.parametrize("noise", [0.003, 0.01])
@pytest.mark.parametrize("factor", [1.0, 1.2])
def test_noise_of_each_tile_shrinks_nothing(noise: float, factor: float) -> None:
    """Scenes of two days are never a line of each other; all gains at 0 would fit them best."""
    rng, values = np.random.default_rng(2), ground()
    sides = {}
    for tile, columns, gain in (("west", slice(0, 120), 1.0), ("east", slice(80, 200), factor)):
        part = gain * (values[:, :, columns] + rng.normal(0, noise, (2, 200, 120)))
        names: dict[Any, Any] = {"band": BANDS}
        sides[tile] = georeference(
            part.astype(np.float32), BOX[:, columns], dims=("band", "y", "x"), coords=names
        )
    found = harmonize(sides)
    np.testing.assert_allclose(found.gain.prod("tile"), 1, rtol=1e-9)
    np.testing.assert_allclose(found.offset.sum("tile"), 0, atol=1e-9)
    ratio = found.gain.sel(tile="west") / found.gain.sel(tile="east")
    np.testing.assert_allclose(ratio, factor, rtol=0.02)


def test_a_curve_between_tiles_shrinks_nothing() -> None:
    tiles = four(wrong=False)[0]
    tiles["T3"] = (tiles["T3"] ** 1.05).astype(np.float32).assign_attrs(tiles["T3"].attrs)
    found = harmonize(tiles)
    assert float(abs(found.gain - 1).max()) < 0.1


def test_tiles_without_contrast_keep_their_gain() -> None:
    flat = np.full((1, 200, 200), 0.2, np.float32)
    names: dict[Any, Any] = {"band": ["nir"]}
    sides = {
        tile: georeference(flat[..., c] + shift, BOX[:, c], dims=("band", "y", "x"), coords=names)
        for tile, c, shift in (("a", slice(0, 120), 0.0), ("b", slice(80, 200), np.float32(0.02)))
    }
    found = harmonize(sides)
    np.testing.assert_allclose(found.gain, 1, atol=1e-6)
    np.testing.assert_allclose(found.offset.to_numpy()[:, 0], [0.01, -0.01], atol=1e-6)


def test_tiles_that_agree_stay_as_they_are() -> None:
    found = harmonize(four(wrong=False)[0])
    np.testing.assert_allclose(found.gain, 1, atol=1e-6)
    np.testing.assert_allclose(found.offset, 0, atol=1e-6)


@settings(max_examples=4)
@given(y=st.integers(20, 120), x=st.integers(20, 120))
def test_any_chunks_give_the_same(y: int, x: int) -> None:
    tiles = four()[0]
    expected = harmonize(tiles)
    found = harmonize({t: scene.chunk(y=y, x=x) for t, scene in tiles.items()})
    xr.testing.assert_identical(found.gain, expected.gain)
    xr.testing.assert_identical(found.offset, expected.offset)
    lazy = found.apply(tiles["T0"].chunk(y=y, x=x), "T0")
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy, expected.apply(tiles["T0"], "T0"))


def test_clouds_over_a_tenth_of_one_tile_move_little() -> None:
    tiles, gain, _ = four()
    cloudy = tiles["T3"].copy(deep=True)
    cloudy[:, 10:14] = 0.9
    found = harmonize({**tiles, "T3": cloudy})
    ratio = found.gain.to_numpy() * gain
    np.testing.assert_allclose(ratio / ratio[0], np.ones((4, 2)), rtol=0.05)


def test_what_cannot_be_harmonized_is_refused() -> None:
    tiles = four()[0]
    with pytest.raises(InputError, match="no two of 1 tiles overlap"):
        harmonize({"T0": tiles["T0"]})
    with pytest.raises(InputError, match="tile T1 has not the bands red, nir"):
        harmonize({"T0": tiles["T0"], "T1": tiles["T1"].isel(band=[1])})


def test_what_overlaps_do_not_tell_is_warned_about() -> None:
    tiles = four()[0]
    far = tiles["T3"].assign_coords(x=tiles["T3"]["x"] + 10_000)
    with pytest.warns(InputWarning, match=r"2 groups that share no ground \(T0 and 2 more, T3\)"):
        found = harmonize({**tiles, "T3": far})
    np.testing.assert_array_equal(found.apply(far, "T3"), far)
    with pytest.warns(InputWarning, match=r"tile T3 gets a gain of 0\.\d\d in band nir; look at"):
        harmonize({**tiles, "T3": tiles["T3"] * np.array([1, 8], np.float32)[:, None, None]})
