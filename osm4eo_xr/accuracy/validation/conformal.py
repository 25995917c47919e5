"""Sets of classes that hold the right one with a stated share, class by class: arrays only.

Source: Vovk et al. 2005, "Algorithmic Learning in a Random World", section 4.5, for validity by
class; Sadinle et al. 2019, "Least Ambiguous Set-Valued Classifiers With Bounded Error Levels",
JASA 114, for sets of all classes above a probability of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int


NEVER = 2.0
"""Least probability of a class that belongs to no set: no probability is as great."""


def least_probabilities(
    probability: Float32[np.ndarray, "n k"],
    index: Int[np.ndarray, " n"],
    coverage: float,
    learned: Bool[np.ndarray, " k"],
) -> Float32[np.ndarray, " k"]:
    """Return the least probability with which each class belongs to a set.

    Of n calibration pixels of a class, the floor((n + 1)(1 - coverage))-th lowest probability of
    that class. A class with too few pixels for that (fewer than coverage / (1 - coverage)) belongs
    to every set, but one that was not learned to none.

    Parameters
    ----------
    probability : ndarray (n, class), float32
        Of calibration pixels.
    index : ndarray (n)
        Place of each pixel's right class.
    coverage : float
        Share of each class's pixels whose set is to hold it, above 0 and below 1.
    learned : ndarray (class), bool
        Whether the training had the class.
    """
    least = np.zeros(probability.shape[1], np.float32)
    for k in range(len(least)):
        own = np.sort(probability[index == k, k])
        rank = int(np.floor((len(own) + 1) * (1 - coverage) + 1e-9))
        least[k] = own[rank - 1] if rank else 0.0 if learned[k] or len(own) else NEVER
    return least


def members(
    probability: Float32[np.ndarray, "n k"], least: Float32[np.ndarray, " k"]
) -> Bool[np.ndarray, "n k"]:
    """Return which classes belong to each pixel's set."""
    return probability >= least


def covered_shares(
    member: Bool[np.ndarray, "n k"], index: Int[np.ndarray, " n"]
) -> Float64[np.ndarray, " k"]:
    """Return for each class the share of its pixels whose set holds it; NaN without any."""
    held = member[np.arange(len(index)), index]
    size = member.shape[1]
    right = np.bincount(index[held], minlength=size)
    with np.errstate(invalid="ignore"):
        return right / np.bincount(index, minlength=size)
