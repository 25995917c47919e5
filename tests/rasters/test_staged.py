"""Staged rasters: what was fetched is there, what was not is refused."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import RasterioIOError
from rasterio.transform import from_origin

from osm4eo_xr.rasters.open import open_raster
from osm4eo_xr.rasters.staged import SUFFIX, TAG, merged, record_text

SPANS = st.tuples(st.integers(0, 99), st.integers(1, 60)).map(lambda s: (s[0], min(sum(s), 100)))


@given(
    st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=5),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_merged_rectangles_are_disjoint_whole_blocks_over_all_windows(
    spans: list, block: tuple[int, int]
) -> None:
    windows = [(*rows, *cols) for rows, cols in spans]
    counts, asked = np.zeros((100, 100), int), np.zeros((100, 100), bool)
    for top, bottom, left, right in merged(windows, block, (100, 100)):
        assert top % block[0] == left % block[1] == 0
        assert bottom in {100, bottom // block[0] * block[0]}
        assert right in {100, right // block[1] * block[1]}
        counts[top:bottom, left:right] += 1
    for top, bottom, left, right in windows:
        asked[top:bottom, left:right] = True
    assert counts.max() == 1
    assert counts[asked].all()


def test_what_was_not_fetched_is_refused_not_zero(tmp_path: Path) -> None:
    path = tmp_path / f"red{SUFFIX}"
    size = {"count": 1, "height": 128, "width": 128, "dtype": "uint16", "crs": "EPSG:3035"}
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "sparse_ok": True}
    place = from_origin(4e6, 3e6, 10, 10)
    numbers = np.arange(1, 64 * 64 + 1, dtype=np.uint16).reshape(64, 64)
    with rasterio.open(path, "w", driver="GTiff", transform=place, **size, **tiles) as file:
        file.write(numbers, 1, window=((0, 64), (64, 128)))
        file.update_tags(
            **{TAG: record_text("https://a.org/b", [(0, 64, 64, 128)], (64, 64), lossy=True)}
        )
    opened = open_raster(path, chunks=64)
    np.testing.assert_array_equal(opened[:64, 64:], numbers)
    with pytest.raises(RasterioIOError, match=r"rows 0 to 64, columns 63 to 64 were not fetched"):
        opened[:64, 63:].compute()
