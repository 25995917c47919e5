"""Land-use polygons burnt into one block of a raster."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import shapely
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name
from osm4eo_xr.legend import NO_DATA

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, Integer, UInt8
    from odc.geo.geobox import GeoBox

# rasterio looks for a transform on its in-memory target before it sets ours. A filter for good,
# because one for a while is shared by all threads and comes back at the wrong moment.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.features")

Edge = Literal["center", "ignore"]

CHUNK = 2048
"""Edge of a block in pixels, where nobody says otherwise."""


class Shapes:
    """Polygons on the grid's CRS in the order in which they are burnt, the winners last.

    Within one rank they are in order of class, so that the order of equals never matters to
    classes. Where they have keys, the larger of a class come first, so that the smaller win.

    Attributes
    ----------
    geometry : ndarray of Polygon or MultiPolygon
    class_id : ndarray of uint8
    rank : ndarray of int
        Minus the priority: burnt in ascending order.
    key : ndarray of int64, optional
        Which object each is, as ``labels.objects`` has it.
    """

    def __init__(
        self,
        geometry: np.ndarray,
        class_id: np.ndarray,
        rank: np.ndarray,
        key: np.ndarray | None = None,
    ) -> None:
        finer = () if key is None else (key, -shapely.area(geometry))
        order = np.lexsort((*finer, class_id, rank))
        self.geometry, self.class_id, self.rank = geometry[order], class_id[order], rank[order]
        self.key = None if key is None else key[order]

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Spatial index of the polygons."""
        return shapely.STRtree(self.geometry)

    def meeting(self, window: shapely.Geometry) -> Shapes:
        """Return the polygons that meet a window."""
        near = self.tree.query(window, predicate="intersects")
        key = None if self.key is None else self.key[near]
        return Shapes(self.geometry[near], self.class_id[near], self.rank[near], key)

    def groups(self) -> Iterator[np.ndarray]:
        """Yield the places of the polygons of each rank and class, in burn order."""
        keys = np.column_stack((self.rank, self.class_id))
        starts = np.flatnonzero(np.any(np.diff(keys, axis=0), axis=1)) + 1
        for part in np.split(np.arange(len(keys)), starts):
            if part.size:
                yield part


def ranks(class_id: np.ndarray, own: np.ndarray, priority: dict[int, int]) -> np.ndarray:
    """Return the rank of each polygon: minus its rule's priority, or else that of its class."""
    table = np.zeros(256, np.int32)
    table[list(priority)] = list(priority.values())
    return -np.where(own > 0, own, table[class_id]).astype(np.int32)


def burn(shapes: Shapes, box: GeoBox, edge: Edge) -> UInt8[np.ndarray, "y x"]:
    """Return the class of each pixel of a block; 0 = none."""
    return _burn(shapes, shapes.class_id, np.zeros(tuple(box.shape), np.uint8), box, edge)


def burn_objects(shapes: Shapes, box: GeoBox, edge: Edge) -> Int64[np.ndarray, "y x"]:
    """Return the key of the object that each pixel of a block takes its class from; 0 = none."""
    keys = np.zeros(0, np.int64) if shapes.key is None else shapes.key
    places = np.arange(1, len(keys) + 1, dtype=np.int32)
    found = _burn(shapes, places, np.zeros(tuple(box.shape), np.int32), box, edge)
    return np.append(np.int64(0), keys)[found]


def _burn(
    shapes: Shapes,
    values: Integer[np.ndarray, " polygon"],
    out: Integer[np.ndarray, "y x"],
    box: GeoBox,
    edge: Edge,
) -> Integer[np.ndarray, "y x"]:
    """Burn a value per polygon into a block of zeros, and return it."""
    if edge == "center":
        return _fill(_as_geojson(shapes.geometry, values), box, out)
    for part in shapes.groups():
        polygons = shapes.geometry[part]
        _fill(_as_geojson(polygons, values[part]), box, out)
        _fill([(_outline(polygons), NO_DATA)], box, out, all_touched=True)
    return out


def count_classes(shapes: Shapes, box: GeoBox) -> UInt8[np.ndarray, "y x"]:
    """Return how many classes have a polygon over the center of each pixel of a block."""
    out = np.zeros(tuple(box.shape), np.uint8)
    for class_id in np.unique(shapes.class_id):
        polygons = shapes.geometry[shapes.class_id == class_id]
        out += _fill(_as_geojson(polygons, np.ones(len(polygons), np.uint8)), box)
    return out


def window_of(box: GeoBox, margin: float = 0.0) -> shapely.Geometry:
    """Return a block's area, widened by a margin in units of its CRS."""
    left, bottom, right, top = box.boundingbox
    return shapely.box(left - margin, bottom - margin, right + margin, top + margin)


def check_edge(edge: str) -> None:
    """Refuse what is no rule for mixed pixels."""
    if edge not in ("center", "ignore"):
        raise InputError(f"edge is {edge!r}", expected="center or ignore")


def check_overlap(bounds: Any, overlap: bool, geobox: GeoBox) -> None:  # noqa: FBT001
    """Refuse polygons that do not meet the grid."""
    if not overlap:
        given = tuple(round(float(v), 2) for v in bounds)
        wanted = tuple(round(v) for v in geobox.boundingbox)
        raise InputError(
            f"the polygons (bounds {given}) and the grid (bounds {wanted}, "
            f"{crs_name(geobox.crs)}) do not overlap",
            advice="give an OpenStreetMap extract of the scene's place",
        )


def _outline(polygons: np.ndarray) -> shapely.Geometry:
    """Return the outline of what polygons cover together."""
    sound = np.where(shapely.is_valid(polygons), polygons, shapely.make_valid(polygons))
    return shapely.boundary(shapely.union_all(sound))


class _Ring:
    """Points of a ring as GeoJSON has them, made one by one when they are asked for.

    Lists of them would be millions of objects that the garbage collector walks over.
    """

    def __init__(self, points: Float64[np.ndarray, "point 2"]) -> None:
        self.points = points

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> list[float]:
        return self.points[index].tolist()

    def __iter__(self) -> Iterator[tuple[float, float]]:
        x, y = self.points.T.tolist()
        return zip(x, y, strict=True)


def _as_geojson(
    polygons: np.ndarray, values: Integer[np.ndarray, " polygon"]
) -> list[tuple[dict[str, Any], int]]:
    """Return the parts of polygons as GeoJSON, with their values.

    rasterio would ask each polygon for it, point by point, while all threads wait.
    """
    parts, owner = shapely.get_parts(polygons, return_index=True)
    if not len(parts):
        return []
    _, points, (rings, ends) = shapely.to_ragged_array(parts)
    made = [_Ring(points[a:b]) for a, b in pairwise(rings.tolist())]
    shapes = [{"type": "Polygon", "coordinates": made[a:b]} for a, b in pairwise(ends.tolist())]
    return list(zip(shapes, values[owner].tolist(), strict=True))


def _fill(
    pairs: list[tuple[Any, int]], box: GeoBox, out: np.ndarray | None = None, **how: Any
) -> Integer[np.ndarray, "y x"]:
    """Burn geometries in the order given; a later one overwrites an earlier one."""
    out = np.full(tuple(box.shape), NO_DATA, np.uint8) if out is None else out
    if pairs:
        rasterize(pairs, out=out, transform=box.affine, **how)
    return out
