"""Which tiles a tile is classified with, among many."""

from types import SimpleNamespace
from typing import Any

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from osm4eo_xr.country.pieces import learning
from osm4eo_xr.country.pieces.learning import neighbors_of
from osm4eo_xr.country.scenes.settings import SceneFiles

SIDE = 12


def test_of_many_tiles_only_those_around_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Countries have hundreds of tiles, and each is asked for its neighbors in every plan."""
    source = SceneFiles(files=("a.tif",))
    boxes = {
        f"{row}-{col}": GeoBox(
            (100, 100), Affine(10, 0, 1000 * col, 0, -10, -1000 * row), "EPSG:3035"
        )
        for row in range(SIDE)
        for col in range(SIDE)
    }
    tiles: Any = [SimpleNamespace(id=tile, source=source, date="") for tile in boxes]
    tiles[1].date = "2023-05-01"  # of another day, it shows other ground
    sides = {tile: box.boundingbox for tile, box in boxes.items()}
    run: Any = SimpleNamespace(tiles=tiles, boxes=boxes, sides=sides)
    asked, kind = [], learning._kind
    monkeypatch.setattr(learning, "_kind", lambda tile: asked.append(tile.id) or kind(tile))
    found = {tile.id: {other.id for other in neighbors_of(run, tile, 8)} for tile in tiles}
    assert found["0-0"] == {"1-0", "1-1"}
    assert found["0-1"] == set()
    around = {f"{row}-{col}" for row in (4, 5, 6) for col in (6, 7, 8)} - {"5-7"}
    assert found["5-7"] == around
    assert len(asked) <= 2 * 8 * len(tiles)
