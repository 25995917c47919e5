"""Areas in the order of an extract → found again by place, in bounded memory.

Two flat files hold them until they are partitions or pixels: a record of fixed size for each area,
and all geometries one after the other. Cells of a grid say which areas are near. Coordinates are
those of the areas' CRS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import shapely

from osm4eo_xr.osm.areas import KINDS, Areas, Bounds, Tally

_RECORD = np.dtype(
    [
        ("class_id", np.uint8),
        ("kind", np.uint8),
        ("priority", np.int16),
        ("tag", np.int32),
        ("osm_id", np.int64),
        ("area", np.float64),
        ("box", np.float64, 4),
        ("start", np.int64),
        ("size", np.int64),
    ]
)


@dataclass(frozen=True)
class Cell:
    """Areas whose boxes have their centers in one cell of the grid.

    Attributes
    ----------
    west, south : float
        Corner of the cell.
    bounds : tuple of float
        West, south, east, north of all its areas.
    members : ndarray of int
        The areas, in the order of the file.
    """

    west: float
    south: float
    bounds: Bounds
    members: np.ndarray


class Spool:
    """Takes areas in, batch by batch; then gives them out by place, to any thread."""

    def __init__(self, folder: Path, cell: float) -> None:
        self.cell = cell
        self.tags: list[str] = []
        self._codes: dict[str, int] = {}
        self._paths = folder / "records", folder / "geometries"
        self._records, self._geometries = (path.open("w+b") for path in self._paths)
        self._count = self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._records.close()
        self._geometries.close()

    def __len__(self) -> int:
        return self._count

    def add(self, areas: Areas) -> None:
        """Append a batch."""
        wkb = shapely.to_wkb(areas.geometry).tolist()
        sizes = np.fromiter(map(len, wkb), np.int64, len(wkb))
        records = np.empty(len(wkb), _RECORD)
        for name in ("class_id", "priority", "osm_id", "area"):
            records[name] = getattr(areas, name)
        records["kind"] = [KINDS.index(kind) for kind in areas.osm_kind]
        records["tag"] = [self._code(tag) for tag in areas.tag]
        records["box"] = shapely.bounds(areas.geometry)
        records["size"], records["start"] = sizes, self._bytes + np.cumsum(sizes) - sizes
        self._records.write(records.tobytes())
        self._geometries.writelines(wkb)
        self._count += len(wkb)
        self._bytes += int(sizes.sum())

    def _code(self, tag: str) -> int:
        if tag not in self._codes:
            self._codes[tag] = len(self.tags)
            self.tags.append(tag)
        return self._codes[tag]

    @cached_property
    def records(self) -> np.ndarray:
        """All records, in the file; no more areas may come."""
        self._records.flush()
        self._geometries.flush()
        return np.memmap(self._paths[0], _RECORD, "r", shape=(self._count,))

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells that have areas, from south-west, row by row."""
        if not self._count:
            return []
        west, south, east, north = self.records["box"].T
        x = np.floor((west + east) / 2 / self.cell).astype(np.int64)
        y = np.floor((south + north) / 2 / self.cell).astype(np.int64)
        order = np.lexsort((x, y))
        x, y = x[order], y[order]
        starts = np.flatnonzero((np.diff(x) != 0) | (np.diff(y) != 0)) + 1
        return [self._cell(x[at], y[at], members) for at, members in _runs(order, starts)]

    def _cell(self, column: np.int64, row: np.int64, members: np.ndarray) -> Cell:
        bounds = bounds_of(self.records["box"][members])
        return Cell(float(column * self.cell), float(row * self.cell), bounds, members)

    @cached_property
    def bounds(self) -> Bounds:
        """West, south, east, north of all areas."""
        return bounds_of(self._cell_bounds)

    @cached_property
    def _cell_bounds(self) -> np.ndarray:
        return np.array([c.bounds for c in self.cells])

    def near(self, bbox: Bounds, min_area: float = 0.0) -> np.ndarray:
        """Return the areas whose boxes meet a box, but those below a size in m²."""
        members = [self.cells[k].members for k in meeting(self._cell_bounds, bbox)]
        if not members:
            return np.empty(0, np.int64)
        found = np.concatenate(members)
        records = self.records[found]
        near = meeting(records["box"], bbox)
        return found[near[records["area"][near] >= min_area]]

    def geometries(self, members: np.ndarray) -> list[bytes]:
        """Return geometries (WKB)."""
        records, file = self.records[members], self._geometries.fileno()
        places = zip(records["size"].tolist(), records["start"].tolist(), strict=True)
        return [os.pread(file, size, start) for size, start in places]

    def tallies(self) -> dict[str, Tally]:
        """Return class, number and square meters of the areas of each tag."""
        codes, n = self.records["tag"], len(self.tags)
        first = np.unique(codes, return_index=True)[1]
        areas = np.bincount(codes, self.records["area"], n).tolist()
        counts, classes = np.bincount(codes, minlength=n), self.records["class_id"][first]
        columns = zip(self.tags, classes.tolist(), counts.tolist(), areas, strict=True)
        return {tag: Tally(class_id, count, area) for tag, class_id, count, area in columns}


def _runs(order: np.ndarray, starts: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield where each run begins, and its members."""
    return zip([0, *starts.tolist()], np.split(order, starts), strict=True)


def meeting(boxes: list[Bounds] | np.ndarray, bbox: Bounds) -> np.ndarray:
    """Return the numbers of the boxes that meet one, which may lie across the antimeridian."""
    west, south, east, north = bbox
    corners = np.asarray(boxes).reshape(-1, 4)
    before, behind = corners[:, 0] <= east, corners[:, 2] >= west
    near = before & behind if west <= east else before | behind
    near &= (corners[:, 1] <= north) & (corners[:, 3] >= south)
    return np.flatnonzero(near)


def bounds_of(boxes: list[Bounds] | np.ndarray) -> Bounds:
    """Return the box around some boxes."""
    corners = np.asarray(boxes)
    low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
