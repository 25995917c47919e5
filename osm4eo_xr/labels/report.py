"""What the labels of a place are worth: shares, conflicts, and what OpenStreetMap leaves open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.base
import geopandas as gpd
import numpy as np
import xarray as xr
from dask.delayed import delayed

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_text
from osm4eo_xr.geometry.geodesy import pixel_area
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.geometry.vectors import read_vector
from osm4eo_xr.labels.rasterize import (
    check_columns,
    check_legend,
    meet_grid,
    on_grid,
    rasterize_labels,
)
from osm4eo_xr.legend import NO_DATA, Legend, default_legend
from osm4eo_xr.osm.areas import Problems, Tally
from osm4eo_xr.osm.partitions import Landuse

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64, UInt8

EU_LABELED = 0.618
"""Share of the EU's area that OpenStreetMap labels (Schultz, Li et al. 2025, Scientific Data)."""

_MOST = 255  # claims counted apart; a legend has fewer classes


def label_report(
    labels: xr.DataArray,
    claims: xr.DataArray,
    polygons: Landuse | gpd.GeoDataFrame,
    *,
    legend: Legend | None = None,
    boundary: gpd.GeoDataFrame | str | Path | None = None,
    unclaimed: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Say how much of a place is labeled with what, and what could not be used.

    Parameters
    ----------
    labels, claims : DataArray (y, x), uint8
        From ``rasterize_labels`` and ``count_claims``, in the same chunks; read once.
    polygons : Landuse or GeoDataFrame
        What they were made from.
    legend : Legend, optional
        OSMlanduse's by default.
    boundary : GeoDataFrame or path, optional
        Polygons of the place, or a vector file of them; all shares are of the pixels whose
        centers it holds. All pixels by default.
    unclaimed : dict, optional
        Objects by tag, from ``unclaimed_tags``.

    Returns
    -------
    dict
        Plain JSON types. ``area_km2``, ``labeled`` (share, beside the EU's ``labeled_eu``),
        ``left_out`` (share that is claimed and unlabeled, by ``edge="ignore"``), ``conflicts``
        (share that more than one class claims), ``classes`` (id, slug, km2, share each), ``tags``
        (class, areas, km2 by tag), ``unmatched`` (tags of the legend by which no object is land),
        ``broken``, ``repaired`` and ``duplicates`` (count and objects) and ``unclaimed``.

    Raises
    ------
    InputError
        If labels and claims differ in shape, the boundary holds no pixel, or the polygons were read
        with another legend or have no tag, class_id or area.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_osm_path
    >>> areas = oxr.read_landuse(demo_osm_path())
    >>> box = oxr.target_geobox((4498000, 3267000, 4500000, 3269000))
    >>> labels, claims = oxr.rasterize_labels(areas, box), oxr.count_claims(areas, box)
    >>> found = oxr.label_report(labels, claims, areas)
    >>> found["area_km2"], round(found["labeled"], 2)
    (4.0, 0.51)
    """
    legend = legend or default_legend()
    check_legend(polygons, legend)
    tags, problems = _contents(polygons)
    counts = _count(labels, claims, boundary)
    total = int(counts.sum())
    if not total:
        raise _elsewhere()
    known = counts.sum(axis=0)
    pixel = pixel_area(geobox_of(labels)) / 1e6
    report: dict[str, Any] = {
        "area_km2": total * pixel,
        "labeled": float(1 - known[NO_DATA] / total),
        "labeled_eu": EU_LABELED,
        "left_out": float(counts[1:, NO_DATA].sum() / total),
        "conflicts": float(counts[2:].sum() / total),
        "classes": [
            {"id": c.id, "slug": c.slug, "km2": known[c.id] * pixel, "share": known[c.id] / total}
            for c in legend.classes
        ],
        "tags": _by_size(tags, legend),
        "unmatched": [t for t in dict.fromkeys(rule.tag for rule in legend.rules) if t not in tags],
    }
    for name in ("broken", "repaired", "duplicates"):
        objects = getattr(problems, name)
        report[name] = {"count": len(objects), "objects": objects}
    report["unclaimed"] = unclaimed or {}
    return json.loads(json.dumps(report, default=float))


def save_report(report: dict[str, Any], path: str | Path) -> Path:
    """Write a report as JSON, whole or not at all."""
    return replace_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _count(
    labels: xr.DataArray, claims: xr.DataArray, boundary: gpd.GeoDataFrame | str | Path | None
) -> Int64[np.ndarray, "claims label"]:
    """Count pixels by number of claims and label, chunk by chunk."""
    if labels.shape != claims.shape:
        raise InputError(
            f"labels of {labels.shape} and claims of {claims.shape} differ",
            advice="make both on one grid",
        )
    first, second = da.asarray(labels.data), da.asarray(claims.data).rechunk(labels.chunks)
    parts = [first, second]
    if boundary is not None:
        if not isinstance(boundary, gpd.GeoDataFrame):
            boundary = read_vector(boundary, "boundary", option="boundary.layer")
        if boundary.crs is None:
            raise InputError("the boundary has no CRS", advice="assign one with boundary.set_crs")
        ones = {"class_id": np.ones(len(boundary), np.uint8)}
        place = gpd.GeoDataFrame(ones, geometry=boundary.geometry.to_numpy(), crs=boundary.crs)
        grid = geobox_of(labels)
        place = on_grid(place, grid)
        if not meet_grid(place, grid):
            raise _elsewhere()
        parts.append(da.asarray(rasterize_labels(place, labels.copy(data=first)).data) > 0)
    blocks = zip(*(part.to_delayed().ravel() for part in parts), strict=True)
    work = delayed(_count_block, pure=True)
    return np.sum(dask.base.compute(*[work(*block) for block in blocks]), axis=0)


def _elsewhere() -> InputError:
    return InputError(
        "the boundary holds no pixel of the labels", advice="give that of the same place"
    )


def _count_block(
    labels: UInt8[np.ndarray, "y x"],
    claims: UInt8[np.ndarray, "y x"],
    inside: Bool[np.ndarray, "y x"] | None = None,
) -> Int64[np.ndarray, "claims label"]:
    code = np.minimum(claims, _MOST).astype(np.int64) * 256 + labels
    code = code if inside is None else code[inside]
    return np.bincount(code.ravel(), minlength=65536).reshape(256, 256)


def _contents(polygons: Landuse | gpd.GeoDataFrame) -> tuple[dict[str, Tally], Problems]:
    """Return the tallies and problems of what the labels were made from."""
    if isinstance(polygons, Landuse):
        return polygons.tags, polygons.problems
    check_columns(polygons, "tag", "class_id", "area")
    lists = (polygons.attrs.get(n, []) for n in ("broken", "repaired", "duplicates"))
    tags: dict[str, Tally] = {}
    for tag, rows in polygons.groupby("tag"):
        area = float(rows["area"].sum())
        tags[str(tag)] = Tally(int(rows["class_id"].iloc[0]), len(rows), area)
    return tags, Problems(*lists)


def _by_size(tags: dict[str, Tally], legend: Legend) -> dict[str, dict[str, Any]]:
    ordered = sorted(tags.items(), key=lambda pair: -pair[1].area)
    return {
        tag: {"class": legend.by_id[t.class_id].slug, "areas": t.count, "km2": t.area / 1e6}
        for tag, t in ordered
    }
