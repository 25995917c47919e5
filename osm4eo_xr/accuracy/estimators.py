"""Estimates from probability samples: ratios of totals, their standard errors and intervals.

Shares, accuracies and areas are ratios of two totals; the variance of a ratio is that of its
residuals' total (Taylor linearization, Cochran 1977, "Sampling Techniques", section 6.11; Särndal,
Swensson & Wretman 1992, "Model Assisted Survey Sampling", section 5.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from osm4eo_xr.accuracy.sampling import CONFIDENCE

if TYPE_CHECKING:
    from jaxtyping import Float64

    from osm4eo_xr.accuracy.sampling import Sample

__all__ = ["Intervals", "effective_size", "interval", "power_tuned", "ratio"]

_ROUNDING = 1e-12  # of a variance: the residuals of points that are all right leave less


Intervals = Literal["wilson", "wald"]


def ratio(
    sample: Sample, y: Float64[np.ndarray, "n k"], x: Float64[np.ndarray, "n k"]
) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Estimate ratios of totals, y over x, and their standard errors.

    Parameters
    ----------
    sample : Sample
        The design.
    y, x : ndarray (n, k), float64
        Values at the points.

    Returns
    -------
    tuple of ndarray (k)
        Ratios and standard errors; NaN where the total of x is 0.
    """
    whole = sample.total(x)
    known = whole > 0
    divisor = np.where(known, whole, np.nan)
    value = sample.total(y) / divisor
    spread = sample.variance(y - np.where(known, value, 0.0) * x)
    return value, np.sqrt(spread) / divisor


def power_tuned(
    sample: Sample,
    y: Float64[np.ndarray, "n k"],
    predicted: Float64[np.ndarray, "n k"],
    x: Float64[np.ndarray, "n k"],
    mean: Float64[np.ndarray, " k"],
) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Estimate shares with the help of predictions that are known for the whole population.

    The difference estimator y/x + λ (known mean - estimated mean of the predictions), with the λ
    between 0 and 1 that makes its estimated variance least.

    Parameters
    ----------
    sample : Sample
        The design.
    y, predicted, x : ndarray (n, k), float64
        Values, predictions of them, and what they are shares of, at the points.
    mean : ndarray (k), float64
        The predictions' shares over the whole population.

    Returns
    -------
    tuple of ndarray (k)
        Shares, standard errors and λ.

    Source
    ------
    Angelopoulos, Duchi & Zrnic 2023, "PPI++: Efficient Prediction-Powered Inference", power tuning
    with all of the population predicted; Särndal, Swensson & Wretman 1992, section 6.3.
    """
    value, _ = ratio(sample, y, x)
    guess, _ = ratio(sample, predicted, x)
    off, far = y - value * x, predicted - guess * x
    both = (sample.variance(off + far) - sample.variance(off - far)) / 4
    spread = sample.variance(far)
    tuned = np.clip(np.divide(both, spread, out=np.zeros_like(both), where=spread > 0), 0, 1)
    error = np.sqrt(sample.variance(off - tuned * far)) / sample.total(x)
    return value + tuned * (mean - guess), error, tuned


def effective_size(
    sample: Sample,
    x: Float64[np.ndarray, "n k"],
    value: Float64[np.ndarray, " k"],
    error: Float64[np.ndarray, " k"],
) -> Float64[np.ndarray, " k"]:
    """Return the size of a simple random sample that would tell as much of each share.

    Where the sample has no spread at all, but for rounding, it is that of its weights alone (Kish
    1965).
    """
    expanded = sample.weights[:, None] * x
    square = (expanded**2).sum(axis=0)
    kish = np.divide(expanded.sum(axis=0) ** 2, square, out=np.zeros_like(square), where=square > 0)
    spread = value * (1 - value)
    usual = (spread > 0) & (error**2 > _ROUNDING * spread)
    return np.where(usual, np.divide(spread, error**2, where=usual, out=kish.copy()), kish)


def interval(
    value: Float64[np.ndarray, " k"],
    error: Float64[np.ndarray, " k"],
    size: Float64[np.ndarray, " k"],
    degrees: float,
    kind: Intervals = "wilson",
) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Return the limits of 95 % confidence intervals of shares.

    Parameters
    ----------
    value, error, size : ndarray (k), float64
        Shares, their standard errors, and the sizes of simple random samples of the same variance.
    degrees : float
        Degrees of freedom of the standard errors.
    kind : {"wilson", "wald"}
        Score intervals, or the value ± 1.96 standard errors.

    Source
    ------
    Wilson 1927, with the effective sample size as Korn & Graubard 1998 put it in for designs.
    """
    z = float(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees))
    if kind == "wald":
        return value - z * error, value + z * error
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (value + z**2 / (2 * size)) / (1 + z**2 / size)
        half = z / (1 + z**2 / size) * np.sqrt(value * (1 - value) / size + (z / (2 * size)) ** 2)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
