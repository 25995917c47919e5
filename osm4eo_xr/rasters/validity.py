"""Which numbers of a raster are no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

SATURATED = 65535
"""Sentinel-2's SATURATED special value; not a reflectance."""

_FLOAT_FILL = -3.0e38  # float32's lowest, -3.4028e38, is a common no-data value; so is -3.4e38


def invalid_values(
    dtype: np.dtype[Any], tag: float | None, nodata: float | None
) -> tuple[float, ...]:
    """Return the digital numbers that are no data.

    The caller's ``nodata`` comes before the file's ``tag``; an integer file with neither has
    Sentinel-2's 0. In uint16, 65535 (SATURATED) never is a reflectance. Floats always lose NaN,
    infinities and values below -3e38, so they need no entry for those.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the file.
    tag, nodata : float or None
        What the file states and what the caller says.
    """
    stated = nodata if nodata is not None else tag
    if stated is None:
        values = [0.0] if np.issubdtype(dtype, np.integer) else []
    else:
        values = [float(stated)] if np.isfinite(stated) else []
    if dtype == np.uint16:
        values.append(float(SATURATED))
    return tuple(dict.fromkeys(values))


def mask_invalid(numbers: np.ndarray, invalid: Sequence[float]) -> np.ndarray:
    """Return digital numbers as float32 with NaN where they are no data (any shape)."""
    out = numbers.astype(np.float32)
    for value in invalid:
        missing = numbers == np.asarray(value).astype(numbers.dtype)
        if missing.any():  # seldom; writing through an empty mask costs a pass all the same
            out[missing] = np.nan
    if np.issubdtype(numbers.dtype, np.floating):
        out[~np.isfinite(out) | (out < _FLOAT_FILL)] = np.nan
    return out
