"""Batches of areas in the order of a file → partitions by place, in bounded memory.

Each batch is sorted by cell and spooled to one file; when all are there, whole cells are gathered
from the spooled files, some hundred thousand areas at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from osm4eo_xr._osm_areas import Areas, join
from osm4eo_xr.landuse import Partition, from_table, to_table

_GATHER = 20_000  # areas in memory when cells are gathered
_ROW_GROUP = 1_000  # areas; a cell is found in a spooled file by the statistics of its groups


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
        west, south, east, north = shapely.bounds(areas.geometry).T
        x = np.floor(((west + east) / 2 + 180) / self.cell).astype(np.int64)
        y = np.floor(((south + north) / 2 + 90) / self.cell).astype(np.int64)
        cells = y * self.columns + x
        order = np.argsort(cells, kind="stable")
        self.counts.update(cells.tolist())
        table = to_table(areas.take(order)).append_column("cell", pa.array(cells[order]))
        path = self.spool / f"{len(self.spooled)}.parquet"
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
        parts = [part for path in self.spooled for part in _between(path, cells[0], cells[-1])]
        found = np.concatenate([numbers for numbers, _ in parts])
        areas = join([areas for _, areas in parts])
        for cell in cells:
            yield self._write(cell, areas.take(found == cell).in_order())

    def _write(self, cell: int, areas: Areas) -> Partition:
        y, x = divmod(cell, self.columns)
        name = f"{x * self.cell - 180:g}_{y * self.cell - 90:g}.parquet"
        pq.write_table(to_table(areas), self.folder / name, compression="zstd")
        west, south, east, north = shapely.total_bounds(areas.geometry).tolist()
        return Partition(name, len(areas), (west, south, east, north))


def _between(path: Path, first: int, last: int) -> Iterator[tuple[np.ndarray, Areas]]:
    """Yield the cells and areas of a spooled file's groups that lie in a span of cells."""
    with pq.ParquetFile(path) as file:
        at = file.schema_arrow.get_field_index("cell")
        for k in range(file.num_row_groups):
            span = file.metadata.row_group(k).column(at).statistics
            if span.max < first or span.min > last:
                continue
            table = file.read_row_group(k, use_threads=False)
            cells = table["cell"].to_numpy()
            inside = np.flatnonzero((cells >= first) & (cells <= last))
            yield cells[inside], from_table(table.take(inside))
