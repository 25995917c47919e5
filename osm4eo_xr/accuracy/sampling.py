"""Designs of probability samples: what a total over the population is, and how sure.

A design knows two things of values that are observed at its points: the estimated total over the
population, and the estimated variance of that total. ``estimators`` makes shares, accuracies and
areas of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

__all__ = ["CONFIDENCE", "Clustered", "PostStratified", "Sample", "Stratified", "Weighted"]

CONFIDENCE = 0.95


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

    def unseen(self, kinds: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, " k"]:
        """Return how many pixels of each kind one stratum may hold though no point met any there.

        Where none of n points is of a kind, that kind's variance is 0, and still a share of up to
        1 - 0.05^(1/n) of the other pixels may be of it, with 95 % confidence.

        Parameters
        ----------
        kinds : ndarray (n, k), float64
            1 where a point is of a kind, 0 elsewhere.

        Returns
        -------
        ndarray (k), float64
            Pixels, of the stratum that may hold most; 0 where each stratum has a point of the kind.

        Source
        ------
        Hanley & Lippman-Hand 1983, "If nothing goes wrong, is everything all right?", JAMA 249.
        """
        n = self._groups.counts
        room = (self.sizes - n) * (1 - (1 - CONFIDENCE) ** (1 / n))
        return np.where(self._groups.means(kinds) > 0, 0.0, room[:, None]).max(axis=0)


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
