from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import osmium
import pyogrio
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal

from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.legend import default_legend, legend_from_dict
from osm4eo_xr.osm.landuse import read_landuse, unclaimed_tags, write_landuse
from tests.cases.osm_file import OsmFile, square

FOREST = {"landuse": "forest"}
MULTI = {"type": "multipolygon"}
UNIT = 11.12 * 7.58  # m² of a square of one step


def test_tags_of_an_own_legend_that_no_object_has_are_told(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    osm = OsmFile()
    osm.way(square(0, 0, 10), FOREST)
    path = osm.write(tmp_path / "a.osm")
    read_landuse(path)  # by the package's legend
    assert not recwarn.list
    tags = ["landuse=forest", "natural=wod", "landuse=forrest"]
    tree = default_legend().to_dict() | {
        "name": "woods",
        "rule": [{"class": "forest", "tags": tags}],
    }
    said = "no object of a.osm is land by natural=wod, landuse=forrest; .* of legend 'woods'"
    with pytest.warns(InputWarning, match=said):
        read_landuse(path, legend=legend_from_dict(tree))


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
    assert frame["area"].tolist() == [pytest.approx((900 - 400 + 100) * UNIT, rel=0.01)]
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
    assert frame["area"][0] == pytest.approx((900 - 50) * UNIT, rel=0.01)


def test_rings_out_of_several_ways_are_joined(tmp_path: Path) -> None:
    osm = OsmFile()
    ring = square(0, 0, 10)
    osm.relation([(osm.way(ring[:3]), "outer"), (osm.way(ring[2:]), "outer")], MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["osm_kind"].tolist() == ["relation"]


def test_of_way_and_relation_with_the_same_tag_the_relation_stays(tmp_path: Path) -> None:
    osm = OsmFile()
    way = osm.way(square(0, 0, 30), FOREST)
    hole = osm.way(square(10, 10, 10))
    relation = osm.relation([(way, "outer"), (hole, "inner")], MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame[["osm_kind", "osm_id"]].to_numpy().tolist() == [["relation", relation]]
    assert frame["area"][0] == pytest.approx((900 - 100) * UNIT, rel=0.01)
    [left_out] = frame.attrs["duplicates"]
    assert (left_out["osm_kind"], left_out["osm_id"]) == ("way", way)
    assert f"relation {relation}" in left_out["reason"]


def test_way_and_relation_with_other_tags_are_both_kept(tmp_path: Path) -> None:
    osm = OsmFile()
    way = osm.way(square(0, 0, 10), {"natural": "wood"})
    osm.relation([(way, "outer")], MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["tag"].tolist() == ["landuse=forest", "natural=wood"]
    assert frame.attrs["duplicates"] == []


def test_old_style_multipolygons_take_the_tag_of_their_outer_ways(tmp_path: Path) -> None:
    osm = OsmFile()
    ring, hole = osm.way(square(0, 0, 30), FOREST), osm.way(square(10, 10, 10))
    closed = osm.relation([(ring, "outer"), (hole, "inner")], MULTI)
    half, rest = square(40, 0, 10)[:3], square(40, 0, 10)[2:]
    joined = osm.relation(
        [(osm.way(half, FOREST), "outer"), (osm.way(rest, FOREST), "")],
        MULTI | {"source": "map"},
    )
    half, rest = square(60, 0, 10)[:3], square(60, 0, 10)[2:]
    torn = osm.relation(
        [(osm.way(half, FOREST), "outer"), (osm.way(rest, {"natural": "scrub"}), "outer")], MULTI
    )
    osm.relation([(osm.way(square(80, 0, 10), FOREST), "outer")], MULTI | {"building": "yes"})
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    relations = frame[frame["osm_kind"] == "relation"]
    assert relations["osm_id"].tolist() == [closed, joined]
    assert relations["area"].tolist() == pytest.approx([800 * UNIT, 100 * UNIT], rel=0.01)
    assert (frame["osm_kind"] == "way").sum() == 1  # the house's plot, mapped by its own tag
    assert [(b["osm_kind"], b["osm_id"]) for b in frame.attrs["broken"]] == [("relation", torn)]
    assert "its outer ways differ" in frame.attrs["broken"][0]["reason"]


@pytest.mark.parametrize(
    "tag",
    [
        {"wikidata": "Q1", "ref": "7", "name:de": "See", "website": "https://a.org"},
        {"source:date": "2020", "wikipedia": "de:See", "operator": "X", "import_uuid": "1-2"},
        {"water": "lake", "depth": "3", "boat": "no"},
    ],
)
def test_further_tags_of_an_old_style_multipolygon_do_not_fill_its_holes(
    tmp_path: Path, tag: dict[str, str]
) -> None:
    osm = OsmFile()
    ring, hole = osm.way(square(0, 0, 30), {"natural": "water"}), osm.way(square(10, 10, 10))
    relation = osm.relation([(ring, "outer"), (hole, "inner")], MULTI | tag)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame[["osm_kind", "osm_id", "tag"]].to_numpy().tolist() == [
        ["relation", relation, "natural=water"]
    ]
    assert frame["area"].tolist() == pytest.approx([800 * UNIT], rel=0.01)


@pytest.mark.parametrize("tag", [{"place": "island"}, {"natural": "water", "intermittent": "yes"}])
def test_a_multipolygon_that_says_what_it_is_leaves_its_ways_alone(
    tmp_path: Path, tag: dict[str, str]
) -> None:
    osm = OsmFile()
    ring, hole = osm.way(square(0, 0, 30), FOREST), osm.way(square(10, 10, 10))
    osm.relation([(ring, "outer"), (hole, "inner")], MULTI | tag)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame[["osm_kind", "osm_id"]].to_numpy().tolist() == [["way", ring]]
    assert frame["area"].tolist() == pytest.approx([900 * UNIT], rel=0.01)


def test_a_ring_that_crosses_itself_is_mended_and_reported(tmp_path: Path) -> None:
    osm = OsmFile()
    bow = osm.way([(0, 0), (10, 10), (10, 0), (0, 10), (0, 0)], FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["area"][0] == pytest.approx(50 * UNIT, rel=0.01)
    assert frame.geometry.is_valid.all()
    [mended] = frame.attrs["repaired"]
    assert (mended["osm_kind"], mended["osm_id"]) == ("way", bow)
    assert "Self-intersection" in mended["reason"]


def test_what_encloses_nothing_is_reported(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(50, 50, 10), FOREST)
    flat = osm.way([(0, 0), (10, 0), (0, 0), (0, 0)], FOREST)
    unclosed = osm.relation([(osm.way(square(0, 0, 10)[:-1]), "outer")], MULTI | FOREST)
    gone = osm.relation([(12345, "outer")], MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert len(frame) == 1
    reasons = {(b["osm_kind"], b["osm_id"]): b["reason"] for b in frame.attrs["broken"]}
    assert reasons.keys() == {("way", flat), ("relation", unclosed), ("relation", gone)}
    assert reasons["way", flat] == "it encloses no area"
    assert "open at 9.5" in reasons["relation", unclosed]
    assert reasons["relation", gone] == "1 of its 1 ways are not in the file"


def test_an_incomplete_relation_keeps_its_closed_rings(tmp_path: Path) -> None:
    osm = OsmFile()
    ring = osm.way(square(0, 0, 10))
    kept = osm.relation([(ring, "outer"), (12345, "outer")], MULTI | FOREST)
    holed = osm.relation([(ring, "outer"), (12346, "inner")], MULTI | FOREST)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["osm_id"].tolist() == [kept]
    assert frame["area"][0] == pytest.approx(100 * UNIT, rel=0.01)
    assert frame.attrs["repaired"][0]["reason"] == "1 of its 2 ways are not in the file"
    assert [b["osm_id"] for b in frame.attrs["broken"]] == [holed]
    assert "holes among them" in frame.attrs["broken"][0]["reason"]


def test_missing_nodes_are_told(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(50, 50, 10), FOREST)
    ring = osm.way(square(0, 0, 10), FOREST, missing=1)
    river = osm.way([(0, 0), (0, 50), (0, 100)], {"waterway": "river"}, missing=1)
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert set(frame["osm_id"]) == {100, river}
    assert frame.attrs["broken"][0]["osm_id"] == ring
    assert frame.attrs["broken"][0]["reason"] == "1 of its 5 nodes are not in the file"
    assert frame.attrs["repaired"][0]["osm_id"] == river


OUT_GEOM = """<osm version="0.6" generator="Overpass API"><way id="10">
<nd ref="1" lat="50.00" lon="10.00"/><nd ref="2" lat="50.00" lon="10.02"/>
<nd ref="3" lat="50.02" lon="10.02"/><nd ref="1" lat="50.00" lon="10.00"/>
<tag k="landuse" v="forest"/></way></osm>"""


def test_land_that_is_all_broken_is_told_with_the_first_reason(tmp_path: Path) -> None:
    path = tmp_path / "geom.osm"
    path.write_text(OUT_GEOM)  # Overpass's out geom, places in the ways and no nodes
    flat = OsmFile()
    flat.way([(0, 0), (10, 0), (0, 0), (0, 0)], FOREST)
    flat.way([(0, 5), (10, 5), (0, 5), (0, 5)], FOREST)
    lacking = "give an extract with its ways and nodes; ask Overpass for (._;>;); out body;"
    whole = flat.write(tmp_path / "flat.osm")
    for file, objects, reason, advice in (
        (path, "1 object", "way 10: 4 of its 4 nodes are not in the file", lacking),
        (whole, "2 objects", "way 100: it encloses no area", "mend it, or give another extract"),
    ):
        for call in (read_landuse, partial(write_landuse, folder=tmp_path / "areas")):
            for bbox in (None, (9.0, 47.0, 11.0, 51.0)):
                with pytest.raises(InputError) as refused:
                    call(file, bbox=bbox)
                told = f"names, only {objects} with its tags that cannot be made one ({reason})"
                assert refused.value.given.endswith(told)
                assert refused.value.advice == advice
    assert not (tmp_path / "areas").exists()
    osm = OsmFile()
    osm.way([(0, 0), (10, 0), (0, 0), (0, 0)], FOREST)
    osm.way(square(50, 50, 10), FOREST)
    with pytest.raises(InputError, match="within the bbox; give an extract with land use"):
        read_landuse(osm.write(tmp_path / "far.osm"), bbox=(0, 0, 1, 1))


def test_a_way_that_is_said_to_be_no_area_is_none(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(0, 0, 10), FOREST)
    osm.way(square(20, 0, 10), {"leisure": "track", "area": "no"})
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["tag"].tolist() == ["landuse=forest"]
    assert frame.attrs["broken"] == []


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


@pytest.mark.parametrize(("left", "right"), [(179.5, -179.5), (179.5, 180.5), (-180.5, -179.5)])
def test_a_bbox_across_the_antimeridian_is_what_lies_between_its_sides(
    tmp_path: Path, left: float, right: float
) -> None:
    osm = OsmFile()
    west, east, *far = (
        osm.way(square((lon - 9.5) * 1e4, (-16.8 - 47.1) * 1e4, 500), {"landuse": "forest"})
        for lon in (179.6, -179.9, 170.0, 0.0)
    )
    path = osm.write(tmp_path / "fiji.osm")
    box = (left, -17.0, right, -16.5)
    assert read_landuse(path, bbox=box)["osm_id"].tolist() == [west, east]
    folder = write_landuse(path, tmp_path / "all").folder
    assert read_landuse(folder, bbox=box)["osm_id"].tolist() == [west, east]
    written = write_landuse(path, tmp_path / "near", bbox=box)
    assert read_landuse(written.folder)["osm_id"].tolist() == [west, east]
    assert read_landuse(path, bbox=(-180, -17, 179.5, -16))["osm_id"].tolist() == [east, *far]
    assert len(read_landuse(folder, bbox=(-181, -17, 181, -16))) == 4


def test_a_bbox_that_is_none_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    folder = write_landuse(demo_osm_path(), tmp_path / "areas").folder
    told = r"^bbox \(12.2, 52.6, 12.9, 52.2\) is none; expected west, south, east, north in degrees"
    for call in (read_landuse, partial(write_landuse, folder=tmp_path / "new")):
        for path in (demo_osm_path(), tmp_path / "none.osm", folder):
            with pytest.raises(InputError, match=told):
                call(path, bbox=(12.2, 52.6, 12.9, 52.2))
    with pytest.raises(InputError, match=r"^bbox \(nan, 52, 12.9, 53\)"):
        read_landuse(folder, bbox=(float("nan"), 52.0, 12.9, 53.0))
    assert not (tmp_path / "new").exists()


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


def test_progress_is_told_in_bytes() -> None:
    calls: list[tuple[int, int]] = []
    frame = read_landuse(demo_osm_path(), progress=lambda done, total: calls.append((done, total)))
    assert len(frame) == 604
    total = calls[0][1]
    assert total % demo_osm_path().stat().st_size == 0  # it is read several times
    assert calls[-1] == (total, total)
    done = [d for d, _ in calls]
    assert done == sorted(done)
    assert 0 < done[0] < total


@pytest.mark.parametrize("ending", [".osm", ".osm.gz", ".osm.bz2", ".osm.pbf"])
def test_all_kinds_of_file_say_the_same(tmp_path: Path, ending: str) -> None:
    osm = OsmFile()
    ways = [(osm.way(square(0, 0, 30)), "outer"), (osm.way(square(5, 5, 20)), "inner")]
    osm.relation(ways, MULTI | FOREST)
    plain, other = osm.write(tmp_path / "plain.osm"), tmp_path / f"other{ending}"
    with osmium.SimpleWriter(str(other)) as writer:
        for thing in osmium.FileProcessor(str(plain)):
            writer.add(thing)
    assert_geodataframe_equal(read_landuse(other), read_landuse(plain))


def test_points_and_lines_get_the_width_that_a_legend_gives(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(0, 0, 10), FOREST)
    osm.node((50, 50), {"power": "generator"})
    a = {"id": 1, "clc": 11, "slug": "a", "name": "A", "color": [1, 2, 3], "priority": 1}
    rule = {"class": "a", "tags": ["power=generator"], "geometry": "point", "width": 40}
    frame = read_landuse(
        osm.write(tmp_path / "a.osm"), legend_from_dict({"class": [a], "rule": [rule]})
    )
    assert frame["osm_kind"].tolist() == ["node"]
    assert frame["area"][0] == pytest.approx(np.pi * 20**2, rel=0.01)


def test_an_island_drawn_onto_its_lake_keeps_its_forest(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(0, 0, 30), {"natural": "water"})
    osm.way(square(10, 10, 10), FOREST | {"place": "islet"})
    frame = read_landuse(osm.write(tmp_path / "a.osm"))
    assert frame["priority"].tolist() == [0, 1]


def test_coastal_wetlands_are_an_option(tmp_path: Path) -> None:
    osm = OsmFile()
    osm.way(square(0, 0, 10), {"natural": "wetland", "wetland": "saltmarsh"})
    osm.way(square(20, 0, 10), {"natural": "wetland", "wetland": "bog"})
    path = osm.write(tmp_path / "a.osm")
    assert read_landuse(path)["class_id"].tolist() == [11]
    assert read_landuse(path, default_legend(coastal=True))["class_id"].tolist() == [13, 11]


def test_frequent_tags_without_a_rule_are_counted(tmp_path: Path) -> None:
    osm = OsmFile()
    for k in range(3):
        osm.way(square(20 * k, 0, 10), {"natural": "valley"})
    osm.way(square(0, 50, 10)[:-1], {"natural": "ridge"})  # a line
    osm.way(square(0, 50, 10), FOREST)
    path = osm.write(tmp_path / "a.osm")
    assert unclaimed_tags(path) == {"natural=valley": 3}
    assert unclaimed_tags(path, at_least=4) == {}


@pytest.mark.parametrize("cell", [0.01, 0.05, 20.0])
def test_partitions_hold_the_same_areas(tmp_path: Path, cell: float) -> None:
    frame = read_landuse(demo_osm_path())
    landuse = write_landuse(demo_osm_path(), tmp_path / "areas", cell=cell)
    assert len(landuse) == len(frame) == 604
    assert (len(landuse.partitions) > 1) is (cell < 1)
    again = read_landuse(tmp_path / "areas")
    assert_geodataframe_equal(again, frame)
    assert again.attrs == frame.attrs
    assert sum(t.count for t in landuse.tags.values()) == 604
    assert len(gpd.read_parquet(tmp_path / "areas")) == 604
    west, south, east, north = landuse.bounds
    west = (west + east) / 2
    by_column = gpd.read_parquet(tmp_path / "areas", bbox=(west, south, east, north))
    assert set(by_column["osm_id"]) == set(frame.cx[west:, :]["osm_id"])
    part = read_landuse(tmp_path / "areas", bbox=(west, south, east, north))
    assert_geodataframe_equal(part, read_landuse(demo_osm_path(), bbox=(west, south, east, north)))


def test_batches_and_places_of_nodes_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_landuse(demo_osm_path())
    monkeypatch.setattr("osm4eo_xr.osm.areas.BATCH", 50)
    monkeypatch.setattr("osm4eo_xr.osm.passes.LARGE_FILE", 1)  # node locations in a file
    write_landuse(demo_osm_path(), tmp_path / "areas", cell=0.01)
    assert_geodataframe_equal(read_landuse(tmp_path / "areas"), whole)
    assert [p.name for p in tmp_path.iterdir()] == ["areas"]


def test_partitions_are_whole_or_not_there(tmp_path: Path) -> None:
    broken = tmp_path / "broken.osm.pbf"
    broken.write_bytes(demo_osm_path().read_bytes()[:40_000])
    with pytest.raises(InputError, match=r"broken\.osm\.pbf cannot be read"):
        write_landuse(broken, tmp_path / "areas")
    assert [p.name for p in tmp_path.iterdir()] == ["broken.osm.pbf"]
    mine = tmp_path / "mine"
    mine.mkdir()
    with pytest.raises(InputError, match="give a new folder"):
        write_landuse(demo_osm_path(), mine)
    with pytest.raises(InputError, match="cell is 0 degrees"):
        write_landuse(demo_osm_path(), tmp_path / "areas", cell=0)
    with pytest.raises(InputError, match=r"no _landuse\.json in .*mine"):
        read_landuse(mine)


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
    found, expected = forest.loc[both, "area"].to_numpy(), theirs.loc[both].area.to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # edges of a kilometer bend in ours
    assert np.isclose(found, expected, rtol=1e-6, atol=0).mean() > 0.99
