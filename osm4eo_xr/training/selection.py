"""Which epoch's weights are kept: what a look at the validation samples says, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from jaxtyping import Float64

_LEVEL = 0.95  # one-sided
_LEAST = 2  # places without which there is no spread


class Look(NamedTuple):
    """Validation pixels of each place: how many are right and how many there are; and the loss."""

    right: Float64[np.ndarray, " p"]
    pixels: Float64[np.ndarray, " p"]
    loss: float = 0.0

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are right; 0 without any."""
        return float(self.right.sum() / max(self.pixels.sum(), 1.0))


def surely_better(one: Look, other: Look) -> bool:
    """Whether one accuracy lies above another's on the same pixels, more than places explain.

    The pixels of a place are easy or hard together. So the difference is taken as a ratio over
    places, and is sure where it exceeds its standard error by the 95 % quantile of Student's t with
    one degree of freedom less than there are places; of a single place nothing is sure.

    Source
    ------
    Cochran 1977, "Sampling Techniques", section 6.4: the variance of a ratio.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.full(4, 100.0)
    >>> first = Look(np.array([80.0, 70.0, 90.0, 60.0]), pixels)
    >>> surely_better(first, Look(np.array([75.0, 66.0, 84.0, 55.0]), pixels))
    True
    >>> surely_better(first, Look(np.array([75.0, 75.0, 90.0, 55.0]), pixels))
    False
    """
    seen = one.pixels > 0
    places, whole = int(seen.sum()), one.pixels.sum()
    if places < _LEAST:
        return False
    gain = (one.right - other.right)[seen]
    difference = gain.sum() / whole
    rest = gain - difference * one.pixels[seen]
    error = np.sqrt(places / (places - 1) * (rest**2).sum()) / whole
    return bool(difference > stats.t.ppf(_LEVEL, places - 1) * error)
