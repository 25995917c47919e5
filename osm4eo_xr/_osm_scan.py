"""One reading of an OpenStreetMap extract: relations first, then all that they and the ways need.

Memory holds the relations that the legend names, the ways that libosmium still waits with, and one
batch of areas; node locations of a large file are in a temporary file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import osmium
import osmium.geom
import shapely

from osm4eo_xr._osm_reader import Passes, Progress
from osm4eo_xr._osm_repair import Rescued, line_points, rescue
from osm4eo_xr._osm_rules import Rules

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend, TagRule

BATCH = 5_000  # areas
_BATCH_BYTES = 32_000_000  # of their geometries


class Row(NamedTuple):
    """One area: the rule that made it, the object, its geometry (WKB, hexadecimal or not)."""

    rule: TagRule
    kind: str
    osm_id: int
    wkb: str | bytes


class Scan:
    """Reads an extract once; ``batches`` yields its areas, then the lists of problems are whole.

    Attributes
    ----------
    broken, repaired, duplicates : list of dict
        Objects that became no area, that became one after a repair, and closed ways left out
        because a relation with the same tag has the way as its outer ring; each with osm_kind,
        osm_id and reason.
    """

    def __init__(
        self,
        path: Path,
        legend: Legend,
        progress: Progress | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.path, self.rules, self.scratch = path, Rules(legend), scratch
        self._passes = Passes(path, self.rules, progress)
        self.progress, self._relations = self._passes.progress, self._passes.relations
        self.broken: list[dict[str, Any]] = []
        self.repaired: list[dict[str, Any]] = []
        self.duplicates: list[dict[str, Any]] = []
        self._awaited: dict[int, TagRule] = {}
        self._held: list[Row] = []
        self._made: dict[int, str] = {}
        self._outer_rules: dict[int, TagRule] = {}
        self._factory = osmium.geom.WKBFactory()

    def batches(self) -> Iterator[list[Row]]:
        """Yield areas in the order of the file, some thousands at a time."""
        rows: list[Row] = []
        size = 0
        with self._passes.places(self.scratch):
            for row in self._rows():
                rows.append(row)
                size += len(row.wkb)
                if len(rows) >= BATCH or size >= _BATCH_BYTES:
                    yield rows
                    rows, size = [], 0
        yield rows

    def _rows(self) -> Iterator[Row]:
        for thing in self._passes.objects():
            yield from self._area(thing) if thing.is_area() else self._way(thing)
        for node in self._passes.points():
            rule = self._best(node.tags, "point")
            if rule is not None:
                yield Row(rule, "node", node.id, self._factory.create_point(node))
        yield from self._end()

    def _area(self, area: Any) -> Iterator[Row]:
        """Take an assembled area in."""
        osm_id = area.orig_id()
        if area.from_way():
            rule = self._awaited.pop(osm_id, None) or self._best(area.tags, "area")
            kind = "way"
        else:
            rule, kind = self._relations.rule.get(osm_id), "relation"
        if rule is None:
            return
        try:
            row = Row(rule, kind, osm_id, self._factory.create_multipolygon(area))
        except RuntimeError:  # libosmium hands out areas without rings where they are wrong
            if kind == "way":
                self._awaited[osm_id] = rule
            return
        yield from self._keep(row)

    def _keep(self, row: Row) -> Iterator[Row]:
        """Let an area through; hold a way's back while a relation may replace it."""
        if row.kind == "relation":
            self._made[row.osm_id] = row.rule.tag
        elif any(self._may_replace(r, row.rule) for r in self._relations.of(row.osm_id)):
            self._held.append(row)
            return
        yield row

    def _way(self, way: Any) -> Iterator[Row]:
        """Take a line of the legend in; note a ring that an area must come from."""
        matches = self.rules.matches(way.tags)
        line = self.rules.best(matches, "line")
        if line is not None:
            yield from self._line(line, way)
        area = self.rules.best(matches, "area")
        if area is None:
            return
        if self._relations.untagged.intersection(self._relations.of(way.id)):
            self._outer_rules[way.id] = area
        if way.is_closed() and way.tags.get("area") != "no":
            self._awaited[way.id] = area

    def _line(self, rule: TagRule, way: Any) -> Iterator[Row]:
        try:
            yield Row(rule, "way", way.id, self._factory.create_linestring(way))
        except (osmium.InvalidLocationError, RuntimeError) as error:
            points = line_points(way.nodes)
            reason = f"{len(way.nodes) - len(points)} of its {len(way.nodes)} nodes are missing"
            if len(np.unique(points, axis=0)) < 2:  # noqa: PLR2004
                self._note(self.broken, "way", way.id, f"it is no line ({error})")
                return
            self._note(self.repaired, "way", way.id, f"{reason}; the line joins the others")
            yield Row(rule, "way", way.id, shapely.LineString(points).wkb)

    def _end(self) -> Iterator[Row]:
        """Rescue what was not assembled, then let those held ways go that nothing replaced."""
        old = self._old_style()
        lost = {k: r for k, r in self._relations.rule.items() if k not in self._made} | old
        found = rescue(self.path, self._passes.locations, set(self._awaited), set(lost))
        for thing in found:
            rule = lost[thing.osm_id] if thing.kind == "relation" else self._awaited[thing.osm_id]
            yield from self._rescued(thing, rule)
        for row in self._held:
            makers = self._relations.of(row.osm_id)
            owner = next((r for r in makers if self._made.get(r) == row.rule.tag), None)
            if owner is None:
                yield row
            else:
                reason = f"relation {owner} has it as outer ring, with {row.rule.tag}"
                self._note(self.duplicates, row.kind, row.osm_id, reason)

    def _rescued(self, thing: Rescued, rule: TagRule) -> Iterator[Row]:
        if thing.geometry is None:
            self._note(self.broken, thing.kind, thing.osm_id, thing.reason)
            return
        if thing.reason:
            self._note(self.repaired, thing.kind, thing.osm_id, thing.reason)
        yield from self._keep(Row(rule, thing.kind, thing.osm_id, thing.geometry.wkb))

    def _old_style(self) -> dict[int, TagRule]:
        """Give each untagged multipolygon the rule that its tagged outer ways share."""
        found: dict[int, set[TagRule]] = {}
        for way, rule in self._outer_rules.items():
            for relation in self._relations.untagged.intersection(self._relations.of(way)):
                found.setdefault(relation, set()).add(rule)
        for relation, rules in sorted(found.items()):
            if len(rules) > 1:
                tags = ", ".join(sorted(rule.tag for rule in rules))
                reason = f"it has no tags and its outer ways differ ({tags})"
                self._note(self.broken, "relation", relation, reason)
        return {relation: rules.pop() for relation, rules in found.items() if len(rules) == 1}

    def _may_replace(self, relation: int, rule: TagRule) -> bool:
        owner = self._relations.rule.get(relation)
        return relation in self._relations.untagged or (owner is not None and owner.tag == rule.tag)

    def _best(self, tags: Any, geometry: str) -> TagRule | None:
        return self.rules.best(self.rules.matches(tags), geometry)

    @staticmethod
    def _note(problems: list[dict[str, Any]], kind: str, osm_id: int, reason: str) -> None:
        problems.append({"osm_kind": kind, "osm_id": osm_id, "reason": reason})
