"""How good a model is on the samples that were held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from osm4eo_xr.accuracy.estimators import AccuracyReport, confusion_counts
from osm4eo_xr.training.calibration import BINS, calibration_bins, expected_error
from osm4eo_xr.training.scoring import index_of, labeled_logits, windows_of
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step import Task

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model

__all__ = ["evaluate"]

_BATCH = 32


def evaluate(
    model: Model,
    samples: xr.Dataset,
    split: Literal["train", "validation", "test"] = "test",
    *,
    pixels: Literal["all", "center"] = "all",
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
    pixels : {"all", "center"}
        Dense models: all labeled pixels of the windows, or the drawn pixel of each only. Window
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
    centered = model.net.mode == "window"
    window, center = (model.net.window, model.center) if centered else (None, None)
    windows = windows_of(samples, split, bands=model.bands, window=window, center=center)
    task = _task_of(model)
    counts, missing, bins = np.zeros((len(model.legend.ids),) * 2, np.int64), 0, np.zeros((3, BINS))
    done = 0
    for logits, label in labeled_logits(task, model.variables, windows, _BATCH, pixels=pixels):
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


def _task_of(model: Model) -> Task:
    """Return what a trained model is evaluated as."""
    ones = (1.0,) * len(model.class_ids)
    return Task(
        net=model.net,
        settings=TrainSettings(),
        class_ids=model.class_ids,
        offset=model.normalization.offset,
        scale=model.normalization.scale,
        weights=ones,
    )
