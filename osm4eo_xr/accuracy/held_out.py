"""How good a model is, and how right the labels are, on the samples that were held out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from scipy.special import softmax

from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.accuracy.confusion import confusion_counts
from osm4eo_xr.accuracy.validation.intervals import BlockCounts
from osm4eo_xr.progress import Progress, with_bars
from osm4eo_xr.training.calibration import BINS, calibration_bins, expected_error
from osm4eo_xr.training.scoring import (
    check_scored,
    index_of,
    labeled_logits,
    model_task,
    model_windows,
)

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model

__all__ = ["estimate_label_noise", "evaluate"]

_BATCH = 32


@with_bars("evaluation")
def evaluate(
    model: Model,
    samples: xr.Dataset,
    split: Literal["train", "validation", "test"] = "test",
    *,
    pixels: Literal["all", "center"] = "all",
    progress: Progress | None = None,
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
        Counts of pixels; in validation and test each pixel of a tile counts once.
        ``calibration`` holds the expected calibration error ``ece``, ``class_calibration`` that
        of each class, and ``blocks`` what gives accuracies their intervals.

    Raises
    ------
    InputError
        If the split is empty or unknown, or the samples lack a band of the model, are in another
        unit or of other classes; if the model scales by each scene's range.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_model, example_samples
    >>> report = oxr.evaluate(example_model(), example_samples())
    >>> report.name, report.total > 300, 0 <= report.overall_accuracy <= 1
    ('test', True, True)
    """
    check_scored(model, samples)
    windows = model_windows(model, samples, split)
    task = model_task(model)
    counts, missing, done = np.zeros((len(model.legend.ids),) * 2, np.int64), 0, 0
    bins = np.zeros((len(model.class_ids), 3, BINS))
    blocks = BlockCounts(samples, model.legend.ids)
    for logits, label, sample in labeled_logits(
        task, model.variables, windows, _BATCH, pixels=pixels
    ):
        found = np.asarray(model.class_ids, np.uint8)[logits.argmax(axis=-1)]
        more, more_missing = confusion_counts(label, found, model.legend)
        counts, missing = counts + more, missing + more_missing
        blocks.add(sample, label, found)
        bins += _bins_by_class(logits, index_of(label, model.class_ids))
        done = min(done + _BATCH, len(windows))
        if progress:
            progress(done, len(windows))
    return AccuracyReport(
        counts,
        model.legend,
        missing,
        {"ece": expected_error(bins.sum(axis=0))},
        name=split,
        blocks=blocks.by_block(),
        class_calibration=_class_errors(model, bins),
    )


def _bins_by_class(logits: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return calibration bins (class, 3, bins) of the pixels that the model gives each class."""
    logits, index = logits[index >= 0], index[index >= 0]
    found = logits.argmax(axis=-1)
    return np.stack(
        [calibration_bins(logits[found == c], index[found == c]) for c in range(logits.shape[-1])]
    )


def _class_errors(model: Model, bins: np.ndarray) -> dict[int, float]:
    """Return the calibration error of each class that the model gives somewhere."""
    errors = {c: expected_error(own) for c, own in zip(model.class_ids, bins, strict=True)}
    return {c: error for c, error in errors.items() if np.isfinite(error)}


def estimate_label_noise(
    model: Model,
    samples: xr.Dataset,
    split: Literal["train", "validation", "test"] = "validation",
) -> xr.DataArray:
    """Estimate how probable it is that OpenStreetMap says a class where the ground is of another.

    The probabilities p(c | x_i) of held-out pixels stand for their unknown true classes:
    p(osm = k | c) = (sum of p(c | x_i) over i labeled k, + 1 if k = c) / (sum of p(c | x_i), + 1).
    The one pixel added on the diagonal makes a class that nothing speaks of always right. The
    figures take the model's probabilities for right and the shares of classes from the samples;
    a model that learned the labels' errors hides them, so noise is rather under- than
    overestimated.

    Parameters
    ----------
    model : Model
        Dense or window.
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it; its bands include the model's.
    split : {"train", "validation", "test"}
        Which samples; by default those that neither training nor the accuracy counts.

    Returns
    -------
    DataArray (class, osm), float64
        p(osm | class); both coordinates hold all ids of the model's legend, rows sum to 1. attrs:
        ``pixels`` used and ``split``.

    Raises
    ------
    InputError
        If the split is empty or unknown, or the samples lack a band of the model, are in another
        unit or of other classes; if the model scales by each scene's range.

    Source
    ------
    Dawid and Skene 1979, Applied Statistics 28, equation 2.3, for one observer (OpenStreetMap)
    and a classifier's posterior in place of the true classes.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_model, example_samples
    >>> noise = oxr.estimate_label_noise(example_model(), example_samples())
    >>> noise.dims, noise.sum("osm").round(6).values[:3].tolist()
    (('class', 'osm'), [1.0, 1.0, 1.0])
    """
    check_scored(model, samples)
    ids, windows = list(model.legend.ids), model_windows(model, samples, split)
    place = {class_id: k for k, class_id in enumerate(ids)}
    columns = [place.get(int(i), -1) for i in model.class_ids]
    given, pixels = np.eye(len(ids)), 0
    for logits, label, _ in labeled_logits(model_task(model), model.variables, windows, _BATCH):
        share = softmax(logits.astype(np.float64), axis=-1)
        for k, at in place.items():
            said = share[label == k].sum(axis=0)
            for column, true in enumerate(columns):
                given[true, at] += said[column] if true >= 0 else 0.0
        pixels += len(label)
    table = given / given.sum(axis=1, keepdims=True)
    attrs = {"pixels": pixels, "split": split}
    return xr.DataArray(
        table, coords={"class": ids, "osm": ids}, dims=("class", "osm"), attrs=attrs
    )
