"""No data in lossy files: settled by several bands together, on the files' own grids.

Lossy compression (JPEG 2000 as it is often repacked) blurs digital numbers. Where nothing was
seen, the file no longer holds 0 throughout but small numbers, and a valid shadow or lake may hold
0 in one band. So one band alone cannot tell. The rule, for files that GDAL reports as lossy:

    a pixel is no data in a band if its digital number lies within ``SLACK`` of the no-data value
    in that band and in every witness: those of blue, green, red and nir that the input has.

Water is dark beyond the red but scatters blue and green, deep shadow keeps some infrared, so both
stay. Without blue or green among the witnesses the rule would take water away; then, as for
lossless files, only the exact value in the band itself counts.

Source of ``SLACK``: ten lossy Sentinel-2 L2A scenes of tiles 33TWL and 33TWM (August 2023). Where
their scene classification has no data, no band exceeds 18; elsewhere the brightest of the four
falls below 49 nowhere but in single pixels, while a single band is 16 or less in thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.rasters.validity import SATURATED

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from osm4eo_xr.imagery.reader import Band

SLACK = 20.0
"""Digital numbers by which lossy compression may move no data."""

WITNESSES = ("blue", "green", "red", "nir")
"""Bands that settle it together."""

_NEEDED = {"blue", "green"}
_NESTING = 1e-3  # of a pixel


def with_witnesses(bands: Sequence[Band], found: Sequence[Band]) -> list[Band]:
    """Return the bands, lossy ones judged together with the input's visible and nir bands.

    Parameters
    ----------
    bands : sequence of Band
        What is to be read.
    found : sequence of Band
        All bands of the input, by common name, whether they are to be read or not.
    """
    seen = [
        replace(b, fill=_fill(b)) for b in found if b.name in WITNESSES and _fill(b) is not None
    ]
    return [_judged(b, [w for w in seen if factor(b.geobox, w.geobox)]) for b in bands]


def _fill(band: Band) -> float | None:
    """Return the no-data value of a lossy band."""
    stated = (v for v in band.validity.values if v != SATURATED)
    return next(stated, None) if band.lossy else None


def _judged(band: Band, witnesses: list[Band]) -> Band:
    """Move a lossy band's no-data value from those that count by themselves."""
    fill = _fill(band)
    if fill is None or not _NEEDED & {w.name for w in witnesses}:
        return band
    names = ", ".join(w.name for w in witnesses)
    said = f"within {SLACK:g} of {fill:g} in all of {names} (lossy file)"
    rest = band.validity.without(fill)
    rest = replace(rest, sources=(*rest.sources, said))
    return replace(band, validity=rest, fill=fill, witnesses=tuple(witnesses))


def factor(coarse: GeoBox, fine: GeoBox) -> int:
    """Return how many pixels of ``fine`` make one of ``coarse`` along each axis; 0 if they cannot.

    Both grids must share CRS and origin and cover the same ground.
    """
    a, b = coarse.affine, fine.affine
    ratio = round(a.a / b.a)
    if (
        coarse.crs != fine.crs
        or ratio < 1
        or tuple(fine.shape) != (coarse.shape[0] * ratio, coarse.shape[1] * ratio)
    ):
        return 0
    near = np.allclose((b.a * ratio, b.e * ratio), (a.a, a.e), rtol=1e-9, atol=0)
    origin = np.abs(((b.c - a.c) / b.a, (b.f - a.f) / b.e)).max() < _NESTING
    return ratio if near and origin else 0


def near_fill(numbers: np.ndarray, fill: float) -> np.ndarray:
    """Whether digital numbers are no data or what lossy compression makes of it (any shape)."""
    return np.less_equal(np.abs(numbers - np.float32(fill)), SLACK)


def all_of_block(flags: np.ndarray, ratio: int) -> np.ndarray:
    """Reduce (y * ratio, x * ratio) bool to (y, x): whether all pixels of a block are True."""
    rows, cols = flags.shape[0] // ratio, flags.shape[1] // ratio
    return np.logical_and.reduce(flags.reshape(rows, ratio, cols, ratio), axis=(1, 3))
