"""Land-use areas burnt into one block of a raster."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from jaxtyping import Float64, Integer, UInt8
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize

from osm4eo_xr._osm_areas import project
from osm4eo_xr.landuse import Bounds  # noqa: TC001 - checked at run time in the tests
from osm4eo_xr.legend import NO_DATA

# rasterio looks for a transform on its in-memory target before it sets ours. A filter for good,
# because one for a while is shared by all threads and comes back at the wrong moment.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.features")

Edge = Literal["center", "ignore"]

_CACHED = 8  # partitions in memory; neighbouring blocks read the same


class Shapes:
    """Polygons on the grid's CRS in the order in which they are burnt, the winners last.

    Within one rank they are in order of class, so that the order of equals never matters.

    Attributes
    ----------
    geometry : ndarray of Polygon or MultiPolygon
    class_id : ndarray of uint8
    rank : ndarray of int
        Minus the priority: burnt in ascending order.
    """

    def __init__(self, geometry: np.ndarray, class_id: np.ndarray, rank: np.ndarray) -> None:
        order = np.lexsort((class_id, rank))
        self.geometry, self.class_id, self.rank = geometry[order], class_id[order], rank[order]

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Spatial index of the polygons."""
        return shapely.STRtree(self.geometry)

    def meeting(self, window: shapely.Geometry) -> Shapes:
        """Return the polygons that meet a window."""
        near = self.tree.query(window, predicate="intersects")
        return Shapes(self.geometry[near], self.class_id[near], self.rank[near])

    def groups(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield class and polygons of each rank, in burn order."""
        keys = np.column_stack((self.rank, self.class_id))
        starts = np.flatnonzero(np.any(np.diff(keys, axis=0), axis=1)) + 1
        for part in np.split(np.arange(len(keys)), starts):
            if part.size:
                yield int(self.class_id[part[0]]), self.geometry[part]


class Source(Protocol):
    """Where a block's polygons come from; travels to the workers."""

    def shapes(self) -> Shapes:
        """Return the polygons that may meet the block, on the grid's CRS."""
        ...


@dataclass(frozen=True)
class Carried:
    """Polygons that travel in the graph (WKB)."""

    wkb: np.ndarray
    class_id: np.ndarray
    rank: np.ndarray

    def shapes(self) -> Shapes:
        """Return all polygons."""
        return Shapes(np.asarray(shapely.from_wkb(self.wkb)), self.class_id, self.rank)


@dataclass(frozen=True)
class Stored:
    """Polygons in files that the worker reads.

    Attributes
    ----------
    files : tuple of (str, int)
        Paths, and when each was written (ns): another file of that name is read anew.
    bounds : tuple of float
        West, south, east, north of the block, degrees; polygons beyond are not decoded.
    crs : str
        CRS of the grid.
    priority : tuple of (int, int)
        Priority of each class id.
    min_area : float
        m²; smaller ones are left out.
    """

    files: tuple[tuple[str, int], ...]
    bounds: Bounds
    crs: str
    priority: tuple[tuple[int, int], ...]
    min_area: float

    def shapes(self) -> Shapes:
        """Return the polygons that may meet the block, on the grid's CRS."""
        near = [self._near(_read(file, written)) for file, written in self.files]
        areas = pa.concat_tables(near)
        geometry = shapely.from_wkb(areas["geometry"].to_numpy(zero_copy_only=False))
        class_id = areas["class_id"].to_numpy()
        rank = ranks(class_id, areas["priority"].to_numpy(), dict(self.priority))
        return Shapes(project(np.asarray(geometry), self.crs), class_id, rank)

    def _near(self, areas: pa.Table) -> pa.Table:
        west, south, east, north = self.bounds
        keep = areas["area"].to_numpy() >= self.min_area
        keep &= (areas["bbox.xmin"].to_numpy() <= east) & (areas["bbox.xmax"].to_numpy() >= west)
        keep &= (areas["bbox.ymin"].to_numpy() <= north) & (areas["bbox.ymax"].to_numpy() >= south)
        return areas.filter(pa.array(keep))


@lru_cache(maxsize=_CACHED)
def _read(file: str, written: int) -> pa.Table:
    """Read a partition, geometries encoded."""
    del written  # part of the cache's key only
    columns = ["class_id", "priority", "area", "geometry", "bbox"]
    # Dask has threads of its own.
    return pq.read_table(Path(file), columns=columns, use_threads=False).flatten()


def ranks(class_id: np.ndarray, own: np.ndarray, priority: dict[int, int]) -> np.ndarray:
    """Return the rank of each polygon: minus its rule's priority, or else that of its class."""
    table = np.zeros(256, np.int32)
    table[list(priority)] = list(priority.values())
    return -np.where(own > 0, own, table[class_id]).astype(np.int32)


def burn(source: Source, box: GeoBox, edge: Edge) -> UInt8[np.ndarray, "y x"]:
    """Return the class of each pixel of a block; 0 = none."""
    shapes = source.shapes()
    if edge == "center":
        return _fill(_as_geojson(shapes.geometry, shapes.class_id), box)
    out = _fill([], box)
    for class_id, polygons in shapes.groups():
        _fill(_as_geojson(polygons, np.full(len(polygons), class_id)), box, out)
        _fill([(_outline(polygons), NO_DATA)], box, out, all_touched=True)
    return out


def count_classes(source: Source, box: GeoBox) -> UInt8[np.ndarray, "y x"]:
    """Return how many classes have a polygon over the centre of each pixel of a block."""
    shapes = source.shapes()
    out = np.zeros(tuple(box.shape), np.uint8)
    for class_id in np.unique(shapes.class_id):
        polygons = shapes.geometry[shapes.class_id == class_id]
        out += _fill(_as_geojson(polygons, np.ones(len(polygons), np.uint8)), box)
    return out


def window_of(box: GeoBox, margin: float = 0.0) -> shapely.Geometry:
    """Return a block's area, widened by a margin in units of its CRS."""
    left, bottom, right, top = box.boundingbox
    return shapely.box(left - margin, bottom - margin, right + margin, top + margin)


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
) -> UInt8[np.ndarray, "y x"]:
    """Burn geometries in the order given; a later one overwrites an earlier one."""
    out = np.full(tuple(box.shape), NO_DATA, np.uint8) if out is None else out
    if pairs:
        rasterize(pairs, out=out, transform=box.affine, **how)
    return out
