"""Reflectance as true color."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, UInt8

_TRUE_COLOR = ("red", "green", "blue")
_LIFT = 0.75  # exponent of the tones of a true-color picture


def true_color(scene: xr.DataArray) -> UInt8[np.ndarray, "y x 3"]:
    """Return red, green, blue, stretched from percentile 0.2 to 98; no data is white."""
    return _stretch(np.moveaxis(color_bands(scene).values.astype(np.float32), 0, -1))


def color_bands(scene: xr.DataArray) -> xr.DataArray:
    """Return red, green and blue of a scene, in this order.

    Raises
    ------
    InputError
        If it lacks one of them.
    """
    have = [str(v) for v in np.atleast_1d(scene.coords["band"].values)]
    missing = [b for b in _TRUE_COLOR if b not in have]
    if missing:
        raise InputError(f"no band {missing[0]!r} to draw; the scene has {', '.join(have)}")
    return scene.sel(band=list(_TRUE_COLOR))


def _stretch(image: Float32[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "y x 3"]:
    """Scale each band by itself, which also takes the blue of the haze away.

    Dark tones are lifted: winter forest would be as black as no data is in other pictures.
    """
    valid = np.isfinite(image).all(axis=-1)
    shown = np.full(image.shape, 255, np.uint8)
    if valid.any():
        shown[valid] = toned(image[valid], *tone_limits(image[valid])) * 255
    return shown


def tone_limits(
    colors: Float32[np.ndarray, "pixel 3"],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return what is drawn black and what is drawn brightest of each band: 0.2 and 98 per cent."""
    low, high = np.percentile(colors, (0.2, 98), axis=0)
    return low, high


def toned(
    colors: Float32[np.ndarray, "pixel 3"],
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "pixel 3"]:
    """Return tones 0-1 of reflectances between two limits."""
    return np.clip((colors - low) / np.maximum(high - low, 1e-6), 0, 1) ** _LIFT
