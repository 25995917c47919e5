"""How good a model is on the samples that were held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from osm4eo_xr._batches import Windows, ordered_batches
from osm4eo_xr._calibration import BINS, calibration_bins, expected_error
from osm4eo_xr._devices import place_batch
from osm4eo_xr._sample_store import read_split
from osm4eo_xr._train_settings import TrainSettings
from osm4eo_xr._train_step import Task, make_eval_step
from osm4eo_xr.accuracy import AccuracyReport, confusion_counts
from osm4eo_xr.errors import InputError
from osm4eo_xr.samples import SPLITS

if TYPE_CHECKING:
    from osm4eo_xr.model import Model

__all__ = ["evaluate"]

_BATCH = 32


def evaluate(
    model: Model,
    samples: xr.Dataset,
    split: Literal["train", "validation", "test"] = "test",
    *,
    pixels: Literal["all", "centre"] = "all",
    progress: Callable[[int, int], None] | None = None,
) -> AccuracyReport:
    """Compare a model with the labels of one split.

    Parameters
    ----------
    model : Model
        Dense or window.
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it; its bands include the model's.
    split : {"train", "validation", "test"}
        Which samples.
    pixels : {"all", "centre"}
        Dense models: all labelled pixels of the windows, or the drawn pixel of each only. Window
        models always know the drawn pixel only.
    progress : callable, optional
        Called as ``progress(samples done, samples in all)``.

    Returns
    -------
    AccuracyReport
        Counts of pixels; in validation and test each pixel of the ground counts once.
        ``calibration`` holds the expected calibration error ``ece``.

    Raises
    ------
    InputError
        If the split is empty or unknown, or the samples lack a band of the model.
    """
    centred = model.net.mode == "window"
    window, centre = (model.net.window, model.centre) if centred else (None, None)
    windows = windows_of(samples, split, bands=model.bands, window=window, centre=centre)
    task = _task_of(model)
    counts, missing, bins = np.zeros((len(model.legend.ids),) * 2, np.int64), 0, np.zeros((3, BINS))
    done = 0
    for logits, label in labelled_logits(task, model.variables, windows, _BATCH, pixels=pixels):
        found = np.asarray(model.class_ids, np.uint8)[logits.argmax(axis=-1)]
        more, more_missing = confusion_counts(label, found, model.legend)
        counts, missing = counts + more, missing + more_missing
        index = index_of(label, model.class_ids)
        bins += calibration_bins(logits[index >= 0], index[index >= 0])
        done = min(done + _BATCH, len(windows))
        if progress:
            progress(done, len(windows))
    calibration = {"ece": expected_error(bins)}
    return AccuracyReport(counts, model.legend, missing, calibration, name=split)


def windows_of(
    samples: xr.Dataset,
    split: str,
    *,
    bands: tuple[str, ...],
    window: int | None = None,
    centre: int | None = None,
) -> Windows:
    """Return the windows of one split, in the bands of a model.

    Raises
    ------
    InputError
        If the split is empty or unknown, a band is missing or the windows are too small.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r} is unknown; give {', '.join(SPLITS)}")
    positions = read_split(samples, SPLITS.index(split))
    if not len(positions):
        raise InputError(f"the sample set has no sample in {split}; draw with a share for {split}")
    have = [str(b) for b in samples["band"].values]
    missing = [b for b in bands if b not in have]
    if missing:
        raise InputError(f"the samples have no band {missing[0]!r}, only {', '.join(have)}")
    if tuple(have) != tuple(bands):
        samples = samples.sel(band=list(bands))
    windows = Windows(samples, positions, window, centre)
    edge, before = samples.sizes["y"], windows.before
    if window and not 0 <= before <= edge - window:
        raise InputError(f"samples of {edge} pixels do not hold windows of {window}")
    return windows


def labelled_logits(
    task: Task,
    variables: Mapping[str, Any],
    windows: Windows,
    batch: int,
    *,
    pixels: str = "all",
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the logits (n, class) and labels (n,) of the labelled pixels, batch by batch."""
    predict = make_eval_step(task)
    for image, label, _ in ordered_batches(windows, batch):
        truth = _keep_centre(label) if pixels == "centre" and label.ndim > 1 else label
        logits = np.asarray(predict(dict(variables), place_batch(image)))
        yield logits[truth > 0], truth[truth > 0]


def index_of(label: np.ndarray, class_ids: tuple[int, ...]) -> np.ndarray:
    """Return the logit of each label, -1 for none."""
    table = np.full(256, -1, np.int64)
    table[list(class_ids)] = np.arange(len(class_ids))
    return table[label]


def _keep_centre(label: np.ndarray) -> np.ndarray:
    """Leave the drawn pixel only."""
    middle = label.shape[1] // 2
    kept = np.zeros_like(label)
    kept[:, middle, middle] = label[:, middle, middle]
    return kept


def _task_of(model: Model) -> Task:
    """Return what a trained model is evaluated as."""
    ones = (1.0,) * len(model.class_ids)
    return Task(
        net=model.net,
        settings=TrainSettings(),
        class_ids=model.class_ids,
        offset=model.normalisation.offset,
        scale=model.normalisation.scale,
        weights=ones,
    )
