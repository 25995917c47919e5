"""Spectral indices: formulas of reflectances that are bounded wherever there is data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32

_SOIL = 0.5  # L of SAVI


@dataclass(frozen=True)
class Index:
    """A formula of bands.

    Attributes
    ----------
    bands : tuple of str
        Common names of what it takes, in order.
    text : str
        The formula, for people.
    source : str
        Who proposed it.
    formula : callable
        Takes reflectances of 0 and more, float32, and returns float32.
    """

    bands: tuple[str, ...]
    text: str
    source: str
    formula: Callable[..., np.ndarray]


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Return ``over / under``; 0 where both are, as of dark pixels nothing is known."""
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return _ratio(a - b, a + b)


def _savi(nir: np.ndarray, red: np.ndarray) -> np.ndarray:
    return (np.float32(1 + _SOIL) * (nir - red) / (nir + red + np.float32(_SOIL))).astype(
        np.float32
    )


def _bsi(swir: np.ndarray, red: np.ndarray, nir: np.ndarray, blue: np.ndarray) -> np.ndarray:
    return _difference(swir + red, nir + blue)


def _normalized(a: str, b: str, source: str) -> Index:
    return Index((a, b), f"({a} - {b}) / ({a} + {b})", source, _difference)


INDICES: dict[str, Index] = {
    "ndvi": _normalized("nir", "red", "Rouse et al. 1974"),
    "ndre": _normalized("nir", "rededge1", "Gitelson and Merzlyak 1994"),
    "ndwi": _normalized("green", "nir", "McFeeters 1996"),
    "mndwi": _normalized("green", "swir16", "Xu 2006"),
    "ndmi": _normalized("nir", "swir16", "Hardisky et al. 1983"),
    "nbr": _normalized("nir", "swir22", "Key and Benson 2006"),
    "ndbi": _normalized("swir16", "nir", "Zha et al. 2003"),
    "savi": Index(
        ("nir", "red"), "1.5 (nir - red) / (nir + red + 0.5)", "Huete 1988, L = 0.5", _savi
    ),
    "bsi": Index(
        ("swir16", "red", "nir", "blue"),
        "((swir16 + red) - (nir + blue)) / ((swir16 + red) + (nir + blue))",
        "Rikimaru et al. 2002",
        _bsi,
    ),
}
"""Indices by name. Reflectance below 0, which atmospheric correction leaves over dark ground,
counts as 0; where all bands of a ratio are 0, it is 0. So indices lie in -1 to 1, SAVI in -1.5 to
1.5, and a pixel has an index wherever it has the bands."""


def index_of(name: str, *bands: Float32[np.ndarray, "y x"]) -> Float32[np.ndarray, "y x"]:
    """Return an index of reflectances (unit 1, NaN = no data), given in the order of its bands."""
    missing = np.logical_or.reduce([~np.isfinite(band) for band in bands])
    cleared = [np.where(missing, np.float32(0), np.maximum(band, np.float32(0))) for band in bands]
    found = INDICES[name].formula(*cleared)
    return np.where(missing, np.float32("nan"), found).astype(np.float32)


def lazy_index(name: str, bands: dict[str, da.Array]) -> da.Array:
    """Return an index of lazy bands (y, x) by their common names; lazy, in the same chunks."""
    taken: Any = [bands[band] for band in INDICES[name].bands]
    meta = np.empty((0, 0), np.float32)
    return da.map_blocks(partial(index_of, name), *taken, dtype=np.float32, meta=meta)
