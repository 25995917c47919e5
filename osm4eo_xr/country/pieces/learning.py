"""Pieces of a country run that learn: composites, radiometry, labels, samples, the model."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.context import CountryRun, Piece, instant
from osm4eo_xr.country.pieces.scores import training_medians
from osm4eo_xr.country.scenes.composites import bands_of, copied_items, tile_composite
from osm4eo_xr.country.scenes.feature_cubes import (
    features_hash,
    of_own_scene,
    open_seen,
    optional_groups,
)
from osm4eo_xr.country.scenes.harmony import harmony_pieces
from osm4eo_xr.country.tile_checks import compare_tiles, compare_with_training, look_at_tile
from osm4eo_xr.errors import InputWarning
from osm4eo_xr.files import replace_text
from osm4eo_xr.geometry.grid import geobox_of, same_grid
from osm4eo_xr.samples.counts import limit_by_cover
from osm4eo_xr.training.settings import TrainSettings

if TYPE_CHECKING:
    from odc.geo.geom import BoundingBox

    from osm4eo_xr.country.scenes.tiles import Tile
    from osm4eo_xr.progress import Progress

_KEY = 16  # digits of a key in a folder's name
_PLACE = ("files", "stac", "tile", "bounds", "bounds_crs")  # what says where a tile lies
_TIMES = ("samples_per_second", "waiting")  # of an epoch; no two runs have the same
_KEEPING = "checkpoint_every"  # says how often a training is kept, and decides nothing of it


def scene_pieces(run: CountryRun) -> list[Piece]:
    """Return a piece per tile whose scene is a composite of STAC items."""
    pieces = []
    for tile in run.tiles:
        if tile.source.stac:
            how = (dataclasses.asdict(tile.source), tile.date)  # its own day or the country's
            key = run.key_of("scene", _items_hash(run, tile), how)
            pixels, work = run.pixels_of(tile), partial(_make_scene, run, tile)
            files, size = (*tile.files, *run.skipped_of(tile)), 16 * pixels
            pieces.append(Piece("scene", tile.id, key, files, work, None, pixels, size, size))
    return pieces


def _items_hash(run: CountryRun, tile: Tile) -> str:
    """Return a hash over a tile's STAC items and those of their assets that are local.

    A part of a store counts with the whole store.
    """
    from osm4eo_xr.catalogs.items import read_items
    from osm4eo_xr.rasters.store_paths import split_store

    items = read_items(run.base / tile.source.stac)
    links = {a["href"] for item in items for a in item["assets"].values()}
    places = {store.root if (store := split_store(link)) else link for link in links}
    files = sorted(p for p in places if Path(p).exists())
    return run.key_of("items", items, [run.hash_of(p) for p in files])


def _make_scene(run: CountryRun, tile: Tile, progress: Progress | None) -> None:
    from osm4eo_xr.catalogs.asset_looks import check_items

    source, bands = tile.source, bands_of(tile)
    items = copied_items(run, tile)
    check_items(items, run.boxes[tile.id], bands, scale=source.scale, offset=source.offset)
    made = tile_composite(run, tile, items, bands)
    for path in run.skipped_of(tile):
        path.parent.mkdir(exist_ok=True)
        replace_text(path, json.dumps(made.attrs["skipped"]) + "\n")
    run.write(made["reflectance"], tile.files[0], tile.date, progress, classes=False)


def check_scenes(run: CountryRun) -> None:
    """Look at the scenes of all tiles; refuse or warn of what cannot be right (``tile_checks``)."""
    looks = {}
    for tile in run.tiles:
        settled = not (tile.source.scale is None and tile.source.offset is None)
        try:
            scene = run.open_scene(tile)
            looks[tile.id] = look_at_tile(scene, tile.id, run.boxes[tile.id], settled=settled)
        except OSError:  # tiles that cannot be read do not hold up the others; they are told later
            continue
    compare_tiles(looks)
    if run.settings.classify.model and (learned := training_medians(run)):
        compare_with_training(looks, of_own_scene(run, learned))


def learning_pieces(run: CountryRun) -> list[Piece]:
    """Return radiometry, labels, samples and model, each after what it needs.

    Samples and model are none of them if a model is given.
    """
    hashes = [scene_hash(run, t) for t in run.tiles] if run.settings.harmonize else []
    found, labels = harmony_pieces(run, hashes), _labels(run)
    if run.settings.classify.model:
        return [*found, *labels]
    samples = _samples(run, labels, found)
    return [*found, *labels, samples, _model(run, samples)]


def labels_key(run: CountryRun, labels: list[Piece]) -> Any:
    """Return what the label rasters come from, whether the run makes them or not."""
    given = run.settings.labels
    if given is not None and given.rasters:
        return [run.hash_of(*run.label_paths()), given.codes]
    return [p.key for p in labels]


def scene_hash(run: CountryRun, tile: Tile) -> str:
    """Return what a tile's pixels come from, also before its composite is made."""
    scene, features = _own_hash(run, tile), features_hash(run, tile)
    return run.key_of("features", scene, features) if features else scene


def _own_hash(run: CountryRun, tile: Tile) -> str:
    """Return what the pixels of a tile's own scene come from."""
    source = dataclasses.asdict(tile.source)
    if tile.source.stac:
        return run.key_of("composite", _items_hash(run, tile), source)
    told = [source[name] for name in ("bands", "scale", "offset", "nodata")]
    if tile.source.mask_clouds:
        told += [source[name] for name in ("mask_clouds", "clouds", "level")]
    return run.key_of("files", run.hash_of(*tile.files), told, run.told_of(tile.files))


def neighbors_of(run: CountryRun, tile: Tile, margin: int) -> list[Tile]:
    """Return the tiles of the same day and kind of imagery within ``margin`` pixels of a tile."""
    box = run.boxes[tile.id]
    near = run.sides[tile.id].buffered(
        margin * abs(box.resolution.x), margin * abs(box.resolution.y)
    )
    return [
        other
        for other in run.tiles
        if other is not tile
        and _meet(near, run.sides[other.id])  # first, as most tiles are far
        and _kind(other) == _kind(tile)
        and same_grid(box, run.boxes[other.id])
    ]


def _meet(a: BoundingBox, b: BoundingBox) -> bool:
    return a.left < b.right and b.left < a.right and a.bottom < b.top and b.bottom < a.top


def _kind(tile: Tile) -> tuple[str, dict[str, Any]]:
    """Return the day of a tile, and all that its table says but where it lies."""
    told = dataclasses.asdict(tile.source)
    return tile.date, {k: v for k, v in told.items() if k not in _PLACE}


def _labels(run: CountryRun) -> list[Piece]:
    """Return the land use and a raster of it per tile, unless label rasters are given."""
    settings, areas = run.settings.labels, run.landuse
    if settings is None or areas is None:
        return []
    extract = run.base / settings.osm
    # Every key has the legend's classes; its rules decide which objects become land of which.
    rules = [dataclasses.asdict(rule) for rule in run.legend.rules]
    ground, size = run.key_of("land use", run.hash_of(extract), rules), extract.stat().st_size
    work = partial(_make_landuse, run, extract, areas)
    pieces = [Piece("land use", "", ground, (areas,), work, None, 0, size, size)]
    for tile, path in zip(run.tiles, run.label_paths(), strict=True):
        how = (tile.date, settings.edge, settings.min_area)
        key = run.key_of("labels", ground, run.boxes[tile.id], how)
        pixels, work = run.pixels_of(tile), partial(_make_labels, run, areas, tile, path)
        pieces.append(Piece("labels", tile.id, key, (path,), work, None, pixels, pixels, pixels))
    return pieces


def _make_landuse(run: CountryRun, extract: Path, areas: Path, progress: Progress | None) -> None:
    from osm4eo_xr.osm.landuse import write_landuse

    write_landuse(extract, areas, run.legend, progress=progress)


def _make_labels(
    run: CountryRun, areas: Path, tile: Tile, path: Path, progress: Progress | None
) -> None:
    from osm4eo_xr.cogs.cog import write_cog
    from osm4eo_xr.labels.rasterize import empty_labels, meets
    from osm4eo_xr.labels.write import write_labels
    from osm4eo_xr.osm.partitions import open_landuse

    path.parent.mkdir(exist_ok=True)
    scene, day = run.open_scene(tile), instant(tile.date)
    how: Any = {"legend": run.legend, "compression": run.settings.compression}
    if len(run.tiles) > 1 and not meets(open_landuse(areas), geobox_of(scene)):
        message = f"no land use of the extract meets tile {tile.id}: nothing is learned from it"
        warnings.warn(InputWarning(message), stacklevel=2)
        labels = empty_labels(scene, run.legend).assign_attrs(datetime=day)
        write_cog(labels, path, progress=progress, **how)
        return
    settings = run.settings.labels
    how |= {"edge": settings.edge, "min_area": settings.min_area} if settings else {}
    write_labels(areas, path, scene, datetime=day, writing=nullcontext(progress), **how)


def windows_per_class(run: CountryRun) -> int:
    """Return the most windows of a class that are drawn per tile, by ``per_class`` and ground."""
    settings = run.settings.samples
    return limit_by_cover(
        settings.per_class,
        settings.cover,
        pixels=run.total() / len(run.tiles),
        patch=settings.patch,
        classes=len(run.legend.ids),
    )


def _samples(run: CountryRun, labels: list[Piece], radiometry: list[Piece]) -> Piece:
    ground = labels_key(run, labels)
    scenes = [*(scene_hash(run, t) for t in run.tiles), *(p.key for p in radiometry)]
    choice = dataclasses.asdict(run.settings.samples)
    ids = [tile.id for tile in run.tiles]  # which samples, and all that learns from them, name
    key = run.key_of("samples", ids, ground, scenes, choice, run.settings.seed)
    path = run.out / "samples.zarr"
    read = sum(run.bytes_of(t) for t in run.tiles) + run.total()
    work = partial(_make_samples, run, path)
    return Piece("samples", "", key, (path,), work, None, run.total(), read)


def _make_samples(run: CountryRun, path: Path, progress: Progress | None) -> None:
    from osm4eo_xr.samples.draw import draw_samples
    from osm4eo_xr.samples.store import write_samples

    settings = run.settings.samples
    drawn = draw_samples(
        [open_seen(run, t) for t in run.tiles],
        [run.open_labels(p) for p in run.label_paths()],
        per_class=windows_per_class(run),
        patch=settings.patch,
        block=settings.block,
        gap=settings.gap if settings.gap >= 0 else None,
        shares=(settings.shares[0], settings.shares[1], settings.shares[2]),
        seed=run.settings.seed,
        legend=run.legend,
        names=[t.id for t in run.tiles],
        optional=optional_groups(run),
    )
    write_samples(drawn, path, progress=progress)


def _model(run: CountryRun, samples: Piece) -> Piece:
    # How often it is kept may be set anew while it trains; its keys are those of the default.
    usual = {_KEEPING: getattr(TrainSettings(), _KEEPING)}
    settings = dataclasses.asdict(run.settings.train) | usual
    applies = ("applicability",) if run.settings.classify.applicability else ()
    key = run.key_of("model", samples.key, settings, run.settings.seed, *applies)
    path = run.out / "model"
    work = partial(_make_model, run, samples.outputs[0], path, key)
    return Piece("model", "", key, (path,), work)


def _make_model(
    run: CountryRun, samples: Path, path: Path, key: str, progress: Progress | None
) -> None:
    """Train, from the last checkpoint of the same training if there is one."""
    from osm4eo_xr.models.model_folder import save_model
    from osm4eo_xr.samples.store import open_samples
    from osm4eo_xr.training.fit import train
    from osm4eo_xr.training.label_noise.objects import name_objects

    settings = dataclasses.replace(run.settings.train, seed=run.settings.seed)
    drawn = open_samples(samples)
    if settings.noise != "none" and run.landuse is not None:
        drawn = name_objects(drawn, run.landuse, legend=run.legend)
    checkpoints = _checkpoints(run, key)
    model = train(drawn, settings, legend=run.legend, folder=checkpoints, progress=progress)
    if run.settings.classify.applicability:
        from osm4eo_xr.accuracy.validation.training_points import fit_applicability

        model = fit_applicability(model, drawn, seed=run.settings.seed)
    save_model(dataclasses.replace(model, training=_lasting(model.training)), path)
    shutil.rmtree(checkpoints.parent)


def _checkpoints(run: CountryRun, key: str) -> Path:
    """Return the folder of a training's checkpoints; those of other settings or samples go."""
    folder = run.out / ".training" / key[:_KEY]
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    return folder


def _lasting(training: Any) -> dict[str, Any]:
    """Drop how long epochs took and how often they were kept: the bytes are those of any run."""
    history = [{k: v for k, v in row.items() if k not in _TIMES} for row in training["history"]]
    settings = {k: v for k, v in training["settings"].items() if k != _KEEPING}
    return {**training, "settings": settings, "history": history}
