"""Which pixels hold data: one rule for every raster that enters, applied before resampling.

A pixel is no data if any of what the source states about it says so:

- a no-data value: the tag of the band, CF's ``_FillValue`` or ``missing_value`` (all of them),
  ``nodata`` among a store's attributes or in a STAC item, or the caller's, which replaces those
- a number beyond CF's ``valid_min``, ``valid_max`` or ``valid_range``; the caller's no-data value
  replaces these as well
- a mask: inside the file, in a ``.msk`` file beside it, or an alpha band that is 0 there
- a dataset-wide tuple (``NODATA_VALUES``), where all bands hold it together
- NaN, an infinity or a float below -3e38

Scenes know more about their numbers (``scene_validity``): integers for which nobody states a
value have Sentinel-2's 0, and in uint16 65535 is no reflectance.

Sources: GDAL's raster data model (nodata value, RFC 15 for masks), the CF conventions 1.11,
section 2.5.1, NUG's attribute conventions (``valid_range`` is of the packed numbers unless its
type is that of ``scale_factor``; ``_Unsigned``), and Sentinel-2's product specification (special
values NODATA and SATURATED). Numbers are compared as stored; a stated value that the data type
cannot hold states nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags

from osm4eo_xr.geometry.grid import held_number

SATURATED = 65535
"""Sentinel-2's SATURATED special value; not a reflectance."""

_FLOAT_FILL = -3.0e38  # float32's lowest, -3.4028e38, is a common no-data value; so is -3.4e38
_ALPHA_NAMES = {"", "alpha", "mask", "opacity"}


@dataclass(frozen=True)
class Validity:
    """What says which pixels of a band hold data.

    Attributes
    ----------
    values : tuple of float
        Stored numbers that are no data.
    low, high : float or None
        Stored numbers below or above are no data.
    mask : bool
        Whether the file's own mask counts.
    alpha : int
        Alpha band, from 1, whose 0 is no data; 0 for none.
    settled : bool
        Whether somebody states values, so that none need be guessed.
    sources : tuple of str
        All of this in words, for people.
    """

    values: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    mask: bool = False
    alpha: int = 0
    settled: bool = False
    sources: tuple[str, ...] = ()

    def excluding(self, value: Any, dtype: np.dtype[Any], source: str) -> Validity:
        """Add a number that is no data; one that the type cannot hold is not added."""
        number = held_number(value, dtype)
        if number is None:
            return self
        values = self.values if math.isnan(number) else (*self.values, number)
        return replace(
            self,
            values=tuple(dict.fromkeys(values)),
            settled=True,
            sources=tuple(dict.fromkeys((*self.sources, f"{source} {number:g}"))),
        )

    def without(self, value: float) -> Validity:
        """Let a number count as data."""
        return replace(self, values=tuple(v for v in self.values if v != value))

    def beside(self, nodata: float) -> Validity:
        """Return what makes other pixels than those of the no-data value no data."""
        return replace(self.without(nodata), settled=False, sources=())

    def without_alpha(self) -> Validity:
        """Let no alpha band count."""
        kept = tuple(s for s in self.sources if not s.startswith("alpha "))
        return replace(self, alpha=0, sources=kept)

    def instead(self, values: Iterable[float], dtype: np.dtype[Any], source: str) -> Validity:
        """Put no-data values in the place of all stated ones and of ranges; masks still count."""
        masks = tuple(s for s in self.sources if s.startswith(("alpha ", "mask")))
        found = Validity(mask=self.mask, alpha=self.alpha, settled=True, sources=masks)
        for value in values:
            found = found.excluding(value, dtype, source)
        return found

    @property
    def hides(self) -> bool:
        """Whether the file holds more than numbers to say which pixels are no data."""
        return self.mask or self.alpha > 0


def image_validities(source: Any) -> list[Validity]:
    """Return what an open rasterio dataset states about each of its bands.

    Each list is asked for once: rasterio walks through all bands for each.
    """
    tags = zip(source.nodatavals, source.dtypes, source.mask_flag_enums, strict=True)
    alpha = alpha_band(source)
    return [
        _image_validity(source, tag, np.dtype(dtype), set(flags), alpha if alpha != index else 0)
        for index, (tag, dtype, flags) in enumerate(tags, start=1)
    ]


def _image_validity(
    source: Any, tag: float | None, dtype: np.dtype[Any], flags: set[MaskFlags], alpha: int
) -> Validity:
    """Return what is stated about a band by its tag, its mask's flags and another band."""
    found = Validity()
    if tag is not None:
        found = found.excluding(tag, dtype, "no-data tag")
    if not flags & {MaskFlags.all_valid, MaskFlags.alpha} and flags != {MaskFlags.nodata}:
        wide = MaskFlags.nodata in flags
        said = f"NODATA_VALUES {source.tags().get('NODATA_VALUES')}" if wide else "mask"
        beside = any(str(file).endswith(".msk") for file in source.files)
        found = replace(
            found,
            mask=True,
            settled=found.settled or wide,
            sources=(*found.sources, f"{said} (.msk file)" if beside else said),
        )
    if alpha:
        found = replace(found, alpha=alpha, sources=(*found.sources, f"alpha band {alpha}"))
    return found


def alpha_band(source: Any) -> int:
    """Return the alpha band of an open rasterio dataset, from 1, or 0 if there is none.

    GDAL calls the fourth of four undescribed 8-bit bands alpha; one that is described as anything
    else is none.
    """
    for i, (color, name) in enumerate(
        zip(source.colorinterp, source.descriptions, strict=True), start=1
    ):
        if color == ColorInterp.alpha and (name or "").casefold() in _ALPHA_NAMES:
            return i if source.count > 1 else 0
    return 0


def cf_validity(attributes: Mapping[Any, Any], dtype: np.dtype[Any]) -> Validity:
    """Return what the CF attributes of a variable state.

    Parameters
    ----------
    attributes : mapping
        Undecoded: ``_FillValue``, ``missing_value``, ``nodata``, ``valid_min``, ``valid_max``,
        ``valid_range``, ``_Unsigned``, ``scale_factor``, ``add_offset``.
    dtype : numpy.dtype
        Of the numbers, after ``_Unsigned`` (see ``unsigned_type``).
    """
    found = Validity()
    for name in ("_FillValue", "missing_value", "nodata"):
        for value in np.ravel(attributes.get(name, ())).tolist():
            found = found.excluding(_reread(value, dtype), dtype, name)
    low, high = _valid_range(attributes, dtype)
    if low is None and high is None:
        return found
    said = " to ".join("any" if v is None else f"{v:g}" for v in (low, high))
    sources = (*found.sources, f"valid range {said}")
    return replace(found, low=low, high=high, settled=True, sources=sources)


def unsigned_type(attributes: Mapping[Any, Any], dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that stored integers are meant as (``_Unsigned``), of the same size."""
    said = str(attributes.get("_Unsigned", "")).casefold()
    if (dtype.kind, said) == ("i", "true"):
        return np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")
    if (dtype.kind, said) == ("u", "false"):
        return np.dtype(f"{dtype.byteorder}i{dtype.itemsize}")
    return dtype


def scene_validity(
    stated: Validity,
    dtype: np.dtype[Any],
    nodata: float | None = None,
    item: Iterable[float] = (),
) -> Validity:
    """Return the rule for a band of reflectance.

    Parameters
    ----------
    stated : Validity
        What the file states.
    dtype : numpy.dtype
        Of the file.
    nodata : float, optional
        What the caller says; it replaces what is stated. Masks still count.
    item : iterable of float
        What a STAC item states.
    """
    for value in item:
        stated = stated.excluding(value, dtype, "STAC item:")
    if nodata is not None:
        stated = stated.instead([nodata], dtype, "nodata=")
    if dtype.kind in "iu" and not stated.settled:
        stated = stated.excluding(0, dtype, "integers that state nothing:")
    if dtype == np.uint16:
        stated = stated.excluding(SATURATED, dtype, "saturated")
    return stated


def invalid_pixels(
    numbers: np.ndarray, validity: Validity, hidden: np.ndarray | None = None
) -> np.ndarray:
    """Whether numbers are no data (any shape); ``hidden`` is what mask and alpha band say."""
    bad = np.zeros(numbers.shape, bool) if hidden is None else hidden.copy()
    for flags in _flags(numbers, validity):
        bad |= flags
    return bad


def mask_invalid(
    numbers: np.ndarray, validity: Validity, hidden: np.ndarray | None = None
) -> np.ndarray:
    """Return stored numbers as float32 with NaN where they are no data (any shape)."""
    out = numbers.astype(np.float32)
    for flags in (*_flags(numbers, validity), *(() if hidden is None else (hidden,))):
        if flags.any():  # seldom; writing through an empty mask costs a pass all the same
            out[flags] = np.nan
    return out


def in_words(validities: Iterable[Validity]) -> str:
    """Return what says which pixels of some bands hold data, each source once."""
    said = dict.fromkeys(source for validity in validities for source in validity.sources)
    return "; ".join(said) or "every number"


def _flags(numbers: np.ndarray, validity: Validity) -> Iterable[np.ndarray]:
    """Yield where numbers are no data, one array per reason."""
    for value in validity.values:
        number = held_number(value, numbers.dtype)
        if number is not None:
            yield numbers == np.asarray(number).astype(numbers.dtype)
    if validity.low is not None:
        yield numbers < validity.low
    if validity.high is not None:
        yield numbers > validity.high
    if numbers.dtype.kind == "f":
        yield ~np.isfinite(numbers) | (numbers < _FLOAT_FILL)


def _reread(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return an attribute of a reinterpreted variable as the number whose bits it has."""
    if not isinstance(value, int) or dtype.kind not in "iu":
        return value
    half = 2 ** (8 * dtype.itemsize - 1)
    if dtype.kind == "u" and -half <= value < 0:
        return value + 2 * half
    return value - 2 * half if dtype.kind == "i" and half <= value < 2 * half else value


def _valid_range(
    attributes: Mapping[Any, Any], dtype: np.dtype[Any]
) -> tuple[float | None, float | None]:
    """Return the least and the greatest stored number that are data."""
    both = np.ravel(attributes.get("valid_range", ()))
    stated = [attributes.get("valid_min"), attributes.get("valid_max")]
    if both.size == 2:  # noqa: PLR2004 - least and greatest
        stated = [both[0], both[1]]
    scale, offset = (
        float(np.ravel(attributes.get(name, default))[0])
        for name, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    ends: list[float | None] = []
    for value in stated:
        if value is None:
            ends.append(None)
            continue
        number = np.ravel(value)[0]
        if dtype.kind in "iu" and number.dtype.kind == "f" and (scale, offset) != (1.0, 0.0):
            ends.append((float(number) - offset) / scale)  # of unpacked numbers
        else:
            ends.append(_reread(number.item(), dtype))
    low, high = ends
    if scale < 0 and low is not None and high is not None and low > high:
        low, high = high, low
    return low, high
