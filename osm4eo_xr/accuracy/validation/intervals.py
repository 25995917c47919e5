"""Intervals of figures that come from held-out blocks or from folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from osm4eo_xr.accuracy.figures import Figure
from osm4eo_xr.samples.ground import ground_blocks, has_places

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Bool, Float64, Int, Int64

__all__ = ["FOLD_METHOD", "SampleCounts", "block_bootstrap", "fold_interval"]

FOLD_METHOD = "95 % corrected resampled t (Nadeau & Bengio 2003)"

_DRAWS = 4000
_TAILS = (2.5, 97.5)
_LEAST = 2  # values without which there is no spread


class SampleCounts:
    """Right and compared pixels of each sample, as they come."""

    def __init__(self, samples: xr.Dataset) -> None:
        self._samples = samples
        self._counts = np.zeros((samples.sizes["sample"], 2), np.int64)

    def add(self, sample: Int[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> None:
        """Count pixels of samples, by their positions in the set."""
        size = len(self._counts)
        self._counts[:, 0] += np.bincount(sample[right], minlength=size)
        self._counts[:, 1] += np.bincount(sample, minlength=size)

    def by_block(self) -> Int64[np.ndarray, "b 2"] | None:
        """Return the sums of each spatial block that has any; None if samples have no places."""
        if not has_places(self._samples):
            return None
        compared = self._counts[:, 1] > 0
        _, block = np.unique(ground_blocks(self._samples)[compared], return_inverse=True)
        sums = np.zeros((block.max(initial=-1) + 1, 2), np.int64)
        np.add.at(sums, block, self._counts[compared])
        return sums


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
    total, blocks = int(compared.sum()), len(compared)
    value = float(right.sum() / total) if total else np.nan
    if blocks < _LEAST or not total:
        return Figure(value, np.nan, np.nan, np.nan)
    drawn = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), _DRAWS)
    shares = (drawn @ right) / (drawn @ compared)
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
