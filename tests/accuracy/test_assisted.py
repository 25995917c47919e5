"""Areas that a model's probabilities sharpen, with every number of the estimator by hand."""

import dask.array as da
import geopandas as gpd
import numpy as np
import pytest
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.assisted import assisted_areas
from osm4eo_xr.accuracy.design_sample import DesignSample
from osm4eo_xr.accuracy.figures import Figure, Figures, figures_of
from osm4eo_xr.accuracy.sampling import Stratified
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox

LEGEND = oxr.default_legend()
FOREST, WATER = 8, 12
EDGE = 12
BOX = target_geobox((4_400_000, 2_700_000 - 10 * EDGE, 4_400_000 + 10 * EDGE, 2_700_000))
PIXELS = EDGE * EDGE
KM2 = PIXELS * 1e-4


def class_map(hole: int = 0) -> xr.DataArray:
    values = np.full((EDGE, EDGE), FOREST, np.uint8)
    values[:, 8:] = WATER
    values[:hole] = 0
    return georeference(values, BOX, name="map")


def probabilities(values: np.ndarray, names: list = [FOREST, WATER]) -> xr.DataArray:  # noqa: B006 - only read
    return georeference(values, BOX, dims=("class", "y", "x"), coords={"class": names})


def guess(seed: int = 3) -> np.ndarray:
    """Return shares of forest and water, (2, y, x)."""
    forest = np.random.default_rng(seed).random((EDGE, EDGE)).astype(np.float32)
    forest[:, 8:] *= 0.4
    return np.stack([forest, 1 - forest])


def points(n: int = 40, seed: int = 0) -> tuple[gpd.GeoSeries, np.ndarray, np.ndarray]:
    """Return places of n pixels, their rows and their columns."""
    rows, cols = np.divmod(np.random.default_rng(seed).choice(PIXELS, n, replace=False), EDGE)
    x, y = BOX.affine.c + 10 * cols + 5, BOX.affine.f - 10 * rows - 5
    return gpd.GeoSeries(gpd.points_from_xy(x, y), crs=3035), rows, cols


def one_stratum(n: int) -> DesignSample:
    sample = Stratified(np.zeros(n, np.int64), np.array([PIXELS]), finite=False)
    return DesignSample(np.ones(n, bool), sample, "by hand")


def alone(taken: DesignSample, label: np.ndarray, mapped: np.ndarray) -> Figures:
    place = {c: k for k, c in enumerate(LEGEND.ids)}
    at = [np.array([place[c] for c in ids.tolist()]) for ids in (label, mapped)]
    counted = np.zeros(len(LEGEND.ids))
    counted[[place[FOREST], place[WATER]]] = KM2 * 2 / 3, KM2 / 3
    return figures_of(taken.sample, at[0], at[1], np.ones(len(label)), counted, "wald")


def truth(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return reference classes that the guesses tell something of."""
    chance = np.random.default_rng(9).random(len(rows))
    return np.where(0.5 * guess()[0, rows, cols] + 0.2 > chance, FOREST, WATER).astype(np.uint8)


def estimate(shares: xr.DataArray, n: int = 40) -> dict[int, tuple[Figure, float, float]]:
    places, rows, cols = points(n)
    label, taken = truth(rows, cols), one_stratum(n)
    given = alone(taken, label, class_map().to_numpy()[rows, cols])
    return assisted_areas(taken, places, label, given, class_map(), shares, LEGEND, "wald")


def test_a_grid_may_state_its_places_with_other_last_digits() -> None:
    """As files do whose headers other tools wrote."""
    shares = probabilities(guess())
    off = shares.assign_coords(x=shares["x"] + 1e-7, y=shares["y"] - 1e-7)
    assert estimate(off) == estimate(shares)


def test_the_area_is_the_difference_estimator_with_numpys_regression_slope() -> None:
    """For a simple random sample, PPI++'s λ is cov(y, f) / var(f), here between 0 and 1."""
    _, rows, cols = points()
    y = (truth(rows, cols) == FOREST).astype(float)
    f = guess()[0, rows, cols].astype(float)
    slope = np.cov(y, f)[0, 1] / np.var(f, ddof=1)
    assert 0 < slope < 1
    share = y.mean() + slope * (guess()[0].astype(float).mean() - f.mean())
    error = np.sqrt(np.var(y - slope * f, ddof=1) / len(y))
    area, tuned, gain = estimate(probabilities(guess()))[FOREST]
    assert tuned == pytest.approx(slope, rel=1e-6)
    assert area.value == pytest.approx(share * KM2, rel=1e-6)
    assert area.error == pytest.approx(error * KM2, rel=1e-6)
    assert (area.low, area.high) == pytest.approx(
        (area.value - 1.959964 * area.error, area.value + 1.959964 * area.error), rel=1e-6
    )
    assert gain == pytest.approx(np.var(y, ddof=1) / len(y) / error**2, rel=1e-6)
    assert gain > 1


def test_both_classes_of_two_share_the_map_between_them() -> None:
    found = estimate(probabilities(guess()))
    assert found[FOREST][0].value + found[WATER][0].value == pytest.approx(KM2)
    assert found[FOREST][0].error == pytest.approx(found[WATER][0].error)


def test_guesses_that_tell_nothing_leave_the_points_alone() -> None:
    """Constant guesses have no variance: λ is 0 and no point is saved."""
    flat = np.full((2, EDGE, EDGE), 0.5, np.float32)
    _, rows, cols = points()
    area, tuned, gain = estimate(probabilities(flat))[FOREST]
    assert tuned == 0
    assert gain == pytest.approx(1)
    assert area.value == pytest.approx((truth(rows, cols) == FOREST).mean() * KM2)


def test_guesses_against_the_labels_are_not_turned_around() -> None:
    area, tuned, _ = estimate(probabilities(1 - guess()))[FOREST]
    assert tuned == 0  # clipped: λ would be negative
    assert area.low < area.value < area.high


def test_steps_of_uint8_are_shares_of_250() -> None:
    steps = np.rint(250 * guess()).astype(np.uint8)
    scaled, plain = (
        estimate(probabilities(s)) for s in (steps, steps.astype(np.float32) / np.float32(250))
    )
    assert scaled[FOREST][0].value == pytest.approx(plain[FOREST][0].value, rel=1e-6)
    assert scaled[FOREST][1] == pytest.approx(plain[FOREST][1], rel=1e-6)


@pytest.mark.parametrize("names", [["forest", "water"], ["Forests", "Water bodies"], ["8", "12"]])
def test_classes_are_found_by_slug_name_and_id(names: list[str]) -> None:
    known = [
        LEGEND.by_id[c].name if n[0].isupper() else n for c, n in zip((8, 12), names, strict=True)
    ]
    assert list(estimate(probabilities(guess(), known))) == [FOREST, WATER]


@pytest.mark.parametrize("chunks", [(2, 12, 12), (1, 5, 7), (1, 1, 12)])
def test_any_chunking_gives_the_same(chunks: tuple[int, int, int]) -> None:
    lazy = probabilities(guess()).copy(data=da.from_array(guess()).rechunk(chunks))
    for class_id, (area, tuned, gain) in estimate(lazy).items():
        whole = estimate(probabilities(guess()))[class_id]
        assert area.value == pytest.approx(whole[0].value, rel=1e-9)
        assert (tuned, gain) == pytest.approx(whole[1:], rel=1e-6)


@pytest.mark.parametrize("none", [255, np.nan])
def test_pixels_of_the_map_without_a_probability_are_refused(none: float) -> None:
    values = np.rint(250 * guess()).astype(np.uint8) if none == 255 else guess()
    values[:, 3, 4:6] = none
    with pytest.raises(InputError) as refused:
        estimate(probabilities(values))
    assert refused.value.given == "2 pixels of the map have no probability"
    assert refused.value.advice == "give the probabilities of this map"


def test_where_the_map_has_no_class_none_is_asked_for() -> None:
    values = guess()
    values[:, :2] = np.nan
    places, rows, cols = points()
    label, taken = truth(rows, cols), one_stratum(len(rows))
    given = alone(taken, label, class_map().to_numpy()[rows, cols])
    found = assisted_areas(
        taken, places, label, given, class_map(hole=2), probabilities(values), LEGEND, "wald"
    )
    on_map = rows >= 2
    y = (label == FOREST)[on_map]
    f, mean = values[0, rows, cols][on_map].astype(float), values[0, 2:].astype(float).mean()
    slope = np.cov(y, f)[0, 1] / np.var(f, ddof=1)
    expected = (y.mean() + slope * (mean - f.mean())) * KM2
    # λ is that of the domain's ratio estimator, a trifle off the slope among the points in it.
    assert found[FOREST][0].value == pytest.approx(expected, rel=2e-3)


def test_a_networks_class_of_unlabeled_ground_is_left_out() -> None:
    ground = np.concatenate([np.full((1, EDGE, EDGE), 0.1, np.float32), guess()])
    found = estimate(probabilities(ground, [0, FOREST, WATER]))
    assert found == estimate(probabilities(guess()))


def test_rasters_of_another_place_or_class_are_refused() -> None:
    away = georeference(
        guess(),
        target_geobox((0, 0, 10 * EDGE, 10 * EDGE)),
        dims=("class", "y", "x"),
        coords={"class": [FOREST, WATER]},
    )
    with pytest.raises(InputError, match="the raster of probabilities .* is not on the grid"):
        estimate(away)
    with pytest.raises(InputError, match="no class 'lake'"):
        estimate(probabilities(guess(), ["forest", "lake"]))
