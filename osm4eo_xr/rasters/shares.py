"""Stored probabilities as shares of 1 and back: 8-bit steps of 1/250, or floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import PROBABILITY_NO_DATA, PROBABILITY_SCALE

if TYPE_CHECKING:
    from jaxtyping import Float32, Shaped, UInt8

_ROUNDING = 1e-3  # by which a float may miss 0 or 1


def as_shares(numbers: Shaped[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Return probabilities or confidences from 0 to 1, NaN = no data.

    Parameters
    ----------
    numbers : ndarray, any shape
        uint8 from 0 to 250 (255 = no data), or floats from 0 to 1 (NaN = no data).

    Raises
    ------
    InputError
        If numbers are neither, as per cent are.
    """
    _check(numbers)
    if numbers.dtype != np.uint8:
        return numbers.astype(np.float32)
    scaled = numbers.astype(np.float32) / np.float32(PROBABILITY_SCALE)
    return np.where(numbers != PROBABILITY_NO_DATA, scaled, np.float32(np.nan))


def steps_of(shares: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Return shares (0-1, NaN = no data) as 8-bit steps (0-250, 255 = no data); these as they are.

    Sums of whole numbers do not depend on their order.

    Raises
    ------
    InputError
        As ``as_shares``.
    """
    _check(shares)
    if shares.dtype == np.uint8:
        return shares
    known = np.isfinite(shares)
    steps = np.rint(np.where(known, shares, 0) * PROBABILITY_SCALE)
    return np.where(known, steps, PROBABILITY_NO_DATA).astype(np.uint8)


def _check(numbers: np.ndarray) -> None:
    """Refuse what is neither steps nor shares."""
    if numbers.dtype == np.uint8:
        beyond = (numbers > PROBABILITY_SCALE) & (numbers != PROBABILITY_NO_DATA)
        if beyond.any():
            raise InputError(
                f"probabilities hold {numbers[beyond].max()}",
                expected=f"0 to {PROBABILITY_SCALE}, or {PROBABILITY_NO_DATA} for none",
                advice="scale them by 250, not by 255",
            )
        return
    if numbers.dtype.kind != "f":
        raise InputError(
            f"probabilities are {numbers.dtype}", expected="uint8 (0-250) or floats (0-1)"
        )
    ends = (
        np.fmin.reduce(numbers, axis=None, initial=0),
        np.fmax.reduce(numbers, axis=None, initial=0),
    )
    if ends[0] < -_ROUNDING or ends[1] > 1 + _ROUNDING:
        raise InputError(
            f"probabilities range from {ends[0]:g} to {ends[1]:g}",
            expected="0 to 1",
            advice="divide them by 100 if they are per cent",
        )
