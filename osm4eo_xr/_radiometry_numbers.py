"""Digital numbers to reflectance: band names, no-data values and the scaling rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osm4eo_xr.errors import InputError

METHOD_BANDS = (
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir08",
    "swir16",
    "swir22",
)
"""The method's ten bands, in this order: B02 B03 B04 B05 B06 B07 B08 B8A B11 B12."""

SENTINEL2_BANDS = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
"""Common name (STAC eo extension) of each Sentinel-2 band."""

_ALIASES = {
    "b8": "nir",
    "rede1": "rededge1",
    "rede2": "rededge2",
    "rede3": "rededge3",
    "red_edge_1": "rededge1",
    "red_edge_2": "rededge2",
    "red_edge_3": "rededge3",
    "swir1": "swir16",
    "swir2": "swir22",
    "nir2": "nir08",
    "narrow_nir": "nir08",
}
_BAND_ID = re.compile(r"(?:^|[^0-9a-z])b(0?[1-9]|1[0-2]|8a)(?=$|[^0-9a-z])", re.IGNORECASE)

DN_SCALE = 1e-4
"""Reflectance per digital number of Sentinel-2 products."""

SATURATED = 65535
"""Sentinel-2's SATURATED special value; not a reflectance."""

_FLOAT_FILL = -3.0e38  # float32's lowest, -3.4028e38, is a common no-data value; so is -3.4e38
_DISPLAY_MAX = 255
_DIM_MAX = 1500  # DN; a land scene's infrared exceeds reflectance 0.15 somewhere
_BRIGHTEST = 2.5  # reflectance; sunlit cloud and snow stay below
_LEAST_PIXELS = 100


def common_name(label: str) -> str | None:
    """Return the common band name that a description or file name states, or None.

    Understands common names (``"red"``), band ids (``"B4"``, ``"b04"``, ``"B8A"``) and names that
    contain one of them between separators (``"T33UUU_20170216T102101_B04.jp2"``).
    """
    text = label.strip().casefold()
    stem = re.sub(r"\.[a-z0-9]{1,5}$", "", text)
    known = set(SENTINEL2_BANDS.values())
    for candidate in (text, stem):
        if candidate in known:
            return candidate
        if candidate in _ALIASES:
            return _ALIASES[candidate]
    found = _BAND_ID.findall(stem)
    if found:
        return SENTINEL2_BANDS[f"B{found[-1].upper().zfill(2)}"]
    words = [w for w in re.split(r"[^a-z0-9]+", stem) if w in known]
    return words[-1] if words else None


@dataclass(frozen=True)
class Scaling:
    """How digital numbers become reflectance: ``DN * scale + offset``.

    Attributes
    ----------
    scale : float
        Reflectance per digital number (unit 1).
    offset : float
        Reflectance of digital number 0 (unit 1), for example -0.1 from baseline 04.00 on.
    invalid : tuple of float
        Digital numbers that are no data. NaN, infinities and floats below -3e38 always are.
    """

    scale: float = DN_SCALE
    offset: float = 0.0
    invalid: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"scale {self.scale!r} is not a positive number; give 1e-4 for DN")
        if not np.isfinite(self.offset):
            raise InputError(f"offset {self.offset!r} is not finite; give 0 or -0.1")


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
