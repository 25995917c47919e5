"""One country run from a TOML file: plan, pieces, ledger, resume, report."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osm4eo_xr._country_context import Country, Piece
from osm4eo_xr._country_learning import learning_pieces
from osm4eo_xr._country_ledger import Ledger, key_of, only_run
from osm4eo_xr._country_maps import map_pieces
from osm4eo_xr._country_settings import CountrySettings, read_country

__all__ = ["CountrySettings", "Plan", "plan_country", "read_country", "run_country"]

_CHUNK = 1024  # pixels; edge of the blocks that tiles are classified in

Watch = Callable[[str, int, int], None]


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
        Blocks of ``1024 x 1024`` pixels to compute.
    read, written : int
        Bytes before compression, estimated.
    """

    name: str
    done: bool
    chunks: int
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

    @property
    def todo(self) -> tuple[PlannedPiece, ...]:
        """Pieces that are not whole yet."""
        return tuple(p for p in self.pieces if not p.done)


def plan_country(path: str | Path) -> Plan:
    """Work out what ``run_country`` would do; reads settings, metadata and input hashes only.

    Raises
    ------
    InputError
        If the country file or one of its inputs cannot be used.
    """
    settings, base = read_country(path), Path(path).resolve().parent
    ledger = Ledger(base / settings.out)
    run = Country(settings, base, ledger, base / settings.out)
    pieces = _pieces(run)
    planned = tuple(
        PlannedPiece(
            p.name, ledger.is_whole(p.name, p.key), -(-p.pixels // _CHUNK**2), p.read, p.written
        )
        for p in pieces
    )
    open_tiles = [
        p.pixels
        for p, line in zip(pieces, planned, strict=True)
        if p.name.startswith("classified ") and not line.done
    ]
    passes = 2 if settings.mosaic.rule == "confidence" else 1
    hours = passes * sum(open_tiles) / settings.classify.pixels_per_second / 3600
    return Plan(tuple(t.id for t in run.tiles), planned, hours)


def run_country(
    path: str | Path, *, cluster: str | None = None, watch: Watch | None = None
) -> Path:
    """Make everything that a country file asks for, as far as it is not whole already.

    Each finished piece is entered in ``ledger.json`` with the hashes of what it was made from. A
    run that was killed goes on where it was; one after a change remakes what depends on it. Both
    end with the same bytes as one undisturbed run.

    Parameters
    ----------
    path : str or Path
        The country file; its paths are relative to it.
    cluster : str, optional
        Name or file of a cluster, instead of the one in the country file.
    watch : callable, optional
        Called as ``watch(piece, done, total)``.

    Returns
    -------
    Path
        The folder of the results.

    Raises
    ------
    InputError
        If the country file or one of its inputs cannot be used, or another run holds the folder.
    """
    settings, base = read_country(path), Path(path).resolve().parent
    out = base / settings.out
    out.mkdir(parents=True, exist_ok=True)
    with only_run(out):
        _clean(out)
        ledger = Ledger(out)
        run = Country(settings, base, ledger, out)
        pieces = _pieces(run)
        ledger.save()
        todo = [p for p in pieces if not ledger.is_whole(p.name, p.key)]
        with _cluster(cluster or settings.cluster) if todo else nullcontext():
            for piece in todo:
                _make(piece, ledger, watch)
        _report(run, pieces, ledger, watch)
    return out


def _pieces(run: Country) -> list[Piece]:
    """Return all pieces of a run in order."""
    learning = learning_pieces(run)
    learned = learning[-1].key if learning else key_of(run.hash_of(run.settings.classify.model))
    return [*learning, *map_pieces(run, learned)]


def _make(piece: Piece, ledger: Ledger, watch: Watch | None) -> None:
    """Make a piece and enter it; the ledger never names what is not whole."""
    for output in piece.outputs:
        output.parent.mkdir(parents=True, exist_ok=True)
    if watch is None:
        piece.make(None)
    else:
        watch(piece.name, 0, 1)
        piece.make(lambda done, total: watch(piece.name, done, total))
    ledger.record(piece.name, piece.key, piece.outputs)
    if watch is not None:
        watch(piece.name, 1, 1)


def _report(run: Country, pieces: list[Piece], ledger: Ledger, watch: Watch | None) -> None:
    """Write the report if it is not the one of these pieces."""
    from osm4eo_xr._country_report import write_report

    key = key_of("report", [p.key for p in pieces], run.settings.name, ledger.inputs())
    files = (run.out / "report.json", run.out / "report.html")

    def make(_progress: object) -> None:
        write_report(run, pieces, ledger.inputs())

    if not ledger.is_whole("report", key):
        _make(Piece("report", key, files, make), ledger, watch)


def _cluster(name: str) -> Any:
    """Open a cluster, or nothing: then threads of this process compute."""
    if not name:
        return nullcontext()
    from osm4eo_xr.cluster import open_cluster

    return open_cluster(name)


def _clean(out: Path) -> None:
    """Remove what a killed run left half-made; nobody else works here, the folder is locked."""
    for part in out.rglob(".*.part*"):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
