"""One reading of an extract: lines, points and rings by themselves, batch by batch."""

from pathlib import Path

import numpy as np
import pytest
import shapely

from osm4eo_xr.legend import Legend, legend_from_dict
from osm4eo_xr.osm import areas as areas_module
from osm4eo_xr.osm.areas import to_areas
from osm4eo_xr.osm.scan import Scan
from tests.cases.osm_file import OsmFile, square

LEGEND = legend_from_dict(
    {
        "name": "thin",
        "classes": [
            {
                "id": 1,
                "clc": 5,
                "slug": "water",
                "name": "Water",
                "color": [0, 0, 255],
                "priority": 1,
            },
            {
                "id": 2,
                "clc": 31,
                "slug": "forest",
                "name": "Forest",
                "color": [0, 99, 0],
                "priority": 2,
            },
        ],
        "rule": [
            {"class": "water", "tags": ["waterway=river"], "width": 20},
            {"class": "forest", "tags": ["natural=tree"], "width": 8, "geometry": "point"},
            {"class": "forest", "tags": ["landuse=forest"]},
        ],
    }
)
RIVER, TREE, FOREST = {"waterway": "river"}, {"natural": "tree"}, {"landuse": "forest"}


def scanned(path: Path, legend: Legend = LEGEND) -> tuple[list[tuple[str, int, str]], Scan]:
    """Return kind, id and tag of each area in the order of the scan, and the scan."""
    scan = Scan(path, legend)
    rows = [
        (kind, osm_id, rule.tag)
        for batch in scan.batches()
        for kind, osm_id, rule in zip(batch.kind, batch.osm_id, batch.rule, strict=True)
    ]
    return rows, scan


def test_lines_points_and_rings_are_taken_by_their_rules(tmp_path: Path) -> None:
    osm = OsmFile()
    tree = osm.node((5, 5), TREE)
    osm.node((6, 6), RIVER)  # a line's tag on a point
    river = osm.way([(0, 0), (10, 0), (20, 5)], RIVER)
    closed = osm.way(square(30, 0, 10), RIVER)  # a river around an island stays a line
    forest = osm.way(square(50, 0, 10), FOREST)
    osm.way(square(70, 0, 10), TREE)  # a point's tag on a ring
    rows, _ = scanned(osm.write(tmp_path / "a.osm"))
    assert sorted(rows) == [
        ("node", tree, "natural=tree"),
        ("way", river, "waterway=river"),
        ("way", closed, "waterway=river"),
        ("way", forest, "landuse=forest"),
    ]


def test_thin_things_get_their_width_in_meters(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.node((5, 5), TREE)
    osm.way([(0, 0), (0, 90)], RIVER)  # due north, 90 steps of 11.1 m
    scan = Scan(osm.write(tmp_path / "a.osm"), LEGEND)
    [batch] = list(scan.batches())
    found = to_areas(batch)
    size = dict(zip(found.tag.tolist(), found.area.tolist(), strict=True))
    assert size["waterway=river"] == pytest.approx(20 * 90 * 11.12, rel=0.01)
    assert size["natural=tree"] == pytest.approx(np.pi * 16, rel=0.02)  # a disc of 8 m across


def test_a_line_joins_the_nodes_that_are_there(tmp_path: Path) -> None:
    osm = OsmFile()
    torn = osm.way([(0, 0), (5, 1), (10, 0), (20, 0)], RIVER, missing=1)
    gone = osm.way([(40, 0), (45, 1), (50, 0)], RIVER, missing=2)
    rows, scan = scanned(osm.write(tmp_path / "a.osm"))
    assert rows == [("way", torn, "waterway=river")]
    [repaired], [broken] = scan.problems.repaired, scan.problems.broken
    assert repaired["osm_id"] == torn
    assert repaired["reason"] == "1 of its 4 nodes are missing; the line joins the others"
    assert broken["osm_id"] == gone
    assert broken["reason"].startswith("it is no line (")


def test_a_point_that_is_twice_is_no_line(tmp_path: Path) -> None:
    osm = OsmFile()
    way = osm.way([(3, 3), (3, 3)], RIVER)
    rows, scan = scanned(osm.write(tmp_path / "a.osm"))
    if rows:  # libosmium makes a line of no length of it, which has no area
        assert rows == [("way", way, "waterway=river")]
    else:
        assert [b["osm_id"] for b in scan.problems.broken] == [way]


def test_problems_come_by_kind_and_id(tmp_path: Path) -> None:
    osm = OsmFile()
    for k in range(4):
        osm.way([(10 * k, 0), (10 * k + 5, 1), (10 * k + 9, 0)], RIVER, missing=2)
    osm.ways.sort(key=lambda way: -int(way.get("id", "0")))
    osm.ways.reverse()
    _, scan = scanned(osm.write(tmp_path / "a.osm"))
    ids = [(b["osm_kind"], b["osm_id"]) for b in scan.problems.broken]
    assert ids == sorted(ids)
    assert len(ids) == 4


@pytest.mark.parametrize("size", [1, 2, 7, 5000])
def test_batches_of_any_size_hold_the_same_areas(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    osm = OsmFile()
    for k in range(9):
        osm.way(square(20 * k, 0, 10), FOREST)
    path = osm.write(tmp_path / "a.osm")
    monkeypatch.setattr(areas_module, "BATCH", size)
    batches = list(Scan(path, LEGEND).batches())
    assert [len(b) for b in batches[:-1]] == [size] * (len(batches) - 1)
    ids = [i for batch in batches for i in batch.osm_id]
    assert ids == list(range(100, 109))
    wkb = [w for batch in batches for w in batch.wkb]
    shapes = shapely.from_wkb([bytes.fromhex(w) if isinstance(w, str) else w for w in wkb])
    assert shapely.bounds(shapes)[:, 0] == pytest.approx(9.5 + 20e-4 * np.arange(9))


def test_a_way_is_held_until_its_relation_is_made_or_fails(tmp_path: Path) -> None:
    """A relation that nothing can be made of replaces no way."""
    osm = OsmFile()
    ring, other = osm.way(square(0, 0, 10), FOREST), osm.way(square(30, 0, 10), FOREST)
    osm.relation([(other, "outer")], {"type": "multipolygon"} | FOREST)
    missing = [(ring, "outer"), (10**9, "outer")]
    osm.relation(missing, {"type": "multipolygon"} | FOREST)
    rows, scan = scanned(osm.write(tmp_path / "a.osm"))
    assert [d["osm_id"] for d in scan.problems.duplicates] == sorted(
        {ring, other} - {osm_id for kind, osm_id, _ in rows if kind == "way"}
    )
    assert (
        len([r for r in rows if r[0] == "relation"]) + len([r for r in rows if r[0] == "way"]) == 2
    )  # each ground once
