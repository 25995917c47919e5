"""Distances between training points, the threshold of their index, and prototypes: arrays only.

Source: Meyer & Pebesma 2021, "Predicting into unknown space? Estimating the area of applicability
of spatial prediction models", Methods in Ecology and Evolution 12, sections 2.2 and 2.3; the
threshold's outliers are those of the R package CAST: ``boxplot.stats``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int

_ROWS = 512  # of a table of distances at a time
_WHISKER = 1.5  # ranges between hinges
_ROUNDS = 8  # of k-means


def mean_distance(points: Float32[np.ndarray, "n f"]) -> float:
    """Return the mean distance between two different points."""
    total = sum(float(cdist(points[part], points).sum()) for part in _parts(len(points)))
    return total / (len(points) * (len(points) - 1))


def least_distances(
    points: Float32[np.ndarray, "n f"],
    others: Float32[np.ndarray, "m f"],
    fold: Int[np.ndarray, " n"] | None = None,
    other_fold: Int[np.ndarray, " m"] | None = None,
) -> Float64[np.ndarray, " n"]:
    """Return the distance of each point to the nearest of others, infinite where there is none.

    If folds are given, others of the same fold do not count.
    """
    least = np.empty(len(points))
    for part in _parts(len(points)):
        apart = cdist(points[part], others)
        if fold is not None and other_fold is not None:
            apart[fold[part, None] == other_fold[None]] = np.inf
        least[part] = apart.min(axis=1)
    return least


def _parts(size: int) -> list[slice]:
    """Return the spans of rows that are worked on at a time."""
    return [slice(first, first + _ROWS) for first in range(0, size, _ROWS)]


def upper_whisker(values: Float64[np.ndarray, " n"]) -> float:
    """Return the greatest value that is no outlier: at most 1.5 hinge ranges above the upper hinge.

    Hinges are Tukey's: medians of the lower and of the upper half, both with the middle value.
    """
    ordered = np.sort(values)
    half = (len(ordered) + 1) // 2
    low, high = float(np.median(ordered[:half])), float(np.median(ordered[-half:]))
    return float(ordered[ordered <= high + _WHISKER * (high - low)].max())


def choose_prototypes(
    points: Float32[np.ndarray, "n f"], most: int, seed: int = 0
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " n"]]:
    """Choose points to stand for all: those nearest to the centers of k-means.

    Returns
    -------
    chosen : ndarray (k)
        Their places, in ascending order; at most ``most``.
    stands_for : ndarray (n)
        Which of the chosen is nearest to each point.
    """
    if len(points) <= most:
        return np.arange(len(points)), np.arange(len(points))
    exact = points.astype(np.float64)
    centers, _ = kmeans2(exact, most, iter=_ROUNDS, minit="points", rng=seed)
    chosen = np.unique([cdist(center[None], exact).argmin() for center in centers])
    stands_for = [cdist(exact[part], exact[chosen]).argmin(axis=1) for part in _parts(len(exact))]
    return chosen, np.concatenate(stands_for)
