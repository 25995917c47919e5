"""Windows cut from rasters, and whose each held-out pixel is, against plain loops."""

import dask.array as da
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.samples.spatial_split import Drawn
from osm4eo_xr.samples.windows import Owners, cut_images, cut_labels, keep_owned


def drawn_at(row: np.ndarray, col: np.ndarray, split: np.ndarray) -> Drawn:
    n = len(row)
    label, key = np.full(n, 8, np.uint8), np.arange(n, dtype=np.uint64)
    return Drawn(label, split.astype(np.uint8), row.astype(np.int64), col.astype(np.int64), key)


def test_windows_are_slices_with_bands_last() -> None:
    draw = np.random.default_rng(0)
    pixels = draw.normal(size=(3, 20, 17)).astype(np.float32)
    labels = draw.integers(0, 13, (20, 17)).astype(np.uint8)
    row, col = np.array([0, 3, 15]), np.array([12, 0, 5])
    images, classes = cut_images(pixels, row, col, 5), cut_labels(labels, row, col, 5)
    for k, (r, c) in enumerate(zip(row, col, strict=True)):
        np.testing.assert_array_equal(
            images[k], np.moveaxis(pixels[:, r : r + 5, c : c + 5], 0, -1)
        )
        np.testing.assert_array_equal(classes[k], labels[r : r + 5, c : c + 5])
    assert images.dtype == np.float32
    assert images.flags.c_contiguous


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 12), st.integers(0, 99), st.integers(1, 5))
def test_each_held_out_pixel_counts_once_and_is_nearest_to_its_owner(
    patch: int, n: int, seed: int, chunk: int
) -> None:
    draw = np.random.default_rng(seed)
    places = np.unique(draw.integers(0, 12, (n, 2)), axis=0)
    split = draw.integers(0, 3, len(places))
    drawn = drawn_at(places[:, 0], places[:, 1], split)
    windows = np.full((len(places), patch, patch), 8, np.uint8)
    kept = Owners(drawn, patch).keep_own(windows, 0)
    lazy = keep_owned(da.asarray(windows).rechunk((chunk, patch, patch)), drawn, patch)
    np.testing.assert_array_equal(lazy, kept)
    np.testing.assert_array_equal(kept[split == 0], 8)  # training windows may overlap
    lean = 0.0 if patch % 2 else 0.25
    for part in (1, 2):
        owners: dict[tuple[int, int], int] = {}
        mine = np.flatnonzero(split == part)
        for k in mine:
            for y, x in np.argwhere(kept[k] > 0):
                pixel = places[k] - patch // 2 + (y, x)
                assert tuple(pixel) not in owners
                owners[tuple(pixel)] = int(k)
                distance = np.abs(places[mine] - lean - pixel).max(axis=1)
                assert np.abs(places[k] - lean - pixel).max() == distance.min()
        for k in mine:
            assert owners[tuple(places[k])] == k  # a drawn pixel is its own sample's
            around = places[k] - patch // 2 + np.argwhere(windows[k])
            assert all(tuple(pixel) in owners for pixel in around)  # none is lost
