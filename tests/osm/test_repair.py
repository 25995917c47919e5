"""Areas of objects that libosmium does not assemble, beside shapely's."""

from pathlib import Path
from typing import Any

import osmium
import pytest
import shapely
from osmium.index import create_map
from osmium.osm import NODE

from osm4eo_xr.osm.repair import Rescued, polygons_of, rescue

NODES = {
    1: (0, 0),
    2: (4, 0),
    3: (4, 4),
    4: (0, 4),
    11: (1, 1),
    12: (2, 1),
    13: (2, 2),
    14: (1, 2),
    21: (6, 0),
    22: (8, 2),
    23: (8, 0),
    24: (6, 2),
    31: (1.2, 1.2),
    32: (1.2, 1.8),
    33: (1.8, 1.8),
    34: (1.8, 1.2),
}
WAYS = {
    100: [1, 2, 3, 4, 1],
    101: [1, 2, 3],
    102: [3, 4, 1],
    110: [11, 12, 13, 14, 11],
    120: [21, 22, 23, 24, 21],  # crosses itself
    125: [31, 32, 33, 34, 31],
    130: [1, 2, 99, 1],
    140: [1, 2, 1],
    150: [1, 2, 3, 2, 1],
}
RELATIONS = {
    200: [(101, "outer"), (102, "outer"), (110, "inner")],
    210: [(101, "outer")],
    220: [(100, "outer"), (999, "inner")],
    230: [(100, "outer"), (998, "outer")],
    240: [(101, ""), (102, "")],
    250: [(125, "outer"), (100, "outer"), (998, "outer"), (110, "inner")],
}


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("osm") / "a.osm"
    nodes = "".join(f'<node id="{i}" lon="{x}" lat="{y}"/>' for i, (x, y) in NODES.items())
    ways = "".join(
        f'<way id="{i}">{"".join(f"<nd ref={chr(34)}{n}{chr(34)}/>" for n in refs)}</way>'
        for i, refs in WAYS.items()
    )
    relations = "".join(
        f'<relation id="{i}">'
        + "".join(f'<member type="way" ref="{w}" role="{r}"/>' for w, r in members)
        + "</relation>"
        for i, members in RELATIONS.items()
    )
    path.write_text(f'<osm version="0.6">{nodes}{ways}{relations}</osm>')
    return path


def rescued(extract: Path, **wanted: set[int]) -> dict[int, Rescued]:
    locations = create_map("flex_mem")
    nodes: Any = osmium.FileProcessor(str(extract), NODE)
    for node in nodes:
        locations.set(node.id, node.location)
    given = {"ways": set[int](), "relations": set[int](), **wanted}
    found = rescue(extract, locations, given["ways"], given["relations"])
    return {one.osm_id: one for one in found}


SQUARE, HOLE = shapely.box(0, 0, 4, 4), shapely.box(1, 1, 2, 2)


def test_closed_ways_are_what_they_enclose(extract: Path) -> None:
    found = rescued(extract, ways={100, 120, 130, 140, 150})
    assert list(found) == sorted(found)
    assert found[100].reason == ""
    assert SQUARE.equals(found[100].geometry)
    bow = found[120].geometry
    assert bow is not None
    assert bow.is_valid
    assert bow.equals(shapely.make_valid(shapely.Polygon([NODES[n] for n in WAYS[120]])))
    assert found[120].reason.startswith("its ring is not simple: Self-intersection")
    assert found[130].geometry is None
    assert found[130].reason == "1 of its 4 nodes are not in the file"
    assert found[140].reason == "it has 3 nodes; a ring needs 4"
    assert (found[150].geometry, found[150].reason) == (None, "it encloses no area")


def test_relations_are_the_rings_that_their_ways_close(extract: Path) -> None:
    found = rescued(extract, relations=set(RELATIONS))
    assert {one.kind for one in found.values()} == {"relation"}
    whole = found[200].geometry
    assert whole is not None
    assert whole.equals(SQUARE.difference(HOLE))
    assert found[200].reason == ""
    plain = found[240].geometry
    assert plain is not None
    assert plain.equals(SQUARE)
    with_island = found[250].geometry
    assert with_island is not None
    assert with_island.equals(SQUARE.difference(HOLE).union(shapely.box(1.2, 1.2, 1.8, 1.8)))


def test_open_and_missing_rings_are_told(extract: Path) -> None:
    found = rescued(extract, relations=set(RELATIONS))
    assert found[210].geometry is None
    assert found[210].reason.startswith("its ring is open at ")
    assert found[220].geometry is None
    assert found[220].reason == "1 of its 2 ways are not in the file, holes among them"
    assert found[230].reason == "1 of its 2 ways are not in the file"
    kept = found[230].geometry
    assert kept is not None
    assert kept.equals(SQUARE)


def test_lines_and_points_are_left_out() -> None:
    mixed = shapely.GeometryCollection([SQUARE, shapely.LineString([(5, 5), (6, 6)])])
    assert polygons_of(mixed).equals(SQUARE)
    assert polygons_of(shapely.Point(1, 1)).is_empty
    two = shapely.MultiPolygon([SQUARE, shapely.box(8, 8, 9, 9)])
    assert polygons_of(shapely.GeometryCollection([two])).equals(two)
