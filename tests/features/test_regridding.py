"""Arrays from one grid to another: coordinates, whole and half pixels, means, and refusals."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from osm4eo_xr.errors import InputError
from osm4eo_xr.features.regridding import regrid
from tests.cases.train_case import box

ROWS, COLS = 30, 36
GRID = box(ROWS, COLS)
NUMBERS = np.random.default_rng(0).normal(size=(2, ROWS, COLS)).astype(np.float32)


def onto(data: Any, source: GeoBox, target: GeoBox, method: str, chunks: int = 7) -> np.ndarray:
    found = regrid(data, source, target, resampling=method, chunks=chunks, name="x")
    return found.compute(scheduler="sync")


@settings(max_examples=20)
@given(
    st.integers(-20, 20),
    st.integers(-20, 20),
    st.integers(4, 50),
    st.tuples(st.integers(5, ROWS), st.integers(5, COLS)),
)
def test_pixels_that_both_grids_share_are_moved_and_all_others_are_no_data(
    top: int, left: int, chunks: int, cut: tuple[int, int]
) -> None:
    rows, cols = 25, 28
    lazy = da.from_array(NUMBERS, chunks=(1, *cut))  # pyright: ignore[reportArgumentType]
    found = onto(lazy, GRID, box(rows, cols, top, left), "cubic", chunks)
    around = np.pad(NUMBERS, ((0, 0), (40, 40), (40, 40)), constant_values=np.nan)
    np.testing.assert_array_equal(
        found, around[:, 40 + top : 40 + top + rows, 40 + left : 40 + left + cols]
    )


def test_half_a_pixel_aside_lies_the_mean_of_four() -> None:
    aside = GeoBox((ROWS - 1, COLS - 1), GRID.affine * GRID.affine.translation(0.5, 0.5), GRID.crs)
    corners = NUMBERS.astype(np.float64)
    means = (
        corners[:, :-1, :-1] + corners[:, 1:, :-1] + corners[:, :-1, 1:] + corners[:, 1:, 1:]
    ) / 4
    np.testing.assert_allclose(onto(NUMBERS, GRID, aside, "bilinear"), means, atol=1e-5)


def test_a_coarse_pixel_is_the_mean_of_those_in_it_that_are_known() -> None:
    coarse = GeoBox((ROWS // 3, COLS // 3), GRID.affine * GRID.affine.scale(3), GRID.crs)
    holed = NUMBERS.copy()
    holed[:, 4, 7], holed[1, :3, :3] = np.nan, np.nan
    parts = holed.astype(np.float64).reshape(2, ROWS // 3, 3, COLS // 3, 3)
    with pytest.warns(RuntimeWarning, match="empty slice"):
        wanted = np.nanmean(parts, axis=(2, 4))
    assert np.isnan(wanted).sum() == 1
    np.testing.assert_allclose(onto(holed, GRID, coarse, "average"), wanted, atol=1e-6)


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
@pytest.mark.parametrize("chunks", [9, 1000])
def test_coordinates_come_onto_another_crs_as_pyproj_projects_them(
    method: str, chunks: int
) -> None:
    wide = box(120, 120)
    row, col = np.mgrid[0.5:120, 0.5:120]
    meters = np.stack([10 * col, -10 * row]).astype(np.float32)  # from the first corner
    middle = wide[40:41, 40:41].to_crs("EPSG:32633").boundingbox
    affine = GRID.affine.translation(middle.left, middle.top) * GRID.affine.scale(10, -10)
    utm = GeoBox((40, 44), affine, "EPSG:32633")
    rows, cols = np.mgrid[0.5:40, 0.5:44]
    to_laea = Transformer.from_crs("EPSG:32633", "EPSG:3035", always_xy=True)
    east, north = to_laea.transform(affine.c + 10 * cols, affine.f - 10 * rows)
    wanted = np.stack([east - wide.affine.c, north - wide.affine.f])
    np.testing.assert_allclose(onto(meters, wide, utm, method, chunks), wanted, atol=0.02)


def test_rows_from_south_to_north_are_turned_around() -> None:
    affine = GRID.affine * GRID.affine.translation(0, ROWS) * GRID.affine.scale(1, -1)
    found = onto(NUMBERS, GeoBox(GRID.shape, affine, GRID.crs), GRID, "nearest")
    np.testing.assert_array_equal(found, NUMBERS[:, ::-1])


@pytest.mark.usefixtures("no_compute")
def test_nothing_is_computed_and_the_same_grid_keeps_its_chunks() -> None:
    cut: Any = (1, 11, 13)
    lazy = da.from_array(NUMBERS, chunks=cut)
    same = regrid(lazy, GRID, box(ROWS, COLS), resampling="cubic", chunks=5, name="x")
    assert same.chunks == ((2,), (11, 11, 8), (13, 13, 10))
    moved = regrid(lazy, GRID, box(12, 9, 3, 3), resampling="cubic", chunks=5, name="x")
    assert (moved.chunks, moved.dtype) == (((2,), (5, 5, 2), (5, 4)), np.float32)


def test_grids_apart_and_unknown_methods_are_refused() -> None:
    with pytest.raises(InputError, match=r"^heights \(EPSG:3035, .*does not touch the grid") as far:
        regrid(NUMBERS, GRID, box(9, 9, 900), resampling="cubic", chunks=9, name="heights")
    assert far.value.advice == "give data of that place"
    with pytest.raises(InputError, match="resampling 'lanczos' is unknown") as method:
        regrid(NUMBERS, GRID, box(9, 9, 3), resampling="lanczos", chunks=9, name="x")
    assert "average" in method.value.advice
