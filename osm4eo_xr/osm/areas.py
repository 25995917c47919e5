"""Rows of a scan → columns: lines and points get their width, every area its square meters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from odc.geo.crs import CRS

from osm4eo_xr.geometry.antimeridian import box_in_degrees
from osm4eo_xr.geometry.geodesy import segmentized

if TYPE_CHECKING:
    from osm4eo_xr.legend_entries import TagRule

OSM_CRS = "EPSG:4326"
"""CRS of OpenStreetMap coordinates and of the areas."""

EQUAL_AREA = "EPSG:3035"
"""CRS on which widths and areas are measured."""

BATCH = 5_000
"""Areas that are worked on at a time."""

_BATCH_BYTES = 32_000_000  # of their geometries

KINDS = ("node", "relation", "way")
"""Kinds of OpenStreetMap objects, in the order in which areas of equal rank are burnt."""

_KEY_BITS = 10  # of a key below the id: 2 of the kind, 8 of the class

Bounds = tuple[float, float, float, float]
"""West, south, east, north; west of east, but across the antimeridian."""


@dataclass(frozen=True)
class Areas:
    """Columns of areas, one entry per object.

    Attributes
    ----------
    class_id : ndarray of uint8
    priority : ndarray of int16
        Of the rule, where it has one of its own; 0 = that of the class.
    osm_id : ndarray of int64
    osm_kind : ndarray of str
        "node", "way" or "relation".
    tag : ndarray of str
    area : ndarray of float64
        m² on EPSG:3035.
    geometry : ndarray of Polygon or MultiPolygon
        Degrees (EPSG:4326), unless another CRS was asked for.
    """

    class_id: np.ndarray
    priority: np.ndarray
    osm_id: np.ndarray
    osm_kind: np.ndarray
    tag: np.ndarray
    area: np.ndarray
    geometry: np.ndarray

    def __len__(self) -> int:
        return len(self.osm_id)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns by name, geometry last."""
        return dict(vars(self))

    def take(self, index: np.ndarray) -> Areas:
        """Return some of the areas, in the order of an index or where a mask is true."""
        return Areas(**{name: column[index] for name, column in vars(self).items()})

    def in_order(self) -> Areas:
        """Return the areas by kind, id and class: the order in which equals are burnt."""
        return self.take(np.lexsort((self.class_id, self.osm_id, self.osm_kind)))


@dataclass(frozen=True)
class Tally:
    """Areas of one tag: their class, number and square meters."""

    class_id: int
    count: int
    area: float


@dataclass(frozen=True)
class Problems:
    """Objects that need a word, each with osm_kind, osm_id and reason.

    Attributes
    ----------
    broken : list of dict
        With a tag of the legend, and no area.
    repaired : list of dict
        Areas that were mended.
    duplicates : list of dict
        Closed ways left out for a relation that says the same of the same ring.
    """

    broken: list[dict[str, Any]]
    repaired: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]


class Rows:
    """Areas as they come, column by column, so that no object is made for each.

    Attributes
    ----------
    rule : list of TagRule
        The rule that made each area.
    kind : list of str
        "node", "way" or "relation".
    osm_id : list of int
    wkb : list of str or bytes
        Geometry in degrees; text is hexadecimal.
    """

    def __init__(self) -> None:
        self.rule: list[TagRule] = []
        self.kind: list[str] = []
        self.osm_id: list[int] = []
        self.wkb: list[str | bytes] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self.osm_id)

    @property
    def full(self) -> bool:
        """Whether there are enough for a batch."""
        return len(self.osm_id) >= BATCH or self._size >= _BATCH_BYTES

    def add(self, rule: TagRule, kind: str, osm_id: int, wkb: str | bytes) -> None:
        """Take an area in."""
        self.rule.append(rule)
        self.kind.append(kind)
        self.osm_id.append(osm_id)
        self.wkb.append(wkb)
        self._size += len(wkb)


def object_keys(kind: np.ndarray, osm_id: np.ndarray, class_id: np.ndarray) -> np.ndarray:
    """Return one int64 per object; never 0, as no class is."""
    kinds = np.searchsorted(KINDS, kind.astype(str))
    return (osm_id.astype(np.int64) << _KEY_BITS) | (kinds << 8) | class_id.astype(np.int64)


def split_keys(key: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return kind, id and class of objects from their keys."""
    return np.array(KINDS)[(key >> 8) & 3], key >> _KEY_BITS, (key & 0xFF).astype(np.uint8)


def to_areas(rows: Rows, bbox: Bounds | None = None, crs: str = OSM_CRS) -> Areas:
    """Turn rows into areas; with a bbox, those that meet it.

    Parameters
    ----------
    rows : Rows
        What a scan yields.
    bbox : tuple of float, optional
        West, south, east, north in degrees.
    crs : str
        CRS of the geometry.
    """
    # Python decodes hexadecimals several times faster than GEOS does.
    wkb = [bytes.fromhex(w) if isinstance(w, str) else w for w in rows.wkb]
    degrees = shapely.from_wkb(np.array(wkb, dtype=object))
    metric = project(degrees)
    width = np.array([rule.width for rule in rows.rule])
    thin = np.flatnonzero(width > 0)
    if thin.size:
        metric[thin] = _widened(metric[thin], width[thin])
        degrees[thin] = project(metric[thin], inverse=True)
    geometry = degrees
    if crs == EQUAL_AREA:
        geometry = metric.copy()
        geometry[thin] = project(degrees[thin])  # as whoever starts from degrees has it
    elif crs != OSM_CRS:
        geometry = project(degrees, crs)
    areas = Areas(
        class_id=np.array([rule.class_id for rule in rows.rule], np.uint8),
        priority=np.array([rule.priority for rule in rows.rule], np.int16),
        osm_id=np.array(rows.osm_id, np.int64),
        osm_kind=np.array(rows.kind, dtype=object),
        tag=np.array([rule.tag for rule in rows.rule], dtype=object),
        area=shapely.area(metric),
        geometry=geometry,
    )
    return areas if bbox is None else areas.take(within(degrees, bbox))


def within(degrees: np.ndarray, bbox: Bounds) -> np.ndarray:
    """Whether geometries in degrees meet a box, which may lie across the antimeridian."""
    return shapely.intersects(degrees, box_in_degrees(bbox))


def _widened(metric: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Buffer lines and points; a point becomes a disc of that diameter."""
    # A flat cap ends a river where its way ends, and joins the next way's without a bulge.
    points = shapely.get_type_id(metric) == shapely.GeometryType.POINT
    out = np.empty_like(metric)
    out[points] = shapely.buffer(metric[points], width[points] / 2)
    out[~points] = shapely.buffer(metric[~points], width[~points] / 2, cap_style="flat")
    return out


def project(geometry: np.ndarray, crs: str = EQUAL_AREA, *, inverse: bool = False) -> np.ndarray:
    """Take geometries from degrees to meters of a CRS, on which long edges bend; or back."""
    projected = geometry.copy() if inverse else segmentized(geometry, OSM_CRS)
    xy = shapely.get_coordinates(projected)
    xy = np.column_stack(_transformer(crs, inverse=inverse)(xy[:, 0], xy[:, 1]))
    return np.asarray(shapely.set_coordinates(projected, xy))


@cache
def _transformer(crs: str, *, inverse: bool) -> Callable[..., tuple[Any, Any]]:
    degrees, meters = CRS(OSM_CRS), CRS(crs)
    there = (meters, degrees) if inverse else (degrees, meters)
    return there[0].transformer_to_crs(there[1], always_xy=True)


def join(parts: Sequence[Areas]) -> Areas:
    """Put batches of areas together."""
    names = Areas.__dataclass_fields__
    return Areas(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})
