"""Which tiles share ground, among many."""

from types import SimpleNamespace
from typing import Any

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from osm4eo_xr.country.scenes.harmony import _shared


def test_pixels_that_two_tiles_share_are_counted_from_their_sides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes = {
        name: GeoBox((100, 100), Affine(20, 0, 20 * col, 0, -20, -20 * row), "EPSG:3035")
        for name, row, col in (("a", 0, 0), ("b", 0, 90), ("c", 80, 90), ("d", 100, 0))
    }
    sides = {tile: box.boundingbox for tile, box in boxes.items()}
    run: Any = SimpleNamespace(boxes=boxes, sides=sides)
    # There are as many pairs as tiles squared, and odc-geo makes a box's sides each time.
    monkeypatch.setattr(GeoBox, "boundingbox", None)
    assert _shared(run) == {
        ("a", "b"): 100 * 10,
        ("a", "c"): 20 * 10,
        ("b", "c"): 20 * 100,
        ("c", "d"): 80 * 10,
    }
