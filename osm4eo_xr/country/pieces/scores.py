"""Pieces of a country run that say how good the map is, how right its labels, and where."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.context import NOISE_FILE, CountryRun, Piece
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_text
from osm4eo_xr.legend import PROBABILITY_NO_DATA

if TYPE_CHECKING:
    from osm4eo_xr.models.applicability import Applicability
    from osm4eo_xr.progress import Progress

ACCURACY_FILE = "accuracy.json"

TRUST_OUTPUTS = ("dissimilarity", "density", "set_size")
"""What a tile is also classified into."""


def noise_pieces(run: CountryRun, samples: Piece | None, learned: str) -> list[Piece]:
    """Return the piece that estimates the noise of labels, if a rule weighs it and none is given.

    Parameters
    ----------
    run : CountryRun
        The run.
    samples : Piece, optional
        The samples, if the run draws any.
    learned : str
        Hash of the model.
    """
    known = run.settings.known
    if known is None or not known.needs_noise or known.noise or samples is None:
        return []
    path = run.out / NOISE_FILE
    key = run.key_of("noise", samples.key, learned)
    return [Piece("noise", "", key, (path,), partial(_make_noise, run, samples.outputs[0], path))]


def _make_noise(run: CountryRun, samples: Path, path: Path, _progress: Progress | None) -> None:
    """Write the noise that the model's training found, or else what validation samples say."""
    from osm4eo_xr.accuracy.held_out import estimate_label_noise
    from osm4eo_xr.models.model_folder import load_model
    from osm4eo_xr.samples.store import open_samples

    model = load_model(run.model_path)
    found = model.training.get("label_noise")
    if found:
        ids, values = list(model.class_ids), found["noise"]
        about = {name: found[name] for name in ("units", "wrong", "pixels")}
    else:
        noise = estimate_label_noise(model, open_samples(samples))
        ids, values, about = noise["class"].to_numpy().tolist(), noise.to_numpy(), noise.attrs
    slugs = [run.legend.by_id[i].slug for i in ids]
    rows = [{s: round(float(p), 6) for s, p in zip(slugs, row, strict=True)} for row in values]
    told = {"noise": dict(zip(slugs, rows, strict=True)), **about}
    replace_text(path, json.dumps(told, indent=1))


def accuracy_pieces(
    run: CountryRun, samples: Piece | None, learned: str, shown: list[Piece]
) -> list[Piece]:
    """Return the piece that scores held-out samples and points; nothing if there are neither.

    Parameters
    ----------
    run : CountryRun
        The run.
    samples : Piece, optional
        The samples, if the run draws any.
    learned : str
        Hash of the model.
    shown : list of Piece
        The final map and, where it shows known ground, its provenance.
    """
    settings = run.settings.accuracy
    if samples is None and not settings.points:
        return []
    held_out = (samples.key, learned) if samples else ""
    given = [settings.points, *_design_files(settings.design)]
    maps = [p.key for p in shown]
    points = (run.hash_of(*given), *maps) if settings.points else ""
    key = run.key_of("accuracy", held_out, points, dataclasses.asdict(settings))
    path = run.out / ACCURACY_FILE
    store = samples.outputs[0] if samples else None
    return [Piece("accuracy", "", key, (path,), partial(_make, run, store, path))]


def _make(run: CountryRun, samples: Path | None, path: Path, progress: Progress | None) -> None:
    scores: dict[str, Any] = {}
    if samples is not None:
        scores |= _of_samples(run, samples, progress)
    if run.settings.accuracy.points:
        scores |= _of_points(run)
    replace_text(path, json.dumps(scores, indent=1))


def _of_samples(run: CountryRun, path: Path, progress: Progress | None) -> dict[str, Any]:
    """Score the model on the test samples, which lie in blocks that it has not seen."""
    from osm4eo_xr.accuracy.held_out import evaluate
    from osm4eo_xr.models.model_folder import load_model
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


def _of_points(run: CountryRun) -> dict[str, Any]:
    """Score the final map on reference points."""
    from osm4eo_xr.accuracy.assessment import assess
    from osm4eo_xr.rasters.open import open_raster

    settings = run.settings.accuracy
    final, points = open_raster(run.final_map), run.base / settings.points
    how: Any = {"legend": run.legend, "column": settings.column or None, "layer": settings.layer}
    if settings.design:
        how["design"] = run.base / settings.design
        if run.settings.known is not None:
            how["provenance"] = open_raster(run.provenance)
    scores = {"reference points": assess(final, points, **how).to_dict()}
    if run.settings.known is not None and not settings.design:
        scores |= _by_provenance(run, final, points, how)
    return scores


def _by_provenance(
    run: CountryRun, final: Any, points: Path, how: dict[str, Any]
) -> dict[str, Any]:
    """Score known, predicted and overruled ground apart, where there are points on it."""
    from osm4eo_xr.accuracy.assessment import assess
    from osm4eo_xr.maps.known_ground import PROVENANCE
    from osm4eo_xr.rasters.open import open_raster

    origin, scores = open_raster(run.provenance), {}
    for value, name in enumerate(PROVENANCE, start=1):
        report = assess(final.where(origin == value, 0), points, **how)
        if report.total:
            scores[f"reference points, {name}"] = report.to_dict()
    return scores


def _known_points(run: CountryRun) -> Applicability | None:
    """Return where the run's model applies, if there is a model by now and it knows."""
    from osm4eo_xr.models.model_folder import read_saved

    try:
        return read_saved(run.model_path).applicability
    except InputError:
        return None


def points_key(run: CountryRun) -> tuple[Any, ...]:
    """Return what maps of where the model applies depend on, beside the model itself."""
    known = _known_points(run)
    return (None,) if known is None else (known.digest,)


def training_medians(run: CountryRun) -> dict[str, float]:
    """Return the medians of the bands that the model learned from; nothing if it does not know."""
    known = _known_points(run)
    bands = {} if known is None else known.facts.get("bands", {})
    return {band: float(low_middle_high[1]) for band, low_middle_high in bands.items()}


def share_outside(run: CountryRun, tile: str) -> float:
    """Return the share of a tile's pixels with data to which the model does not apply."""
    import dask.array as da

    from osm4eo_xr.models.applicability import INDEX_SCALE
    from osm4eo_xr.rasters.open import open_raster

    index: Any = open_raster(run.out / "classified" / f"{tile}_dissimilarity.tif").data
    there = index != PROBABILITY_NO_DATA
    outside, seen = da.compute((there & (index > INDEX_SCALE)).sum(), there.sum())
    return float(outside) / max(int(seen), 1)
