"""Pixels of a run's maps, counted chunk by chunk for the report: classes, labels, no data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from osm4eo_xr.country.pieces.layer_pieces import layer_path
from osm4eo_xr.country.pieces.scores import share_outside
from osm4eo_xr.geometry.geodesy import pixel_area
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.legend import NO_DATA

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.country.context import CountryRun


def tile_coverage(run: CountryRun) -> dict[str, dict[str, Any]]:
    """Return for each tile what its scene went by, and how much of it has no class.

    Returns
    -------
    dict
        By tile id: ``validity``, the sources of ``rasters.validity`` in words, and ``no_data``,
        the share (0-1) of the classified map's pixels without a class, counted from the map;
        ``skipped``, which items were left out and why; and if the run maps where the model applies,
        ``outside``, the share of pixels with a class to which it does not.
    """
    applies = run.settings.classify.applicability
    return {
        tile.id: {
            "validity": run.open_scene(tile).attrs["validity"],
            "no_data": round(_share_without_data(run, tile.id), 6),
            "skipped": [
                fault
                for path in run.skipped_of(tile)
                for fault in json.loads(path.read_text("utf-8"))
            ],
            **({"outside": round(share_outside(run, tile.id), 6)} if applies else {}),
        }
        for tile in run.tiles
    }


def _share_without_data(run: CountryRun, tile: str) -> float:
    """Count a tile's pixels without a class, chunk by chunk."""
    from osm4eo_xr.rasters.open import open_raster

    classified = open_raster(run.out / "classified" / f"{tile}.tif")
    return float((da.asarray(classified.data) == NO_DATA).mean().compute())


def class_areas(run: CountryRun) -> list[dict[str, Any]]:
    """Count pixels per class of the final map and, if the run has labels, of these.

    Returns
    -------
    list of dict
        By class: ``id``, ``class``, ``name``; ``pixels``, ``km2`` and ``share`` (0-1, of all
        classified land) of the final map; ``labeled_km2`` of the labels; and if the map shows
        known ground, how its km² divide: ``known_km2``, ``predicted_km2``, ``overruled_km2``
        (of other labels).
    """
    counts, area = _crossed(run)
    pixel, land = area / 1e6, int(counts[:, list(run.legend.ids)].sum())
    rows = []
    for c in run.legend.classes:
        pixels = int(counts[:, c.id].sum())
        row = {"id": c.id, "class": c.slug, "name": c.name, "pixels": pixels}
        row |= {"km2": round(pixels * pixel, 4), "share": round(pixels / land, 6) if land else 0.0}
        if run.settings.labels is not None:
            row["labeled_km2"] = round(int(counts[c.id].sum()) * pixel, 4)
        if run.settings.known is not None:
            known, predicted = int(counts[c.id, c.id]), int(counts[NO_DATA, c.id])
            parts = {"known": known, "predicted": predicted}
            parts["overruled"] = pixels - known - predicted
            row |= {f"{name}_km2": round(n * pixel, 4) for name, n in parts.items()}
        rows.append(row)
    return rows


def layer_areas(run: CountryRun) -> list[dict[str, Any]]:
    """Count the pixels of each layer: its ``file``, in the run's folder, and ``km2``."""
    from osm4eo_xr.rasters.open import open_raster

    found = []
    for layer in run.settings.layers:
        path = layer_path(run, layer)
        opened = open_raster(path)
        inside = opened.data == 1 if layer.codes == "mask" else opened.data != NO_DATA
        area = int(inside.sum().compute()) * pixel_area(geobox_of(opened)) / 1e6
        found.append({"file": str(path.relative_to(run.out)), "km2": round(area, 4)})
    return found


def _crossed(run: CountryRun) -> tuple[np.ndarray, float]:
    """Return pixels by label (0 = none, or no labels) and class, and a pixel's area in m²."""
    from osm4eo_xr.rasters.open import open_raster

    final = open_raster(run.final_map)
    if run.settings.labels is None:
        labels = final.copy(data=da.zeros_like(final.data))
    else:
        labels = open_raster(run.product("labels"))
    return count_pairs(labels, final), pixel_area(geobox_of(final))


def count_pairs(rows: xr.DataArray, columns: xr.DataArray) -> np.ndarray:
    """Count pixels of two maps (y, x), uint8, on one grid, by pairs of values: (256, 256)."""
    codes = columns.data.ravel().astype(np.uint16)
    codes += np.uint16(256) * rows.data.rechunk(columns.data.chunks).ravel().astype(np.uint16)
    return da.bincount(codes, minlength=1 << 16).compute().reshape(256, 256)
