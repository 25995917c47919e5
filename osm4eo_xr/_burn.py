"""Land-use areas burnt into one block of a raster."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow.parquet as pq
import shapely
from jaxtyping import UInt8
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize

from osm4eo_xr._osm_areas import project
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

    def shapes(self, window: shapely.Geometry) -> Shapes:
        """Return the polygons that meet a window on the grid's CRS."""
        ...


@dataclass(frozen=True)
class Carried:
    """Polygons that travel in the graph (WKB)."""

    wkb: np.ndarray
    class_id: np.ndarray
    rank: np.ndarray

    def shapes(self, window: shapely.Geometry) -> Shapes:  # noqa: ARG002 - all of them meet it
        """Return all polygons."""
        return Shapes(np.asarray(shapely.from_wkb(self.wkb)), self.class_id, self.rank)


@dataclass(frozen=True)
class Stored:
    """Polygons in files that the worker reads.

    Attributes
    ----------
    files : tuple of (str, int)
        Paths, and when each was written (ns): another file of that name is read anew.
    crs : str
        CRS of the grid.
    priority : tuple of (int, int)
        Priority of each class id.
    min_area : float
        m²; smaller ones are left out.
    """

    files: tuple[tuple[str, int], ...]
    crs: str
    priority: tuple[tuple[int, int], ...]
    min_area: float

    def shapes(self, window: shapely.Geometry) -> Shapes:
        """Return the polygons that meet a window on the grid's CRS."""
        parts = [
            _load(file, written, self.crs, self.priority, self.min_area).meeting(window)
            for file, written in self.files
        ]
        geometry, class_id, rank = (
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("geometry", "class_id", "rank")
        )
        return Shapes(geometry, class_id, rank)


@lru_cache(maxsize=_CACHED)
def _load(
    file: str, written: int, crs: str, priority: tuple[tuple[int, int], ...], min_area: float
) -> Shapes:
    """Read a partition onto the grid's CRS."""
    del written  # part of the cache's key only
    columns = ["class_id", "priority", "area", "geometry"]
    areas = pq.read_table(Path(file), columns=columns, use_threads=False)  # dask has its own
    large = areas["area"].to_numpy() >= min_area
    class_id = areas["class_id"].to_numpy()[large]
    own = areas["priority"].to_numpy()[large]
    geometry = shapely.from_wkb(areas["geometry"].to_numpy(zero_copy_only=False)[large])
    return Shapes(
        project(np.asarray(geometry), crs), class_id, ranks(class_id, own, dict(priority))
    )


def ranks(class_id: np.ndarray, own: np.ndarray, priority: dict[int, int]) -> np.ndarray:
    """Return the rank of each polygon: minus its rule's priority, or else that of its class."""
    table = np.zeros(256, np.int32)
    table[list(priority)] = list(priority.values())
    return -np.where(own > 0, own, table[class_id]).astype(np.int32)


def burn(source: Source, box: GeoBox, edge: Edge) -> UInt8[np.ndarray, "y x"]:
    """Return the class of each pixel of a block; 0 = none."""
    margin = max(map(abs, box.resolution.xy)) if edge == "ignore" else 0.0
    shapes = source.shapes(window_of(box, margin))
    if edge == "center":
        return _fill(list(zip(shapes.geometry, shapes.class_id.tolist(), strict=True)), box)
    out = _fill([], box)
    for class_id, polygons in shapes.groups():
        _fill([(p, class_id) for p in polygons], box, out)
        _fill([(_outline(polygons), NO_DATA)], box, out, all_touched=True)
    return out


def count_classes(source: Source, box: GeoBox) -> UInt8[np.ndarray, "y x"]:
    """Return how many classes have a polygon over the centre of each pixel of a block."""
    shapes = source.shapes(window_of(box))
    out = np.zeros(tuple(box.shape), np.uint8)
    for class_id in np.unique(shapes.class_id):
        out += _fill([(p, 1) for p in shapes.geometry[shapes.class_id == class_id]], box)
    return out


def window_of(box: GeoBox, margin: float = 0.0) -> shapely.Geometry:
    """Return a block's area, widened by a margin in units of its CRS."""
    left, bottom, right, top = box.boundingbox
    return shapely.box(left - margin, bottom - margin, right + margin, top + margin)


def _outline(polygons: np.ndarray) -> shapely.Geometry:
    """Return the outline of what polygons cover together."""
    sound = np.where(shapely.is_valid(polygons), polygons, shapely.make_valid(polygons))
    return shapely.boundary(shapely.union_all(sound))


def _fill(
    pairs: list[tuple[Any, int]], box: GeoBox, out: np.ndarray | None = None, **how: Any
) -> UInt8[np.ndarray, "y x"]:
    """Burn geometries in the order given; a later one overwrites an earlier one."""
    out = np.full(tuple(box.shape), NO_DATA, np.uint8) if out is None else out
    if pairs:
        rasterize(pairs, out=out, transform=box.affine, **how)
    return out
