"""Digital numbers to reflectance: the scaling rule.

Reflectance is ``DN * scale + offset`` (unit 1), as in STAC's ``raster:bands``. A Sentinel-2
product states the same as ``(DN + ADD_OFFSET) / QUANTIFICATION_VALUE``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from osm4eo_xr.errors import InputError

DN_SCALE = 1e-4
"""Reflectance per digital number of Sentinel-2 products."""

UNTAGGED = (1.0, 0.0)
"""Scale and offset that GDAL says of a band that states neither."""


@dataclass(frozen=True)
class Scaling:
    """How digital numbers become reflectance: ``DN * scale + offset``.

    Attributes
    ----------
    scale : float
        Reflectance per digital number (unit 1).
    offset : float
        Reflectance of digital number 0 (unit 1), for example -0.1 from baseline 04.00 on.
    """

    scale: float = DN_SCALE
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(
                f"scale {self.scale!r} is not a positive number", advice="give 1e-4 for DN"
            )
        if not np.isfinite(self.offset):
            raise InputError(f"offset {self.offset!r} is not finite", advice="give 0 or -0.1")


def to_reflectance(numbers: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Scale float32 digital numbers (NaN = no data) to reflectance in place and return them."""
    if scaling.scale != 1.0:
        numbers *= np.float32(scaling.scale)
    if scaling.offset != 0.0:
        numbers += np.float32(scaling.offset)
    return numbers


def default_scaling(
    dtype: np.dtype[Any], tagged: tuple[float, float], *, where: str
) -> tuple[float, float]:
    """Return scale and offset that a file's type and tags state.

    The rule: scale and offset tags of the file count if there are any; else integers are
    digital numbers of 1e-4, floats are reflectance. 8-bit integers are display images.

    Raises
    ------
    InputError
        For 8-bit files without a scale tag.
    """
    if tagged != UNTAGGED:
        return tagged
    if dtype.itemsize == 1:
        raise InputError(
            f"{where} holds {dtype} values, which is a display image",
            expected="reflectance as uint16 digital numbers or floats",
            advice="open the original, or pass {scale} and {offset}",
        )
    return (DN_SCALE, 0.0) if np.issubdtype(dtype, np.integer) else UNTAGGED
