"""Sentinel-2's tiles: those that ESA's tiling grid lists, on the ground that products state."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.places.mgrs import EDGE, Square, find_square, mgrs_geobox, squares

ESA = "0cb82f6317f7f7a3c88c6efa2b53647404f5a6878f795bfeb0653251753eb808"
"""SHA-256 of the sorted ids, one a line, in ESA's tiling grid (KML of 2015-12-09, 56,686 tiles)."""

WORLD = list(squares(range(1, 61), -90, 90))


def test_the_world_has_the_tiles_of_esas_grid() -> None:
    ids = sorted(s.id for s in WORLD)
    assert len(ids) == len(set(ids)) == 56_686
    assert hashlib.sha256("\n".join(ids).encode()).hexdigest() == ESA


@given(st.sampled_from(WORLD))
def test_an_id_leads_back_to_its_square(square: Square) -> None:
    assert find_square(square.id) == square
    assert find_square(f"t{square.id.lower()}") == square


@pytest.mark.parametrize(
    "name", ["", "33UU", "33UUUU", "00UUU", "61UUU", "33IUU", "33UAU", "33UUZ", "32XLQ", "33 UUU"]
)
def test_what_is_no_tile_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a tile of Sentinel-2; expected an id like 33UUU"):
        mgrs_geobox(name)


@pytest.mark.parametrize("resolution", [0, -10, 7, 109801])
def test_pixels_fill_a_tile(resolution: float) -> None:
    with pytest.raises(InputError, match="do not fill a tile of 109800 m"):
        mgrs_geobox("33UUU", resolution)


def items_of(path: Path) -> list[dict]:
    read = json.loads(path.read_text())
    return read if isinstance(read, list) else read.get("features", [read])


def stated(folder: Path) -> Iterator[tuple[str, tuple[float, ...], tuple[int, int]]]:
    """Yield tile, transform and shape of each asset in whole pixels of 10, 20 or 60 m."""
    for path in folder.rglob("*.json"):
        for item in items_of(path):
            found = re.search(r"(\d\d[C-X][A-Z][A-V])(?:_|$)", item.get("id", ""))
            for asset in item.get("assets", {}).values() if found else ():
                transform, shape = asset.get("proj:transform"), asset.get("proj:shape")
                if found and transform and shape and not EDGE % transform[0]:
                    yield found[1], tuple(transform[:6]), tuple(shape)


def test_ground_is_that_of_every_tile_among_the_real_items(data_dir: Path) -> None:
    known = {*stated(data_dir / "stac_items"), *stated(data_dir / "stac_33TW")}
    assert {tile for tile, _, _ in known} >= {"06VVN", "13TDE", "28QCH", "33TWL", "33TWM", "46XER"}
    for tile, transform, shape in known:
        box = mgrs_geobox(tile, transform[0])
        assert tuple(box.affine)[:6] == transform
        assert box.shape.yx == shape
