"""Areas that libosmium does not assemble: why, and what can be kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import osmium
import osmium.filter
import osmium.osm
import shapely
from osmium.index import LocationTable
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.osm.edits import check_id

_MIN_NODES = 4  # of a closed ring, the first counted twice


@dataclass(frozen=True)
class Rescued:
    """What became of one object.

    Attributes
    ----------
    kind, osm_id
        The object: "way" or "relation".
    geometry
        Polygon or MultiPolygon in degrees; None where nothing encloses land.
    reason : str
        What is wrong with it; empty where nothing is.
    """

    kind: str
    osm_id: int
    geometry: BaseGeometry | None
    reason: str


@dataclass(frozen=True)
class _Line:
    """A way's nodes that are in the file, (n, 2) degrees, and how many are not."""

    points: np.ndarray
    missing: int


def rescue(
    path: Path, locations: LocationTable | None, ways: set[int], relations: set[int]
) -> Iterator[Rescued]:
    """Read objects once more and build their areas ring by ring, in order of kind and id."""
    members = _members(path, relations)
    wanted = ways | {way for parts in members.values() for way, _ in parts}
    lines = _lines(path, locations, wanted)
    for osm_id in sorted(relations):
        yield Rescued("relation", osm_id, *_from_members(members.get(osm_id, []), lines))
    for osm_id in sorted(ways):
        yield Rescued("way", osm_id, *_from_ring(lines[osm_id]))


def _members(path: Path, relations: set[int]) -> dict[int, list[tuple[int, str]]]:
    if not relations:
        return {}
    found: Any = osmium.FileProcessor(str(path), osmium.osm.RELATION)
    found = found.with_filter(osmium.filter.IdFilter(relations))
    return {r.id: [(m.ref, m.role) for m in r.members if m.type == "w"] for r in found}


def _lines(path: Path, locations: Any, wanted: set[int]) -> dict[int, _Line]:
    if not wanted:
        return {}
    placed = osmium.NodeLocationsForWays(locations)
    placed.ignore_errors()
    found: Any = osmium.FileProcessor(str(path), osmium.osm.WAY)
    found = found.with_filter(osmium.filter.IdFilter(wanted)).with_filter(placed)
    return {way.id: _line(way.nodes) for way in found}


def _line(nodes: Any) -> _Line:
    points = line_points(nodes)
    return _Line(points, len(nodes) - len(points))


def line_points(nodes: Any) -> np.ndarray:
    """Return the places of the nodes that are in the file, (n, 2) degrees."""
    points = [(n.lon, n.lat) for n in nodes if n.location.valid()]
    if len(points) < len(nodes):
        for node in nodes:
            check_id(node.ref)
    return np.array(points, float).reshape(-1, 2)


def _from_ring(line: _Line) -> tuple[BaseGeometry | None, str]:
    """Build the area of a closed way."""
    count = len(line.points) + line.missing
    if line.missing:
        return None, f"{line.missing} of its {count} nodes are not in the file"
    if count < _MIN_NODES:
        return None, f"it has {count} nodes; a ring needs {_MIN_NODES}"
    area, reason = _enclosed(line.points)
    return (None, "it encloses no area") if area.is_empty else (area, reason)


def _enclosed(ring: np.ndarray) -> tuple[BaseGeometry, str]:
    """Return the land a closed line encloses an odd number of times, and what is wrong with it."""
    polygon = shapely.Polygon(ring)
    if shapely.is_valid(polygon):
        return polygon, ""
    said = str(shapely.is_valid_reason(polygon))
    return polygons_of(shapely.make_valid(polygon)), f"its ring is not simple: {said}"


def _from_members(
    members: list[tuple[int, str]], lines: dict[int, _Line]
) -> tuple[BaseGeometry | None, str]:
    """Build the area of a relation from the rings that its ways close."""
    absent = [(way, role) for way, role in members if way not in lines]
    reasons = [f"{len(absent)} of its {len(members)} ways are not in the file"] if absent else []
    if any(role == "inner" for _, role in absent):
        return None, f"{reasons[0]}, holes among them"
    outer, wrong = _rings([lines[w] for w, role in members if w in lines and role != "inner"])
    reasons += wrong
    if not outer:
        return None, "; ".join(reasons) or "no way encloses an area"
    inner, wrong = _rings([lines[w] for w, role in members if w in lines and role == "inner"])
    area = polygons_of(_nested(outer, inner))
    return (None if area.is_empty else area), "; ".join(reasons + wrong)


def _nested(outer: list[BaseGeometry], inner: list[BaseGeometry]) -> BaseGeometry:
    """Put areas together from the largest to the smallest: an outer one may lie in an inner one."""
    whole = shapely.Polygon()
    sides = [*((area, shapely.union) for area in outer), *((a, shapely.difference) for a in inner)]
    for area, join in sorted(sides, key=lambda side: -side[0].area):
        whole = join(whole, area)
    return whole


def _rings(parts: list[_Line]) -> tuple[list[BaseGeometry], list[str]]:
    """Join lines to rings; return what each encloses, and what is wrong."""
    lost = sum(part.missing for part in parts)
    reasons = [f"{lost} nodes of its ways are not in the file"] if lost else []
    lines = [shapely.linestrings(p.points) for p in parts if len(p.points) > 1]
    merged = shapely.get_parts(shapely.line_merge(shapely.MultiLineString(lines)))
    closed = shapely.is_closed(merged)
    rings = [shapely.get_coordinates(line) for line in merged[closed]]
    enclosed = [_enclosed(ring) for ring in rings if len(ring) >= _MIN_NODES]
    reasons += sorted({reason for _, reason in enclosed if reason})
    areas = [area for area, _ in enclosed]
    if not closed.all():
        # Rings that share a point end the merge there; what still encloses land is found so.
        faces, cuts, dangles, _ = shapely.polygonize_full(list(_noded(merged[~closed])))
        areas += list(shapely.get_parts(faces))
        loose = shapely.get_parts(dangles).tolist() + shapely.get_parts(cuts).tolist()
        if loose:
            x, y = loose[0].coords[0]
            reasons.append(f"its ring is open at {x:.6f} {y:.6f}")
    return [area for area in areas if not area.is_empty], reasons


def _noded(lines: Iterable[Any]) -> np.ndarray:
    return shapely.get_parts(shapely.node(shapely.MultiLineString(list(lines))))


def polygons_of(geometry: BaseGeometry) -> BaseGeometry:
    """Return the polygons of a geometry and leave its lines and points out."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    kept = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    return kept[0] if len(kept) == 1 else shapely.MultiPolygon(kept.tolist())
