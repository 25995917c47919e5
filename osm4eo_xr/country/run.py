"""One country run from a TOML file: pieces, ledger, resume, report."""

from __future__ import annotations

import os
import warnings
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from osm4eo_xr.country.context import REPORTS, VIEWER, CountryRun, Piece
from osm4eo_xr.country.findings.items import described_items
from osm4eo_xr.country.findings.review import review_pieces
from osm4eo_xr.country.findings.trust import trust_pieces
from osm4eo_xr.country.ledger import Ledger, only_run
from osm4eo_xr.country.pieces.learning import check_scenes, learning_pieces, scene_pieces
from osm4eo_xr.country.pieces.making import (
    compile_ahead,
    computes_here,
    make_all,
    make_piece,
    make_tiles,
    opened_cluster,
    stated_cluster,
)
from osm4eo_xr.country.pieces.map_pieces import map_pieces
from osm4eo_xr.country.pieces.scores import accuracy_pieces, noise_pieces
from osm4eo_xr.country.plan import Plan, left_over, left_over_text, plan_pieces, try_maps
from osm4eo_xr.country.scenes.searches import with_found_scenes
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.progress import Progress, Watch, with_bars
from osm4eo_xr.training.settings import TrainSettings  # noqa: TC001 - read from the hints

if TYPE_CHECKING:
    from osm4eo_xr.cluster.site import Site

__all__ = ["country_samples", "plan_country", "run_country"]


@dataclass(frozen=True)
class _Pieces:
    """The pieces of a run, in order; those that need the model are known when it is made."""

    run: CountryRun
    ledger: Ledger
    first: list[Piece]

    @property
    def scenes(self) -> list[Piece]:
        """The composites among them, which come before all others."""
        return [p for p in self.first if p.kind == "scene"]

    @property
    def is_learned(self) -> bool:
        """Whether composites, labels, samples and model are whole."""
        return not self.todo(self.first)

    def todo(self, pieces: list[Piece]) -> list[Piece]:
        """Return the pieces that are not whole."""
        return [p for p in pieces if not self.ledger.is_whole(p.name, p.key, p.outputs)]

    def rest(self) -> list[Piece]:
        """Return maps and accuracy; before a model is made or given, with keys that nothing has."""
        known = bool(self.run.settings.classify.model) or self.is_learned
        learned = self.run.model_digest() if known else "a model that is still to come"
        samples = next((p for p in self.first if p.kind == "samples"), None)
        noise = noise_pieces(self.run, samples, learned)
        maps, final = map_pieces(self.run, learned, [*self.first, *noise])
        shown = [final, *(p for p in maps if p.kind == "provenance")]
        found = trust_pieces(self.run, maps)
        found += review_pieces(self.run, [*self.first, *maps])
        rest = [*noise, *maps, *found, *accuracy_pieces(self.run, samples, learned, shown)]
        _check_outputs([*self.first, *rest], self.ledger)
        return rest


def plan_country(path: str | Path, *, verify: bool = False) -> Plan:
    """Work out what ``run_country`` would do; reads settings, metadata and input hashes only.

    Parameters
    ----------
    path : str or Path
        The country file.
    verify : bool
        Also read every product and input, and count what differs from its recorded hash as to do.

    Returns
    -------
    Plan
        The pieces in order, with chunks, tasks and bytes, and device hours.

    Raises
    ------
    InputError
        If the country file or one of its inputs cannot be used.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> from pathlib import Path
    >>> box = oxr.target_geobox((4320000, 3210000, 4322000, 3212000))
    >>> pixels, names = np.full((1, 200, 200), 0.1, dtype="float32"), {"band": ["nir"]}
    >>> scene = georeference(pixels, box, dims=("band", "y", "x"), coords=names)
    >>> path = oxr.write_cog(scene, "tile.tif")
    >>> path = oxr.write_cog(georeference(np.full((200, 200), 8, dtype="uint8"), box), "labels.tif")
    >>> file, text = Path("country.toml"), '''
    ... name = "Havelland"
    ... scenes = [{files = "tile.tif"}]
    ... labels = {rasters = "labels.tif"}
    ... '''
    >>> _ = file.write_text(text)
    >>> [piece.name for piece in oxr.plan_country(file).todo][:3]
    ['samples', 'model', 'classified tile']
    """
    pieces = _open(path, hashing=False, verify=verify)
    return plan_pieces(pieces.run, pieces.ledger, [*pieces.first, *pieces.rest()])


@with_bars()
def run_country(
    path: str | Path,
    *,
    cluster: str | Site | None = None,
    watch: Watch | None = None,
    verify: bool = False,
) -> Path:
    """Make everything that a country file asks for, as far as it is not whole already.

    Each finished piece is entered in ``ledger.json`` with the hashes of what it was made from. A
    run that was killed goes on where it was; one after a change remakes what depends on it. Both
    end with the same bytes as one undisturbed run.

    Parameters
    ----------
    path : str or Path
        The country file; its paths are relative to it.
    cluster : str or Site, optional
        Name or file of a cluster, or its settings, instead of the one in the country file. Where a
        ``distributed`` client is open already, its cluster computes in place of the file's.
    watch : callable, optional
        Called as ``watch(piece, done, total)``.
    verify : bool
        Read every product and input again and remake what differs from its recorded hash; without
        it a file whose size and time are as they were left counts as whole.

    Returns
    -------
    Path
        The folder of the results.

    Raises
    ------
    InputError
        If the country file or one of its inputs cannot be used, or another run holds the folder.
        Tiles that cannot be read, or whose neighbors cannot, are named when all others are
        finished.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_model
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> from pathlib import Path
    >>> box = oxr.target_geobox((4320000, 3210000, 4321000, 3211000))
    >>> pixels, names = np.full((2, 100, 100), 0.1, dtype="float32"), {"band": ["red", "nir"]}
    >>> scene = georeference(pixels, box, dims=("band", "y", "x"), coords=names)
    >>> path = oxr.write_cog(scene, "tile.tif")
    >>> path = oxr.write_cog(georeference(np.eye(100, dtype="uint8"), box), "labels.tif")
    >>> path = oxr.save_model(example_model(), "model")
    >>> file, text = Path("country.toml"), '''
    ... name = "Havelland"
    ... scenes = [{files = "tile.tif"}]
    ... labels = {rasters = "labels.tif"}
    ... classify = {model = "model", engine = "jax"}
    ... '''
    >>> _ = file.write_text(text)
    >>> out = oxr.run_country(file)
    >>> out.name, (out / "sieved.tif").is_file(), oxr.plan_country(file).todo
    ('result', True, ())
    """
    pieces = _open(path, verify=verify)
    run, ledger = pieces.run, pieces.ledger
    run.out.mkdir(parents=True, exist_ok=True)
    with only_run(run.out):
        ledger.read()
        ledger.sweep()
        ledger.leave(described_items(run))
        rest = pieces.rest()  # also where all is still to come: two pieces of one file end here
        todo = pieces.todo(pieces.first) or pieces.todo(rest)
        _tell_left_over(run, [*pieces.first, *rest], ledger)
        ledger.save()
        if todo:
            try_maps(run, [*pieces.first, *rest], pieces.todo(rest))
        where = cluster or stated_cluster(run)
        if computes_here(where):
            compile_ahead(run, pieces.todo(rest))
        with opened_cluster(where) if todo else nullcontext():
            make_tiles(pieces.todo(pieces.scenes), ledger, watch)
            if todo:
                check_scenes(run)
            for piece in pieces.todo(pieces.first):
                make_piece(piece, ledger, watch)
            rest = pieces.rest()
            make_all(pieces.todo(rest), ledger, watch)
        told = _report(run, [*pieces.first, *rest], ledger, watch)
        if run.settings.products.viewer:
            _show(run, told, ledger, watch)
    return run.out


def country_samples(
    path: str | Path, *, groups: int = 1, watch: Watch | None = None
) -> tuple[Path, TrainSettings]:
    """Make what comes before a country run's training, as far as it is not whole already.

    Parameters
    ----------
    path : str or Path
        The country file.
    groups : int
        Groups of features that the file has to name at least.
    watch : callable, optional
        Called as ``watch(piece, done, total)``.

    Returns
    -------
    Path, TrainSettings
        The sample set, and how the run trains on it.

    Raises
    ------
    InputError
        If the run draws no samples since a model is given, has fewer groups, or as for
        ``run_country``.
    """
    pieces = _open(path)
    run, ledger = pieces.run, pieces.ledger
    if groups > (known := max(1, len(run.settings.features))):
        raise InputError(
            f"{path} has {known} group{'s' * (known > 1)} of features",
            expected=f"{groups} or more in [[features]]",
        )
    if run.settings.classify.model:
        raise InputError(
            f"{path} classifies with a given model and draws no samples",
            advice="leave out model in [classify]",
        )
    run.out.mkdir(parents=True, exist_ok=True)
    before = [p for p in pieces.first if p.kind != "model"]
    with only_run(run.out):
        ledger.read()
        todo = pieces.todo(before)
        with opened_cluster(stated_cluster(run)) if todo else nullcontext():
            make_tiles(pieces.todo(pieces.scenes), ledger, watch)
            if todo:
                check_scenes(run)
            for piece in pieces.todo(before):
                make_piece(piece, ledger, watch)
    drawn = next(p for p in before if p.kind == "samples").outputs[0]
    return drawn, replace(run.settings.train, seed=run.settings.seed)


def _open(path: str | Path, *, hashing: bool = True, verify: bool = False) -> _Pieces:
    """Read a country file and list what its run makes first."""
    file = Path(os.path.realpath(path))  # which leaves links that lead nowhere to the reader
    settings, base = with_found_scenes(read_country(path), file), file.parent
    out = base / settings.out
    ledger = Ledger(out, hashing=hashing, verify=verify)
    run = CountryRun(settings, base, ledger, out)
    return _Pieces(run, ledger, [*scene_pieces(run), *learning_pieces(run)])


def _check_outputs(pieces: list[Piece], ledger: Ledger) -> None:
    """Refuse a file that two pieces would write, and one that the run reads."""
    makers: dict[Path, Piece] = {}
    for piece in pieces:
        for output in piece.outputs:
            other = makers.setdefault(output, piece)
            if other is not piece:
                raise InputError(
                    f"{other.name!r} and {piece.name!r} would both write {output}",
                    advice=(
                        "give one of them another name (name in [[layers]], tile in [[scenes]]) "
                        "or leave it out"
                    ),
                )
            if ledger.reads(output):
                raise InputError(
                    f"{piece.name!r} would write {output}, which the run reads",
                    advice="set out in the country file to another folder",
                )


def _tell_left_over(run: CountryRun, pieces: list[Piece], ledger: Ledger) -> None:
    """Warn of products that no piece of the run makes any more; they may be somebody's."""
    if names := left_over(run, ledger, pieces):
        told = f"{run.out} holds {left_over_text(names)}"
        advice = "remove what nobody needs"
        warnings.warn(InputWarning(InputError(told, advice=advice)), stacklevel=3)


def _report(run: CountryRun, pieces: list[Piece], ledger: Ledger, watch: Watch | None) -> str:
    """Write the report if it is not the one of these pieces; return its key."""
    from osm4eo_xr.country.report import write_report

    settings = asdict(run.settings)
    key = run.key_of("report", [p.key for p in pieces], settings, ledger.inputs())
    files = (*(run.out / name for name in REPORTS), *described_items(run))

    def make(_progress: object) -> None:
        write_report(run, pieces, ledger.inputs())

    if not ledger.is_whole("report", key, files):
        make_piece(Piece("report", "", key, files, make), ledger, watch)
    return key


def _show(run: CountryRun, told: str, ledger: Ledger, watch: Watch | None) -> None:
    """Write the viewer if it is not the one of this report."""
    from osm4eo_xr.country.viewing import write_run_viewer

    key, folder = run.key_of("viewer", told), run.out / VIEWER

    def make(progress: Progress | None) -> None:
        write_run_viewer(run, folder, progress=progress)

    if not ledger.is_whole("viewer", key, (folder,)):
        make_piece(Piece("viewer", "", key, (folder,), make), ledger, watch)
