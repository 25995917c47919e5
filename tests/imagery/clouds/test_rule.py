"""The rule on reflectances: pixels of known ground, dates, and the sun's place and shadows."""

import math
from pathlib import Path

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from pyproj import Transformer

import osm4eo_xr as oxr
from osm4eo_xr.catalogs.items import read_items
from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.clouds.dates import compare_dates
from osm4eo_xr.imagery.clouds.rule import CLOUD, DARK, FAINT, look_at_pixels
from osm4eo_xr.imagery.clouds.shadows import shaded
from osm4eo_xr.imagery.clouds.sun import Sun, steps_to_sun, sun_position

PLACES = {"blue": 0, "green": 1, "red": 2, "nir": 3, "swir16": 4, "cirrus": 5}
GROUND = {
    "cloud": ([0.45, 0.44, 0.43, 0.50, 0.30, 0.0], CLOUD + FAINT),
    "thin cloud": ([0.115, 0.11, 0.12, 0.25, 0.20, 0.0], FAINT),
    "high cirrus": ([0.04, 0.06, 0.05, 0.30, 0.20, 0.02], CLOUD),
    "meadow": ([0.04, 0.07, 0.04, 0.40, 0.20, 0.0], 0),
    "bare soil": ([0.20, 0.22, 0.26, 0.30, 0.45, 0.0], 0),
    "snow": ([0.90, 0.90, 0.88, 0.85, 0.05, 0.0], 0),
    "clear lake": ([0.12, 0.10, 0.06, 0.03, 0.01, 0.0], 0),
    "shadow on a meadow": ([0.02, 0.02, 0.015, 0.10, 0.05, 0.0], DARK),
    "no data": ([np.nan] * 6, 0),
}


@pytest.mark.parametrize("name", GROUND)
def test_ground_and_clouds_are_told_apart(name: str) -> None:
    reflectance, code = GROUND[name]
    block = np.array(reflectance, np.float32)[:, np.newaxis, np.newaxis]
    rule = oxr.CloudRule()
    assert look_at_pixels(block, PLACES, rule, rule.limit("2A", None)) == code


def test_clear_air_under_a_low_sun_is_no_haze_at_level_1c() -> None:
    rule = oxr.CloudRule()
    assert rule.limit("1C", None) == pytest.approx(0.08, abs=1e-3)  # Fmask's
    assert rule.limit("1C", 65) == pytest.approx(0.099, abs=1e-3)
    assert rule.limit("2A", 65) == 0.06
    assert oxr.CloudRule(haze=0.05).limit("2A", None) == 0.05


def test_what_is_as_blue_as_on_other_dates_is_ground() -> None:
    roof, cloud, thin, reddened = (
        np.array(blue, np.float32)
        for blue in (
            [0.3] * 4,
            [0.3, 0.05, 0.05, 0.05],
            [0.10, 0.05, 0.05, 0.05],
            [0.1] + [0.05] * 3,
        )
    )
    blue = np.stack([roof, cloud, thin, reddened], axis=-1)[:, np.newaxis]
    red = blue.copy()
    red[0, 0, 3] = 0.05 + 2 * 0.05  # a field that was plowed
    codes = np.zeros(blue.shape, np.uint8)
    codes[:, :, 0] = codes[0, 0, 1] = CLOUD + FAINT
    codes[0, 0, 2:] = FAINT
    made = compare_dates(codes, blue, red, np.array([0.0, 3, 5, 8]), 0.03)
    np.testing.assert_array_equal(made[:, 0] & CLOUD, [[0, 1, 1, 0]] + [[0] * 4] * 3)
    two = compare_dates(codes[:2], blue[:2], red[:2], np.array([0.0, 3]), 0.03)
    assert (two[:, 0, 0] & CLOUD).all()  # two dates are too few to call it ground


def test_years_between_dates_acquit_no_cloud() -> None:
    """What is allowed for change grows with the days between; it must not grow to hold a cloud."""
    cloud, roof = np.array([0.5, 0.5, 0.5, 0.04]), np.full(4, 0.3)
    blue = np.stack([cloud, roof], axis=-1).astype(np.float32)[:, np.newaxis]
    codes = np.full(blue.shape, CLOUD + FAINT, np.uint8)
    codes[3, 0, 0] = 0
    for years in (0, 1, 2, 20):
        days = np.array([0.0, 10, 30, 20 + 365.0 * years])
        made = compare_dates(codes, blue, blue, days, 0.03) & CLOUD
        np.testing.assert_array_equal(made[:, 0, 0], [CLOUD] * 3 + [0])
        assert not made[:, 0, 1].any()


def test_the_sun_stands_where_the_almanac_and_the_products_say(data_dir: Path) -> None:
    # Worked example of NREL's solar position algorithm (Reda & Andreas 2008), less its refraction.
    sun = sun_position(np.datetime64("2003-10-17T19:30:30"), -105.1786, 39.742476)
    assert sun.azimuth == pytest.approx(194.3402, abs=0.02)
    assert sun.zenith == pytest.approx(50.1279, abs=0.02)
    for item in read_items(data_dir / "stac_33TW" / "catalog.json"):
        (left, size, top) = (item["assets"]["red"]["proj:transform"][k] for k in (2, 0, 5))
        middle = left + size * 5490, top - size * 5490
        lon, lat = Transformer.from_crs(
            item["properties"]["proj:epsg"], 4326, always_xy=True
        ).transform(*middle)
        time = np.datetime64(item["properties"]["datetime"].removesuffix("Z"))
        sun, told = sun_position(time, lon, lat), item["properties"]
        assert sun.azimuth == pytest.approx(told["view:sun_azimuth"], abs=1.0)
        assert sun.zenith == pytest.approx(90 - told["view:sun_elevation"], abs=0.4)


def test_shadows_fall_away_from_the_sun_in_any_crs() -> None:
    for epsg, place in ((32633, (500000, 5100000)), (3035, (2700000, 1900000)), (4326, (15, 46))):
        size = 1e-4 if epsg == 4326 else 10
        x, y = place
        grid = GeoBox.from_bbox((x, y, x + 200 * size, y + 200 * size), epsg, resolution=size)
        steps = steps_to_sun(grid, Sun(azimuth=0, zenith=45), (500, 2000))
        to_degrees = Transformer.from_crs(epsg, 4326, always_xy=True)
        lon, lat = to_degrees.transform(x + 100 * size, y + 100 * size)
        row, col = steps[-1]
        north = to_degrees.transform(x + (100 + col) * size, y + (100 - row) * size)
        assert (north[1] - lat) * 111_200 == pytest.approx(2000, rel=0.01)
        assert (north[0] - lon) * 111_200 * math.cos(math.radians(lat)) == pytest.approx(0, abs=20)
        assert abs(steps[0][0]) / abs(steps[-1][0]) == pytest.approx(0.25, abs=0.02)
        assert len(np.unique(steps, axis=0)) == len(steps)
    assert not len(steps_to_sun(grid, None, (500, 2000)))
    assert not len(steps_to_sun(grid, Sun(0, 85), (500, 2000)))


def test_shaded_pixels_are_those_that_a_plain_search_finds() -> None:
    rng = np.random.default_rng(3)
    cloud, dark = rng.random((17, 23)) < 0.03, rng.random((17, 23)) < 0.5
    steps = np.array([[1, 0], [2, 1], [3, 1], [-4, -9]])
    expected = np.zeros_like(cloud)
    for row, col in np.argwhere(dark):
        for a, b in steps:
            there = row + a, col + b
            if 0 <= there[0] < 17 and 0 <= there[1] < 23 and cloud[there]:
                expected[row, col] = True
    assert expected.any()
    np.testing.assert_array_equal(shaded(cloud, dark, steps), expected)


def test_thresholds_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="whiteness=-1"):
        oxr.CloudRule(whiteness=-1)
    with pytest.raises(InputError, match="heights=3000, 200"):
        oxr.CloudRule(heights=(3000, 200))
