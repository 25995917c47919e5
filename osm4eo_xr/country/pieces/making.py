"""Making pieces of a run: one after the other, entered into the ledger, on a cluster or here."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.settings_file import cluster_of
from osm4eo_xr.errors import InputError
from osm4eo_xr.process.background import do_ahead

if TYPE_CHECKING:
    from osm4eo_xr.cluster.site import Site
    from osm4eo_xr.country.context import CountryRun, Piece
    from osm4eo_xr.country.ledger import Ledger
    from osm4eo_xr.progress import Watch


class SeenAloneError(OSError):
    """A tile was written without what its neighbors show, so it is not what its key says.

    It is not entered, nor is a map made of it: the next run makes it again.
    """


def make_all(todo: list[Piece], ledger: Ledger, watch: Watch | None) -> None:
    """Make pieces, tiles first."""
    tiles = [p for p in todo if p.kind == "classified"]
    make_tiles(tiles, ledger, watch)
    for piece in todo:
        if piece not in tiles:
            make_piece(piece, ledger, watch)


def make_tiles(tiles: list[Piece], ledger: Ledger, watch: Watch | None) -> None:
    """Make a piece per tile; tiles that cannot be read do not hold up the other tiles.

    Raises
    ------
    InputError
        When all others are finished, if some cannot be read or saw no neighbors.
    """
    bad: dict[str, str] = {}
    alone: dict[str, str] = {}
    for piece in tiles:
        try:
            make_piece(piece, ledger, watch)
        except OSError as error:
            if error.errno is not None:  # of the disk, say full; GDAL's reading errors have none
                raise
            kept = alone if isinstance(error, SeenAloneError) else bad
            kept[piece.of] = " ".join(str(error).split())
    if bad or alone:
        told = [_told(bad, len(tiles), "cannot be read")] if bad else []
        if alone:
            unseen = "are classified without their neighbors, which cannot be read"
            told.append(_told(alone, len(tiles), f"{unseen}, and will be made again"))
        told.append("The other tiles are finished")
        raise InputError(". ".join(told), advice="mend what is told here and run again")


def _told(tiles: dict[str, str], of: int, what: str) -> str:
    reasons = "; ".join(f"{tile} ({reason})" for tile, reason in tiles.items())
    return f"{len(tiles)} of {of} tiles {what}: {reasons}"


def make_piece(piece: Piece, ledger: Ledger, watch: Watch | None) -> None:
    """Make a piece and enter it; the ledger never names what is not whole."""
    for output in piece.outputs:
        output.parent.mkdir(parents=True, exist_ok=True)
    ledger.begin(piece.name, piece.outputs)
    if watch is None:
        piece.make(None)
    else:
        watch(piece.name, 0, 1)
        piece.make(lambda done, total: watch(piece.name, done, total))
    ledger.record(piece.name, piece.key, piece.outputs)
    if watch is not None:
        watch(piece.name, 1, 1)


def compile_ahead(run: CountryRun, maps: list[Piece]) -> None:
    """Begin to compile what maps still to be made take, while the pieces before them are made."""
    kinds, works = {p.kind for p in maps}, []
    if "classified" in kinds:
        from osm4eo_xr.inference.worker import compile_inference

        works.append(partial(compile_inference, engine=run.settings.classify.engine))
    if "sieved" in kinds:
        from osm4eo_xr.sieving.lazy_sieve import compile_sieve

        works.append(compile_sieve)
    if works:
        do_ahead(*works)


def computes_here(named: str | Site) -> bool:
    """Whether what this process compiles serves where pieces are computed."""
    return (named if isinstance(named, str) else named.name) in ("", "local")


def stated_cluster(run: CountryRun) -> str:
    """Return the cluster that the country file names; none where one is open, which computes."""
    if not (stated := cluster_of(run.settings, run.base)):
        return ""
    from distributed import default_client

    try:
        default_client()
    except ValueError:
        return stated
    return ""


def opened_cluster(named: str | Site) -> Any:
    """Open a cluster, or nothing: then threads of this process compute."""
    if not named:
        return nullcontext()
    from osm4eo_xr.cluster.clusters import open_cluster

    return open_cluster(named)
