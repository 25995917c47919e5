"""Digital numbers to reflectance: the scaling rule, and numbers that cannot be reflectance.

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

_DISPLAY_MAX = 255
_DIM_MAX = 1500  # DN; a land scene's infrared exceeds reflectance 0.15 somewhere
_BRIGHTEST = 2.5  # reflectance; sunlit cloud and snow stay below
_LEAST_PIXELS = 100


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
            raise InputError(f"scale {self.scale!r} is not a positive number; give 1e-4 for DN")
        if not np.isfinite(self.offset):
            raise InputError(f"offset {self.offset!r} is not finite; give 0 or -0.1")


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
    if tagged != (1.0, 0.0):
        return tagged
    if dtype.itemsize == 1:
        raise InputError(
            f"{where} holds {dtype} values, which is a display image; expected reflectance as "
            f"uint16 digital numbers or floats; open the original, or pass scale= and offset="
        )
    return (DN_SCALE, 0.0) if np.issubdtype(dtype, np.integer) else (1.0, 0.0)


def check_numbers(
    valid: np.ndarray, scale: float, offset: float, *, integer: bool, where: str
) -> bool:
    """Whether a sample of valid digital numbers settles that they are reflectance.

    False means that it is too dim to tell and further bands should be looked at.

    Raises
    ------
    InputError
        If the numbers cannot be reflectance under this scale and offset.
    """
    if valid.size < _LEAST_PIXELS:
        return False
    high = float(np.percentile(valid, 99))
    seen = high * scale + offset
    if seen > _BRIGHTEST:
        raise InputError(
            f"{where} holds values up to {high:g}, which would be reflectance {seen:.3g}; "
            f"expected at most {_BRIGHTEST}; pass scale= (1e-4 for x10000, 1e-3 for x1000)"
        )
    return not integer or high > _DIM_MAX


def refuse_dim(high: float, *, where: str) -> None:
    """Refuse integers that are too small in every band to tell their scale.

    Raises
    ------
    InputError
        Always; with the reading of the numbers that fits them.
    """
    if high <= _DISPLAY_MAX:
        raise InputError(
            f"{where} holds integers up to {high:g} in all bands, like a display image; expected "
            f"reflectance x10000; open the original, or pass scale= (1e-4 if it is just dark)"
        )
    raise InputError(
        f"{where} holds integers up to {high:g} in all bands: reflectance x1000, or x10000 of a "
        f"dark scene; pass scale=1e-3 or scale=1e-4"
    )
