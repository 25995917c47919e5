"""Blocks of one shape: they cover a raster whatever its chunks, and each has its margin."""

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.inference.blocks import plan_blocks, read_blocks

SIZES = st.integers(1, 5000)


@given(SIZES, SIZES, st.integers(8, 600), st.integers(1, 64), st.sampled_from([1, 4, 12, 32]))
def test_blocks_cover_the_raster_and_reach_past_it_by_less_than_a_step_each(
    height: int, width: int, target: int, least: int, step: int
) -> None:
    tiles = plan_blocks((height, width), target=target, least=least, step=step)
    for pixels, edge in ((height, tiles.rows), (width, tiles.cols)):
        assert edge % step == 0
        assert edge >= least
        assert edge <= max(target, least) + step
        # No block that is smaller by one step would do with as many blocks.
        assert edge - step < least or (edge - step) * -(-pixels // target) < pixels


def padded(pixels: np.ndarray, rows: int, cols: int, margin: int) -> np.ndarray:
    """Return the raster with its overhang and its margin as NaN, by NumPy."""
    height, width = pixels.shape[1:]
    over = [(margin, margin + -height % rows), (margin, margin + -width % cols)]
    return np.pad(pixels, ((0, 0), *over), constant_values=np.nan)


@settings(max_examples=10)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 9),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_each_block_is_numpys_cut_of_the_padded_raster(
    height: int, width: int, margin: int, y: int, x: int
) -> None:
    pixels = np.random.default_rng(0).random((2, height, width)).astype(np.float32)
    tiles = plan_blocks((height, width), target=16, least=max(margin, 1), step=4)
    lazy: Any = read_blocks(da.asarray(pixels).rechunk((1, y, x)), tiles, margin)
    whole = padded(pixels, tiles.rows, tiles.cols, margin)
    assert lazy.numblocks == (1, -(-height // tiles.rows), -(-width // tiles.cols))
    for _, i, j in np.ndindex(*lazy.numblocks):
        top, left = i * tiles.rows, j * tiles.cols
        block = lazy.blocks[0, i, j].compute(scheduler="synchronous")
        cut = whole[:, top : top + tiles.rows + 2 * margin, left : left + tiles.cols + 2 * margin]
        assert block.shape == (2, tiles.rows + 2 * margin, tiles.cols + 2 * margin)
        np.testing.assert_array_equal(block, cut)


@pytest.mark.usefixtures("no_compute")
def test_reading_is_lazy() -> None:
    tiles = plan_blocks((100, 90), target=32, least=8, step=4)
    lazy = read_blocks(da.zeros((3, 100, 90), chunks=(3, 13, 17), dtype="float32"), tiles, 8)
    assert isinstance(lazy, da.Array)
    assert lazy.dtype == np.float32
