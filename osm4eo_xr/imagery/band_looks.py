"""A look at the middle of bands as they are opened, before any pixel is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rasterio.errors import RasterioIOError

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.lazy_scene import name_files
from osm4eo_xr.imagery.offsets import DARK
from osm4eo_xr.imagery.plausibility import (
    DARKEST,
    LEAST_PIXELS,
    judge_band,
    report,
    share_of,
    too_dark,
)
from osm4eo_xr.imagery.reader import Band, read_bands

_WINDOW = 512  # pixels; edge of what is looked at when a band is opened
_DISPLAY_MAX = 255
_DIM_MAX = 1500  # DN; a land scene's infrared exceeds reflectance 0.15 somewhere
_LOOK_ORDER = ("nir", "nir08", "swir16", "rededge3", "red", "blue")  # brightest over land first


def look_at_bands(bands: Sequence[Band], *, scaled: bool, settled: bool) -> str:
    """Read middle blocks, brightest bands first, until the numbers are known to be reflectance.

    Parameters
    ----------
    bands : sequence of Band
        What is to be read.
    scaled : bool
        Whether the scale is known, so that dark integers are no question.
    settled : bool
        Whether the caller stated the offset, so that findings are warnings.

    Returns
    -------
    str
        How much of what was read is no data, in words; nothing if nothing could be read.

    Raises
    ------
    InputError
        If they break a rule, or are integers too small in every band to tell their scale.
    """
    order = sorted(bands, key=lambda b: (*_LOOK_ORDER, b.name).index(b.name))
    highest = 0.0
    brightest = None
    seen: dict[str, tuple[int, int]] = {}
    for band in order:
        numbers = _middle(band)
        valid = numbers[np.isfinite(numbers)]
        seen[band.name] = valid.size, numbers.size
        if valid.size < LEAST_PIXELS:
            continue
        scaling, where = band.scaling, f"{band.path} ({band.name})"
        integer = bool(np.issubdtype(np.dtype(band.dtype), np.integer))
        values = valid * scaling.scale + scaling.offset
        found = judge_band(values, integer=integer)
        if found is not None:
            report([("", found)], where, settled=settled)
            return _without_data(seen)
        high = float(np.percentile(valid, 99))
        highest = max(highest, high)
        brightest = max(brightest or -np.inf, float(np.percentile(values, 99)))
        if brightest >= DARKEST and (scaled or not integer or high > _DIM_MAX):
            return _without_data(seen)
    plain = {(np.dtype(b.dtype).kind in "iu", b.scaling.scale, b.scaling.offset) for b in bands}
    where = name_files([b.path for b in bands])
    if highest > 0 and plain == {(True, 1e-4, 0.0)} and not scaled:
        _refuse_dim(highest, where)
    if brightest is not None and brightest < DARKEST and not scaled:
        report([("", too_dark(brightest))], where, settled=settled)
    return _without_data(seen)


def _without_data(seen: Mapping[str, tuple[int, int]]) -> str:
    """Say the share of no data, of valid and all pixels by band."""
    valid, pixels = (sum(counts) for counts in zip(*seen.values(), strict=True))
    if not pixels:
        return ""
    share, places = share_of(pixels - valid, pixels), ", ".join(seen)
    return f"{share} of {pixels:,} pixels in the middle of {places}"


def _refuse_dim(high: float, where: str) -> None:
    """Refuse integers that are too small in every band to tell their scale."""
    if high <= _DISPLAY_MAX:
        raise InputError(
            f"{where} holds integers up to {high:g} in all bands, like a display image",
            expected="reflectance x10000",
            advice="open the original, or pass {scale=1e-4} if it is just dark",
        )
    raise InputError(
        f"{where} holds integers up to {high:g} in all bands",
        expected="reflectance x1000, or x10000 of a dark scene",
        advice="pass {scale=1e-3} or {scale=1e-4}",
    )


def middle_numbers(band: Band) -> np.ndarray:
    """Return the valid digital numbers of a band's middle; nothing of what cannot be read."""
    numbers = _middle(band)
    return numbers[np.isfinite(numbers)]


def _middle(band: Band) -> np.ndarray:
    """Return the digital numbers of a band's middle, NaN = no data; none if it cannot be read.

    Whoever reads those pixels is told.
    """
    rows, cols = middle_window(band)
    try:
        return read_bands([band], rows, cols)
    except RasterioIOError:
        return np.empty(0, np.float32)


def middle_window(band: Band) -> tuple[slice, slice]:
    """Return rows and columns of up to 512 x 512 pixels around a band's middle.

    They begin where a block does: a large block, as of JPEG 2000, is decoded whole.
    """
    rows, cols = (
        slice(start := max(0, (n - _WINDOW) // 2 // block * block), min(start + _WINDOW, n))
        for n, block in zip(tuple(band.geobox.shape), band.block, strict=True)
    )
    return rows, cols


def darkest(bands: Iterable[Band]) -> float | None:
    """Return the least 5 % quantile of the bands' numbers, or the first that is dark enough."""
    least = None
    for band in bands:
        valid = middle_numbers(band)
        if valid.size < LEAST_PIXELS:
            continue
        low = float(np.percentile(valid, 5))
        least = low if least is None else min(least, low)
        if least < DARK:
            break
    return least
