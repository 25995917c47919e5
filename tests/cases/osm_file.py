"""Small OpenStreetMap files written for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

Ring = Sequence[tuple[float, float]]


class OsmFile:
    """Collects nodes, ways and relations and writes them as OSM XML.

    Coordinates are steps of about 11 m from 9.5 E, 47.1 N.
    """

    def __init__(self) -> None:
        self.root = ET.Element("osm", version="0.6", generator="osm4eo_xr tests")
        self.nodes: dict[tuple[float, float], int] = {}
        self.ways: list[ET.Element] = []
        self.relations: list[ET.Element] = []

    def node(self, point: tuple[float, float], tags: Mapping[str, str]) -> int:
        """Add a tagged node and return its id."""
        number = self._node(point)
        self._tag(self.root[number - 1], tags)
        return number

    def way(self, points: Ring, tags: Mapping[str, str] | None = None, *, missing: int = 0) -> int:
        """Add a way through ``points``, leave some nodes out of the file, and return its id."""
        way = ET.Element("way", id=str(100 + len(self.ways)), version="1")
        for k, point in enumerate(points):
            ref = 10**9 + k if 0 < k <= missing else self._node(point)
            ET.SubElement(way, "nd", ref=str(ref))
        self._tag(way, tags or {})
        self.ways.append(way)
        return int(way.get("id", "0"))

    def relation(self, members: Sequence[tuple[int, str]], tags: Mapping[str, str]) -> int:
        """Add a relation of (way id, role) and return its id."""
        relation = ET.Element("relation", id=str(900 + len(self.relations)), version="1")
        for ref, role in members:
            ET.SubElement(relation, "member", type="way", ref=str(ref), role=role)
        self._tag(relation, tags)
        self.relations.append(relation)
        return int(relation.get("id", "0"))

    def write(self, path: Path) -> Path:
        """Write the file in the order that OSM files have."""
        self.root.extend([*self.ways, *self.relations])
        ET.ElementTree(self.root).write(path, encoding="utf-8", xml_declaration=True)
        return path

    def _node(self, point: tuple[float, float]) -> int:
        if point not in self.nodes:
            self.nodes[point] = len(self.nodes) + 1
            lon, lat = 9.5 + point[0] * 1e-4, 47.1 + point[1] * 1e-4
            place = {"id": str(self.nodes[point]), "lon": f"{lon:.7f}", "lat": f"{lat:.7f}"}
            self.root.append(ET.Element("node", {**place, "version": "1"}))
        return self.nodes[point]

    @staticmethod
    def _tag(element: ET.Element, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            ET.SubElement(element, "tag", k=key, v=value)


def square(left: float, bottom: float, edge: float) -> list[tuple[float, float]]:
    """Return a closed ring."""
    right, top = left + edge, bottom + edge
    return [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
