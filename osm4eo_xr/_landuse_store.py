"""Batches of areas in the order of a file → partitions by place, in bounded memory.

Each batch is sorted by cell and spooled to one file; when all are there, whole cells are gathered
from the spooled files, some hundred thousand areas at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from osm4eo_xr.landuse import BOX, Partition, geo_metadata, to_table

if TYPE_CHECKING:
    from osm4eo_xr._osm_areas import Areas

_GATHER = 20_000  # areas in memory when cells are gathered
_ROW_GROUP = 1_000  # areas; a cell is found in a spooled file by the statistics of its groups
_ORDER = ("cell", "osm_kind", "osm_id", "class_id")


class PartitionWriter:
    """Writes areas into a folder, a file per cell."""

    def __init__(self, folder: Path, spool: Path, cell: float) -> None:
        self.folder, self.spool, self.cell = folder, spool, cell
        self.columns = round(360 / cell) + 1
        self.counts: Counter[int] = Counter()
        self.spooled: list[Path] = []

    def add(self, areas: Areas) -> None:
        """Spool a batch."""
        if not len(areas):
            return
        boxes = shapely.bounds(areas.geometry).T
        west, south, east, north = boxes
        x = np.floor(((west + east) / 2 + 180) / self.cell).astype(np.int64)
        y = np.floor(((south + north) / 2 + 90) / self.cell).astype(np.int64)
        cells = y * self.columns + x
        self.counts.update(cells.tolist())
        table = to_table(areas).append_column("cell", pa.array(cells))
        table = table.append_column("bbox", pa.StructArray.from_arrays(list(boxes), names=BOX))
        path = self.spool / f"{len(self.spooled)}.parquet"
        table = table.take(np.argsort(cells, kind="stable"))
        pq.write_table(table, path, row_group_size=_ROW_GROUP, compression="zstd")
        self.spooled.append(path)
        pa.default_memory_pool().release_unused()

    def finish(self) -> tuple[Partition, ...]:
        """Write the partitions; return them in order of their cells, from south-west."""
        return tuple(p for cells in self._groups() for p in self._gather(cells))

    def _groups(self) -> Iterator[list[int]]:
        """Yield neighbouring cells that fit into memory together."""
        group: list[int] = []
        held = 0
        for cell in sorted(self.counts):
            if group and held + self.counts[cell] > _GATHER:
                yield group
                group, held = [], 0
            group.append(cell)
            held += self.counts[cell]
        if group:
            yield group

    def _gather(self, cells: list[int]) -> Iterator[Partition]:
        """Write some cells; geometries pass through as they are, encoded."""
        parts = [part for path in self.spooled for part in _between(path, cells[0], cells[-1])]
        table = pa.concat_tables(parts).sort_by([(name, "ascending") for name in _ORDER])
        start = 0
        for cell in cells:
            yield self._write(cell, table.slice(start, self.counts[cell]))
            start += self.counts[cell]

    def _write(self, cell: int, table: pa.Table) -> Partition:
        y, x = divmod(cell, self.columns)
        name = f"{x * self.cell - 180:g}_{y * self.cell - 90:g}.parquet"
        west, south, east, north = (edge.to_numpy() for edge in table["bbox"].flatten())
        bounds = west.min().item(), south.min().item(), east.max().item(), north.max().item()
        table = table.drop_columns(["cell"]).replace_schema_metadata(geo_metadata(bounds))
        pq.write_table(table, self.folder / name, compression="zstd")
        return Partition(name, len(table), bounds)


def _between(path: Path, first: int, last: int) -> Iterator[pa.Table]:
    """Yield the areas of a spooled file's groups that lie in a span of cells."""
    with pq.ParquetFile(path) as file:
        at = file.schema_arrow.get_field_index("cell")
        for k in range(file.num_row_groups):
            span = file.metadata.row_group(k).column(at).statistics
            if span.max < first or span.min > last:
                continue
            table = file.read_row_group(k, use_threads=False)
            cells = table["cell"].to_numpy()
            yield table.filter(pa.array((cells >= first) & (cells <= last)))
