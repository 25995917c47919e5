"""Pieces of a country run that are taken out of its final map: layers, polygons, class shares."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.context import CountryRun, Opener, Piece
from osm4eo_xr.country.pieces.map_files import write_map
from osm4eo_xr.names import check_name

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.country.settings import LayerSettings
    from osm4eo_xr.progress import Progress


def layer_path(run: CountryRun, layer: LayerSettings) -> Path:
    """Return the place of a layer's raster, called after the layer or its classes."""
    classes = sorted((run.legend.find(c) for c in layer.classes), key=lambda c: c.id)
    name = check_name(layer.name or "-".join(c.slug for c in classes), "layer name")
    return run.out / f"{name}.tif"


def layer_pieces(
    run: CountryRun, layer: LayerSettings, final: Piece, made: list[Piece]
) -> list[Piece]:
    """Return the layer's raster and, if asked for, its polygons."""
    path, total = layer_path(run, layer), run.total()
    name = path.stem
    key = run.key_of("layer", final.key, dataclasses.asdict(layer))
    lazy = partial(_extract, run, layer)
    work = partial(write_map, run, lazy, path, run.settings.date)
    pieces = [Piece("layer", name, key, (path,), work, lazy, total, total, total)]
    if layer.vector:
        # QGIS would take the raster's style, NAME.qml, for polygons called NAME.
        shapes = run.out / f"{name}_polygons.{layer.vector}"
        trace = partial(_make_vector, run, layer, path, shapes)
        vector = run.key_of("vector", key, [p.key for p in made if p.kind == "provenance"])
        pieces.append(Piece("vector", name, vector, (shapes,), trace, None, total, total))
    return pieces


def _extract(run: CountryRun, layer: LayerSettings, opened: Opener) -> xr.DataArray:
    from osm4eo_xr.maps.layers import extract_layer

    final, names = opened(run.final_map), layer.classes
    how: Any = {"codes": layer.codes, "min_area": layer.min_area, "legend": run.legend}
    return extract_layer(final, names, **how)


def _make_vector(
    run: CountryRun, layer: LayerSettings, raster: Path, path: Path, progress: Progress | None
) -> None:
    from osm4eo_xr.geometry.vectors import write_vector
    from osm4eo_xr.maps.known_ground import KNOWN
    from osm4eo_xr.maps.polygons import to_vector
    from osm4eo_xr.rasters.open import open_raster

    # The file has the pixels; what its values mean is known to the lazy layer it was made from.
    opened = open_raster(raster).assign_attrs(_extract(run, layer, open_raster).attrs)
    known = open_raster(run.provenance) == KNOWN if run.settings.known is not None else None
    how: Any = {"simplify": layer.simplify, "known": known, "progress": progress}
    traced = to_vector(opened, legend=run.legend, **how)
    write_vector(traced, path)


def fraction_piece(run: CountryRun, cell: float, final: Piece) -> Piece:
    """Return the class shares on a coarser grid."""
    path = run.out / f"fractions_{cell:g}m.tif"
    key = run.key_of("fraction", final.key, cell)
    lazy = partial(_share, run, cell)
    work = partial(write_map, run, lazy, path, run.settings.date, classes=False)
    total = run.total()
    return Piece("fractions", f"{cell:g} m", key, (path,), work, lazy, total, total)


def _share(run: CountryRun, cell: float, opened: Opener) -> xr.DataArray:
    from osm4eo_xr.maps.layers import fraction

    return fraction(opened(run.final_map), cell, legend=run.legend)
