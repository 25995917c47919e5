"""What a country run would do: pieces, chunks, tasks, bytes, device hours."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.country.context import PROBABILITIES, REPORTS, VIEWER
from osm4eo_xr.country.pieces.learning import windows_per_class
from osm4eo_xr.country.scenes.feature_cubes import FeatureLoad, feature_load, seen_ids
from osm4eo_xr.feature_ids.ids import canonical
from osm4eo_xr.geometry.geodesy import crs_text
from osm4eo_xr.geometry.grid import TARGET_CRS, georeference, target_geobox
from osm4eo_xr.geometry.views import VIEWS
from osm4eo_xr.names import counted, duration
from osm4eo_xr.tables import html_table
from osm4eo_xr.training.settings import TrainSettings

if TYPE_CHECKING:
    from osm4eo_xr.country.context import CountryRun, Kind, Opener, Piece
    from osm4eo_xr.country.ledger import Ledger

_CHUNK = 1024  # pixels; edge of the blocks that tiles are classified in
_MAP_CHUNK = 2048  # pixels; edge of the blocks that maps are opened in
_SHOWN = 16  # pieces in a repr, products in a line
_PER_BLOCK = 2  # tasks that shrink a block of a raster and write it

# Edge of the blocks that a kind of piece is cut into, pixels, and its tasks per block. What is not
# listed is no work of dask: land use is read and a network learns in one process.
_BLOCKS: dict[Kind, tuple[int, int]] = {
    "scene": (_CHUNK, 4 + _PER_BLOCK),  # reads bands, masks clouds, chooses a date, joins
    "harmony": (_CHUNK, 2),  # reads what tiles share, thins it
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
    steps : int
        Steps of the training at most, if it is still to be done.
    training_hours : float
        Estimate for them on the same device.
    features : FeatureLoad, optional
        What the groups of features in ``[[features]]`` cost.
    presets : mapping of str to float
        Seconds that the training would take on this machine with each preset, if it is still to be
        done; estimated.
    left_over : tuple of str
        Products in the run's folder that none of its pieces makes, such as those of a tile that
        the country file named before, or confidences that it asked for. No map and no figure is
        made from them.
    """

    tiles: tuple[str, ...]
    pieces: tuple[PlannedPiece, ...]
    device_hours: float
    steps: int = 0
    training_hours: float = 0.0
    features: FeatureLoad | None = None
    presets: Mapping[str, float] = field(default_factory=dict)
    left_over: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Sum up what is to do, and list the first pieces of it."""
        todo = self.todo
        head = (
            f"<Plan: {counted(len(self.tiles), 'tile')}, {len(self.pieces)} pieces, "
            f"{len(todo)} to make; {self.device_time}>"
        )
        lines = [f"  {p.name}: {p.chunks:,} chunks, {p.tasks:,} tasks" for p in todo[:_SHOWN]]
        more = len(todo) - len(lines)
        seen = [f"  {self.features}"] if self.features else []
        return "\n".join([head, *seen, *lines, *([f"  and {more} more"] if more else [])])

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
        return _hours(self.device_hours)

    @property
    def training_time(self) -> str:
        """Steps and device hours of the training in words; nothing if there is none to do."""
        return f"{self.steps:,} steps at most, {_hours(self.training_hours)}" if self.steps else ""

    @property
    def preset_times(self) -> str:
        """What each preset would take here, and the one that fits; nothing if none is to train."""
        if not self.presets:
            return ""
        from osm4eo_xr.training.cost import PATIENCE, device_name, fitting_preset

        each = ", ".join(f"{k} {_about(v)}" for k, v in self.presets.items())
        fits = fitting_preset(self.presets)
        within = self.presets[fits] <= PATIENCE
        why = f"the one that learns most within {duration(PATIENCE)}" if within else "the quickest"
        return f"on {device_name()} a training would take, by preset: {each}; {fits} is {why}"

    @property
    def leftovers(self) -> str:
        """What is left over in words; nothing if there is nothing."""
        return left_over_text(self.left_over) if self.left_over else ""

    @property
    def todo(self) -> tuple[PlannedPiece, ...]:
        """Pieces that are not whole yet."""
        return tuple(p for p in self.pieces if not p.done)


def _hours(hours: float) -> str:
    """Return the time of one device in words."""
    return f"{_about(3600 * hours)} of one device"


def _about(seconds: float) -> str:
    """Return an estimated time in words."""
    return f"about {duration(seconds)}" if seconds >= 1 else duration(seconds)


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
    lines = tuple(_line(p, opened, done=ledger.is_whole(p.name, p.key, p.outputs)) for p in pieces)
    to_classify = sum(
        p.pixels
        for p, line in zip(pieces, lines, strict=True)
        if p.kind == "classified" and not line.done
    )
    members = _members(run)
    passes = members * (VIEWS if run.settings.classify.flips else 1)
    hours = passes * to_classify / run.settings.classify.pixels_per_second / 3600
    to_train = any(
        p.kind == "model" and not line.done for p, line in zip(pieces, lines, strict=True)
    )
    tiles, features = tuple(t.id for t in run.tiles), feature_load(run)
    left = left_over(run, ledger, pieces)
    if not to_train:
        return Plan(tiles, lines, hours, features=features, left_over=left)
    from osm4eo_xr.training.cost import FORTH_AND_BACK

    steps, pixels = _training(run, run.settings.train)
    passes = FORTH_AND_BACK * members
    learning = passes * pixels / run.settings.classify.pixels_per_second / 3600
    ids = features.features if features else seen_ids(run)
    return Plan(tiles, lines, hours, steps, learning, features, _preset_times(run, ids), left)


def _members(run: CountryRun) -> int:
    """Return how many networks the model has, that is given or that is trained."""
    if run.settings.classify.model:
        from osm4eo_xr.models.model_folder import read_saved

        return read_saved(run.model_path).net.members
    return run.settings.train.networks


def left_over(run: CountryRun, ledger: Ledger, pieces: list[Piece]) -> tuple[str, ...]:
    """Return the products in a run's folder that none of its pieces makes, by their paths there.

    Parameters
    ----------
    run : CountryRun
        The run.
    ledger : Ledger
        Knows what its pieces left.
    pieces : list of Piece
        All that it has.
    """
    names = {*(piece.name for piece in pieces), "report", VIEWER}
    told = (run.out / name for name in (*REPORTS, VIEWER))
    needed = {*(output for piece in pieces for output in piece.outputs), run.model_path, *told}
    return ledger.left_over(names, needed)


def left_over_text(names: Sequence[str]) -> str:
    """Say in a line that products are of no piece, and name the first."""
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{counted(len(names), 'product')} of earlier settings, in none of the maps: {shown}"


def try_maps(run: CountryRun, pieces: list[Piece], todo: list[Piece]) -> None:
    """Lay out the maps that are to come, of empty tiles, so that what cannot be is refused first.

    Parameters
    ----------
    run : CountryRun
        The run.
    pieces, todo : list of Piece
        All of them, and those to make.

    Raises
    ------
    InputError
        As it would after hours: a boundary elsewhere, a class that the legend lacks.
    """
    opened = _stand_ins(run, pieces)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come when the maps are made
        for piece in todo:
            if piece.lazy is not None:
                piece.lazy(opened)


def _training(run: CountryRun, settings: TrainSettings) -> tuple[int, float]:
    """Return the steps of a training at most, and the pixels that it learns from in all passes."""
    drawn = run.settings.samples
    windows = len(run.tiles) * len(run.legend.ids) * windows_per_class(run) * drawn.shares[0]
    passes, trainings = settings.epochs, 1
    if settings.noise != "none":  # a training per fold before, each on all folds but one
        passes += settings.fold_epochs * (settings.noise_folds - 1)
        trainings += settings.noise_folds
    side = drawn.patch if settings.mode == "dense" else settings.window
    steps, samples = passes * math.ceil(windows / settings.batch), passes * windows
    if not settings.learning_rate:
        from osm4eo_xr.training.step.rate_search import STEPS

        looking = trainings * STEPS
        steps, samples = steps + looking, samples + looking * settings.batch
    return steps, samples * side**2


def _preset_times(run: CountryRun, ids: Sequence[str]) -> dict[str, float]:
    """Return the seconds of a training here by preset, from what the model sees of each tile."""
    from osm4eo_xr.training.cost import training_seconds

    own, bands = run.settings.train, tuple(map(canonical, ids))
    kept = (
        *("mode", "window", "network", "fusion", "shared", "noise", "noise_folds", "loss"),
        "learning_rate",
    )
    shape = {name: getattr(own, name) for name in kept}
    times = {}
    for name in TrainSettings.PRESETS.names:
        settings = TrainSettings.preset(name, **shape)
        net = settings.net(bands=len(bands), classes=len(run.legend.ids), features=bands)
        times[name] = training_seconds(net, _training(run, settings)[1])
    return times


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
    crs = crs_text(boxes[0].crs) if boxes[0].crs else TARGET_CRS
    size = abs(boxes[0].resolution.x)
    return target_geobox((left, bottom, right, top), bounds_crs=crs, crs=crs, resolution=size)
