"""Windows of several files as features: any index, whose pixel it is, and what is left unread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError

from osm4eo_xr.features.kernels import Backscatter, Plain, Terrain, Tessera, terrain
from osm4eo_xr.features.reader import FeatureReader, RasterInput, plan_reader
from osm4eo_xr.imagery.reader import Band
from osm4eo_xr.imagery.reflectance import Scaling
from osm4eo_xr.rasters.windows import stamp_of
from tests.cases.train_case import box
from tests.features.test_open_features import heights, write

ROWS, COLS = 24, 20
GRID = box(ROWS, COLS)
RNG = np.random.default_rng(0)


def source(
    path: Path,
    pixels: np.ndarray,
    places: tuple[int, ...],
    *,
    grid: GeoBox = GRID,
    scaling: Scaling | None = None,
) -> RasterInput:
    """Write a file and describe its bands."""
    name = write(path, pixels, grid=grid)
    numbers = scaling or Scaling(1.0, 0.0)
    bands = [
        Band(f"b{k}", name, stamp_of(name), k, grid, str(pixels.dtype), (8, 8), numbers)
        for k in range(1, len(pixels) + 1)
    ]
    return RasterInput(tuple(bands), places)


def plain(*inputs: RasterInput, channels: int) -> FeatureReader:
    return plan_reader(
        inputs, Plain(), GRID, channels=channels, features=channels, resampling="nearest"
    )


@pytest.fixture(scope="module")
def relief(tmp_path_factory: pytest.TempPathFactory) -> FeatureReader:
    """Heights of a file that ends within the grid."""
    grid = box(ROWS - 2, COLS + 9, -3, -4)
    path = tmp_path_factory.mktemp("reader") / "dem.tif"
    part = source(path, heights(grid), (0,), grid=grid)
    kernel = Terrain(("slope", "height", "aspect_cos"), (10.0, 10.0))
    return plan_reader((part,), kernel, GRID, channels=1, features=3, resampling="cubic")


def test_slopes_lie_up_to_a_files_edge_and_heights_on_it(relief: FeatureReader) -> None:
    exact = terrain(heights(box(ROWS - 2, COLS + 9, -3, -4))[0], (10.0, 10.0))
    found = relief[:]
    assert (found.shape, found.dtype) == (relief.shape, np.float32)
    np.testing.assert_array_equal(found[:, :18], exact[[1, 0, 3], 2:, 3 : 3 + COLS])
    assert np.isfinite(found[1, 18]).all()
    assert np.isnan(found[[0, 2], 18]).all()
    assert np.isnan(found[:, 19:]).all()


keys = st.one_of(
    st.slices(ROWS).filter(lambda s: s.step is None or s.step != 0),
    st.lists(st.integers(0, COLS - 1), min_size=1, max_size=4),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.integers(-3, 2), st.slices(3)), keys, keys)
def test_any_index_gives_what_it_gives_of_the_whole(
    relief: FeatureReader, layers: Any, rows: Any, cols: Any
) -> None:
    wanted = relief[:][layers][..., rows, :][..., cols]
    np.testing.assert_array_equal(relief[layers, rows, cols], wanted)


def test_channels_of_a_pixel_come_from_the_first_that_knows_all(tmp_path: Path) -> None:
    first, second = (np.full((2, ROWS, COLS), v, np.float32) for v in (1, 2))
    first[0, 0], first[:, 1], first[0, 2] = np.nan, np.nan, np.nan
    second[1, 1:3] = np.nan
    third = np.full((2, ROWS, COLS), 3, np.float32)
    third[1, 1] = np.nan
    inputs = [
        source(tmp_path / f"{k}.tif", pixels, (1, 0))
        for k, pixels in enumerate((first, second, third))
    ]
    found = plain(*inputs, channels=2)[:, :4, 5]
    # Row 0: the second knows all. 1: nobody does, the second was first to know any. 2: the third.
    np.testing.assert_array_equal(found[1], [2, 2, 3, 1])
    np.testing.assert_array_equal(found[0], [2, np.nan, 3, 1])


def test_each_file_has_a_scale_of_its_own(tmp_path: Path) -> None:
    numbers = RNG.integers(1, 1000, (1, ROWS, COLS)).astype(np.int16)
    west = source(
        tmp_path / "w.tif", numbers[..., :8], (0,), grid=box(ROWS, 8), scaling=Scaling(0.1, -5)
    )
    east = source(tmp_path / "e.tif", numbers[..., 8:], (0,), grid=box(ROWS, COLS - 8, 0, 8))
    found = plain(west, east, channels=1)[0]
    np.testing.assert_allclose(found[:, :8], numbers[0, :, :8] * 0.1 - 5, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[:, 8:], numbers[0, :, 8:])


@pytest.mark.parametrize("resampling", ["cubic", "bilinear", "average", "nearest"])
@pytest.mark.parametrize("pixel", [7.0, 10.0, 30.0])
def test_tiles_of_one_grid_show_no_seam(tmp_path: Path, pixel: float, resampling: str) -> None:
    """However the same heights are cut into files, slopes go on across their edges."""
    rows, cols = ROWS * 10 // int(pixel) + 8, COLS * 10 // int(pixel) + 8
    west, _, _, north = GRID.pad(3).boundingbox
    whole = GeoBox((rows, cols), Affine(pixel, 0, west + 4, 0, -pixel, north - 3), GRID.crs)
    pixels = RNG.normal(300, 40, (1, rows, cols)).astype(np.float32)
    down, over = rows // 2, cols // 2
    quarters = [np.s_[:down, over:], np.s_[down:, :over], np.s_[:down, :over], np.s_[down:, over:]]

    def features(cuts: list[Any]) -> np.ndarray:
        parts = tuple(
            source(tmp_path / f"{len(cuts)}-{k}.tif", pixels[0][cut][None], (0,), grid=whole[cut])
            for k, cut in enumerate(cuts)
        )
        kernel = Terrain(("slope", "height", "aspect_cos"), (10.0, 10.0))
        size: Any = {"channels": 1, "features": 3, "resampling": resampling}
        return plan_reader(parts, kernel, GRID, **size)[:]

    one, four = features([np.s_[:, :]]), features(quarters)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(four, one)


@pytest.mark.parametrize("kernel", [Backscatter(decibels=False), Tessera()])
def test_what_a_kernel_takes_for_none_is_of_the_tile_below(
    tmp_path: Path, kernel: Backscatter | Tessera
) -> None:
    """Power, and a scale, of 0 is none: where tiles overlap, the other one knows the pixel."""
    pixels = RNG.uniform(1, 2, (2, ROWS, COLS)).astype(np.float32)
    west, east = pixels[..., :12].copy(), pixels[..., 6:]
    west[-1, :, 9:] = 0
    size: Any = {"channels": 2, "features": len(kernel.after(pixels)), "resampling": "nearest"}
    parts = [
        source(tmp_path / f"{name}.tif", own, (0, 1), grid=grid)
        for name, own, grid in (("w", west, GRID[:, :12]), ("e", east, GRID[:, 6:]))
    ]
    wanted = kernel.after(kernel.before(pixels))
    for order in (parts, parts[::-1]):
        found = plan_reader(tuple(order), kernel, GRID, **size)[:]
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (2, 1, 3, 0)])
def test_no_seam_shows_where_each_band_has_a_file_of_its_own(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    coarse = GeoBox(
        (12, 12), Affine.translation(*GRID.affine @ (-2, -2)) @ Affine.scale(27, -27), GRID.crs
    )
    pixels = RNG.normal(size=(2, 12, 12)).astype(np.float32)
    cuts = [(cut, k) for cut in (np.s_[:, :5], np.s_[:, 5:]) for k in range(2)]
    parts = [
        source(tmp_path / f"{n}.tif", pixels[k][cut][None], (k,), grid=coarse[cut])
        for n, (cut, k) in enumerate(cuts)
    ]
    how: Any = {"channels": 2, "features": 2, "resampling": "cubic"}
    whole = source(tmp_path / "whole.tif", pixels, (0, 1), grid=coarse)
    one = plan_reader((whole,), Plain(), GRID, **how)[:]
    assert np.isfinite(one).all()
    four = plan_reader(tuple(parts[k] for k in order), Plain(), GRID, **how)[:]
    np.testing.assert_array_equal(four, one)


def test_tiles_that_lack_one_between_them_leave_a_gap(tmp_path: Path) -> None:
    pixels = RNG.normal(size=(1, ROWS, COLS)).astype(np.float32)
    cuts = [np.s_[: ROWS // 3, :], np.s_[2 * ROWS // 3 :, :]]
    parts = [
        source(tmp_path / f"{k}.tif", pixels[0][cut][None], (0,), grid=GRID[cut])
        for k, cut in enumerate(cuts)
    ]
    found = plain(*parts, channels=1)[0]
    for cut in cuts:
        np.testing.assert_array_equal(found[cut], pixels[0][cut])
    assert np.isnan(found[ROWS // 3 : 2 * ROWS // 3]).all()


def test_channels_may_lie_in_files_of_their_own(tmp_path: Path) -> None:
    pixels = RNG.normal(size=(3, ROWS, COLS)).astype(np.float32)
    inputs = [
        source(tmp_path / "two.tif", pixels[[2, 0]], (2, 0)),
        source(tmp_path / "one.tif", pixels[[1]], (1,)),
    ]
    np.testing.assert_array_equal(plain(*inputs, channels=3)[:], pixels)


def test_files_that_a_window_does_not_need_are_left_closed(tmp_path: Path) -> None:
    known = np.ones((1, ROWS, COLS), np.float32)
    known[0, :5, :5] = np.nan
    over, under = (source(tmp_path / f"{k}.tif", known, (0,)) for k in ("over", "under"))
    reader = plain(over, under, channels=1)
    Path(under.bands[0].path).unlink()
    assert (reader[:, 5:] == 1).all()
    assert reader[:, 3:3, :].shape == (1, 0, COLS)
    with pytest.raises(RasterioIOError, match=r"under\.tif"):
        reader[:, 4:6]
