"""Logits, features and labels of the samples of one split, batch by batch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.channels import Channels
from osm4eo_xr.feature_ids.ids import canonical
from osm4eo_xr.legend import legend_from_dict
from osm4eo_xr.models.record import UNITS
from osm4eo_xr.networks.fold_batch_norm import fold
from osm4eo_xr.networks.grouped_layers import heads_of, models_of
from osm4eo_xr.networks.layers import arrays_at, with_arrays
from osm4eo_xr.samples.draw import SPLITS
from osm4eo_xr.samples.ground import place_numbers
from osm4eo_xr.samples.store import read_split
from osm4eo_xr.training.batches import Windows, ordered_batches
from osm4eo_xr.training.calibration import (
    calibration_bins,
    expected_error,
    fit_temperature,
    mean_logits,
)
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.data_parallel import place_batch
from osm4eo_xr.training.step.eval_step import make_eval_step, make_feature_step
from osm4eo_xr.training.step.task import Task

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.models.model import Model

_CALIBRATED_BY = 1_000_000  # pixels of the validation windows that give the temperature, at most


def windows_of(
    samples: xr.Dataset,
    split: str,
    *,
    bands: tuple[str, ...],
    window: int | None = None,
    center: int | None = None,
) -> Windows:
    """Return the windows of one split, in the bands of a model.

    Raises
    ------
    InputError
        If the split is empty or unknown, a band is missing or the windows are too small.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r} is unknown", advice=f"give {', '.join(SPLITS)}")
    positions = read_split(samples, SPLITS.index(split))
    if not len(positions):
        raise InputError(
            f"the sample set has no sample in {split}", advice=f"draw with a share for {split}"
        )
    have = [canonical(str(b)) for b in samples["band"].values]
    missing = [b for b in bands if b not in have]
    if missing:
        raise InputError(f"the samples have no band {missing[0]!r}, only {', '.join(have)}")
    if tuple(have) != tuple(bands):
        samples = samples.isel(band=[have.index(b) for b in bands])
    windows = Windows(samples, positions, window, center)
    edge, before = samples.sizes["y"], windows.before
    if window and not 0 <= before <= edge - window:
        raise InputError(f"samples of {edge} pixels do not hold windows of {window}")
    return windows


def model_windows(model: Model, samples: xr.Dataset, split: str) -> Windows:
    """Return the windows of a split as a model takes them."""
    centered = model.net.mode == "window"
    window, center = (model.net.window, model.center) if centered else (None, None)
    return windows_of(samples, split, bands=model.bands, window=window, center=center)


def units_of(samples: xr.Dataset) -> str:
    """Return the unit of the samples in a model's words."""
    units = samples.attrs.get("units", "1")
    if units in UNITS:
        return units
    return "reflectance" if units == "1" else "digital number"


def check_scored(model: Model, samples: xr.Dataset) -> None:
    """Refuse samples that a model cannot be compared with.

    Raises
    ------
    InputError
        If the model scales by each scene's range; if the samples are in another unit, or number a
        class as the model does and name it otherwise.
    """
    if model.normalization.kind != "fixed":
        raise InputError(
            f"model {model.name!r} scales by each scene's range, which samples do not know",
            advice="classify a scene and compare the map",
        )
    if (units := units_of(samples)) != model.units:
        raise InputError(
            f"model {model.name!r} takes {model.units}, the samples hold {units}",
            advice=f"draw the samples from scenes in {model.units}, or say it of patches",
        )
    what = f"model {model.name!r}"
    check_names(samples, model.legend, what, "give samples of the model's legend")


def check_names(samples: xr.Dataset, legend: Legend, what: str, advice: str) -> None:
    """Refuse samples that number a class as a legend does and name it otherwise.

    Raises
    ------
    InputError
        Names the class; ``what`` has the legend, and ``advice`` says what to do.
    """
    named = legend_from_dict(json.loads(samples.attrs["legend"]), source="samples").by_id
    for class_id, known in legend.by_id.items():
        if class_id in named and named[class_id].slug != known.slug:
            raise InputError(
                f"class {class_id} of the samples is {named[class_id].slug!r}, that of {what} is "
                f"{known.slug!r}",
                advice=advice,
            )


def model_task(model: Model) -> Task:
    """Return what a trained model is evaluated as."""
    ones = (1.0,) * len(model.class_ids)
    return Task(
        net=model.net,
        settings=TrainSettings(),
        class_ids=model.class_ids,
        center=model.normalization.center,
        scale=model.normalization.scale,
        weights=ones,
        channels=model.channels,
    )


def labeled_logits(
    task: Task,
    variables: Mapping[str, Any],
    windows: Windows,
    batch: int,
    *,
    pixels: str = "all",
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield logits (n, class), labels (n,) and samples (n,) of the labeled pixels, by batch."""
    predict = make_eval_step(task)
    for image, label, positions in ordered_batches(windows, batch):
        truth = _keep_center(label) if pixels == "center" and label.ndim > 1 else label
        logits = np.asarray(predict(dict(variables), place_batch(image)))
        labeled = truth > 0
        yield logits[labeled], truth[labeled], positions[np.nonzero(labeled)[0]]


def labeled_features(
    task: Task, variables: Mapping[str, Any], windows: Windows, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield features (n, f), logits, labels, samples and images (n, band) of labeled pixels.

    Features are what the network's last layer sees. Images are in the samples' unit; of windows
    that have one label, those of their middle.
    """
    folded = fold(task.net, variables)
    predict = make_feature_step(task)
    channels = task.channels or Channels.joint(len(task.center))
    for image, label, positions in ordered_batches(windows, batch):
        logits, features = (np.asarray(v) for v in predict(folded, place_batch(image)))
        middle = image.shape[1] // 2
        pixels = image if label.ndim > 1 else image[:, middle, middle]
        labeled = (label > 0) & channels.usable(np.isfinite(pixels), axis=-1)
        yield (
            features[labeled],
            logits[labeled],
            label[labeled],
            positions[np.nonzero(labeled)[0]],
            pixels[labeled],
        )


def known_logits(
    task: Task, variables: Mapping[str, Any], windows: Windows
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the logits, the index of the label, and the sample of each pixel of known class."""
    parts = []
    for some, label, where in labeled_logits(task, variables, windows, task.batch):
        at = index_of(label, task.class_ids)
        parts.append((some[at >= 0], at[at >= 0], where[at >= 0]))
    logits, index, origin = (np.concatenate(column) for column in zip(*parts, strict=True))
    return logits, index, origin


def calibrated(
    task: Task, best: Mapping[str, Any], check: Windows
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return variables with their temperature in the heads, and what it changed.

    The heads' filters are divided by the temperature, so every engine gives calibrated
    probabilities, and one network the same classes as before. The validation samples are as
    many witnesses as they have places: a few blocks, which are easier or harder than others,
    say little of all.
    """
    windows = _spread(check, _CALIBRATED_BY)
    alone = dataclasses.replace(task, net=task.net.single)
    found = [known_logits(alone, own, windows) for own in models_of(task.net, best)]
    logits, (_, index, origin) = np.stack([own for own, *_ in found]), found[0]
    _, places = place_numbers(check.samples, np.unique(origin))
    logits = logits[0] if len(logits) == 1 else logits
    temperature = np.float32(fit_temperature(logits, index, independent=places))
    params = best["params"]
    for path in heads_of(task.net):
        head = {name: leaf / temperature for name, leaf in arrays_at(params, path).items()}
        params = with_arrays(params, path, head)
    errors = [
        expected_error(calibration_bins(mean_logits(given), index))
        for given in (logits, logits / temperature)
    ]
    return {**best, "params": params}, {
        "temperature": float(temperature),
        "places": places,
        "ece_before": errors[0],
        "ece": errors[1],
    }


def _spread(windows: Windows, pixels: int) -> Windows:
    """Return windows of no more labels than that, from all over the set."""
    labels = 1 if windows.window else windows.samples.sizes["y"] ** 2
    most = max(1, pixels // labels)
    if len(windows) <= most:
        return windows
    positions = windows.positions[windows.spaced(most)]
    return dataclasses.replace(windows, positions=positions, _held=None)


def index_of(label: np.ndarray, class_ids: tuple[int, ...]) -> np.ndarray:
    """Return the logit of each label, -1 for none."""
    table = np.full(256, -1, np.int64)
    table[list(class_ids)] = np.arange(len(class_ids))
    return table[label]


def _keep_center(label: np.ndarray) -> np.ndarray:
    """Leave the drawn pixel only."""
    middle = label.shape[1] // 2
    kept = np.zeros_like(label)
    kept[:, middle, middle] = label[:, middle, middle]
    return kept
