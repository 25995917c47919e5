"""The rule on reflectances: which pixels look like clouds, like haze, like dark ground."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np

from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt8

Level = Literal["1C", "2A"]

NEEDED = ("blue", "green", "red", "nir")
"""Bands that the rule cannot do without."""

USED = (*NEEDED, "swir16", "cirrus")
"""Bands that it looks at where a scene has them."""

CLOUD, FAINT, DARK = 1, 2, 4
"""Bits of a pixel's code: a cloud; haze that is a cloud if it was not there before; dark ground."""

_HAZE = {"1C": 0.03, "2A": 0.06}
_FAINTER = 0.01
_BLUE, _RED = 0.4924, 0.6646  # central wavelengths of B02 and B04, um
_USUAL_ZENITH = 35.0  # the sun of a European summer morning, degrees


@dataclass(frozen=True)
class CloudRule:
    """Thresholds of the rule that tells clouds and shadows by reflectance (unit 1).

    A pixel is a *cloud* if it is hazy, ``blue - red / 2 > sky + haze``; white, the three visible
    bands' distances from their mean sum to less than ``whiteness`` means; neither vegetation nor
    snow, NDVI and NDSI below ``green`` and ``snow``; no bright soil, ``nir / swir16 > soil``; and
    no clear water, which has NDVI below 0.01 and nir below 0.11, or NDVI below 0.1 and nir below
    0.05. Above ``cirrus`` in a cirrus band it is a cloud whatever the rest. Without swir16, snow
    and soil are not told apart. ``sky`` is 0 at level 2A; at level 1C it is ``blue - red / 2`` of
    what air without aerosol scatters, which grows as the sun sinks.

    With several dates, each pixel's date at the lower quartile of blue shows the ground. What is
    less than ``rise * (1 + days / 30)`` bluer is ground, where three or more dates were seen, and
    more than 90 days count as 90; what is bluer by that much, while red rose by no more than 1.5
    times as much, is a cloud even if it misses ``haze`` by up to 0.01.

    A *shadow* is a pixel darker than ``dark`` in nir, not water, from which the sun stands behind
    a cloud at one of ``heights``.

    Attributes
    ----------
    haze : float or None
        Above a clear sky; None is 0.03 at level 1C (with the sky of a sun 35° from the zenith,
        Fmask's 0.08) and 0.06 at level 2A, which agrees best with scene classifications.
    whiteness, green, snow, soil : float
        Ratios.
    cirrus : float
        Top-of-atmosphere reflectance at 1.38 um.
    rise : float
        Of blue over a day.
    smallest : float
        Side of the smallest cloud, m: what holds no such square is taken for a roof. Pixels of
        more than a third of it are looked at one by one.
    dark : float
        In nir. Conifers under a low sun are darker than 0.15: lower it there, or leave out shadows.
    heights : tuple of float
        Least and greatest of clouds above the ground, m.
    shadows : bool
        Whether to look for shadows at all.

    Source
    ------
    Haze (Zhang et al. 2002, doi:10.1016/S0034-4257(02)00034-2), whiteness, NDVI, NDSI, soil, water:
    Fmask, Zhu & Woodcock (2012), doi:10.1016/j.rse.2011.10.028. Cirrus: Zhu et al. (2015),
    doi:10.1016/j.rse.2014.12.014. Dates: Hagolle et al. (2010), doi:10.1016/j.rse.2010.03.002.
    Scattering of clear air: Hansen & Travis (1974), doi:10.1007/BF00168069.

    Examples
    --------
    >>> CloudRule(haze=0.05, shadows=False).whiteness
    0.7
    """

    haze: float | None = None
    whiteness: float = 0.7
    green: float = 0.8
    snow: float = 0.8
    soil: float = 0.75
    cirrus: float = 0.01
    rise: float = 0.03
    smallest: float = 30.0
    dark: float = 0.15
    heights: tuple[float, float] = (200.0, 3000.0)
    shadows: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float | int) and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{field.name}={value} in a CloudRule", expected="0 or more")
        low, high = self.heights
        if not 0 <= low < high:
            raise InputError(f"heights={low}, {high}", expected="least and greatest, in m")

    def limit(self, level: Level, zenith: float | None) -> float:
        """Return the ``blue - red / 2`` above which a pixel is hazy.

        Parameters
        ----------
        level : {"1C", "2A"}
            Top-of-atmosphere or surface reflectance.
        zenith : float or None
            Of the sun, degrees; None takes 35°.
        """
        haze = _HAZE[level] if self.haze is None else self.haze
        if level == "2A":
            return haze
        return haze + clear_sky(_USUAL_ZENITH if zenith is None else zenith)


def clear_sky(zenith: float) -> float:
    """Return ``blue - red / 2`` of air without aerosol, seen from straight above, unit 1.

    Single scattering, ``depth * phase / (4 cos(zenith))``: at 35° it is 0.05, at 65° 0.07.

    Examples
    --------
    >>> round(clear_sky(35), 3), round(clear_sky(65), 3)
    (0.05, 0.068)
    """
    cosine = math.cos(math.radians(min(zenith, 85.0)))
    phase = 0.75 * (1 + cosine**2)
    return (_depth(_BLUE) - _depth(_RED) / 2) * phase / (4 * cosine)


def _depth(wavelength: float) -> float:
    """Return the optical depth of a whole atmosphere of clear air; wavelength in um."""
    square = wavelength**-2
    return 0.008569 * square**2 * (1 + 0.0113 * square + 0.00013 * square**2)


def look_at_pixels(
    block: Float32[np.ndarray, "band y x"],
    places: Mapping[str, int],
    rule: CloudRule,
    limit: float,
) -> UInt8[np.ndarray, "y x"]:
    """Return the code of each pixel: the sum of ``CLOUD``, ``FAINT`` and ``DARK``; 0 is clear.

    Parameters
    ----------
    block : ndarray (band, y, x) float32
        Reflectance, NaN = no data, which is neither cloud nor dark.
    places : mapping of str to int
        Where in it the bands of ``USED`` are.
    rule : CloudRule
        Its thresholds.
    limit : float
        ``rule.limit`` of the date.
    """
    band = {name: block[place] for name, place in places.items()}
    blue, red, nir = band["blue"], band["red"], band["nir"]
    with np.errstate(all="ignore"):  # NaN compares as False; ratios of 0 are no clouds
        like = _like_cloud(band, rule)
        haze = blue - red / 2
        cloud = like & (haze > limit)
        faint = like & (haze > limit - _FAINTER)
        if "cirrus" in band:
            cloud |= band["cirrus"] > rule.cirrus
        dark = (nir < rule.dark) & ~_water(red, nir) & ~cloud & (blue > -1)
    return (CLOUD * cloud + FAINT * faint + DARK * dark).astype(np.uint8)


def _like_cloud(
    band: Mapping[str, Float32[np.ndarray, "y x"]], rule: CloudRule
) -> Bool[np.ndarray, "y x"]:
    """Return where nothing but haze is missing for a cloud."""
    visible = [band[name] for name in ("blue", "green", "red")]
    nir, green = band["nir"], band["green"]
    mean = sum(visible[1:], visible[0]) / 3
    apart = sum((np.abs(v - mean) for v in visible[1:]), np.abs(visible[0] - mean))
    like = (apart < rule.whiteness * mean) & ~_water(band["red"], nir)
    like &= _normalized(nir, band["red"]) < rule.green
    if "swir16" in band:
        like &= (_normalized(green, band["swir16"]) < rule.snow) & (
            nir > rule.soil * band["swir16"]
        )
    return like


def _water(
    red: Float32[np.ndarray, "y x"], nir: Float32[np.ndarray, "y x"]
) -> Bool[np.ndarray, "y x"]:
    """Return where clear water is, as Fmask tells it."""
    index = _normalized(nir, red)
    return ((index < 0.01) & (nir < 0.11)) | ((index < 0.1) & (nir < 0.05))  # noqa: PLR2004


def _normalized(
    more: Float32[np.ndarray, "y x"], less: Float32[np.ndarray, "y x"]
) -> Float32[np.ndarray, "y x"]:
    """Return a normalized difference."""
    return (more - less) / (more + less)
