"""Windows warped apart are those of GDAL's warp of the whole, whatever the grids and the cuts."""

from inspect import signature
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.transform import Affine, from_origin
from rasterio.warp import reproject

from osm4eo_xr.errors import InputError
from osm4eo_xr.rasters.warp import _near_one, plan_warp, refuse_apart, warp_options

LEFT, TOP = 600_000, 5_500_000
SOURCE = GeoBox((80, 100), from_origin(LEFT, TOP, 10, 10), "EPSG:32633")
SHIFTED = GeoBox((50, 60), from_origin(LEFT + 103, TOP - 97, 10, 10), "EPSG:32633")
COARSE = GeoBox((20, 25), from_origin(LEFT + 50, TOP - 50, 30, 30), "EPSG:32633")
EQUAL = GeoBox((60, 70), from_origin(4_781_700, 2_967_900, 10, 10), "EPSG:3035")
DEGREES = GeoBox((60, 60), from_origin(16.3846, 49.6432, 0.00013, 0.0001), "EPSG:4326")
GRIDS = {"shifted": SHIFTED, "coarse": COARSE, "equal area": EQUAL, "degrees": DEGREES}
HOW = ("nearest", "bilinear", "cubic", "average", "mode")


def numbers(seed: int = 0, holes: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.integers(1, 9, (2, *SOURCE.shape)).astype(np.float32)
    found[rng.random(found.shape) < holes] = np.nan
    return found


def warped(target: GeoBox, how: str, rows: slice, cols: slice, given: np.ndarray) -> np.ndarray:
    """Return one window, from no more than the source pixels that it asks for."""
    warp = plan_warp(SOURCE, target, how)
    window = warp.source_window(rows, cols)
    shape = (len(given), rows.stop - rows.start, cols.stop - cols.start)
    if window is None:
        return np.full(shape, np.nan, np.float32)
    return warp.apply(given[:, window[0], window[1]], window, rows, cols)


def whole(target: GeoBox) -> tuple[slice, slice]:
    return slice(0, target.shape[0]), slice(0, target.shape[1])


def by_gdal(target: GeoBox, how: str, given: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    out = np.full((len(given), *target.shape), np.nan, np.float32)
    options: Any = warp_options(scale)
    reproject(
        given,
        out,
        src_transform=SOURCE.affine,
        src_crs=str(SOURCE.crs),
        dst_transform=target.affine,
        dst_crs=str(target.crs),
        src_nodata=np.nan,
        dst_nodata=np.nan,
        resampling=Resampling[how],
        tolerance=1e-6,
        **options,
    )
    return out


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("how", HOW)
def test_the_whole_is_what_gdal_makes_of_it(grid: str, how: str) -> None:
    target, given = GRIDS[grid], numbers()
    if target.crs != SOURCE.crs and "tolerance" not in signature(reproject).parameters:
        pytest.skip("rasterio before 1.5 warps between CRSs by approximation alone")
    expected = by_gdal(target, how, given, plan_warp(SOURCE, target, how).step)
    found = warped(target, how, *whole(target), given)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-5, equal_nan=True)
    assert np.isfinite(found).any()


@settings(max_examples=10)
@given(
    grid=st.sampled_from(sorted(GRIDS)),
    how=st.sampled_from(HOW),
    rows=st.integers(1, 59),
    cols=st.integers(1, 59),
)
def test_any_cut_gives_the_same_pixels(grid: str, how: str, rows: int, cols: int) -> None:
    target, given = GRIDS[grid], numbers(1)
    together = warped(target, how, *whole(target), given)
    height, width = target.shape
    rows, cols = min(rows, height - 1) or 1, min(cols, width - 1) or 1
    for part in (
        (slice(0, rows), slice(0, cols)),
        (slice(rows, height), slice(cols, width)),
        (slice(0, rows), slice(cols, width)),
    ):
        if part[0].start < part[0].stop and part[1].start < part[1].stop:
            apart = warped(target, how, *part, given)
            np.testing.assert_allclose(
                apart, together[:, part[0], part[1]], rtol=1e-5, atol=1e-4, equal_nan=True
            )


@pytest.mark.parametrize(("down", "right"), [(0, 0), (7, 13), (-7, -13), (60, 90)])
def test_on_the_same_grid_pixels_are_moved_and_not_resampled(down: int, right: int) -> None:
    target = GeoBox((40, 40), from_origin(LEFT + 10 * right, TOP - 10 * down, 10, 10), SOURCE.crs)
    given = numbers(2)
    padded = np.full((2, 200, 240), np.nan, np.float32)
    padded[:, 50:130, 60:160] = given
    expected = padded[:, 50 + down : 90 + down, 60 + right : 100 + right]
    for how in HOW:
        np.testing.assert_array_equal(warped(target, how, *whole(target), given), expected)


def test_a_grid_elsewhere_needs_nothing_and_is_refused_as_a_whole() -> None:
    for far in (
        GeoBox((10, 10), from_origin(LEFT + 10**5, TOP, 10, 10), "EPSG:32633"),
        GeoBox((10, 10), from_origin(0, 0, 10, 10), "EPSG:3035"),
    ):
        warp = plan_warp(SOURCE, far, "cubic")
        assert warp.source_window(*whole(far)) is None
        with pytest.raises(InputError) as refused:
            refuse_apart([warp], "a.tif")
        assert refused.value.given.startswith(
            "a.tif does not touch the grid: it covers lon/lat (16."
        )
        assert refused.value.advice == "choose files of that place"
        refuse_apart([warp, plan_warp(far.pad(2), far, "nearest")], "a.tif")  # one does


def test_an_unknown_method_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError) as refused:
        plan_warp(SOURCE, COARSE, "lanczos")
    assert refused.value.given == "resampling 'lanczos' is unknown"
    assert refused.value.advice == "use one of nearest, bilinear, cubic, average, mode"


@pytest.mark.parametrize(
    ("target", "step"),
    [(SHIFTED, (1.0, 1.0)), (COARSE, (3.0, 3.0)), (EQUAL, (1.0, 1.0))],
)
def test_steps_are_source_pixels_per_target_pixel(
    target: GeoBox, step: tuple[float, float]
) -> None:
    assert plan_warp(SOURCE, target, "cubic").step == pytest.approx(step, rel=1e-9)
    oblong = GeoBox((20, 20), Affine(40, 0, LEFT, 0, -20, TOP), "EPSG:32633")
    assert plan_warp(SOURCE, oblong, "cubic").step == pytest.approx((4, 2))


@pytest.mark.parametrize("more", [(0, 0, 0, 0), (9000, 0, 0, 0), (52_000, 30_000, 200, 9000)])
@pytest.mark.parametrize("how", ["cubic", "average"])
def test_pixels_are_those_of_a_grid_that_ends_with_the_source(
    how: str, more: tuple[int, int, int, int]
) -> None:
    """Degrees are narrower farther north: the middle of a large grid says nothing of this place."""
    x, y = 0.0004, 0.0004
    own = GeoBox((20, 30), from_origin(16.3846, 49.6432, x, y), "EPSG:4326")
    north, south, west, east = more
    place = from_origin(16.3846 - west * x, 49.6432 + north * y, x, y)
    large = GeoBox((20 + north + south, 30 + west + east), place, "EPSG:4326")
    given = numbers(5, holes=0)
    expected = warped(own, how, *whole(own), given)
    assert np.isfinite(expected).sum() > 500
    found = warped(large, how, slice(north, north + 20), slice(west, west + 30), given)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert plan_warp(SOURCE, large, how).step == plan_warp(SOURCE, own, how).step


def test_a_source_of_the_whole_earth_has_the_step_of_the_targets_place() -> None:
    earth = GeoBox((1800, 3600), from_origin(-180, 90, 0.1, 0.1), "EPSG:4326")
    x, y = plan_warp(earth, SOURCE, "cubic").step
    assert (x, y) == pytest.approx((1 / 720, 1 / 1111), rel=0.05)


@pytest.mark.parametrize(
    ("step", "expected"), [(1.04, 1.0), (0.96, 1.0), (1.06, 1.06), (0.0, 1.0), (float("nan"), 1.0)]
)
def test_pixels_of_nearly_one_size_are_not_filtered(step: float, expected: float) -> None:
    assert _near_one(step) == expected


def test_bands_do_not_hide_each_others_pixels() -> None:
    given: Any = numbers(3, holes=0)
    given[0, 30:50] = np.nan
    found = warped(SHIFTED, "bilinear", *whole(SHIFTED), given)
    assert np.isnan(found[0]).any()
    assert not np.isnan(found[1]).any()
    np.testing.assert_array_equal(
        found[1], warped(SHIFTED, "bilinear", *whole(SHIFTED), given[1:])[0]
    )


def test_of_no_data_alone_nothing_comes() -> None:
    empty = np.full((2, *SOURCE.shape), np.nan, np.float32)
    assert np.isnan(warped(COARSE, "average", *whole(COARSE), empty)).all()
