from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import legend_from_dict
from osm4eo_xr.osm import read_landuse
from tests.osm_file import OsmFile, square

FOREST = {"landuse": "forest"}
MULTI = {"type": "multipolygon"}


def test_a_closed_way_becomes_an_area(tmp_path: Path) -> None:
    osm = OsmFile()
    way = osm.way(square(0, 0, 10), FOREST)
    osm.way(square(20, 0, 10)[:-1], FOREST)  # open: a line, not land
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame[["class_id", "osm_id", "osm_kind", "tag"]].to_numpy().tolist() == [
        [8, way, "way", "landuse=forest"]
    ]
    assert frame["class_id"].dtype == np.uint8
    assert frame["area"][0] == pytest.approx(111.2 * 75.8, rel=0.01)


def test_holes_and_islands_in_holes_are_kept(tmp_path: Path) -> None:
    osm = OsmFile()
    members = [
        (osm.way(square(0, 0, 30)), "outer"),
        (osm.way(square(5, 5, 20)), "inner"),
        (osm.way(square(10, 10, 10)), "outer"),
    ]
    osm.relation(members, MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    unit = 11.12 * 7.58
    assert frame["area"].tolist() == [pytest.approx((900 - 400 + 100) * unit, rel=0.01)]
    assert shapely.get_num_geometries(frame.geometry[0]) == 2


def test_touching_inner_rings_make_one_hole(tmp_path: Path) -> None:
    osm = OsmFile()
    members = [
        (osm.way(square(0, 0, 30)), "outer"),
        (osm.way(square(5, 5, 5)), "inner"),
        (osm.way(square(10, 5, 5)), "inner"),
    ]
    osm.relation(members, MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["area"][0] == pytest.approx((900 - 50) * 11.12 * 7.58, rel=0.01)


def test_rings_out_of_several_ways_are_joined(tmp_path: Path) -> None:
    osm = OsmFile()
    ring = square(0, 0, 10)
    osm.relation([(osm.way(ring[:3]), "outer"), (osm.way(ring[2:]), "outer")], MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["osm_kind"].tolist() == ["relation"]


def test_way_and_relation_with_the_same_tags_are_both_kept(tmp_path: Path) -> None:
    osm = OsmFile()
    way = osm.way(square(0, 0, 10), FOREST)
    osm.relation([(way, "outer")], MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["osm_kind"].tolist() == ["relation", "way"]


def test_a_ring_that_crosses_itself_is_reported(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(20, 20, 10), FOREST)
    bow = osm.way([(0, 0), (10, 10), (10, 0), (0, 10), (0, 0)], FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert len(frame) == 1
    assert [(b["osm_kind"], b["osm_id"]) for b in frame.attrs["broken"]] == [("way", bow)]


def test_the_class_that_wins_on_overlaps_wins_on_tags(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(0, 0, 10), {"landuse": "forest", "leisure": "park", "natural": "water"})
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["tag"].tolist() == ["natural=water"]


def test_excluded_tags_take_an_object_out(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(0, 0, 10), {"natural": "water", "intermittent": "yes"})
    osm.way(square(20, 0, 10), {"natural": "water", "intermittent": "no"})
    assert len(read_landuse(osm.write(tmp_path / "a.osm"))) == 1


def test_a_river_line_gets_its_width(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way([(0, 0), (0, 100)], {"waterway": "river"})
    osm.way([(50, 0), (50, 100)], {"waterway": "stream"})
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["tag"].tolist() == ["waterway=river"]
    assert frame["area"][0] == pytest.approx(1112 * 20, rel=0.01)


def test_bbox_keeps_what_meets_it(tmp_path: Path) -> None:
    osm = OsmFile()
    near = osm.way(square(0, 0, 10), FOREST)
    osm.way(square(100, 100, 10), FOREST)
    path = osm.write(tmp_path / "a.osm")
    assert read_landuse(path, bbox=(9.4, 47.0, 9.5005, 47.1005))["osm_id"].tolist() == [near]
    with pytest.raises(InputError, match="within the bbox"):
        read_landuse(path, bbox=(8, 46, 8.1, 46.1))


def test_a_legend_of_ones_own_decides(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(0, 0, 10), {"landuse": "salt_pond"})
    path = osm.write(tmp_path / "a.osm")
    with pytest.raises(InputError, match=r"a\.osm has no area"):
        read_landuse(path)
    salt = {"id": 1, "clc": 42, "slug": "salt", "name": "Salt", "color": [1, 2, 3], "priority": 1}
    tree = {"class": [salt], "rule": [{"class": "salt", "tags": ["landuse=salt_pond"]}]}
    assert read_landuse(path, legend_from_dict(tree))["class_id"].tolist() == [1]


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no OpenStreetMap file .*gone\.osm\.pbf"):
        read_landuse(tmp_path / "gone.osm.pbf")
    broken = tmp_path / "broken.osm.pbf"
    broken.write_bytes(b"not a pbf file at all")
    with pytest.raises(InputError, match=r"broken\.osm\.pbf cannot be read"):
        read_landuse(broken)


def test_progress_is_told() -> None:
    calls: list[tuple[int, int]] = []
    frame = read_landuse(demo_osm_path(), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(frame), len(frame)) == (604, 604)


def test_areas_agree_with_gdals_osm_driver(data_dir: Path) -> None:
    path = data_dir / "liechtenstein" / "liechtenstein_2022-07-21.osm.pbf"
    ours = read_landuse(path)
    forest = ours[ours["tag"] == "landuse=forest"].set_index("osm_id")
    theirs = pyogrio.read_dataframe(path, layer="multipolygons", where="landuse = 'forest'")
    ids = theirs["osm_way_id"].fillna(theirs["osm_id"]).astype("int64")
    theirs = theirs.set_index(ids).to_crs("EPSG:3035")
    both = forest.index.intersection(theirs.index)
    assert len(both) > 300
    assert set(theirs.index) <= set(forest.index) | {b["osm_id"] for b in ours.attrs["broken"]} | (
        set(ours["osm_id"])
    )
    np.testing.assert_allclose(
        forest.loc[both, "area"].to_numpy(), theirs.loc[both].area.to_numpy(), rtol=1e-6
    )
