"""One network trained on samples, whatever their labels are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import Channels, channels_of
from osm4eo_xr.feature_ids.ids import canonical, groups_of
from osm4eo_xr.legend import Legend, legend_from_dict
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.samples.ground import ground_outline
from osm4eo_xr.samples.label_weights import WEIGHT
from osm4eo_xr.samples.spatial_split import SPLITS
from osm4eo_xr.training.batches import batch_of
from osm4eo_xr.training.checkpoints import RunFolder, digest_arrays
from osm4eo_xr.training.cost import warn_if_long
from osm4eo_xr.training.loop import Fit
from osm4eo_xr.training.scoring import calibrated, check_names, units_of, windows_of
from osm4eo_xr.training.step.rate_search import search_steps
from osm4eo_xr.training.step.task import Noise, Task
from osm4eo_xr.training.transfer import check_start, starting_variables

if TYPE_CHECKING:
    from osm4eo_xr.progress import Progress
    from osm4eo_xr.training.batches import Labels, Windows
    from osm4eo_xr.training.settings import TrainSettings
    from osm4eo_xr.training.status import Status

_SPREAD = 1.349  # quartile range of a normal distribution over its standard deviation
_NORMALIZED_BY = 512  # training windows whose pixels give the statistics


def fit_network(
    samples: xr.Dataset,
    settings: TrainSettings,
    *,
    legend: Legend | None = None,
    folder: str | Path | None = None,
    start: Model | str | Path | None = None,
    progress: Progress | None = None,
    on_status: Callable[[Status], None] | None = None,
    noise: Noise = (),
) -> Model:
    """Train one network as ``train`` does, labels taken as they are.

    ``noise`` is p(given | true), a row per true class, which the loss of "forward" corrects by.
    """
    if legend is None:
        legend = legend_from_dict(json.loads(samples.attrs["legend"]), source="samples")
    elif "legend" in samples.attrs:
        advice = "give the legend the samples were drawn with, {legend}"
        check_names(samples, legend, f"legend {legend.name!r}", advice)
    start = load_model(start) if isinstance(start, str | Path) else start
    bands = start.bands if start else tuple(canonical(str(b)) for b in samples["band"].values)
    optional = _optional(samples, bands, start, settings)
    cut: dict[str, Any] = {"bands": bands}
    if settings.mode == "window":
        same = start if start and start.net.window == settings.window else None
        cut |= {"window": settings.window, "center": same.center if same else None}
    learn = dataclasses.replace(windows_of(samples, "train", **cut), weighted=WEIGHT in samples)
    check = windows_of(samples, "validation", **cut)
    labels = {"training": learn.labels(), "validation": check.labels()}
    for name, found in labels.items():
        _check_labels(name, found, legend)
    counts = labels["training"].counts[list(legend.ids)]
    task = _task(settings, learn, counts, bands, legend, start, noise, channels_of(bands, optional))
    if start:
        check_start(start, task.net, units_of(samples))
    side = samples.sizes["y"] if settings.mode == "dense" else settings.window
    warn_if_long(task.net, (task.steps + search_steps(settings)) * task.batch * side**2)
    facts = _facts(task, samples, labels, bands, start, optional)
    run = RunFolder(Path(folder), facts) if folder else None
    fit = Fit(task, learn, check, run, progress, on_status)
    try:
        fit.run(starting_variables(task.net, settings.seed, legend, start))
    finally:
        if run:
            run.close()
    if run:
        run.draw_curves(fit.history)
    return _model(fit, samples, legend, bands, optional)


def _check_labels(split: str, labels: Labels, legend: Legend) -> None:
    """Refuse a split that says nothing of the legend's classes.

    Raises
    ------
    InputError
        With the legend's name.
    """
    if not labels.counts[list(legend.ids)].any():
        raise InputError(
            f"no {split} sample has a class of legend {legend.name!r}",
            advice="give the legend the labels were made with, or other samples",
        )


def _optional(
    samples: xr.Dataset, bands: tuple[str, ...], start: Model | None, settings: TrainSettings
) -> tuple[str, ...]:
    """Return the groups that a pixel of the samples, or of the model to start from, may lack.

    A network that learns with groups left out bears any to be missing.
    """
    if settings.network != "resnet" and settings.group_dropout:
        return tuple(group.name for group in groups_of(bands))
    named = {str(name) for name in samples.attrs.get("optional", ())}
    named |= set(start.optional) if start else set()
    return tuple(group.name for group in groups_of(bands) if group.name in named)


def _facts(
    task: Task,
    samples: xr.Dataset,
    labels: Mapping[str, Labels],
    bands: tuple[str, ...],
    start: Model | None,
    optional: tuple[str, ...],
) -> dict[str, Any]:
    """Return what decides the weights, as JSON types; how often it is kept does not."""
    settings = dataclasses.asdict(task.settings)
    del settings["checkpoint_every"]
    places = (samples[name].to_numpy() for name in ("split", "tile", "easting", "northing"))
    return {
        "settings": settings,
        "samples": digest_arrays(*places, np.array([task.center, task.scale])),
        "labels": [found.digest for found in labels.values()],
        "bands": list(bands),
        "class_ids": list(task.class_ids),
        "batch": task.batch,
        "start": start.digest if start else None,
        **({"noise": task.noise} if task.noise else {}),
        **({"optional": list(optional)} if optional else {}),
    }


def _task(
    settings: TrainSettings,
    learn: Windows,
    counts: np.ndarray,
    bands: tuple[str, ...],
    legend: Legend,
    start: Model | None,
    noise: Noise,
    channels: Channels,
) -> Task:
    """Work out shapes, normalization and class weights; ``counts`` are the pixels of classes."""
    if start:
        center, scale = start.normalization.center, start.normalization.scale
    else:
        image, _ = learn.read(learn.spaced(_NORMALIZED_BY))
        center, scale = robust_statistics(image, channels)
    batch = batch_of(settings.batch, settings.accumulate, len(learn))
    return Task(
        net=settings.net(bands=len(bands), classes=len(legend.ids), features=bands),
        settings=settings,
        class_ids=legend.ids,
        center=center,
        scale=scale,
        weights=_class_weights(settings, counts),
        noise=noise,
        channels=channels,
        shares=tuple(map(float, counts / counts.sum())),
        batch=batch,
        steps_per_epoch=len(learn) // batch,
    )


def robust_statistics(
    image: np.ndarray, channels: Channels
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return median and quartile range over 1.349 per feature: clouds and roofs move neither.

    Each feature's come from the pixels that have its group's data. Where a feature is the same in
    most pixels, as the slope of a plain, its standard deviation stands for the quartile range.

    Raises
    ------
    InputError
        If no pixel has the data of a group.
    """
    pixels = image.reshape(-1, image.shape[-1])
    finite = np.isfinite(pixels)
    center, scale = np.zeros(pixels.shape[1]), np.ones(pixels.shape[1])
    for group in map(list, channels.groups):
        seen = pixels[finite[:, group].all(axis=1)][:, group]
        if not len(seen):
            raise InputError("no training window has a pixel with data", advice="check the scene")
        low, middle, high = np.percentile(seen, (25, 50, 75), axis=0).astype(np.float32)
        least = 1e-3 * np.maximum(np.abs(middle), 1e-6)
        spread = (high - low) / _SPREAD
        steady = spread <= least
        spread[steady] = np.maximum(least, seen.std(axis=0, dtype=np.float64))[steady]
        center[group], scale[group] = middle, spread
    return tuple(map(float, center)), tuple(map(float, scale))


def _class_weights(settings: TrainSettings, counts: np.ndarray) -> tuple[float, ...]:
    """Return 1 for all, or weights by which every class that occurs counts alike."""
    if settings.class_weights == "none":
        return (1.0,) * len(counts)
    occurs = counts > 0
    weights = counts.sum() / np.maximum(counts, 1) / occurs.sum()
    return tuple(map(float, np.where(occurs, weights, 1.0)))


def _model(
    fit: Fit,
    samples: xr.Dataset,
    legend: Legend,
    bands: tuple[str, ...],
    optional: tuple[str, ...],
) -> Model:
    """Put together what was learned."""
    task = fit.task
    variables, calibration = calibrated(task, fit.best or {}, fit.check)
    return Model(
        net=task.net,
        variables=variables,
        bands=bands,
        optional=optional,
        normalization=Normalization(center=task.center, scale=task.scale),
        legend=legend,
        class_ids=task.class_ids,
        units=units_of(samples),
        center=fit.learn.center,
        training={
            "settings": dataclasses.asdict(task.settings),
            "history": fit.history,
            "best_epoch": fit.best_epoch,
            "calibration": calibration,
            **({"rate_search": dataclasses.asdict(fit.search)} if fit.search else {}),
            "samples": {
                "train": len(fit.learn),
                "validation": len(fit.check),
                **{
                    name: samples.attrs[name]
                    for name in ("seed", "patch", "block", "gap", "crs", "tiles")
                    if name in samples.attrs
                },
                **_area(samples),
            },
        },
    )


def _area(samples: xr.Dataset) -> dict[str, Any]:
    """Return the ground of the training samples, where they have a place."""
    area = ground_outline(samples, samples["split"].to_numpy() == SPLITS.index("train"))
    return {} if area is None else {"area": area}
