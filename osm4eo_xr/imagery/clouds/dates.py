"""What other dates say: ground stays as blue as it was, clouds do not (see ``CloudRule``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.imagery.clouds.rule import CLOUD, FAINT

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, UInt8

_SHARE = 0.25  # of the observations that are darker than the one that shows the ground
_ENOUGH = 3  # observations, that what is no bluer than the ground is ground
_RED = 1.5  # most that red rises where a cloud comes, per blue
_MONTH = 30.0  # days in which the allowance for change doubles
_SEASON = 90.0  # days after which it grows no more: ground does not change by what a cloud adds


def compare_dates(
    codes: UInt8[np.ndarray, "time y x"],
    blue: Float32[np.ndarray, "time y x"],
    red: Float32[np.ndarray, "time y x"],
    days: Float64[np.ndarray, " time"],
    rise: float,
) -> UInt8[np.ndarray, "time y x"]:
    """Return codes whose clouds are those that stand the comparison with other dates.

    Parameters
    ----------
    codes : ndarray (time, y, x) uint8
        From ``look_at_pixels``.
    blue, red : ndarray (time, y, x) float32
        Reflectance, NaN = no data.
    days : ndarray (time) float64
        Of each date, from any day on.
    rise : float
        Reflectance that blue may rise within a day.
    """
    seen = np.isfinite(blue).sum(axis=0)
    order = np.argsort(blue, axis=0, kind="stable")  # NaN last
    lower = np.maximum(seen - 1, 0) * _SHARE
    ground = np.take_along_axis(order, lower.astype(np.int64)[np.newaxis], axis=0)
    more = blue - np.take_along_axis(blue, ground, axis=0)
    redder = red - np.take_along_axis(red, ground, axis=0)
    apart = np.minimum(np.abs(days[:, np.newaxis, np.newaxis] - days[ground]), _SEASON)
    with np.errstate(invalid="ignore"):  # NaN is no cloud
        rose = more > rise * (1 + apart / _MONTH)
        cloud = (codes & CLOUD > 0) & (rose | (seen < _ENOUGH))
        cloud |= (codes & FAINT > 0) & rose & (redder <= _RED * more)
    return np.where(cloud, codes | CLOUD, codes & ~np.uint8(CLOUD)).astype(np.uint8)
