"""Pieces of a country run that are maps: classified tiles, mosaic, sieved map, layers."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from osm4eo_xr import __version__
from osm4eo_xr._country_context import Country, Piece, Progress, Tile
from osm4eo_xr._country_ledger import key_of

if TYPE_CHECKING:
    from osm4eo_xr._country_settings import Layer


def map_pieces(run: Country, learned: str) -> list[Piece]:
    """Return tiles, mosaic and layers, each after what it needs.

    Parameters
    ----------
    run : Country
        The run.
    learned : str
        Hash of the model that classifies.
    """
    made = [_classified(run, tile, learned) for tile in run.tiles]
    parts = list(made)
    if run.settings.sieve.when == "before":
        parts = [
            _sieved(run, f"sieved {t.id}", p, run.out / "sieved" / f"{t.id}.tif", t.date)
            for t, p in zip(run.tiles, parts, strict=True)
        ]
        made += parts
    made.append(_mosaic(run, parts))
    if run.settings.sieve.when == "after":
        made.append(_sieved(run, "sieved", made[-1], run.final_map, run.settings.date))
    final = made[-1]
    for layer in run.settings.layers:
        made += _layer(run, layer, final)
    return made


def _confidence_of(run: Country, tile: Tile) -> Path:
    return run.out / "classified" / f"{tile.id}_confidence.tif"


def _classified(run: Country, tile: Tile, learned: str) -> Piece:
    sure = run.settings.mosaic.rule == "confidence"
    path = run.out / "classified" / f"{tile.id}.tif"
    outputs = (path, _confidence_of(run, tile)) if sure else (path,)
    key = key_of("classify", __version__, learned, run.hash_of(*tile.files), sure)
    pixels = run.pixels_of(tile)
    work = partial(_make_classified, run, tile, path)
    return Piece(f"classified {tile.id}", key, outputs, work, pixels, run.bytes_of(tile), pixels)


def _make_classified(run: Country, tile: Tile, path: Path, progress: Progress | None) -> None:
    from osm4eo_xr.classify import classify
    from osm4eo_xr.model import load_model

    model, scene = load_model(run.model_path), run.open_scene(tile)
    if run.settings.mosaic.rule == "confidence":
        sure = classify(scene, model, outputs=["confidence"])["confidence"]
        run.write(sure, _confidence_of(run, tile), tile.date, classes=False)
    run.write(classify(scene, model), path, tile.date, progress)


def _sieved(run: Country, name: str, source: Piece, path: Path, day: str) -> Piece:
    key = key_of("sieve", __version__, source.key, dataclasses.asdict(run.settings.sieve))
    work = partial(_make_sieved, run, source.outputs[0], path, day)
    return Piece(name, key, (path,), work, source.pixels, source.written, source.written)


def _make_sieved(
    run: Country, source: Path, path: Path, day: str, progress: Progress | None
) -> None:
    from osm4eo_xr.scene import open_raster
    from osm4eo_xr.sieve import sieve

    settings = run.settings.sieve
    sieved = sieve(open_raster(source), settings.size, settings.connectivity, reread=True)
    run.write(sieved, path, day, progress)


def _mosaic(run: Country, parts: list[Piece]) -> Piece:
    boundary = run.settings.boundary
    outline = run.hash_of(boundary.file) if boundary.file else ""
    tiles = [(t.id, p.key) for t, p in zip(run.tiles, parts, strict=True)]
    rule = run.settings.mosaic.rule
    key = key_of("mosaic", __version__, tiles, dataclasses.asdict(boundary), outline, rule)
    maps = {t.id: p.outputs[0] for t, p in zip(run.tiles, parts, strict=True)}
    path, total = run.out / "mosaic.tif", run.total()
    return Piece(
        "mosaic", key, (path,), partial(_make_mosaic, run, maps, path), total, total, total
    )


def _make_mosaic(
    run: Country, maps: dict[str, Path], path: Path, progress: Progress | None
) -> None:
    from osm4eo_xr.mosaic import mosaic
    from osm4eo_xr.scene import open_raster

    rule, sure = run.settings.mosaic.rule, None
    if rule == "confidence":
        sure = {t.id: open_raster(_confidence_of(run, t)) for t in run.tiles}
    opened = {tile: open_raster(file) for tile, file in maps.items()}
    joined = mosaic(opened, run.outline(), confidence=sure, rule=rule)
    run.write(joined, path, run.settings.date, progress)


def _layer(run: Country, layer: Layer, final: Piece) -> list[Piece]:
    """Return the layer's raster and, if asked for, its polygons."""
    classes = sorted((run.legend.find(c) for c in layer.classes), key=lambda c: c.id)
    name = "-".join(c.slug for c in classes)
    path, total = run.out / f"{name}.tif", run.total()
    key = key_of("layer", __version__, final.key, dataclasses.asdict(layer), run.legend.to_dict())
    work = partial(_make_layer, run, layer, path)
    pieces = [Piece(f"layer {name}", key, (path,), work, total, total, total)]
    if layer.vector:
        # QGIS would take the raster's style, NAME.qml, for polygons called NAME.
        shapes = run.out / f"{name}_polygons.{layer.vector}"
        trace = partial(_make_vector, run, layer, path, shapes)
        pieces.append(
            Piece(f"vector {name}", key_of("vector", key), (shapes,), trace, total, total)
        )
    return pieces


def _make_layer(run: Country, layer: Layer, path: Path, progress: Progress | None) -> None:
    from osm4eo_xr.layers import extract_layer
    from osm4eo_xr.scene import open_raster

    picked = extract_layer(
        open_raster(run.final_map),
        layer.classes,
        codes=layer.codes,
        min_area=layer.min_area,
        legend=run.legend,
    )
    run.write(picked, path, run.settings.date, progress)


def _make_vector(
    run: Country, layer: Layer, raster: Path, path: Path, progress: Progress | None
) -> None:
    from osm4eo_xr.scene import open_raster
    from osm4eo_xr.vectors import to_vector, write_vector

    opened = open_raster(raster)
    if layer.codes == "mask":
        slug = raster.stem
        opened = opened.assign_attrs(flag_values=[0, 1], flag_meanings=f"other {slug}")
    traced = to_vector(opened, legend=run.legend, simplify=layer.simplify, progress=progress)
    write_vector(traced, path)
