"""The piece of a country run that says how good the map is."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

from osm4eo_xr.country.context import Country, Piece, Progress
from osm4eo_xr.files import replace_text

ACCURACY_FILE = "accuracy.json"


def accuracy_pieces(run: Country, samples: Piece | None, learned: str, final: Piece) -> list[Piece]:
    """Return the piece that scores held-out samples and points; nothing if there are neither.

    Parameters
    ----------
    run : Country
        The run.
    samples : Piece, optional
        The samples, if the run draws any.
    learned : str
        Hash of the model.
    final : Piece
        The final map.
    """
    settings = run.settings.accuracy
    if samples is None and not settings.points:
        return []
    held_out = (samples.key, learned) if samples else ""
    given = [settings.points, *_design_files(settings.design)]
    points = (run.hash_of(*given), final.key) if settings.points else ""
    key = run.key_of("accuracy", held_out, points, dataclasses.asdict(settings))
    path = run.out / ACCURACY_FILE
    store = samples.outputs[0] if samples else None
    return [Piece("accuracy", "", key, (path,), partial(_make, run, store, path))]


def _make(run: Country, samples: Path | None, path: Path, progress: Progress | None) -> None:
    scores: dict[str, Any] = {}
    if samples is not None:
        scores |= _of_samples(run, samples, progress)
    if run.settings.accuracy.points:
        scores |= _of_points(run)
    replace_text(path, json.dumps(scores, indent=1))


def _of_samples(run: Country, path: Path, progress: Progress | None) -> dict[str, Any]:
    """Score the model on the test samples, which lie in blocks that it has not seen."""
    from osm4eo_xr.accuracy.held_out import evaluate
    from osm4eo_xr.models.model import load_model
    from osm4eo_xr.samples.spatial_split import SPLITS
    from osm4eo_xr.samples.store import open_samples

    drawn = open_samples(path)
    if not (drawn["split"] == SPLITS.index("test")).any():
        return {}
    report = evaluate(load_model(run.model_path), drawn, "test", progress=progress)
    return {"held-out samples": report.to_dict()}


def _design_files(design: str) -> list[str]:
    """Return the files of a sampling design that decide its figures."""
    from osm4eo_xr.accuracy.designs.design import DESIGN_FILE, POINTS_FILE

    return [f"{design}/{name}" for name in (DESIGN_FILE, POINTS_FILE)] if design else []


def _of_points(run: Country) -> dict[str, Any]:
    """Score the final map on reference points."""
    from osm4eo_xr.accuracy.assessment import assess
    from osm4eo_xr.rasters.open import open_raster

    settings = run.settings.accuracy
    final, points = open_raster(run.final_map), run.base / settings.points
    how: Any = {"legend": run.legend, "column": settings.column or None, "layer": settings.layer}
    if settings.design:
        how["design"] = run.base / settings.design
    report = assess(final, points, **how)
    return {"reference points": report.to_dict()}
