"""Estimates from probability samples: ratios of totals, their standard errors and intervals.

A design knows two things of values that are observed at its points: the estimated total over the
population, and the estimated variance of that total. Shares, accuracies and areas are ratios of
two totals; the variance of a ratio is that of its residuals' total (Taylor linearization,
Cochran 1977, "Sampling Techniques", section 6.11; Särndal, Swensson & Wretman 1992, "Model
Assisted Survey Sampling", section 5.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from scipy import sparse, stats

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

__all__ = [
    "Clustered",
    "Intervals",
    "PostStratified",
    "Sample",
    "Stratified",
    "Weighted",
    "interval",
    "power_tuned",
    "ratio",
]

CONFIDENCE = 0.95

Intervals = Literal["wilson", "wald"]


class Sample(Protocol):
    """What an estimator asks of a sample."""

    @property
    def weights(self) -> Float64[np.ndarray, " n"]:
        """Pixels of the population that each point stands for."""
        ...

    @property
    def degrees(self) -> float:
        """Degrees of freedom of its variances; infinite where the normal quantile is usual."""
        ...

    def total(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Estimate totals over the population of values that were observed at the points."""
        ...

    def variance(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Estimate the variance of each total."""
        ...


@dataclass(frozen=True, eq=False)
class _Strata:
    """Points in strata of known sizes."""

    stratum: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " h"]

    degrees = np.inf

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self.stratum, len(self.sizes))

    @property
    def weights(self) -> Float64[np.ndarray, " n"]:
        """Pixels per point of its stratum."""
        return (self.sizes / self._groups.counts)[self.stratum]

    def total(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Add up the strata's means times their sizes."""
        return self.sizes @ self._groups.means(values)


@dataclass(frozen=True, eq=False)
class Stratified(_Strata):
    """A simple random sample without replacement in each stratum.

    Attributes
    ----------
    stratum : ndarray (n), int64
        Index of each point's stratum.
    sizes : ndarray (strata), int64
        Pixels of each stratum; each has two points or more, or all of its pixels.
    finite : bool
        Apply the finite population correction, as Stehman 2014 does. Olofsson et al. 2014 do not;
        their standard errors are a trifle wider.

    Source
    ------
    Cochran 1977, sections 5.3 and 5.4; Stehman 2014, eqs. 2, 25 and 28.
    """

    finite: bool = True

    def variance(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Add up the strata's variances."""
        n = self._groups.counts
        census = n == self.sizes
        left = np.where(census, 0.0, 1 - n / self.sizes if self.finite else 1.0)
        return (self.sizes**2.0 * left / n) @ self._groups.variances(values)


@dataclass(frozen=True, eq=False)
class PostStratified(_Strata):
    """A simple random sample of the whole, stratified after it was drawn.

    Attributes
    ----------
    stratum : ndarray (n), int64
        Index of each point's post-stratum.
    sizes : ndarray (strata), int64
        Pixels of each post-stratum; each has two points or more.

    Source
    ------
    Cochran 1977, section 5A.9, eq. 5A.42, whose second term is for the points that each stratum
    gets by chance. For systematic samples it is an approximation, as a rule on the safe side.
    """

    def variance(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Add up the variance of a proportional allocation and that of the chance allocation."""
        n, size = len(self.stratum), float(self.sizes.sum())
        share = self.sizes / size
        factor = (1 - n / size) / n * share + (1 - share) / n**2
        return size**2 * (factor @ self._groups.variances(values))


@dataclass(frozen=True, eq=False)
class Clustered:
    """A simple random sample of clusters, and of the pixels in each.

    Attributes
    ----------
    cluster : ndarray (n), int64
        Index of each point's cluster.
    sizes : ndarray (clusters drawn), int64
        Pixels of each drawn cluster.
    clusters : int
        Clusters of the population.

    Source
    ------
    Cochran 1977, chapter 11: two stages, clusters of unequal sizes drawn with equal probabilities.
    Where a cluster has one point, its own variance is taken as the mean of the others'.
    """

    cluster: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " c"]
    clusters: int

    @property
    def degrees(self) -> float:
        """Clusters less one."""
        return len(self.sizes) - 1.0

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self.cluster, len(self.sizes))

    @property
    def weights(self) -> Float64[np.ndarray, " n"]:
        """Clusters per drawn cluster times pixels per point of the cluster."""
        return (self.clusters / len(self.sizes) * self.sizes / self._groups.counts)[self.cluster]

    def total(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Expand the mean total of the drawn clusters."""
        return self.clusters * (self.sizes[:, None] * self._groups.means(values)).mean(axis=0)

    def variance(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Add up the variance between clusters and that within them."""
        m, drawn = self._groups.counts, len(self.sizes)
        totals = self.sizes[:, None] * self._groups.means(values)
        between = (1 - drawn / self.clusters) * totals.var(axis=0, ddof=1) / drawn
        within = self._groups.variances(values)
        known = m > 1
        if known.any():
            within[~known] = within[known].mean(axis=0)
        inside = (self.sizes**2.0 * (1 - m / self.sizes) / m) @ within
        return self.clusters**2.0 * between + self.clusters / drawn * inside


@dataclass(frozen=True, eq=False)
class Weighted:
    """A sample of another design that states a weight per point.

    Attributes
    ----------
    weights : ndarray (n), float64
        What each point stands for, in any unit.

    Source
    ------
    Särndal, Swensson & Wretman 1992, section 2.9: the variance as of a sample with replacement.
    """

    weights: Float64[np.ndarray, " n"]

    degrees = np.inf

    def total(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Add up weighted values."""
        return self.weights @ values

    def variance(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Scale the spread of the weighted values."""
        expanded = self.weights[:, None] * values
        return len(expanded) * expanded.var(axis=0, ddof=1)


class Groups:
    """Counts, means and variances per group of points."""

    def __init__(self, group: Int64[np.ndarray, " n"], groups: int) -> None:
        self.group = group
        self.counts = np.bincount(group, minlength=groups)
        ones, places = np.ones(len(group)), np.arange(len(group))
        self._members = sparse.csr_array((ones, (group, places)), shape=(groups, len(group)))

    def means(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, "h k"]:
        """Return the mean of each group's values."""
        return (self._members @ values) / self.counts[:, None]

    def variances(self, values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, "h k"]:
        """Return the variance of each group's values (divisor n - 1); 0 for one value."""
        apart = values - self.means(values)[self.group]
        return (self._members @ apart**2) / np.maximum(self.counts - 1, 1)[:, None]


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

    Where the sample has no spread at all, it is that of its weights alone (Kish 1965).
    """
    expanded = sample.weights[:, None] * x
    square = (expanded**2).sum(axis=0)
    kish = np.divide(expanded.sum(axis=0) ** 2, square, out=np.zeros_like(square), where=square > 0)
    spread = value * (1 - value)
    usual = (spread > 0) & (error > 0)
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
