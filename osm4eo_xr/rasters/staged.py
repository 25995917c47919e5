"""Staged rasters: local copies of parts of files elsewhere, on those files' own grids.

A staged file has the size, place and blocks of its original, so that whatever is read from it is
what the original gives; blocks that nobody asked for are left out and take no room. A tag says
which windows are there: reading anything else is refused, since GDAL would give zeros.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rasterio.errors import RasterioIOError
from rasterio.windows import Window

SUFFIX = ".staged.tif"
"""What names of staged files end with."""

TAG = "OSM4EO_XR_STAGED"

STORE_TAG = ".osm4eo_xr_staged.json"
"""The file at the root of a staged Zarr store: ``of``, its address; ``whole``, whether it is."""

ABSENT = ".absent"
"""What names of objects end with that the original store does not have either."""

Rectangle = tuple[int, int, int, int]
"""First row, row after the last, first column, column after the last."""


def is_staged(path: str) -> bool:
    """Whether a path is that of a staged file."""
    return path.endswith(SUFFIX)


def record_of(source: Any) -> dict[str, Any]:
    """Return what an open staged file says of itself; nothing of other files.

    Returns
    -------
    dict
        ``of``: address of the original, unsigned; ``windows``: rectangles that are there;
        ``block``: rows and columns of its blocks; ``lossy``: whether its compression is.
    """
    text = source.tags().get(TAG)
    return json.loads(text) if text else {}


def record_text(
    of: str, windows: Sequence[Rectangle], block: tuple[int, int], *, lossy: bool
) -> str:
    """Return the tag of a staged file."""
    return json.dumps({"of": of, "windows": windows, "block": block, "lossy": lossy})


def refuse_missing(source: Any, window: Window) -> None:
    """Refuse a window that is not there.

    Raises
    ------
    RasterioIOError
        If the file was staged for another place.
    """
    (top, bottom), (left, right) = window.toranges()
    for r in record_of(source).get("windows", []):
        if r[0] <= top and bottom <= r[1] and r[2] <= left and right <= r[3]:
            return
    raise RasterioIOError(
        f"rows {top} to {bottom}, columns {left} to {right} were not fetched; fetch again, or "
        f"remove the folder of what was fetched"
    )


def merged(windows: Sequence[Rectangle], block: tuple[int, int], shape: Any) -> list[Rectangle]:
    """Return disjoint rectangles of whole blocks that hold all windows, in order.

    Parameters
    ----------
    windows : sequence of Rectangle
        In pixels.
    block : tuple of int
        Rows and columns of the file's blocks.
    shape : tuple of int
        Rows and columns of the file.
    """
    found = [_whole_blocks(w, block, shape) for w in windows]
    while True:
        pair = next(
            ((a, b) for i, a in enumerate(found) for b in found[i + 1 :] if _overlap(a, b)), None
        )
        if pair is None:
            return sorted(found)
        a, b = pair
        found = [r for r in found if r not in pair]
        found.append((min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])))


def _whole_blocks(window: Rectangle, block: tuple[int, int], shape: Any) -> Rectangle:
    rows, cols = block
    return (
        window[0] // rows * rows,
        min(-(-window[1] // rows) * rows, shape[0]),
        window[2] // cols * cols,
        min(-(-window[3] // cols) * cols, shape[1]),
    )


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
