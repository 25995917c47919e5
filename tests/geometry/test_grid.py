import itertools

import numpy as np
import pyproj
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.crs import CRS

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import (
    check_grid,
    first_pixel,
    geobox_of,
    georeference,
    grid_text,
    same_grid,
    target_geobox,
)


def test_target_grid_is_snapped_and_covers_the_bounds() -> None:
    geobox = target_geobox((4321003, 3210007, 4322001, 3211005))
    assert str(geobox.crs) == "EPSG:3035"
    assert tuple(geobox.boundingbox) == (4321000, 3210000, 4322010, 3211010)
    assert geobox.shape == (101, 101)


def test_bounds_in_degrees_are_projected() -> None:
    geobox = target_geobox((9.47, 47.04, 9.64, 47.27), bounds_crs="EPSG:4326")
    left, bottom, right, top = geobox.boundingbox
    assert 4_280_000 < left < right < 4_310_000
    assert all(v % 10 == 0 for v in (left, bottom, right, top))


@pytest.mark.parametrize("bounds", [(1, 1, 0, 2), (0, 0, float("nan"), 1)])
def test_empty_bounds_are_refused(bounds: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError, match="empty"):
        target_geobox(bounds)


@pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:32633", "EPSG:4326"])
def test_georeference_and_geobox_of_are_inverse(crs: str) -> None:
    geobox = GeoBox((7, 5), target_geobox((0, 0, 70, 50)).affine, crs)
    raster = georeference(np.zeros((3, 7, 5), np.uint8), geobox, dims=("band", "y", "x"))
    assert geobox_of(raster) == geobox
    assert raster.y[0] > raster.y[-1]


def test_raster_without_crs_is_refused() -> None:
    with pytest.raises(InputError, match="no CRS"):
        geobox_of(xr.DataArray(np.zeros((2, 2)), dims=("y", "x"), name="classes"))


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match="does not fit"):
        georeference(np.zeros((2, 2)), target_geobox((0, 0, 100, 100)))


def test_same_grid_ignores_extent_but_not_position() -> None:
    geobox = target_geobox((0, 0, 1000, 1000))
    assert same_grid(geobox, geobox[3:40, 5:9])
    shifted = GeoBox(geobox.shape, Affine.translation(3, 0) @ geobox.affine, geobox.crs)
    assert not same_grid(geobox, shifted)
    assert not same_grid(geobox, target_geobox((0, 0, 1000, 1000), resolution=20))


def test_pixels_that_drift_apart_are_no_grid() -> None:
    """A size in degrees, written with few digits, looks like another and is not."""
    size, other = 8.98315e-05, 8.9825e-05
    whole, coarser = (
        GeoBox((9, 20_000), Affine(s, 0, 13, 0, -s, 52), "EPSG:4326") for s in (size, other)
    )
    assert not same_grid(whole, coarser)
    assert not same_grid(whole, coarser[:, :300])
    rounded = GeoBox((9, 300), Affine(size * (1 + 1e-9), 0, 13, 0, -size, 52), "EPSG:4326")
    assert same_grid(whole, rounded)


@pytest.mark.parametrize(
    ("west", "north", "size"),
    [(339_885.0, 4_265_115.0, 30.0), (-75.0, -45.0, 30.0), (13.0, 48.0, 0.1), (0.15, -0.15, 0.1)],
)
def test_pixels_are_counted_alike_by_all_parts_of_a_grid(
    west: float, north: float, size: float
) -> None:
    """Landsat's edges lie half a pixel off the multiples of it, which no rounding may pair."""
    whole = GeoBox((40, 40), Affine(size, 0, west, 0, -size, north), "EPSG:32633")
    top, left = first_pixel(whole)
    for k, noise in itertools.product(range(6), (-5e-4, 0.0, 5e-4)):
        shift = Affine.translation(size * (k + noise), -size * (2 * k - noise))
        part = GeoBox((5, 5), shift @ whole.affine, whole.crs)
        assert same_grid(whole, part)
        assert first_pixel(part) == (top + 2 * k, left + k)


@pytest.mark.parametrize(
    ("crs", "affine", "shape", "given"),
    [
        ("EPSG:4978", Affine(10, 0, 0, 0, -10, 0), (4, 5), "CRS 'EPSG:4978'"),
        ('LOCAL_CS["x",UNIT["metre",1]]', Affine(10, 0, 0, 0, -10, 0), (4, 5), "CRS 'x'"),
        ("EPSG:3035", Affine(0, 0, 1, 0, 0, 1), (4, 5), "transform (0.0, 0.0"),
        ("EPSG:3035", Affine(10, 0, 1, 0, 0, 1), (4, 5), "transform (10.0, 0.0"),
        ("EPSG:3035", Affine(10, 0, np.nan, 0, -10, 1), (4, 5), "transform (10.0, 0.0, nan"),
        ("EPSG:3035", Affine(1e300, 0, 0, 0, -1e300, 0), (4, 5), "transform (1e+300"),
        ("EPSG:3035", Affine(10, 0, 0, 0, -10, 0), (1, 2 * 10**9), "2,000,000,000 x 1 pixels"),
    ],
)
def test_grids_that_are_none_are_refused(
    crs: str, affine: Affine, shape: tuple[int, int], given: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_grid(GeoBox(shape, affine, crs), "a.tif")
    assert f"a.tif {'claims' if 'pixels' in given else 'has the'} {given}" in caught.value.given
    assert caught.value.expected
    assert caught.value.advice


@pytest.mark.parametrize("crs", ["EPSG:25832+5783", "EPSG:4326", "EPSG:4979", "EPSG:3035"])
def test_grids_on_the_ground_pass(crs: str) -> None:
    place = Affine(0.1, 0.01, 0, 0, 0.1, 0)
    box = GeoBox((4, 5), place, CRS.from_user_input(crs))  # sheared, south up: still ground
    assert check_grid(box, "a.tif") is box


def test_a_grid_is_stated_in_the_same_words_in_each_process() -> None:
    affine = Affine(10, 0, 4_495_590, 0, -10, 3_270_280)
    words = ("EPSG:3035", CRS.from_epsg(3035).to_wkt(), pyproj.CRS(3035).to_wkt())
    grids = [GeoBox((7, 5), affine, text) for text in words]
    assert grids[0] == grids[1] == grids[2]
    assert len({str(grid.crs.proj.to_wkt()) for grid in grids if grid.crs}) > 1
    assert {grid_text(grid) for grid in grids} == {
        "(7, 5) (10.0, 0.0, 4495590.0, 0.0, -10.0, 3270280.0) EPSG:3035"
    }
    nameless = pyproj.CRS("+proj=laea +lat_0=50 +lon_0=9 +ellps=GRS80").to_wkt()
    assert grid_text(GeoBox((7, 5), affine, nameless)).endswith(nameless)
    assert grid_text(GeoBox((7, 5), affine, None)).endswith("no CRS")
