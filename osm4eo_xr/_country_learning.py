"""Pieces of a country run that learn: labels, samples, the model."""

from __future__ import annotations

import dataclasses
from functools import cache, partial
from pathlib import Path

import geopandas as gpd

from osm4eo_xr import __version__
from osm4eo_xr._country_context import Country, Piece, Progress, Tile
from osm4eo_xr._country_ledger import key_of


def learning_pieces(run: Country) -> list[Piece]:
    """Return labels, samples and model, each after what it needs; nothing if a model is given."""
    if run.settings.classify.model:
        return []
    labels = _labels(run)
    samples = _samples(run, labels)
    return [*labels, samples, _model(run, samples)]


def _labels(run: Country) -> list[Piece]:
    """Return a piece per tile, unless label rasters are given."""
    settings = run.settings.labels
    if settings is None or settings.rasters:
        return []
    extract = run.base / settings.osm
    ground = key_of(run.hash_of(extract), run.legend.to_dict())

    @cache
    def polygons() -> gpd.GeoDataFrame:
        from osm4eo_xr.osm import read_landuse

        return read_landuse(extract, run.legend)

    def make(tile: Tile, path: Path, progress: Progress | None) -> None:
        from osm4eo_xr.labels import rasterize_labels

        run.write(rasterize_labels(polygons(), run.open_scene(tile)), path, tile.date, progress)

    pieces = []
    for tile, path in zip(run.tiles, run.label_paths(), strict=True):
        key = key_of("labels", __version__, ground, str(run.boxes[tile.id]))
        pixels = run.pixels_of(tile)
        work = partial(make, tile, path)
        size = extract.stat().st_size
        pieces.append(Piece(f"labels {tile.id}", key, (path,), work, pixels, size, pixels))
    return pieces


def _samples(run: Country, labels: list[Piece]) -> Piece:
    given = run.settings.labels
    ground = [p.key for p in labels]
    if given is not None and given.rasters:
        ground = [run.hash_of(*run.label_paths())]
    scenes = [run.hash_of(*t.files) for t in run.tiles]
    choice = dataclasses.asdict(run.settings.samples)
    key = key_of("samples", __version__, ground, scenes, choice, run.settings.seed)
    path = run.out / "samples.zarr"
    read = sum(run.bytes_of(t) for t in run.tiles)
    return Piece("samples", key, (path,), partial(_make_samples, run, path), run.total(), read)


def _make_samples(run: Country, path: Path, progress: Progress | None) -> None:
    from osm4eo_xr.samples import draw_samples, write_samples
    from osm4eo_xr.scene import open_raster

    settings = run.settings.samples
    drawn = draw_samples(
        [run.open_scene(t) for t in run.tiles],
        [open_raster(p) for p in run.label_paths()],
        per_class=settings.per_class,
        patch=settings.patch,
        seed=run.settings.seed,
        legend=run.legend,
        names=[t.id for t in run.tiles],
    )
    write_samples(drawn, path, progress=progress)


def _model(run: Country, samples: Piece) -> Piece:
    settings = dataclasses.asdict(run.settings.train)
    key = key_of("model", __version__, samples.key, settings, run.settings.seed)
    path = run.out / "model"
    return Piece("model", key, (path,), partial(_make_model, run, samples.outputs[0], path))


def _make_model(run: Country, samples: Path, path: Path, progress: Progress | None) -> None:
    from osm4eo_xr.model import save_model
    from osm4eo_xr.samples import open_samples
    from osm4eo_xr.train import TrainSettings, train

    settings = TrainSettings(**dataclasses.asdict(run.settings.train), seed=run.settings.seed)
    save_model(train(open_samples(samples), settings, progress=progress), path)
