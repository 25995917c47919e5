"""Files as editors, servers and other tools leave them."""

import bz2
import gzip
from pathlib import Path
from xml.etree import ElementTree as ET

import osmium
import pytest

from osm4eo_xr.errors import InputError
from osm4eo_xr.osm import edits
from osm4eo_xr.osm.edits import NegativeIdError, as_libosmium_reads, check_id, original_id
from osm4eo_xr.osm.landuse import read_landuse, unclaimed_tags
from tests.cases.osm_file import OsmFile, square

FOREST = {"landuse": "forest"}
MULTI = {"type": "multipolygon"}
UNIT = 11.12 * 7.58  # m² of a square of one step


def holed(tmp_path: Path, name: str = "a.osm") -> tuple[OsmFile, Path]:
    """Return a forest with a clearing, as relation 900 of ways 100 and 101, beside a wood, 102."""
    osm = OsmFile()
    members = [(osm.way(square(0, 0, 30)), "outer"), (osm.way(square(10, 10, 10)), "inner")]
    osm.relation(members, MULTI | FOREST)
    osm.way(square(50, 0, 10), {"natural": "wood"})
    return osm, tmp_path / name


def as_pbf(path: Path) -> Path:
    written = path.with_suffix(".osm.pbf")
    with osmium.SimpleWriter(str(written)) as writer:
        for thing in osmium.FileProcessor(str(path)):
            writer.add(thing)
    return written


@pytest.mark.parametrize("mark", [("visible", "false"), ("action", "delete")])
def test_deleted_objects_are_left_out(tmp_path: Path, mark: tuple[str, str]) -> None:
    osm, path = holed(tmp_path)
    osm.ways[-1].set(*mark)
    frame = read_landuse(osm.write(path))
    assert frame[["osm_kind", "osm_id"]].to_numpy().tolist() == [["relation", 900]]
    assert frame["area"].tolist() == pytest.approx([800 * UNIT], rel=0.01)
    osm.relations[-1].set(*mark)
    with pytest.raises(InputError, match=r"a\.osm has no area"):
        read_landuse(osm.write(path))


@pytest.mark.parametrize("quote", ['"', "'"])
def test_deleted_tags_are_not_counted(tmp_path: Path, quote: str) -> None:
    osm, path = holed(tmp_path)
    osm.way(square(80, 0, 10), {"natural": "valley"})
    osm.way(square(90, 0, 10), {"natural": "valley"})
    osm.ways[-1].set("action", "delete")
    text = osm.write(path).read_text().replace('"', quote)
    path.write_text(text)
    assert unclaimed_tags(path, at_least=1) == {"natural=valley": 1}


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_an_answer_that_broke_off_is_refused_with_its_reason(tmp_path: Path, ending: str) -> None:
    osm, path = holed(tmp_path)
    osm.ways.append(ET.Element("remark"))
    osm.ways[-1].text = 'runtime error: Query timed out in "query" at line 3 after 2 seconds.'
    text = osm.write(path).read_bytes()
    path = tmp_path / f"b.osm{ending}"
    path.write_bytes(gzip.compress(text) if ending else text)
    with pytest.raises(InputError, match=r"b\.osm.* not whole .*timed out in .*line 3 after 2 sec"):
        read_landuse(path)


def test_change_and_history_files_are_refused_with_the_command(tmp_path: Path) -> None:
    osm, path = holed(tmp_path)
    osm.write(path)
    for name in ("a.osc", "a.osc.gz", "a.o5c", "changes.osm"):
        osm.root.tag = "osmChange"
        ET.ElementTree(osm.root).write(tmp_path / name)
        with pytest.raises(InputError, match=rf"osmium apply-changes EXTRACT\.osm\.pbf {name} -o"):
            read_landuse(tmp_path / name)
    path.rename(tmp_path / "a.osh.pbf")
    with pytest.raises(InputError, match=r"osmium time-filter a\.osh\.pbf"):
        read_landuse(tmp_path / "a.osh.pbf")


def negate(osm: OsmFile, kinds: tuple[str, ...]) -> None:
    """Give objects, and what refers to them, the ids that new ones have in an editor."""
    for element in osm.root.iter():
        for key in ("id", "ref"):
            if key in element.attrib and element.tag in kinds:
                element.set(key, f"-{element.get(key)}")


NODES = ("node", "nd")
ALL = (*NODES, "way", "member", "relation")


@pytest.mark.parametrize("kinds", [ALL, NODES])
def test_new_objects_of_an_editor_are_read_right(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    osm, path = holed(tmp_path)
    wanted = read_landuse(osm.write(path))
    negate(osm, kinds)
    osm.root[:] = osm.root[::-1]  # editors keep no order
    ET.ElementTree(osm.root).write(path)
    frame = read_landuse(path)
    sign = -1 if kinds == ALL else 1
    assert dict(zip(frame["osm_id"], frame["area"], strict=True)) == dict(
        zip(sign * wanted["osm_id"], wanted["area"], strict=True)
    )
    problems: dict[str, list] = {"broken": [], "repaired": [], "duplicates": []}
    assert frame.attrs == {**problems, "legend": "osmlanduse-12"}


@pytest.mark.parametrize("kinds", [ALL, NODES])
def test_negative_ids_elsewhere_are_refused_with_the_commands(
    tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    osm, path = holed(tmp_path)
    osm.write(path)
    negate(osm, kinds)
    ET.ElementTree(osm.root).write(path)
    with pytest.raises(InputError, match=r"sort a\.osm\.pbf .* osmium renumber"):
        read_landuse(as_pbf(path))


def test_problems_name_the_ids_of_the_file(tmp_path: Path) -> None:
    osm, path = holed(tmp_path)
    osm.way([*square(80, 0, 10)[:3], (80, 0), (80, 0)], FOREST, missing=1)
    osm.ways[-1].set("id", "-7")
    [broken] = read_landuse(osm.write(path)).attrs["broken"]
    assert (broken["osm_kind"], broken["osm_id"]) == ("way", -7)


def test_ways_out_of_order_are_refused_with_the_command(tmp_path: Path) -> None:
    osm, path = holed(tmp_path)
    osm.ways.reverse()
    with pytest.raises(InputError, match=r"osmium sort a\.osm -o SORTED"):
        read_landuse(osm.write(path))


@pytest.mark.parametrize("tags", [MULTI | FOREST, MULTI])
def test_a_relation_that_is_twice_in_a_file_counts_once(
    tmp_path: Path, tags: dict[str, str]
) -> None:
    osm, path = OsmFile(), tmp_path / "a.osm"
    ring = osm.way(square(0, 0, 30), None if "landuse" in tags else FOREST)
    osm.relation([(ring, "outer"), (osm.way(square(10, 10, 10)), "inner")], tags)
    osm.relations *= 2
    frame = read_landuse(osm.write(path))
    assert frame[["osm_kind", "osm_id"]].to_numpy().tolist() == [["relation", 900]]
    assert frame["area"].tolist() == pytest.approx([800 * UNIT], rel=0.01)


def test_ways_of_joined_extracts_are_refused_with_the_command(tmp_path: Path) -> None:
    osm, path = holed(tmp_path)
    osm.ways.insert(0, osm.ways[0])
    with pytest.raises(InputError, match="osmium merge A.osm.pbf B.osm.pbf"):
        read_landuse(osm.write(path))


def test_nodes_and_kinds_may_come_in_any_order(tmp_path: Path) -> None:
    osm, path = holed(tmp_path)
    wanted = read_landuse(osm.write(path))
    nodes = [e for e in osm.root if e.tag == "node"]
    osm.root[:] = [*osm.relations, *nodes[::-1], *osm.ways]
    ET.ElementTree(osm.root).write(path)
    frame = read_landuse(path)
    assert frame["area"].tolist() == wanted["area"].tolist()
    assert frame.attrs["broken"] == []


def test_what_is_no_xml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.osm"
    path.write_text('<osm><node id="-1" lon="9" lat="47"/><way id="-2"><nd')
    with pytest.raises(InputError, match=r"a\.osm cannot be read"):
        read_landuse(path)
    path.write_text('<osm><node lon="9" lat="47"/><way id="-2"></way></osm>')
    with pytest.raises(InputError, match=r"a\.osm cannot be read"):
        read_landuse(path)
    path.write_text('<osm><node id="1" lon="9 000" lat="47"/><way id="2"></way></osm>')
    with pytest.raises(InputError, match=r"a\.osm cannot be read"):
        read_landuse(path)
    (tmp_path / "a.osm.gz").write_bytes(b"not zipped")
    with pytest.raises(InputError, match=r"a\.osm\.gz cannot be read"):
        read_landuse(tmp_path / "a.osm.gz")


def test_ids_of_new_objects_come_back_as_they_were() -> None:
    for text in ("-1", "-123456789", "7", str(2**40)):
        assert original_id(edits._read_id(text)) == int(text)
    assert edits._read_id("-5") > 2**48  # above all ids in use, and further for later ones
    assert edits._read_id("-6") > edits._read_id("-5")
    check_id(7)
    with pytest.raises(NegativeIdError, match="id -7 is negative"):
        check_id(-7)


@pytest.mark.parametrize("size", [1, 3, 50, 4_000_000])
@pytest.mark.parametrize("edited", [True, False])
def test_marks_of_editors_are_found_across_the_blocks_that_are_read(
    tmp_path: Path, size: int, edited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "_BLOCK", size)
    osm, path = holed(tmp_path)
    if edited:
        osm.ways[-1].set("action", "delete")
    osm.write(path)
    with as_libosmium_reads(path) as file:
        assert (file != path) is edited
        assert file.is_file()
    assert file.is_file() is not edited  # a copy goes with the context


def test_what_was_modified_is_kept_and_what_was_deleted_is_not(tmp_path: Path) -> None:
    osm, path = holed(tmp_path)
    osm.way(square(80, 0, 10), FOREST)
    osm.ways[-1].set("action", "modify")
    osm.ways[-2].set("action", "delete")
    frame = read_landuse(osm.write(path))
    assert sorted(frame["osm_id"]) == [103, 900]


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
def test_packed_files_are_looked_through_as_plain_ones(tmp_path: Path, ending: str) -> None:
    osm, path = holed(tmp_path)
    osm.ways[-1].set("action", "delete")
    text = osm.write(path).read_bytes()
    packed = path.with_name(f"b.osm{ending}")
    pack = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[ending]
    packed.write_bytes(pack(text))
    assert read_landuse(packed)["osm_kind"].tolist() == ["relation"]


def test_a_file_that_breaks_off_inside_its_packing_is_told(tmp_path: Path) -> None:
    osm, path = holed(tmp_path)
    packed = path.with_name("b.osm.gz")
    packed.write_bytes(gzip.compress(osm.write(path).read_bytes())[:-20])
    with pytest.raises(InputError, match=r"b\.osm\.gz cannot be read as OpenStreetMap data"):
        read_landuse(packed)
