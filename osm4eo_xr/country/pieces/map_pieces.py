"""Pieces of a country run that are maps: classified tiles, mosaic, sieved map, provenance."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.context import CountryRun, Opener, Piece
from osm4eo_xr.country.pieces.layer_pieces import fraction_piece, layer_pieces
from osm4eo_xr.country.pieces.learning import labels_key, neighbors_of, scene_hash
from osm4eo_xr.country.pieces.making import SeenAloneError
from osm4eo_xr.country.pieces.map_files import write_map
from osm4eo_xr.country.pieces.scores import TRUST_OUTPUTS, points_key
from osm4eo_xr.country.scenes.feature_cubes import open_seen
from osm4eo_xr.errors import InputError
from osm4eo_xr.places.countries import EDITION

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from osm4eo_xr.country.scenes.tiles import Tile
    from osm4eo_xr.country.settings import CountrySettings
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.models.model_folder import SavedModel
    from osm4eo_xr.progress import Progress

    Lazy = Callable[[Opener], xr.DataArray]

_TRIES = 2  # to read neighbors: an error of a network's disk may pass


def map_pieces(run: CountryRun, learned: str, before: list[Piece]) -> tuple[list[Piece], Piece]:
    """Return tiles, mosaics and layers, each after what it needs, and the final map among them.

    Parameters
    ----------
    run : CountryRun
        The run.
    learned : str
        Hash of the model that classifies.
    before : list of Piece
        What maps may be made from: radiometry, labels, the noise of labels.
    """
    given = run.settings.labels is not None
    ground = _label_mosaic(run, [p for p in before if p.kind == "labels"]) if given else None
    hashes, margin = _seen(run, before), _margin(run)
    made = [_classified(run, tile, learned, hashes, margin) for tile in run.tiles]
    if ground is not None:
        made.append(ground)
    known = _known_key(run, ground, before)
    shown = {t.id: partial(_shown, run, t) for t in run.tiles}
    parts = made[: len(run.tiles)]
    if run.settings.sieve.when == "before":
        for k, tile in enumerate(run.tiles):
            path, labels = run.out / "sieved" / f"{tile.id}.tif", partial(_tile_labels, run, tile)
            how = (shown[tile.id], labels, known, path, tile.date)
            parts[k] = _sieved(run, tile.id, parts[k], *how)
            shown[tile.id] = partial(_open, path)
        made += parts
    made.append(_mosaic(run, parts, shown, known))
    if run.settings.sieve.when == "after":
        source, labels = partial(_open, made[-1].outputs[0]), partial(_open, run.product("labels"))
        how = (source, labels, known, run.final_map, run.settings.date)
        made.append(_sieved(run, "", made[-1], *how))
    final = made[-1]
    if known:
        made.append(_provenance(run, final, known))
    for layer in run.settings.layers:
        made += layer_pieces(run, layer, final, made)
    made += [fraction_piece(run, cell, final) for cell in run.settings.fractions]
    return made, final


def _seen(run: CountryRun, before: list[Piece]) -> dict[str, str]:
    """Return what the pixels that the model sees of each tile come from."""
    radiometry, hashes = [p.key for p in before if p.kind == "harmony"], {}
    for tile in run.tiles:
        found = scene_hash(run, tile)
        hashes[tile.id] = run.key_of("seen", found, radiometry) if radiometry else found
    return hashes


def _known_key(run: CountryRun, ground: Piece | None, before: list[Piece]) -> Any:
    """Return what decides where the map shows known ground; nothing if it shows none."""
    known = run.settings.known
    if known is None or ground is None:
        return ()
    noise = [p.key for p in before if p.kind == "noise"]
    return (known.rule, known.protect, ground.key, dict(known.noise), noise)


def _open(path: Path, opened: Opener) -> xr.DataArray:
    return opened(path)


def _tile_labels(run: CountryRun, tile: Tile, opened: Opener) -> xr.DataArray:
    """Return the class raster of a tile's labels; lazy."""
    given = run.settings.labels is not None and bool(run.settings.labels.rasters)
    path = run.label_paths()[run.tiles.index(tile)]
    return run.open_labels(path) if given else opened(path)


def _shown(run: CountryRun, tile: Tile, opened: Opener) -> xr.DataArray:
    """Return a tile's classes, with known ground among them if the run wants it; lazy."""
    from osm4eo_xr.maps.known_ground import merge_known

    predicted, known = opened(run.out / "classified" / f"{tile.id}.tif"), run.settings.known
    if known is None:
        return predicted
    how: dict[str, Any] = {"rule": known.rule, "legend": run.legend}
    if known.needs_noise:
        name = "confidence" if known.rule == "confidence" else "probabilities"
        how |= {name: opened(beside(run, tile, name)), "noise": run.noise()}
    return merge_known(_tile_labels(run, tile, opened), predicted, **how)["classes"]


def beside(run: CountryRun, tile: Tile, name: str) -> Path:
    """Return the place of what a tile is classified into beside its classes."""
    return run.out / "classified" / f"{tile.id}_{name}.tif"


def outputs_of(settings: CountrySettings) -> list[str]:
    """Return what a tile is classified into."""
    rule = settings.known.rule if settings.known is not None else ""
    reviewed = settings.review is not None
    more = {
        "confidence": reviewed or "confidence" in (settings.mosaic.rule, rule),
        "probabilities": settings.classify.probabilities
        or rule == "bayes"
        or settings.mosaic.rule == "blend",
        **dict.fromkeys(TRUST_OUTPUTS, settings.classify.applicability),
    }
    return ["classes", *(name for name, wanted in more.items() if wanted)]


def _margin(run: CountryRun) -> int | None:
    """Return how many pixels around its own the model sees; None if tiles stay alone.

    A model that scales each scene by its own range gives tiles of one scene different numbers.
    """
    from osm4eo_xr.models.model_folder import read_saved

    try:
        model = read_saved(run.model_path)
    except InputError:  # it is still to come, and with it the keys
        return None
    return model.footprint.halo if sees_around(model) else None


def sees_around(model: Model | SavedModel) -> bool:
    """Whether a model classifies tiles with what their neighbors show around them."""
    return model.normalization.kind == "fixed"


def _classified(
    run: CountryRun, tile: Tile, learned: str, hashes: dict[str, str], margin: int | None
) -> Piece:
    settings, names = run.settings.classify, outputs_of(run.settings)
    path = run.out / "classified" / f"{tile.id}.tif"
    outputs = (path, *(beside(run, tile, name) for name in names[1:]))
    around = None if margin is None else neighbors_of(run, tile, margin)
    how = (settings.engine, settings.dtype, settings.flips, names, tile.date)
    seen = None if around is None else [hashes[t.id] for t in around]
    points = points_key(run) if settings.applicability else ()
    key = run.key_of("classify", learned, hashes[tile.id], how, seen, *points)
    pixels, size = run.pixels_of(tile), run.bytes_of(tile)
    work = partial(_make_classified, run, tile, path, around)
    layers = len(names) + (len(run.legend.ids) - 1) * ("probabilities" in names)
    return Piece("classified", tile.id, key, outputs, work, None, pixels, size, pixels * layers)


def _make_classified(
    run: CountryRun, tile: Tile, path: Path, around: list[Tile] | None, progress: Progress | None
) -> None:
    """Classify a tile, with what its neighbors show around it.

    Raises
    ------
    SeenAloneError
        If a neighbor cannot be read, twice: then the tile is written without any.
    """
    write = partial(_write_classified, run, tile, path)
    failed = ""
    for _ in range(_TRIES):
        try:
            write(around, progress)
        except OSError as error:
            if error.errno is not None or not around:  # of the disk, or of the tile itself
                raise
            failed = str(error)
        else:
            return
    write([], progress)  # which raises where the tile's own pixels cannot be read
    raise SeenAloneError(failed)


def _write_classified(
    run: CountryRun, tile: Tile, path: Path, around: list[Tile] | None, progress: Progress | None
) -> None:
    from osm4eo_xr.cogs.cog_set import one_pass
    from osm4eo_xr.inference.prediction import classify
    from osm4eo_xr.models.model_folder import load_model

    model, settings = load_model(run.model_path), run.settings.classify
    how: Any = {"engine": settings.engine, "dtype": settings.dtype, "flips": settings.flips}
    how["around"] = None if around is None else [open_seen(run, t) for t in around]
    maps = classify(open_seen(run, tile), model, outputs=outputs_of(run.settings), **how)
    with one_pass(maps, path, run.legend) as made:
        for name, raster in made.items():
            main = name == "classes"
            target = path if main else beside(run, tile, name)
            kind = {"digest": model.digest, "classes": main}
            run.write(raster, target, tile.date, progress if main else None, **kind)


def _sieved(
    run: CountryRun,
    tile: str,
    source: Piece,
    classes: Lazy,
    labels: Lazy,
    known: Any,
    path: Path,
    day: str,
) -> Piece:
    how = dataclasses.asdict(run.settings.sieve)
    key = run.key_of("sieve", source.key, how, known)
    lazy = partial(_sieve, run, classes, labels)
    work = partial(write_map, run, lazy, path, day)
    return Piece(
        "sieved", tile, key, (path,), work, lazy, source.pixels, source.written, source.written
    )


def _sieve(run: CountryRun, classes: Lazy, labels: Lazy, opened: Opener) -> xr.DataArray:
    from osm4eo_xr.maps.known_ground import is_known
    from osm4eo_xr.sieving.lazy_sieve import sieve

    settings, known = run.settings.sieve, run.settings.known
    kept = [run.legend.find(name).id for name in settings.protected]
    given, how = classes(opened), {"protected": kept, "reread": "large"}
    if known is not None and known.protect:
        how["protected_pixels"] = is_known(labels(opened), given)
    return sieve(given, settings.size, settings.connectivity, **how)


def _mosaic(run: CountryRun, parts: list[Piece], shown: dict[str, Lazy], known: Any) -> Piece:
    tiles = [(t.id, p.key) for t, p in zip(run.tiles, parts, strict=True)]
    rule = run.settings.mosaic.rule
    key = run.key_of("mosaic", tiles, (*clipping(run), rule, run.settings.date), known)
    path, total = run.product("mosaic"), run.total()
    lazy = partial(_join, run, shown)
    work = partial(write_map, run, lazy, path, run.settings.date)
    return Piece("mosaic", "", key, (path,), work, lazy, total, total, total)


def clipping(run: CountryRun) -> tuple[object, object]:
    """Return what decides where the country's maps end."""
    boundary = run.settings.boundary
    return dataclasses.asdict(boundary), run.hash_of(boundary.file) if boundary.file else EDITION


def _join(run: CountryRun, shown: dict[str, Lazy], opened: Opener) -> xr.DataArray:
    from osm4eo_xr.maps.country_mosaic import mosaic

    rule = run.settings.mosaic.rule
    how: dict[str, Any] = {"rule": rule, "legend": run.legend}
    if rule == "confidence":
        how["confidence"] = {t.id: opened(beside(run, t, "confidence")) for t in run.tiles}
    if rule == "blend":
        how["probabilities"] = {t.id: opened(beside(run, t, "probabilities")) for t in run.tiles}
    tiles = {tile: classes(opened) for tile, classes in shown.items()}
    return mosaic(tiles, run.outline(), **how)


def _label_mosaic(run: CountryRun, labels: list[Piece]) -> Piece:
    """Return the labels of all tiles in one map, clipped as the classes are."""
    ids, path, total = [t.id for t in run.tiles], run.product("labels"), run.total()
    about = (*clipping(run), run.grid, run.settings.date)
    key = run.key_of("label mosaic", ids, labels_key(run, labels), about)
    lazy = partial(_join_labels, run)
    work = partial(write_map, run, lazy, path, run.settings.date, learned=False)
    return Piece("labels", "", key, (path,), work, lazy, total, total, total)


def _join_labels(run: CountryRun, opened: Opener) -> xr.DataArray:
    from osm4eo_xr.maps.country_mosaic import mosaic

    tiles = {t.id: _tile_labels(run, t, opened) for t in run.tiles}
    return mosaic(tiles, run.outline(), run.grid)


def _provenance(run: CountryRun, final: Piece, known: Any) -> Piece:
    """Return the map that says what of the final map OpenStreetMap knows."""
    key, total = run.key_of("provenance", final.key, known), run.total()
    lazy = partial(_trace_provenance, run)
    work = partial(write_map, run, lazy, run.provenance, run.settings.date, classes=False)
    outputs = (run.provenance,)
    return Piece("provenance", "", key, outputs, work, lazy, total, 2 * total, total)


def _trace_provenance(run: CountryRun, opened: Opener) -> xr.DataArray:
    from osm4eo_xr.maps.known_ground import provenance_of

    return provenance_of(opened(run.product("labels")), opened(run.final_map))
