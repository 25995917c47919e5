"""The maps of a run in a viewer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr._version import __version__
from osm4eo_xr.accuracy.design_report import figure_km2
from osm4eo_xr.country.context import PROBABILITIES, CountryRun
from osm4eo_xr.country.ledger import Ledger, key_of
from osm4eo_xr.country.pieces.layer_pieces import layer_path
from osm4eo_xr.country.pieces.map_pieces import beside, outputs_of
from osm4eo_xr.country.scenes.searches import with_found_scenes
from osm4eo_xr.country.settings import CountrySettings, LayerSettings
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import workplace
from osm4eo_xr.osm.partitions import open_landuse
from osm4eo_xr.rasters.open import open_probabilities, open_raster
from osm4eo_xr.settings_io import build
from osm4eo_xr.viewer.folder import is_current, write_viewer
from osm4eo_xr.viewer.objects import Objects
from osm4eo_xr.viewer.overlays import (
    Entry,
    Overlay,
    class_overlay,
    confidence_overlay,
    legend_entries,
    scene_overlay,
)
from osm4eo_xr.viewer.shown import provenance_overlay

if TYPE_CHECKING:
    from osm4eo_xr.progress import Progress

REPORT = "report.json"
"""The file by which a run's folder tells what it is of."""


def open_run(path: str | Path) -> CountryRun:
    """Open a run that is finished, by its country file or by the folder of its results.

    Raises
    ------
    InputError
        If there is no report, or an input that the run's settings name is gone.
    """
    path = Path(path)
    if path.is_dir():
        settings, _ = stated_by(path)
        return CountryRun(settings, _base_of(path, settings.out), Ledger(path), path)
    file = Path(os.path.realpath(path))  # as a run takes it
    settings = with_found_scenes(read_country(path), file)
    out = file.parent / settings.out
    stated_by(out)
    return CountryRun(settings, file.parent, Ledger(out), out)


def write_run_viewer(run: CountryRun, folder: Path, *, progress: Progress | None = None) -> Path:
    """Write the viewer of a finished run, unless the one there is of the same files.

    Parameters
    ----------
    run : CountryRun
        The run.
    folder : Path
        Where to; what is there is replaced.
    progress : callable, optional
        Called as ``progress(done, total)`` with web tiles.

    Returns
    -------
    Path
        The page.
    """
    key = key_of(__version__, sorted(_stamps(run).items()))
    if (page := is_current(folder, key)) is not None:
        return page
    report = json.loads((run.out / REPORT).read_text(encoding="utf-8"))
    with workplace(folder) as scratch:
        overlays = _overlays(run, report, scratch)
        about = {"title": report["name"], "note": _note(report), "key": key}
        return write_viewer(folder, overlays, objects=_objects(run), progress=progress, **about)


def stated_by(folder: Path) -> tuple[CountrySettings, tuple[str, ...]]:
    """Return the settings and the ids of the tiles that the report of a run states.

    Raises
    ------
    InputError
        If there is no report.
    """
    path = folder / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        stated, tiles = report["settings"], tuple(map(str, report["tiles"]))
    except (OSError, ValueError, LookupError, TypeError):
        raise InputError(
            f"{folder} holds no report of a run that is finished",
            advice="give the folder or country file of one that is, or a class map",
        ) from None
    return build(CountrySettings, _stated(stated), str(path)), tiles


def _stated(tree: Any) -> Any:
    """Return settings without what JSON wrote for nothing."""
    if isinstance(tree, dict):
        return {k: _stated(v) for k, v in tree.items() if v is not None}
    return [_stated(v) for v in tree] if isinstance(tree, list) else tree


def _base_of(folder: Path, out: str) -> Path:
    """Return the folder that the settings' paths begin at, from the one of the results."""
    parts, whole = Path(out).parts, folder.resolve()
    inside = not Path(out).is_absolute() and ".." not in parts
    if inside and whole.parts[len(whole.parts) - len(parts) :] == parts:
        return [whole, *whole.parents][len(parts)]
    return whole.parent


def _stamps(run: CountryRun) -> dict[str, tuple[int, int]]:
    """Return size and time of the files that are shown."""
    layers = [layer_path(run, layer) for layer in run.settings.layers]
    inputs = [file for t in run.tiles for file in t.files]
    maps = [run.final_map, run.product("labels"), run.provenance, run.out / REPORT]
    seen = [p for p in (*maps, *layers, *_sureness(run), *inputs) if p.exists()]
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in seen}


def _overlays(run: CountryRun, report: Mapping[str, Any], scratch: Path) -> list[Overlay]:
    """Return what a run has to show, from the top to the bottom."""
    found: list[Overlay] = []
    if sure := _sureness(run):
        opener = open_probabilities if sure[0].name.endswith(PROBABILITIES) else open_raster
        shown = [opener(path) for path in sure]
        found.append(confidence_overlay("confidence", "Confidence", shown))
    if run.settings.known is not None:
        found.append(provenance_overlay([open_raster(run.provenance)]))
    found += [_layer(run, layer) for layer in run.settings.layers]
    if run.settings.labels is not None:
        labels, entries = open_raster(run.product("labels")), legend_entries(run.legend)
        shown = class_overlay("labels", "OpenStreetMap labels", [labels], entries, shown=False)
        found.append(shown)
    entries = legend_entries(run.legend, _figures(report))
    found.append(class_overlay("map", "Land use", [open_raster(run.final_map)], entries))
    scenes = [run.open_scene(tile) for tile in run.tiles]
    return [*found, scene_overlay("scene", "Sentinel-2", scenes, scratch)]


def _objects(run: CountryRun) -> Objects | None:
    """Return the land use that labels were made of, if the run made them."""
    return None if run.landuse is None else Objects(open_landuse(run.landuse), run.legend)


def _sureness(run: CountryRun) -> list[Path]:
    """Return the files of the tiles' confidences, or else of their probabilities, if all are there.

    A folder may hold those of an earlier model too, which this run no longer makes, and may lack
    those of a run whose tiles somebody removed once its maps were finished.
    """
    made = outputs_of(run.settings)
    for name in ("confidence", "probabilities"):
        files = [beside(run, tile, name) for tile in run.tiles] if name in made else []
        if files and all(file.is_file() for file in files):
            return files
    return []


def _layer(run: CountryRun, layer: LayerSettings) -> Overlay:
    """Return a layer's raster with what its codes mean."""
    path, known = layer_path(run, layer), legend_entries(run.legend)
    classes = [run.legend.find(name) for name in layer.classes]
    entries = {c.clc if layer.codes == "clc" else c.id: known[c.id] for c in classes}
    if layer.codes == "mask":
        entries = {1: Entry(1, path.stem, classes[0].hex_color)}
    name = f"layer-{path.stem}"
    return class_overlay(name, f"Layer {path.stem}", [open_raster(path)], entries, shown=False)


def _figures(report: Mapping[str, Any]) -> dict[int, str]:
    """Return the area of each class: estimated with its interval, or else counted."""
    return {
        a["id"]: figure_km2(a["estimated_km2"]) if "estimated_km2" in a else f"{a['km2']:,.2f}"
        for a in report["areas"]
    }


def _note(report: Mapping[str, Any]) -> str:
    estimated = "estimated_km2" in report["areas"][0]
    how = "estimated, with 95 % intervals" if estimated else "counted from the map's pixels"
    return f"Areas in km², {how}."
