"""Intervals of figures that come from held-out blocks or from folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from osm4eo_xr.accuracy.figures import Figure
from osm4eo_xr.samples.ground import ground_blocks, has_places

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float64, Int, Int64, UInt8

__all__ = ["FOLD_METHOD", "BlockCounts", "block_bootstrap", "block_bootstraps", "fold_interval"]

FOLD_METHOD = "95 % corrected resampled t (Nadeau & Bengio 2003)"

_DRAWS = 4000
_TAILS = (2.5, 97.5)
_AT_ONCE = 4_000_000  # blocks of draws held in memory
_LEAST = 2  # values without which there is no spread


class BlockCounts:
    """Confusion of the pixels of each spatial block, as they come.

    Parameters
    ----------
    samples : Dataset
        Whose pixels are counted.
    ids : sequence of int
        Classes, in the order of the counts.
    """

    def __init__(self, samples: xr.Dataset, ids: Sequence[int]) -> None:
        self._block: np.ndarray | None = None
        self._place = np.zeros(256, np.int64)
        self._place[list(ids)] = np.arange(len(ids))
        blocks = 0
        if has_places(samples):
            names, self._block = np.unique(ground_blocks(samples), return_inverse=True)
            blocks = len(names)
        self._counts = np.zeros((blocks, len(ids), len(ids)), np.int64)

    def add(
        self,
        sample: Int[np.ndarray, " n"],
        reference: UInt8[np.ndarray, " n"],
        found: UInt8[np.ndarray, " n"],
    ) -> None:
        """Count pixels of samples, by their positions in the set; those with no class found not."""
        if self._block is None:
            return
        known = found > 0
        cell = self._block[sample[known]], self._place[reference[known]], self._place[found[known]]
        flat = np.ravel_multi_index(cell, self._counts.shape)
        self._counts += np.bincount(flat, minlength=self._counts.size).reshape(self._counts.shape)

    def by_block(self) -> Int64[np.ndarray, "b k k"] | None:
        """Return those of each block that has any; None if samples have no places."""
        return None if self._block is None else self._counts[self._counts.any(axis=(1, 2))]


def block_bootstrap(
    right: Int64[np.ndarray, " b"], compared: Int64[np.ndarray, " b"], *, seed: int = 0
) -> Figure:
    """Return a share of pixels with the 95 % interval of a bootstrap that draws whole blocks.

    Neighboring pixels are alike, so that an interval by pixels would be far too narrow. The limits
    are percentiles of 4,000 draws of as many blocks with replacement. With fewer than about 20
    blocks such intervals are a little too narrow.

    Parameters
    ----------
    right, compared : ndarray (block), int64
        Pixels; ``right`` may be a difference of two counts, for a paired comparison.
    seed : int
        Of the draws.

    Returns
    -------
    Figure
        NaN limits with fewer than two blocks.

    Source
    ------
    Davison & Hinkley 1997, "Bootstrap Methods and their Application", sections 3.8 and 5.3.1;
    Roberts et al. 2017, "Cross-validation strategies for data with … structure", for blocks.

    Examples
    --------
    >>> import numpy as np
    >>> f = block_bootstrap(np.array([8, 6, 9]), np.array([10, 10, 10]))
    >>> round(f.value, 3), round(f.low, 3), round(f.high, 3)
    (0.767, 0.6, 0.9)
    """
    return block_bootstraps(right[:, None], compared[:, None], seed=seed)[0]


def block_bootstraps(
    part: Int64[np.ndarray, "b n"], whole: Int64[np.ndarray, "b n"], *, seed: int = 0
) -> list[Figure]:
    """Return shares with intervals as ``block_bootstrap`` gives them, all from the same draws.

    A share that fewer than two blocks say anything of has no limits; draws that say nothing of it,
    as none of their blocks has the class, are left out of its interval.

    Parameters
    ----------
    part, whole : ndarray (block, share), int64
        Pixels.
    seed : int
        Of the draws.
    """
    blocks = len(whole)
    tops, bottoms = (np.empty((_DRAWS, whole.shape[1])) for _ in range(2))
    rng, at_once = np.random.default_rng(seed), max(1, _AT_ONCE // max(blocks, 1))
    for first in range(0, _DRAWS if blocks else 0, at_once):
        draws = min(at_once, _DRAWS - first)
        drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), draws)
        tops[first : first + draws], bottoms[first : first + draws] = drawn @ part, drawn @ whole
    said = (whole > 0).sum(axis=0)
    return [
        _figure(int(part[:, k].sum()), int(whole[:, k].sum()), tops[:, k], bottoms[:, k], said[k])
        for k in range(whole.shape[1])
    ]


def _figure(part: int, whole: int, tops: np.ndarray, bottoms: np.ndarray, said: int) -> Figure:
    value = part / whole if whole else np.nan
    if said < _LEAST:
        return Figure(value, np.nan, np.nan, np.nan)
    shares = tops[bottoms > 0] / bottoms[bottoms > 0]
    low, high = np.percentile(shares, _TAILS)
    return Figure(value, float(shares.std(ddof=1)), float(low), float(high))


def fold_interval(values: Float64[np.ndarray, " n"], folds: int) -> Figure:
    """Return the mean over folds with a 95 % interval that knows that trainings share samples.

    The variance of a mean over ``n`` folds is (1/n + test/train) s²; without the second term the
    overlap of the training sets would make the interval far too narrow. test/train is that of the
    blocks, 1/(folds - 1). The limits are those of Student's t with n - 1 degrees of freedom.

    Parameters
    ----------
    values : ndarray (n), float64
        One per fold; NaN where a fold says nothing.
    folds : int
        Folds of the whole.

    Returns
    -------
    Figure
        NaN limits with fewer than two values.

    Source
    ------
    Nadeau & Bengio 2003, "Inference for the Generalization Error", Machine Learning 52, section 3;
    Bouckaert & Frank 2004, "Evaluating the Replicability of Significance Tests…", for folds.

    Examples
    --------
    >>> import numpy as np
    >>> f = fold_interval(np.array([0.7, 0.8, 0.75, 0.72, 0.78]), 5)
    >>> round(f.value, 3), round(f.error, 4), round(f.low, 3), round(f.high, 3)
    (0.75, 0.0277, 0.673, 0.827)
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if len(known) < _LEAST:
        return Figure(float(known.mean()) if len(known) else np.nan, np.nan, np.nan, np.nan)
    share = 1 / len(known) + 1 / (folds - 1)
    mean, error = float(known.mean()), float(np.sqrt(share * known.var(ddof=1)))
    reach = float(stats.t.ppf(0.975, len(known) - 1)) * error
    return Figure(mean, error, mean - reach, mean + reach)
