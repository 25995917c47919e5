"""The rule on reflectances as a lazy mask: bands, dates, sizes, and in words how it was made."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin
from scipy import ndimage

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.imagery.clouds.rule import NEEDED, USED, CloudRule
from osm4eo_xr.imagery.clouds.thresholds import _core, _grid_of, clouds_by_rule

EDGE = 60
BOX = GeoBox((EDGE, EDGE), from_origin(600_000, 5_500_000, 10, 10), "EPSG:32633")
GROUND = {"blue": 0.04, "green": 0.07, "red": 0.06, "nir": 0.3, "swir16": 0.15, "cirrus": 0.001}
CLOUD = {"blue": 0.6, "green": 0.6, "red": 0.6, "nir": 0.65, "swir16": 0.5, "cirrus": 0.005}
CLOUD_AT = (slice(20, 40), slice(10, 30))


def image(bands: tuple[str, ...] = USED, at: Any = CLOUD_AT) -> np.ndarray:
    """Return ground with one thick cloud."""
    pixels = np.array([GROUND.get(b, 0.1) for b in bands], np.float32)
    found = np.repeat(pixels, EDGE * EDGE).reshape(len(bands), EDGE, EDGE)
    if at is not None:
        found[:, *at] = np.array([CLOUD.get(b, 0.3) for b in bands], np.float32)[:, None, None]
    return found


def cube(*images: np.ndarray, chunks: Any = -1, bands: tuple[str, ...] = USED) -> xr.DataArray:
    times = np.array(["2021-06-01", "2021-06-11", "2021-06-21"], "datetime64[ns]")[: len(images)]
    dims = ("time", "band", "y", "x")
    coords: Any = {"time": times, "band": list(bands)}
    data = da.from_array(np.stack(images)).rechunk((1, -1, chunks, chunks))
    return georeference(data, BOX, dims=dims, coords=coords)


BARE = CloudRule(shadows=False)


def masked(raster: xr.DataArray, rule: CloudRule = BARE, **how: Any) -> np.ndarray:
    options: dict[str, Any] = {"level": "2A", "sun": None, "dilation": 0} | how
    return np.asarray(clouds_by_rule(raster, rule, **options)[0].compute())


def test_a_thick_cloud_is_found_where_it_is() -> None:
    expected = np.zeros((EDGE, EDGE), bool)
    expected[CLOUD_AT] = True
    np.testing.assert_array_equal(masked(cube(image()))[0], expected)
    assert not masked(cube(image(at=None))).any()


@pytest.mark.parametrize("radius", [1, 3])
def test_clouds_grow_by_a_disc_as_scipys(radius: int) -> None:
    found = masked(cube(image()), dilation=radius)[0]
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    plain = masked(cube(image()))[0]
    grown = ndimage.binary_dilation(plain, y**2 + x**2 <= radius**2)
    np.testing.assert_array_equal(found, grown)


@settings(max_examples=4)
@given(chunks=st.integers(9, EDGE), dilation=st.integers(0, 5))
def test_any_chunking_gives_the_same_mask_and_keeps_its_chunks(chunks: int, dilation: int) -> None:
    images = (image(), image(at=(slice(5, 30), slice(25, 55))), image(at=None))
    whole = masked(cube(*images), dilation=dilation)
    lazy, _ = clouds_by_rule(cube(*images, chunks=chunks), BARE, "2A", None, dilation)
    assert lazy.chunks[0] == (1, 1, 1)
    np.testing.assert_array_equal(lazy.compute(), whole)


@pytest.mark.usefixtures("no_compute")
def test_the_mask_is_lazy() -> None:
    clouds_by_rule(cube(image(), image()), BARE, "2A", (150.0, 40.0), 2)


@pytest.mark.parametrize("missing", NEEDED)
def test_a_band_that_the_rule_needs_is_named(missing: str) -> None:
    bands = tuple(b for b in USED if b != missing)
    with pytest.raises(InputError) as refused:
        masked(cube(image(bands), bands=bands))
    assert refused.value.given == (
        f"the rule for clouds needs {', '.join(NEEDED)}; the scene lacks {missing}"
    )
    assert refused.value.advice == "open it with these bands, or use another method"


def test_bands_in_another_order_and_further_ones_change_nothing() -> None:
    bands = (*USED[::-1], "dem")
    found = masked(cube(image(bands), bands=bands))
    np.testing.assert_array_equal(found, masked(cube(image())))


def test_shadows_fall_away_from_the_sun_and_need_one() -> None:
    dark = image()
    # Sun in the south, 45 degrees high: shadows fall to the north, as far as clouds are high.
    dark[:, 0:20, 10:30] *= 0.25
    with_sun = masked(cube(dark), CloudRule(), sun=(180.0, 45.0))[0]
    without, words = clouds_by_rule(cube(dark), CloudRule(), "2A", None, 0)
    assert with_sun[:20, 10:30].mean() > 0.5
    assert "shadows by the sun" in words or "the sun is not known" in words
    bare = masked(cube(dark), BARE, sun=(180.0, 45.0))[0]
    assert not bare[:20].any()
    assert without.shape == (1, EDGE, EDGE)


def test_words_tell_level_limit_and_why_there_are_no_shadows() -> None:
    words = clouds_by_rule(cube(image()), BARE, "2A", (180.0, 45.0), 0)[1]
    assert words.startswith("threshold rule of level 2A, blue - red / 2 above ")
    assert words.endswith("; no shadows: left out")
    both = clouds_by_rule(cube(image(), image()), CloudRule(), "2A", (180.0, 45.0), 0)[1]
    assert "shadows by the sun (azimuth 180.0, zenith 45.0)" in both


@pytest.mark.parametrize(
    ("meters", "smallest", "expected"),
    [(10, 200.0, 9), (20, 200.0, 4), (60, 200.0, 1), (10, 10.0, 0), (500, 200.0, 0)],
)
def test_the_smallest_cloud_is_counted_in_pixels(
    meters: float, smallest: float, expected: int
) -> None:
    """(200 / 10 - 1) / 2 pixels on each side of the middle one, rounded down."""
    grid = GeoBox((4, 4), from_origin(0, 0, meters, meters), "EPSG:32633")
    assert _core(grid, CloudRule(smallest=smallest)) == expected


def test_degrees_are_counted_as_meters_and_no_grid_is_none() -> None:
    grid = GeoBox((4, 4), from_origin(8, 50, 10 / 111_200, 10 / 111_200), "EPSG:4326")
    assert _core(grid, CloudRule(smallest=200.0)) == 9
    assert _core(None, CloudRule()) == 0
    placeless = xr.DataArray(np.zeros((1, 1, 4, 4)), dims=("time", "band", "y", "x"))
    assert _grid_of(placeless) is None
