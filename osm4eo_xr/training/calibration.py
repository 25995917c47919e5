"""Whether a network is right as often as it is sure: calibration error and temperature.

After Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64, Int

BINS = 15
"""Bins of confidence, equally wide."""

_RANGE = (-3.0, 3.0)  # of log T: from 0.05 to 20
_PRIOR = 0.2  # standard deviation of log T


def calibration_bins(
    logits: Float32[np.ndarray, "n k"], index: Int[np.ndarray, " n"]
) -> Float64[np.ndarray, "3 bins"]:
    """Return per bin the predictions, the sum of their confidences, and how many are right."""
    if not len(logits):
        return np.zeros((3, BINS))
    probability = softmax(logits.astype(np.float64), axis=-1)
    confidence, right = probability.max(axis=-1), probability.argmax(axis=-1) == index
    bin_of = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    columns = (None, confidence, right.astype(np.float64))
    return np.stack([np.bincount(bin_of, weights=w, minlength=BINS) for w in columns])


def expected_error(bins: Float64[np.ndarray, "3 bins"]) -> float:
    """Return the mean gap between confidence and accuracy, 0 to 1; NaN without predictions."""
    total = bins[0].sum()
    return float(np.abs(bins[1] - bins[2]).sum() / total) if total else float("nan")


def mean_logits(logits: Float[np.ndarray, "*m n k"]) -> Float[np.ndarray, "n k"]:
    """Return the logarithm of the members' mean probability; logits of one network as they are."""
    if logits.ndim == 2:  # noqa: PLR2004 - pixels and classes
        return logits
    return logsumexp(log_softmax(logits, axis=-1), axis=0) - math.log(len(logits))


def fit_temperature(
    logits: Float32[np.ndarray, "*m n k"],
    index: Int[np.ndarray, " n"],
    *,
    independent: int | None = None,
) -> float:
    """Return the number by which logits are divided for the least cross entropy; 1 without any.

    Parameters
    ----------
    logits, index : ndarray
        Predictions, and the logit of what is true. Of several members each has its own
        predictions, whose logits are divided before their probabilities are averaged.
    independent : int, optional
        How many predictions count as independent, as pixels of a few places are of those places:
        the cross entropy of as many weighs against a normal prior of log T around 0, with a
        standard deviation of 0.2, so few places change little. By default there is no prior.
    """
    if not len(index):
        return 1.0
    exact, each = logits.astype(np.float64), np.arange(len(index))
    doubt = 0.0 if independent is None else 0.5 / (_PRIOR**2 * max(independent, 1))

    def loss(log_t: float) -> float:
        scale = np.exp(-log_t)
        scaled = mean_logits(exact * scale)
        mean = np.mean(logsumexp(scaled, axis=-1) - scaled[each, index])
        return float(mean) + doubt * log_t**2

    best: Any = minimize_scalar(loss, bounds=_RANGE, method="bounded")
    return float(np.exp(best.x))
