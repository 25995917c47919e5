"""OpenStreetMap extracts → land-use polygons.

Areas are assembled by libosmium: closed ways and multipolygon or boundary relations, holes kept.
An object whose tags fall under several rules takes the class that wins on overlaps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import osmium
import osmium.filter
import osmium.geom
import shapely

from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import TARGET_CRS
from osm4eo_xr.legend import Legend, TagRule, default_legend

OSM_CRS = "EPSG:4326"
"""CRS of OpenStreetMap coordinates and of the polygons."""

_LARGE_FILE = 500_000_000  # bytes; above it node locations go to a file, not to memory
_REPORT_EVERY = 10_000  # objects


@dataclass
class _Found:
    """What one pass over an extract collected; one entry per object in each list."""

    class_id: list[int] = field(default_factory=list)
    osm_id: list[int] = field(default_factory=list)
    osm_kind: list[str] = field(default_factory=list)
    tag: list[str] = field(default_factory=list)
    width: list[float] = field(default_factory=list)
    wkb: list[str] = field(default_factory=list)
    awaited: set[tuple[str, int]] = field(default_factory=set)
    broken: list[dict[str, Any]] = field(default_factory=list)

    def add(self, rule: TagRule, kind: str, osm_id: int, wkb: str) -> None:
        """Take one object in."""
        self.class_id.append(rule.class_id)
        self.osm_id.append(osm_id)
        self.osm_kind.append(kind)
        self.tag.append(rule.tag)
        self.width.append(rule.width)
        self.wkb.append(wkb)


class _Rules:
    """The legend's rules, looked up by tag."""

    def __init__(self, legend: Legend) -> None:
        self.by_tag = {(rule.key, rule.value): rule for rule in legend.rules}
        self.priority = {c.id: c.priority for c in legend.classes}

    def choose(self, tags: Any, *, lines: bool) -> TagRule | None:
        """Return the rule that wins for an object's tags, of those for lines or for areas."""
        chosen: TagRule | None = None
        for tag in tags:
            rule = self.by_tag.get((tag.k, tag.v))
            if rule is None or (rule.width > 0) != lines or _is_excluded(rule, tags):
                continue
            if chosen is None or self.priority[rule.class_id] < self.priority[chosen.class_id]:
                chosen = rule
        return chosen


def read_landuse(
    path: str | Path,
    legend: Legend | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> gpd.GeoDataFrame:
    """Read the land-use areas of an OpenStreetMap extract.

    Parameters
    ----------
    path : str or Path
        ``.osm.pbf``, ``.osm``, ``.osm.gz`` or ``.osm.bz2``.
    legend : Legend, optional
        Its rules say which tags lead to which class; OSMlanduse's by default.
    bbox : tuple of float, optional
        West, south, east, north in degrees; areas that meet it are kept whole.
    progress : callable, optional
        Called as ``progress(done, total)`` with objects read; the total grows while reading.

    Returns
    -------
    GeoDataFrame
        EPSG:4326; class_id (uint8), osm_id (int64), osm_kind ("way" or "relation"), tag
        ("landuse=forest"), area (m², on EPSG:3035) and geometry, in order of kind and id.
        ``attrs["broken"]`` lists objects with a tag of the legend that could not become an area,
        each with osm_kind, osm_id and reason.

    Raises
    ------
    InputError
        If the file is missing, cannot be read or holds no area that the legend names.
    """
    path = Path(path)
    legend = legend or default_legend()
    if not path.is_file():
        raise InputError(f"no OpenStreetMap file {path}; give the path of an .osm.pbf or .osm file")
    found = _collect(path, legend, progress)
    frame = _frame(found, bbox)
    if frame.empty:
        raise InputError(
            f"{path} has no area that legend {legend.name!r} names{' within the bbox' * bool(bbox)}"
            f"; give an extract with land use, or a legend with rules for its tags"
        )
    return frame


def _collect(path: Path, legend: Legend, progress: Callable[[int, int], None] | None) -> _Found:
    """Read the file once for relations and once for all that they need."""
    found, rules = _Found(), _Rules(legend)
    factory = osmium.geom.WKBFactory()
    pairs = [(rule.key, rule.value) for rule in legend.rules]
    try:
        with _node_locations(path) as storage:
            objects = osmium.FileProcessor(str(path)).with_locations(storage)
            objects = objects.with_areas(osmium.filter.TagFilter(*pairs))
            objects = objects.with_filter(osmium.filter.TagFilter(*pairs))
            for count, thing in enumerate(objects, start=1):
                _take(thing, rules, factory, found)
                if progress is not None and count % _REPORT_EVERY == 0:
                    progress(count, count + _REPORT_EVERY)
    except RuntimeError as error:
        raise InputError(
            f"{path} cannot be read as OpenStreetMap data ({error}); download the extract again"
        ) from None
    if progress is not None:
        progress(len(found.osm_id), len(found.osm_id))
    return found


@contextmanager
def _node_locations(path: Path) -> Iterator[str]:
    """Choose where node locations are kept: in memory, or for a large file in a temporary file."""
    if path.stat().st_size < _LARGE_FILE:
        yield "flex_mem"
        return
    with tempfile.TemporaryDirectory(prefix="osm4eo-nodes-") as folder:
        yield f"sparse_file_array,{folder}/nodes"


def _take(thing: Any, rules: _Rules, factory: osmium.geom.WKBFactory, found: _Found) -> None:
    """Sort one object: an assembled area, a line with a width, or the raw form of an area."""
    if thing.is_area():
        rule = rules.choose(thing.tags, lines=False)
        if rule is not None:
            kind = "way" if thing.from_way() else "relation"
            _add(found, rule, kind, thing.orig_id(), lambda: factory.create_multipolygon(thing))
    elif thing.is_way():
        line = rules.choose(thing.tags, lines=True)
        if line is not None:
            _add(found, line, "way", thing.id, lambda: factory.create_linestring(thing))
        if thing.is_closed() and rules.choose(thing.tags, lines=False) is not None:
            found.awaited.add(("way", thing.id))
    elif (
        thing.is_relation()
        and thing.tags.get("type") in {"multipolygon", "boundary"}
        and rules.choose(thing.tags, lines=False) is not None
    ):
        found.awaited.add(("relation", thing.id))


def _add(found: _Found, rule: TagRule, kind: str, osm_id: int, make: Callable[[], str]) -> None:
    """Add an object, or say why its geometry cannot be made."""
    try:
        found.add(rule, kind, osm_id, make())
    except (osmium.InvalidLocationError, RuntimeError) as error:
        found.broken.append({"osm_kind": kind, "osm_id": osm_id, "reason": str(error)})


def _is_excluded(rule: TagRule, tags: Any) -> bool:
    return any(tags.get(key) == value for key, value in rule.exclude)


def _frame(found: _Found, bbox: tuple[float, float, float, float] | None) -> gpd.GeoDataFrame:
    """Turn what was found into a table; lines become areas of their width."""
    shapes = gpd.GeoSeries.from_wkb(found.wkb, crs=OSM_CRS)
    projected = shapes.to_crs(TARGET_CRS).to_numpy()
    width = np.array(found.width)
    lines = np.flatnonzero(width > 0)
    if lines.size:
        # A flat cap ends a river where its way ends, and joins the next way's without a bulge.
        projected[lines] = shapely.buffer(projected[lines], width[lines] / 2, cap_style="flat")
        shapes.iloc[lines] = gpd.GeoSeries(projected[lines], crs=TARGET_CRS).to_crs(OSM_CRS)
    columns = {
        "class_id": np.array(found.class_id, np.uint8),
        "osm_id": np.array(found.osm_id, np.int64),
        "osm_kind": found.osm_kind,
        "tag": found.tag,
        "area": shapely.area(projected),
    }
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=OSM_CRS)
    if bbox is not None:
        frame = gpd.GeoDataFrame(frame[frame.intersects(shapely.box(*bbox))])
    order = np.lexsort((frame["class_id"], frame["osm_id"], frame["osm_kind"]))
    frame = gpd.GeoDataFrame(frame.iloc[order].reset_index(drop=True))
    frame.attrs["broken"] = _broken(found)
    return frame


def _broken(found: _Found) -> list[dict[str, Any]]:
    """List objects that should have become an area and did not."""
    made = set(zip(found.osm_kind, found.osm_id, strict=True))
    named = {(b["osm_kind"], b["osm_id"]) for b in found.broken}
    lost = sorted(found.awaited - made - named)
    reason = "its rings do not close or cross each other"
    return found.broken + [{"osm_kind": k, "osm_id": i, "reason": reason} for k, i in lost]
