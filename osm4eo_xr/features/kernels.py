"""From numbers as files hold them to features, per block: one kernel for each kind of source.

A kernel works on float32 numbers, scaled as their source states, with NaN for no data. ``before``
comes ahead of resampling and ``after`` behind it, on a block with ``margin`` more pixels on each
side, which it takes off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32

TERRAIN: tuple[str, ...] = ("height", "slope", "aspect_sin", "aspect_cos")
"""What a DEM gives: m, degrees, and sine and cosine of the direction that the slope faces."""

AEF_NODATA = -128
"""No data in the 8-bit numbers of AlphaEarth's files."""

_NAN = np.float32("nan")


class Kernel(Protocol):
    """From numbers to features; frozen, so that tasks of equal kernels are equal."""

    @property
    def margin(self) -> int:
        """Pixels around a block that it needs."""
        ...

    def before(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return what is resampled."""
        ...

    def after(self, numbers: Float32[np.ndarray, "n p q"]) -> Float32[np.ndarray, "k y x"]:
        """Return the features."""
        ...


@dataclass(frozen=True)
class Plain:
    """Values as they are."""

    margin: int = 0

    def before(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return them."""
        return numbers

    def after(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return them."""
        return numbers


@dataclass(frozen=True)
class Backscatter:
    """Backscatter in dB, of linear power or of dB.

    Resampling averages power, whatever is stored; power of 0 and less has no dB and is no data.

    Attributes
    ----------
    decibels : bool
        Whether dB are stored.
    """

    decibels: bool
    margin: int = 0

    def before(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return linear power, NaN where there is none: it would dim what lies beside it."""
        if self.decibels:
            return np.power(np.float32(10), numbers / np.float32(10))
        return np.where(numbers > 0, numbers, _NAN)

    def after(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return 10 log10 of power."""
        return to_decibels(numbers)


def to_decibels(power: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Return 10 log10 of linear power; NaN for 0 and less."""
    out = np.full_like(power, _NAN)
    np.log10(power, out=out, where=power > 0)
    return out * np.float32(10)


@dataclass(frozen=True)
class Terrain:
    """Heights, and slope and aspect by Horn's eight neighbors.

    Attributes
    ----------
    names : tuple of str
        Some of ``TERRAIN``.
    pixel : tuple of float
        Width and height of a pixel of the target grid, m; below 0 where columns go from east to
        west or rows from south to north.
    """

    names: tuple[str, ...]
    pixel: tuple[float, float]
    margin: int = 1

    def before(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return them as they are."""
        return numbers

    def after(self, numbers: Float32[np.ndarray, "n p q"]) -> Float32[np.ndarray, "k y x"]:
        """Return what is asked for."""
        found = dict(zip(TERRAIN, terrain(numbers[0], self.pixel), strict=True))
        return np.stack([found[name] for name in self.names])


def terrain(
    height: Float32[np.ndarray, "p q"], pixel: tuple[float, float]
) -> Float32[np.ndarray, "4 y x"]:
    """Return height, slope and the aspect's sine and cosine of all pixels but the outermost.

    The gradient is Horn's third-order finite difference, weighted 1, 2, 1 over three rows and
    columns (Horn 1981, doi:10.1109/PROC.1981.11918), as GDAL, GRASS and ArcGIS have it. Aspect is
    the direction in which the ground falls, clockwise from the grid's north. Where it is flat,
    sine and cosine are both 0. A pixel with a neighbor that has no height has no slope.

    Parameters
    ----------
    height : array (p, q), float32
        m, NaN = no data.
    pixel : tuple of float
        Width and height of a pixel, m; below 0 where columns go from east to west or rows from
        south to north.

    Returns
    -------
    array (4, p - 2, q - 2), float32
        m, degrees from 0 to 90, and two numbers from -1 to 1; NaN = no data.
    """
    from scipy.ndimage import sobel

    exact = height.astype(np.float64)
    east, south = (
        sobel(exact, axis=axis)[1:-1, 1:-1] / (8 * size)
        for axis, size in zip((1, 0), pixel, strict=True)
    )
    inner = height[1:-1, 1:-1]
    east, south = (np.where(np.isfinite(inner), part, np.nan) for part in (east, south))
    steep = np.hypot(east, south)
    slope = np.degrees(np.arctan(steep))
    flat = steep == 0
    run = np.where(flat, 1.0, steep)
    # The ground falls against its gradient: to the west where it rises eastward.
    return np.stack([inner, slope, -east / run, south / run]).astype(np.float32)


@dataclass(frozen=True)
class AlphaEarth:
    """Values of AlphaEarth Foundations' embeddings, of the 8-bit numbers that files hold."""

    margin: int = 0

    def before(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return them as they are, as nothing but the nearest is taken."""
        return numbers

    def after(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return ``(q / 127.5)² sign(q)``: -1 to 1 (the data set's documentation at Google)."""
        part = numbers / np.float32(127.5)
        return part * np.abs(part)


@dataclass(frozen=True)
class Tessera:
    """Values of TESSERA's embeddings: 8-bit numbers times the scale of their pixel, last of all.

    A scale that is NaN (water) or 0 (nothing written) is no data.
    """

    margin: int = 0

    def before(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
        """Return them with NaN for scales of nothing; nothing but the nearest is taken."""
        scale = numbers[-1:]
        return np.concatenate([numbers[:-1], np.where(scale > 0, scale, _NAN)])

    def after(self, numbers: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "k y x"]:
        """Return numbers times scale."""
        return numbers[:-1] * numbers[-1]
