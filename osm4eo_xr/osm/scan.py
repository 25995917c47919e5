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

from osm4eo_xr.osm.areas import Problems, Rows
from osm4eo_xr.osm.edits import check_id, original_id
from osm4eo_xr.osm.passes import Passes
from osm4eo_xr.osm.repair import Rescued, line_points, rescue
from osm4eo_xr.osm.rules import Rules

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.legend_entries import TagRule
    from osm4eo_xr.progress import Progress


class _Held(NamedTuple):
    """A way's area that a relation may replace."""

    rule: TagRule
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
        self._unmade: dict[int, TagRule] = {}
        self._held: list[_Held] = []
        self._rows = Rows()
        self._made: dict[int, str] = {}
        self._outer_rules: dict[int, TagRule] = {}
        self._factory = osmium.geom.WKBFactory()

    @property
    def problems(self) -> Problems:
        """The three lists, each in order of kind and id."""

        def order(problem: dict[str, Any]) -> tuple[str, int]:
            return problem["osm_kind"], problem["osm_id"]

        lists = (self.broken, self.repaired, self.duplicates)
        return Problems(*(sorted(problems, key=order) for problems in lists))

    def batches(self) -> Iterator[Rows]:
        """Yield areas in the order of the file, some thousands at a time."""
        with self._passes.places(self.scratch):
            for _ in self._steps():
                if self._rows.full:
                    yield self._hand_over()
        if len(self._rows):
            yield self._hand_over()

    def _steps(self) -> Iterator[None]:
        """Take objects in one by one."""
        for thing in self._passes.objects():
            if thing.is_area():
                self._area(thing)
            else:
                self._way(thing)
            yield
        for node in self._passes.points():
            self._point(node)
            yield
        for thing in self._lost():
            self._rescued(thing)
            yield
        for held in self._held:
            self._release(held)
            yield

    def _hand_over(self) -> Rows:
        rows, self._rows = self._rows, Rows()
        return rows

    def _add(self, rule: TagRule, kind: str, osm_id: int, wkb: str | bytes) -> None:
        self._rows.add(rule, kind, original_id(osm_id), wkb)

    def _point(self, node: Any) -> None:
        rule = self.rules.best(self.rules.matches(node.tags), "point")
        if rule is not None:
            self._add(rule, "node", node.id, self._factory.create_point(node))

    def _area(self, area: Any) -> None:
        """Take an assembled area in."""
        osm_id = area.orig_id()
        if area.from_way():
            kind, rule = "way", self._awaited.pop(osm_id, None)
            if rule is None:
                rule = self.rules.best(self.rules.matches(area.tags), "area")
        else:
            kind, rule = "relation", self._relations.rule.get(osm_id)
        if rule is None or (kind == "relation" and osm_id in self._made):
            return  # no land, or the relation is twice in the file, as where extracts were joined
        try:
            wkb = self._factory.create_multipolygon(area)
        except RuntimeError:  # libosmium hands out areas without rings where they are wrong
            if kind == "way":
                self._awaited[osm_id] = rule
            return
        self._keep(rule, kind, osm_id, wkb)

    def _keep(self, rule: TagRule, kind: str, osm_id: int, wkb: str | bytes) -> None:
        """Let an area through; hold a way's back while a relation may replace it."""
        if kind == "relation":
            self._made[osm_id] = rule.tag
        elif any(self._may_replace(r, rule) for r in self._relations.of(osm_id)):
            self._held.append(_Held(rule, osm_id, wkb))
            return
        self._add(rule, kind, osm_id, wkb)

    def _way(self, way: Any) -> None:
        """Take a line of the legend in; note a ring that an area must come from."""
        matches = self.rules.matches(way.tags)
        line = self.rules.best(matches, "line")
        if line is not None:
            self._line(line, way)
        area = self.rules.best(matches, "area")
        if area is None:
            return
        osm_id = way.id
        check_id(osm_id)
        owners = self._relations.of(osm_id)
        if owners and self._relations.untagged.intersection(owners):
            self._outer_rules[osm_id] = area
        if way.is_closed() and way.tags.get("area") != "no":
            self._awaited[osm_id] = area

    def _line(self, rule: TagRule, way: Any) -> None:
        try:
            wkb = self._factory.create_linestring(way)
        except (osmium.InvalidLocationError, RuntimeError) as error:
            points = line_points(way.nodes)
            reason = f"{len(way.nodes) - len(points)} of its {len(way.nodes)} nodes are missing"
            if len(np.unique(points, axis=0)) < 2:  # noqa: PLR2004
                self._note(self.broken, "way", way.id, f"it is no line ({error})")
                return
            self._note(self.repaired, "way", way.id, f"{reason}; the line joins the others")
            wkb = shapely.LineString(points).wkb
        self._add(rule, "way", way.id, wkb)

    def _lost(self) -> Iterator[Rescued]:
        """Read once more what was not assembled."""
        old = self._old_style()
        self._unmade = {k: r for k, r in self._relations.rule.items() if k not in self._made} | old
        return rescue(self.path, self._passes.locations, set(self._awaited), set(self._unmade))

    def _rescued(self, thing: Rescued) -> None:
        if thing.geometry is None:
            self._note(self.broken, thing.kind, thing.osm_id, thing.reason)
            return
        if thing.reason:
            self._note(self.repaired, thing.kind, thing.osm_id, thing.reason)
        rules = self._unmade if thing.kind == "relation" else self._awaited
        self._keep(rules[thing.osm_id], thing.kind, thing.osm_id, thing.geometry.wkb)

    def _release(self, held: _Held) -> None:
        """Let a held way go unless a relation has replaced it."""
        makers = self._relations.of(held.osm_id)
        owner = next((r for r in makers if self._made.get(r) == held.rule.tag), None)
        if owner is None:
            self._add(held.rule, "way", held.osm_id, held.wkb)
        else:
            reason = f"relation {original_id(owner)} has it as outer ring, with {held.rule.tag}"
            self._note(self.duplicates, "way", held.osm_id, reason)

    def _old_style(self) -> dict[int, TagRule]:
        """Give each untagged multipolygon the rule that its tagged outer ways share."""
        found: dict[int, set[TagRule]] = {}
        for way, rule in self._outer_rules.items():
            for relation in self._relations.untagged.intersection(self._relations.of(way)):
                found.setdefault(relation, set()).add(rule)
        for relation, rules in sorted(found.items()):
            if len(rules) > 1:
                tags = ", ".join(sorted(rule.tag for rule in rules))
                reason = f"its tags name no ground and its outer ways differ ({tags})"
                self._note(self.broken, "relation", relation, reason)
        return {relation: rules.pop() for relation, rules in found.items() if len(rules) == 1}

    def _may_replace(self, relation: int, rule: TagRule) -> bool:
        owner = self._relations.rule.get(relation)
        return relation in self._relations.untagged or (owner is not None and owner.tag == rule.tag)

    @staticmethod
    def _note(problems: list[dict[str, Any]], kind: str, osm_id: int, reason: str) -> None:
        problems.append({"osm_kind": kind, "osm_id": original_id(osm_id), "reason": reason})
