"""Handles that threads keep open, and the windows that indexes ask for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from osm4eo_xr.rasters.windows import pick, positions, span, stamp_of

READ = """if True:
    import atexit, sys
    kept = []
    atexit.register(lambda: print([handle.closed for handle in kept]))  # runs last
    from osm4eo_xr.rasters.windows import dataset
    kept.append(dataset(sys.argv[1], 0))
    assert not kept[0].closed
"""


def test_a_process_closes_its_handles_while_libraries_still_work(tmp_path: Path) -> None:
    path, place = tmp_path / "a.tif", rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    size = {"width": 4, "height": 4, "count": 1, "dtype": "uint8", "transform": place}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:32633", **size) as file:
        file.write(np.ones((1, 4, 4), np.uint8))
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[True]\n", "")


INDEXES = [
    (0, slice(None), slice(None)),
    (slice(None), 3, slice(2, 7)),
    (slice(0, 2), slice(1, 8, 3), slice(None, None, -1)),
    (slice(None), slice(5, 1, -2), [4, 0, 0, 2]),
    (np.array([2, 0]), -1, slice(-3, None)),
    (slice(1, 1), slice(None), slice(None)),
    (slice(None), slice(0, 5)),
    1,
]


@pytest.mark.parametrize("key", INDEXES, ids=str)
def test_what_is_picked_of_a_window_is_what_numpy_picks(key: Any) -> None:
    """Each axis by itself, as xarray's outer indexing; axes of a number are dropped."""
    whole = np.arange(3 * 9 * 8).reshape(3, 9, 8)
    (layers, rows, cols), dropped = positions(key, whole.shape)
    row_span, col_span = span(rows), span(cols)
    block = whole[layers][:, row_span, col_span]
    found = pick(block, rows - row_span.start, cols - col_span.start).squeeze(axis=dropped)
    keys = key if isinstance(key, tuple) else (key,)
    expected = whole
    for axis, k in reversed(list(enumerate(keys))):
        expected = expected[(slice(None),) * axis + (k,)]
    np.testing.assert_array_equal(found, expected)


def test_all_in_order_is_no_copy_and_nothing_is_no_window() -> None:
    block = np.arange(12).reshape(1, 3, 4)
    assert pick(block, np.arange(3), np.arange(4)) is block
    assert span(np.array([], np.int64)) == slice(0, 0)
    assert span(np.array([7, 3, 5])) == slice(3, 8)


@pytest.mark.parametrize("key", [3, (0, 9), (0, 0, -9)])
def test_places_outside_are_outside(key: Any) -> None:
    with pytest.raises(IndexError):
        positions(key, (3, 9, 8))


def test_a_file_is_told_from_later_ones_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    assert stamp_of(str(path)) == 0
    path.write_bytes(b"1")
    os.utime(path, ns=(5, 5))
    assert stamp_of(str(path)) == 5
    packed = tmp_path / "p.zip"
    packed.write_bytes(b"2")
    os.utime(packed, ns=(7, 7))
    assert stamp_of(f"/vsizip/{{{packed}}}/inside/a.jp2") == 7
    assert stamp_of("https://x.org/a.tif") == 0
    assert stamp_of("a\0b") == 0
