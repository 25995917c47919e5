"""Where the polygons of a block come from: with the graph, or from partitions on disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from osm4eo_xr.labels.burn import Shapes, ranks
from osm4eo_xr.osm.areas import object_keys, project
from osm4eo_xr.osm.partitions import BOX
from osm4eo_xr.osm.spool import meeting

if TYPE_CHECKING:
    from osm4eo_xr.osm.areas import Bounds

_CACHED = 8  # partitions in memory; neighboring blocks read the same


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
    key: np.ndarray | None

    def shapes(self) -> Shapes:
        """Return all polygons."""
        return Shapes(np.asarray(shapely.from_wkb(self.wkb)), self.class_id, self.rank, self.key)


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
        areas = pa.concat_tables([self._near(_read(file, when)) for file, when in self.files])
        wkb = areas["geometry"].to_numpy(zero_copy_only=False)
        class_id, own = areas["class_id"].to_numpy(), areas["priority"].to_numpy()
        geometry = project(np.asarray(shapely.from_wkb(wkb)), self.crs)
        kind, number = areas["osm_kind"].to_numpy(zero_copy_only=False), areas["osm_id"].to_numpy()
        key = object_keys(kind, number, class_id)
        return Shapes(geometry, class_id, ranks(class_id, own, dict(self.priority)), key)

    def _near(self, areas: pa.Table) -> pa.Table:
        boxes = np.stack([areas[f"bbox.{side}"].to_numpy() for side in BOX], axis=-1)
        near = meeting(boxes, self.bounds)
        return areas.take(near[areas["area"].to_numpy()[near] >= self.min_area])


@lru_cache(maxsize=_CACHED)
def _read(file: str, written: int) -> pa.Table:
    """Read a partition, geometries encoded."""
    del written  # part of the cache's key only
    columns = ["osm_kind", "osm_id", "class_id", "priority", "area", "geometry", "bbox"]
    # Dask has threads of its own.
    return pq.read_table(Path(file), columns=columns, use_threads=False).flatten()
