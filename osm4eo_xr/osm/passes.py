"""The passes over an OpenStreetMap extract that libosmium needs to assemble areas.

Relations come first, since they say which ways are needed; then the nodes; then the ways. All
nodes are kept, in a temporary file where the extract is large: a set of those needed costs a bit
per possible id, which is more than a gigabyte where the ids of an extract are spread.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import osmium
import osmium.area
import osmium.filter
import osmium.io
import osmium.osm
from osmium.index import LocationTable, create_map

from osm4eo_xr.files import scratch_folder
from osm4eo_xr.osm.edits import check_id
from osm4eo_xr.osm.rules import Rules, is_old_style

if TYPE_CHECKING:
    from osm4eo_xr.legend_entries import TagRule
    from osm4eo_xr.progress import Progress


LARGE_FILE = 300_000_000
"""Bytes; above it node locations go to a file, not to memory."""

_REPORT_EVERY = 5_000  # objects
# libosmium decodes some twenty blocks ahead, 10 MB each; its only setting for that is this one.
os.environ.setdefault("OSMIUM_MAX_OSMDATA_QUEUE_SIZE", "2")
_MARKS = 2**22  # bytes; ways of one remainder share a mark
_AREA_TYPES = (("type", "multipolygon"), ("type", "boundary"))


class Passes:
    """Reads an extract pass by pass.

    Attributes
    ----------
    relations : Relations
        What the first pass found.
    locations : LocationTable
        Where the nodes of ways are; valid until the passes are over.
    """

    def __init__(self, path: Path, rules: Rules, progress: Progress | None) -> None:
        self.path, self.rules = path, rules
        self.large = path.stat().st_size >= LARGE_FILE
        self.progress = _Bytes(path, 3, progress)
        self.relations = Relations(rules, self.progress)
        self.locations: LocationTable | None = None
        # Few objects have one of the keys, so that few are compared with each of the tags.
        keys = osmium.filter.KeyFilter(*sorted(rules.by_key))
        self.tagged = keys, osmium.filter.TagFilter(*rules.tags)

    @contextmanager
    def places(self, scratch: Path | None) -> Iterator[None]:
        """Keep the places of nodes while the passes go on, in a file for a large extract."""
        if not self.large:
            self.locations = create_map("sparse_mmap_array")
            yield
            return
        with scratch_folder("osm4eo-nodes-", scratch) as folder:
            self.locations = create_map(f"sparse_file_array,{folder}/nodes")
            yield

    def objects(self) -> Iterator[Any]:
        """Yield the areas and ways that have a tag of the legend, in the order of the file."""
        manager, path = osmium.area.AreaManager(), str(self.path)
        types = osmium.filter.TagFilter(*_AREA_TYPES)
        with osmium.io.Reader(path, osmium.osm.RELATION) as reader:
            osmium.apply(reader, types, self.relations, manager.first_pass_handler())
        assert self.locations is not None  # noqa: S101 - objects are asked for within places
        placed = osmium.NodeLocationsForWays(self.locations)
        placed.ignore_errors()
        self.progress.next_pass()
        with osmium.io.Reader(path, osmium.osm.NODE) as reader:
            osmium.apply(reader, placed)
        self.progress.next_pass()
        areas = osmium.BufferIterator(*self.tagged)
        with osmium.io.Reader(path, osmium.osm.WAY) as reader:
            maker = manager.second_pass_to_buffer(areas)
            for count, way in enumerate(
                osmium.OsmFileIterator(reader, placed, maker, *self.tagged)
            ):
                if count % _REPORT_EVERY == 0:
                    self.progress.report()
                yield way
                if areas:
                    yield from areas
        yield from areas

    def points(self) -> Iterator[Any]:
        """Yield the nodes that have a tag of the legend."""
        if self.rules.points:
            nodes = osmium.FileProcessor(str(self.path), osmium.osm.NODE)
            for tagged in self.tagged:
                nodes = nodes.with_filter(tagged)
            yield from nodes


class Relations:
    """The first pass: which relations are land of the legend, and which ways are outside them.

    Attributes
    ----------
    rule : dict
        The rule of each relation that its own tags make land.
    untagged : set
        Multipolygons whose own tags do not say what they are, as their outer ways' may.
    """

    def __init__(self, rules: Rules, progress: _Bytes) -> None:
        self.rules, self.progress = rules, progress
        self.rule: dict[int, TagRule] = {}
        self.untagged: set[int] = set()
        self._ways, self._owners = array("q"), array("q")
        self._index: tuple[np.ndarray, np.ndarray] | None = None
        self._marks = bytearray(_MARKS)
        self._count = 0

    def relation(self, relation: Any) -> bool:
        """Take note of a relation; True keeps libosmium from assembling it."""
        self._count += 1
        if self._count % _REPORT_EVERY == 0:
            self.progress.report()
        matches = self.rules.matches(relation.tags)
        rule = self.rules.best(matches, "area")
        if rule is not None:
            self.rule[relation.id] = rule
        elif not matches and is_old_style(relation):
            self.untagged.add(relation.id)
        else:
            return True
        check_id(relation.id)
        for member in relation.members:
            check_id(member.ref)
            if member.type == "w" and member.role != "inner":
                self._ways.append(member.ref)
                self._marks[member.ref % _MARKS] = True
                self._owners.append(relation.id)
        return rule is None

    def of(self, way: int) -> list[int]:
        """Return the relations that have a way as outer ring or part of it."""
        if not self._marks[way % _MARKS]:  # as for most
            return []
        if self._index is None:
            ways, owners = np.array(self._ways, np.int64), np.array(self._owners, np.int64)
            order = np.argsort(ways, kind="stable")
            self._index = ways[order], owners[order]
        ways, owners = self._index
        at = ways.searchsorted(way)
        if at == len(ways) or ways[at] != way:
            return []
        return owners[at : ways.searchsorted(way, "right")].tolist()


class _Bytes:
    """Tells how many bytes of all passes over a file are read."""

    def __init__(self, path: Path, passes: int, progress: Progress | None) -> None:
        self.path, self.progress = path.resolve(), progress
        self.size, self.passes, self.passed = path.stat().st_size, passes, 0

    def report(self) -> None:
        """Tell how far the present pass is."""
        if self.progress is not None:
            self.progress(self.passed * self.size + self._position(), self.passes * self.size)

    def next_pass(self) -> None:
        """Take note that a pass is over."""
        self.passed += 1

    def finish(self) -> None:
        """Tell that all is read."""
        if self.progress is not None:
            self.progress(self.passes * self.size, self.passes * self.size)

    def _position(self) -> int:
        """Return where the reader stands; libosmium keeps it to itself, Linux does not."""
        for link in Path("/proc/self/fd").glob("*"):
            try:
                if link.readlink() == self.path:
                    text = Path(f"/proc/self/fdinfo/{link.name}").read_text(encoding="ascii")
                    return min(int(text.split("pos:")[1].split()[0]), self.size)
            except OSError:  # closed since it was listed
                continue
        return 0
