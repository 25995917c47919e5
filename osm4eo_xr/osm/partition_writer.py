"""Spooled areas → GeoParquet partitions by place, one cell at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from osm4eo_xr.osm.areas import KINDS
from osm4eo_xr.osm.partitions import BOX, Partition, geo_metadata

if TYPE_CHECKING:
    from osm4eo_xr.osm.spool import Cell, Spool


def write_partitions(spool: Spool, folder: Path) -> Iterator[Partition]:
    """Write a file for each cell that has areas; yield them in order of their cells."""
    tags, kinds = pa.array(spool.tags), pa.array(KINDS)
    for cell in spool.cells:
        table = _table(spool, cell, tags, kinds)
        # Ten digits after a degree tell all cells apart, and hide what floats are off.
        name = f"{cell.west:.12g}_{cell.south:.12g}.parquet"
        pq.write_table(table, folder / name, compression="zstd")
        yield Partition(name, len(table), cell.bounds)


def _table(spool: Spool, cell: Cell, tags: pa.Array, kinds: pa.Array) -> pa.Table:
    """Return a cell's areas by kind, id and class; geometries pass through as they are."""
    found = spool.records[cell.members]
    order = np.lexsort((found["class_id"], found["osm_id"], found["kind"]))
    members, found = cell.members[order], found[order]
    columns = {
        "class_id": pa.array(found["class_id"]),
        "priority": pa.array(found["priority"]),
        "osm_id": pa.array(found["osm_id"]),
        "osm_kind": kinds.take(pa.array(found["kind"])),
        "tag": tags.take(pa.array(found["tag"])),
        "area": pa.array(found["area"]),
        "geometry": pa.array(spool.geometries(members), pa.binary()),
        "bbox": pa.StructArray.from_arrays(list(found["box"].T), names=BOX),
    }
    return pa.table(columns).replace_schema_metadata(geo_metadata(cell.bounds))
