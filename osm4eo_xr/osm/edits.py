"""What a file says of itself before it is read: changes, edits, an answer that broke off.

Editors such as JOSM save objects that are deleted, and new ones with negative ids in any order.
libosmium knows neither, so such XML is read from a copy in the order that it needs.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO
from xml.etree import ElementTree as ET

import osmium
import osmium.io
from osmium.osm import mutable

from osm4eo_xr.errors import InputError

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
_BLOCK = 4_000_000  # bytes of XML looked through at a time
_LONGEST = 100  # bytes; more than any of the marks below
_EDITED = tuple(
    mark.replace(b'"', quote)
    for mark in (b'action="delete"', b'visible="false"', b' id="-', b' ref="-')
    for quote in (b'"', b"'")
)
_REMARK, _CHANGE = b"<remark>", b"<osmChange"
_NEW = 2**48
"""Above all ids in use: a new object's negative id counts on from here while it is read."""


@contextmanager
def as_libosmium_reads(path: Path) -> Iterator[Path]:
    """Yield a file that libosmium reads right: the same one, or a copy of one that was edited.

    Raises
    ------
    InputError
        If it holds changes or a history, or says that it is not whole.
    """
    _refuse_changes(path)
    if not _is_xml(path) or not _is_edited(path):
        yield path
        return
    with TemporaryDirectory(prefix="osm4eo-edits-") as folder:
        tidy = Path(folder) / "tidy.osm.pbf"
        _write_sorted(_read_edited(path), tidy)
        yield tidy


class NegativeIdError(RuntimeError):
    """An object of a file that is no XML has a negative id, which libosmium does not look up."""


def check_id(osm_id: int) -> None:
    """Refuse a negative id."""
    if osm_id < 0:
        raise NegativeIdError(f"id {osm_id} is negative")


def original_id(osm_id: int) -> int:
    """Return the id that an object has in its file."""
    return _NEW - osm_id if osm_id > _NEW else osm_id


def _read_id(text: str) -> int:
    osm_id = int(text)
    return _NEW - osm_id if osm_id < 0 else osm_id


def _refuse_changes(path: Path) -> None:
    """Refuse what is no state of the map but a list of changes to one."""
    name = path.name.removesuffix(".gz").removesuffix(".bz2").removesuffix(".pbf")
    if name.endswith((".osc", ".o5c")):
        raise _change_file(path)
    if name.endswith(".osh"):
        raise InputError(
            f"{path} is a history file, with all versions of each object",
            advice="write one state with "
            f"osmium time-filter {path.name} 2024-01-01T00:00:00Z -o STATE.osm.pbf and give that",
        )


def _change_file(path: Path) -> InputError:
    return InputError(
        f"{path} is a change file, not an extract",
        advice="apply it with osmium apply-changes "
        f"EXTRACT.osm.pbf {path.name} -o NEW.osm.pbf and give the new one",
    )


def _is_xml(path: Path) -> bool:
    return path.name.endswith((".osm", ".osm.gz", ".osm.bz2", ".xml", ".xml.gz", ".xml.bz2"))


def _open(path: Path) -> BinaryIO:
    return _OPENERS.get(path.suffix, open)(path, "rb")


def _is_edited(path: Path) -> bool:
    """Look an XML file through for what an editor leaves; refuse changes and broken answers."""
    edited, before = False, b""
    with _open(path) as file:
        while block := _read_block(file):
            text = before + block
            if _CHANGE in text:
                raise _change_file(path)
            if _REMARK in text:
                raise _broken_answer(path, text[text.index(_REMARK) :] + _read_block(file))
            edited = edited or any(mark in text for mark in _EDITED)
            before = text[-_LONGEST:]
    return edited


def _read_block(file: BinaryIO) -> bytes:
    try:
        return file.read(_BLOCK)
    except (OSError, EOFError, zlib.error) as error:  # as each kind of compression puts it
        raise RuntimeError(error) from None


def _broken_answer(path: Path, text: bytes) -> InputError:
    said = text[len(_REMARK) : text.find(b"<", 1)].decode("utf-8", "replace").strip()
    return InputError(
        f"{path} says that it is not whole ({said!r})",
        advice="ask the Overpass server for less ground at "
        "a time or give it a longer [timeout:…], and download the answer again",
    )


@dataclass
class _Edited:
    """Objects of an edited file that are not deleted, by id."""

    nodes: dict[int, mutable.Node] = field(default_factory=dict)
    ways: dict[int, mutable.Way] = field(default_factory=dict)
    relations: dict[int, mutable.Relation] = field(default_factory=dict)


def _read_edited(path: Path) -> _Edited:
    found = _Edited()
    with _open(path) as file:
        for _, element in ET.iterparse(file):  # noqa: S314 - expat bounds what entities expand to
            if element.tag not in ("node", "way", "relation"):
                continue
            if element.get("action") != "delete" and element.get("visible") != "false":
                _take(element, found)
            element.clear()
    return found


def _take(element: ET.Element, found: _Edited) -> None:
    osm_id = _read_id(element.attrib["id"])
    tags: Any = {tag.attrib["k"]: tag.attrib["v"] for tag in element.iter("tag")}
    if element.tag == "node":
        place = float(element.attrib["lon"]), float(element.attrib["lat"])
        found.nodes[osm_id] = mutable.Node(id=osm_id, location=place, tags=tags)
    elif element.tag == "way":
        nodes = [_read_id(nd.attrib["ref"]) for nd in element.iter("nd")]
        found.ways[osm_id] = mutable.Way(id=osm_id, nodes=nodes, tags=tags)
    else:
        members: Any = [
            (m.attrib["type"][0], _read_id(m.attrib["ref"]), m.get("role", ""))
            for m in element.iter("member")
        ]
        found.relations[osm_id] = mutable.Relation(id=osm_id, members=members, tags=tags)


def _write_sorted(found: _Edited, path: Path) -> None:
    with osmium.SimpleWriter(str(path)) as writer:
        for _, node in sorted(found.nodes.items()):
            writer.add_node(node)
        for _, way in sorted(found.ways.items()):
            writer.add_way(way)
        for _, relation in sorted(found.relations.items()):
            writer.add_relation(relation)
