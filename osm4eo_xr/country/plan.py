"""What a country run would do: pieces, chunks, tasks, bytes, device hours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.country.context import PROBABILITIES
from osm4eo_xr.geometry.grid import TARGET_CRS, georeference, target_geobox
from osm4eo_xr.html_table import html_table

if TYPE_CHECKING:
    from osm4eo_xr.country.context import CountryRun, Kind, Opener, Piece
    from osm4eo_xr.country.ledger import Ledger

_CHUNK = 1024  # pixels; edge of the blocks that tiles are classified in
_MAP_CHUNK = 2048  # pixels; edge of the blocks that maps are opened in
_SHOWN = 16  # pieces in a repr
_PER_BLOCK = 2  # tasks that shrink a block of a raster and write it

# Edge of the blocks that a kind of piece is cut into, pixels, and its tasks per block. What is not
# listed is no work of dask: land use is read and a network learns in one process.
_BLOCKS: dict[Kind, tuple[int, int]] = {
    "scene": (_CHUNK, 4 + _PER_BLOCK),  # reads bands, masks clouds, chooses a date, joins
    "labels": (_CHUNK, 2 + _PER_BLOCK),  # burns, puts it in its place
    "samples": (_CHUNK, 8),  # reads scene and labels, finds what has data, draws, merges
    "classified": (_CHUNK, 4 + _PER_BLOCK),  # reads, adds the margin, classifies, crops
    "vector": (_MAP_CHUNK, 2),  # reads, traces
}


@dataclass(frozen=True)
class PlannedPiece:
    """One line of a plan.

    Attributes
    ----------
    name : str
        What is made.
    done : bool
        Whether it is whole already.
    chunks : int
        Blocks to compute: of ``1024 x 1024`` pixels of tiles, ``2048 x 2048`` of maps; 0 of what
        dask does not compute, as the training.
    tasks : int
        Tasks that dask would run: those of the lazy map's own graph where it is a map made of
        maps, else so many per block as this kind of piece takes.
    read, written : int
        Bytes, estimated: scenes as they lie on disk, maps before compression.
    """

    name: str
    done: bool
    chunks: int
    tasks: int
    read: int
    written: int


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes
    ----------
    tiles : tuple of str
        Ids of the tiles.
    pieces : tuple of PlannedPiece
        In order.
    device_hours : float
        Estimate for the tiles that are still to be classified, on one device.
    """

    tiles: tuple[str, ...]
    pieces: tuple[PlannedPiece, ...]
    device_hours: float

    def __repr__(self) -> str:
        """Sum up what is to do, and list the first pieces of it."""
        todo = self.todo
        head = (
            f"<Plan: {len(self.tiles)} tiles, {len(self.pieces)} pieces, {len(todo)} to make; "
            f"{self.device_time}>"
        )
        lines = [f"  {p.name}: {p.chunks:,} chunks, {p.tasks:,} tasks" for p in todo[:_SHOWN]]
        more = len(todo) - len(lines)
        return "\n".join([head, *lines, *([f"  and {more} more"] if more else [])])

    def _repr_html_(self) -> str:
        """Show the pieces that are to be made."""
        return html_table(
            repr(self).partition("\n")[0].strip("<>"),
            [[p.name, p.chunks, p.tasks, _mega(p.read), _mega(p.written)] for p in self.todo],
            header=("piece", "chunks", "tasks", "read / MB", "written / MB"),
        )

    @property
    def device_time(self) -> str:
        """Device hours of inference in words."""
        hours = self.device_hours
        return f"about {hours:.3g} device hours" if hours >= 0.01 else "under 0.01 device hours"  # noqa: PLR2004

    @property
    def todo(self) -> tuple[PlannedPiece, ...]:
        """Pieces that are not whole yet."""
        return tuple(p for p in self.pieces if not p.done)


def _mega(size: int) -> float:
    return round(size / 1e6, 1)


def plan_pieces(run: CountryRun, ledger: Ledger, pieces: list[Piece]) -> Plan:
    """Plan the pieces of a run.

    Parameters
    ----------
    run : CountryRun
        The run.
    ledger : Ledger
        Says what is whole.
    pieces : list of Piece
        In order.
    """
    opened = _stand_ins(run, pieces)
    lines = tuple(_line(p, opened, done=ledger.is_whole(p.name, p.key)) for p in pieces)
    to_classify = sum(
        p.pixels
        for p, line in zip(pieces, lines, strict=True)
        if p.kind == "classified" and not line.done
    )
    hours = to_classify / run.settings.classify.pixels_per_second / 3600
    return Plan(tuple(t.id for t in run.tiles), lines, hours)


def _line(piece: Piece, opened: Opener, *, done: bool) -> PlannedPiece:
    if piece.lazy is None:
        edge, per_block = _BLOCKS.get(piece.kind, (_CHUNK, 0))
        chunks = -(-piece.pixels // edge**2) if per_block else 0
        tasks = chunks * per_block
    else:
        data: Any = piece.lazy(opened).data
        chunks = int(data.npartitions)
        tasks = len(data.__dask_graph__()) + chunks * _PER_BLOCK
    return PlannedPiece(piece.name, done, chunks, tasks, piece.read, piece.written)


def _stand_ins(run: CountryRun, pieces: list[Piece]) -> Opener:
    """Return an opener of empty maps in the places of those that are not made yet."""
    whole = _union(list(run.boxes.values()))
    tiles = {output: run.boxes[p.tile] for p in pieces if p.tile for output in p.outputs}

    def opened(path: Path) -> xr.DataArray:
        box = tiles.get(path, whole)
        empty = da.zeros(tuple(box.shape), dtype="uint8", chunks=_MAP_CHUNK)
        if path.name.endswith(PROBABILITIES):
            ids = list(run.legend.ids)
            layers, dims = da.stack([empty] * len(ids)), ("class", "y", "x")
            return georeference(layers, box, dims=dims, coords={"class": ids})
        return georeference(empty, box, attrs={"nodata": 0})

    return opened


def _union(boxes: list[GeoBox]) -> GeoBox:
    """Return the grid around all tiles."""
    edges = [b.boundingbox for b in boxes]
    left, bottom = min(e.left for e in edges), min(e.bottom for e in edges)
    right, top = max(e.right for e in edges), max(e.top for e in edges)
    crs = str(boxes[0].crs or TARGET_CRS)
    size = abs(boxes[0].resolution.x)
    return target_geobox((left, bottom, right, top), bounds_crs=crs, crs=crs, resolution=size)
