"""Confident learning: how often labels are wrong, and which, from probabilities of other models.

Arrays only. Northcutt, Jiang and Chuang 2021, Journal of Artificial Intelligence Research 70:
thresholds (equation 2), confident joint (1), its calibration (3), pruning by noise rate (method 4).
Examples may weigh more or less than 1, as objects have more or fewer pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64


def thresholds(
    shares: Float64[np.ndarray, "n k"],
    given: Int64[np.ndarray, " n"],
    weight: Float64[np.ndarray, " n"],
) -> Float64[np.ndarray, " k"]:
    """Return the mean probability of each class over the examples labeled so; inf without any.

    Parameters
    ----------
    shares : ndarray (n, k)
        Probabilities of models that have not seen the examples.
    given : ndarray (n,)
        Index of the label.
    weight : ndarray (n,)
        Of each example.
    """
    k = shares.shape[1]
    own = shares[np.arange(len(given)), given]
    sums = np.bincount(given, own * weight, k)
    sizes = np.bincount(given, weight, k)
    return np.divide(sums, sizes, out=np.full(k, np.inf), where=sizes > 0)


def likely_class(
    shares: Float64[np.ndarray, "n k"], limits: Float64[np.ndarray, " k"]
) -> Int64[np.ndarray, " n"]:
    """Return the most probable of the classes that reach their threshold; -1 where none does."""
    reached = shares >= limits
    best = np.where(reached, shares, -1.0).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1)


def joint(
    shares: Float64[np.ndarray, "n k"],
    given: Int64[np.ndarray, " n"],
    weight: Float64[np.ndarray, " n"],
    limits: Float64[np.ndarray, " k"],
) -> Float64[np.ndarray, "given true"]:
    """Estimate the joint distribution of given and true class; its sum is 1.

    Examples that are surely of a class are counted; rows are then scaled to the examples of each
    given class. A class none of whose examples is sure of anything counts as right.

    Parameters
    ----------
    shares, given, weight
        As for ``thresholds``.
    limits : ndarray (k,)
        The thresholds.
    """
    k, likely = shares.shape[1], likely_class(shares, limits)
    sure = likely >= 0
    cells = given[sure] * k + likely[sure]
    counts = np.bincount(cells, weight[sure], k * k).reshape(k, k)
    rows = counts.sum(axis=1)
    counts[rows == 0] = np.eye(k)[rows == 0]
    sizes = np.bincount(given, weight, k)
    scaled = counts / counts.sum(axis=1, keepdims=True) * sizes[:, None]
    return scaled / max(sizes.sum(), 1e-300)


def noise_of(table: Float64[np.ndarray, "given true"]) -> Float64[np.ndarray, "true given"]:
    """Return p(given | true) from the joint; a class that nothing is of counts as labeled right."""
    sums = table.sum(axis=0)
    rates = np.divide(table, sums, out=np.eye(len(table)), where=sums > 0)
    return rates.T


def quality(
    shares: Float64[np.ndarray, "n k"], given: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return how far the given class is ahead of the best other one: 0 behind by 1, 1 ahead."""
    own = shares[np.arange(len(given)), given]
    return (1.0 + own - _others(shares, given).max(axis=1)) / 2.0


def wrong(
    shares: Float64[np.ndarray, "n k"],
    given: Int64[np.ndarray, " n"],
    table: Float64[np.ndarray, "given true"],
) -> Bool[np.ndarray, " n"]:
    """Return which examples are most likely wrong: as many as the joint has off its diagonal.

    Of those labeled i, the n x joint[i, j] by which class j is farthest ahead of i are taken, as
    far as it is ahead of it.
    """
    n = len(given)
    own = shares[np.arange(n), given]
    taken = np.zeros(n, bool)
    for i, j in zip(*np.nonzero(np.rint(table * n)), strict=True):
        if i == j:
            continue
        margin = np.where(given == i, shares[:, j] - own, -np.inf)
        first = np.argsort(-margin, kind="stable")[: int(np.rint(table[i, j] * n))]
        taken[first] |= margin[first] > 0
    return taken


def right(
    shares: Float64[np.ndarray, "n k"],
    given: Int64[np.ndarray, " n"],
    noise: Float64[np.ndarray, "true given"],
) -> Float64[np.ndarray, " n"]:
    """Return the probability that labels are right: Bayes' rule with p(given | true)."""
    each = shares * noise[:, given].T
    total = each.sum(axis=1)
    own = each[np.arange(len(given)), given]
    return np.divide(own, total, out=np.zeros(len(given)), where=total > 0)


def _others(
    shares: Float64[np.ndarray, "n k"], given: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, "n k"]:
    """Return the probabilities with -1 for the given class."""
    rest = shares.copy()
    rest[np.arange(len(given)), given] = -1.0
    return rest
