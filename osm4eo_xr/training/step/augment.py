"""Changes of samples that leave their classes as they are, drawn on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from osm4eo_xr.feature_ids.ids import Group  # noqa: TC001 - checked at run time in the tests
from osm4eo_xr.geometry.views import turned
from osm4eo_xr.networks.presence import present

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int32, UInt


_FARTHEST = 0.45  # of a straight edge from the middle, in edges of a sample
_PATCH = 0.1, 0.5  # least and greatest area that is taken from another sample


def turn(
    x: Float32[Array, "n y x b"], label: UInt[Array, "n ..."], key: Array
) -> tuple[Float32[Array, "n y x b"], UInt[Array, "n ..."]]:
    """Show each square sample in one of its eight flips and quarter turns.

    Parameters
    ----------
    x : array
        Samples.
    label : array
        Of each pixel, turned with it; or of each sample.
    key : array
        A jax random key.
    """
    choice = jax.random.bernoulli(key, shape=(3, x.shape[0]))
    shown = _turned(x, choice)
    return shown, _turned(label, choice) if label.ndim > 1 else label


def _turned(x: Array, choice: Bool[Array, "3 n"]) -> Array:
    """Flip rows, flip columns, swap both, each where it is chosen."""
    rows, columns, swapped = choice.reshape(3, -1, *(1,) * (x.ndim - 1))
    # views swap first: what was to be flipped as a row is a column then
    flips = jnp.where(swapped, columns, rows), jnp.where(swapped, rows, columns)
    return turned(x, swapped, *flips, choose=jnp.where, axes=(1, 2))


def warp(
    image: Float32[Array, "n y x b"],
    label: UInt[Array, "n y x"],
    key: Array,
    angle: float,
    growth: float,
) -> tuple[Float32[Array, "n y x b"], UInt[Array, "n y x"]]:
    """Turn each sample by any angle, and show it larger or smaller, about its middle.

    Values between pixels are bilinear, labels those of the nearest pixel. Beyond its edge a sample
    goes on as its mirror image, the outermost pixels not repeated. A value is missing where one of
    the four that it lies between is.

    Parameters
    ----------
    image : array
        Samples; what is missing is NaN.
    label : array
        Of each pixel, warped with it.
    key : array
        A jax random key.
    angle : float
        Largest, in degrees, either way.
    growth : float
        Largest share by which a sample grows; it shrinks as often, to the inverse.
    """
    n, rows, columns, _ = image.shape
    turns, sizes = jax.random.uniform(key, (2, n, 1, 1), minval=-1.0, maxval=1.0)
    turns, shrinks = turns * math.radians(angle), jnp.exp(-sizes * math.log1p(growth))
    y = (jnp.arange(rows, dtype=jnp.float32) - (rows - 1) / 2)[None, :, None]
    x = (jnp.arange(columns, dtype=jnp.float32) - (columns - 1) / 2)[None, None, :]
    cos, sin = shrinks * jnp.cos(turns), shrinks * jnp.sin(turns)
    at_y, at_x = cos * y - sin * x + (rows - 1) / 2, sin * y + cos * x + (columns - 1) / 2
    label = _picked(label, jnp.round(at_y), jnp.round(at_x))
    top, left = jnp.floor(at_y), jnp.floor(at_x)
    down, right = (at_y - top)[..., None], (at_x - left)[..., None]
    upper, lower = (
        _between(_picked(image, row, left), _picked(image, row, left + 1.0), right)
        for row in (top, top + 1.0)
    )
    return _between(upper, lower, down), label


def _between(first: Array, second: Array, share: Array) -> Array:
    """Return what lies between two values; one that counts nothing may be missing."""
    return jnp.where(share > 0, first * (1.0 - share) + second * share, first)


def _picked(values: Array, row: Float32[Array, "n y x"], column: Float32[Array, "n y x"]) -> Array:
    """Return the pixels at whole rows and columns, mirrored beyond the edges."""
    rows, columns = _mirrored(row, values.shape[1]), _mirrored(column, values.shape[2])
    # sample by sample: indexed at once, all of them would come to each of several devices
    return jax.vmap(lambda one, y, x: one[y, x])(values, rows, columns)


def _mirrored(place: Float32[Array, "n y x"], size: int) -> Int32[Array, "n y x"]:
    """Return places within 0 … ``size`` - 1, going back and forth at the ends."""
    last = max(size - 1, 1)
    away = jnp.mod(place.astype(jnp.int32), 2 * last)
    return jnp.minimum(jnp.where(away > last, 2 * last - away, away), size - 1)


def jitter(x: Float32[Array, "n y x b"], key: Array, deviation: float) -> Float32[Array, "n y x b"]:
    """Give each band of each sample a gain near 1 and a shift near 0."""
    n, _, _, bands = x.shape
    gain, shift = deviation * jax.random.normal(key, (2, n, 1, 1, bands))
    return x * (1.0 + gain) + shift


def drop_bands(
    x: Float32[Array, "n y x b"], key: Array, probability: float
) -> Float32[Array, "n y x b"]:
    """Hide bands of samples: 0 is the middle of the normalized range, as for no data."""
    n, _, _, bands = x.shape
    return jnp.where(jax.random.bernoulli(key, probability, (n, 1, 1, bands)), 0.0, x)


def drop_groups(
    x: Float32[Array, "n y x b"],
    label: UInt[Array, "n ..."],
    key: Array,
    groups: Sequence[Group],
    probability: float,
) -> tuple[Float32[Array, "n y x b"], UInt[Array, "n ..."]]:
    """Take groups of channels from samples, all their pixels, but never all groups.

    Parameters
    ----------
    x : array
        Samples; what is missing is NaN.
    label : array
        Of each pixel, which then has none where nothing is left; or of each sample.
    key : array
        A jax random key.
    groups : sequence of Group
        Which channels go together.
    probability : float
        With which a group of a sample is taken, 0 to below 1.
    """
    some, one = jax.random.split(key)
    n, count = x.shape[0], len(groups)
    taken = jax.random.bernoulli(some, probability, (n, count))
    stays = jax.nn.one_hot(jax.random.randint(one, (n,), 0, count), count, dtype=bool)
    taken &= ~(stays & taken.all(axis=1, keepdims=True))
    place = np.zeros(x.shape[-1], np.int32)
    for k, group in enumerate(groups):
        place[list(group.channels)] = k
    x = jnp.where(taken[:, None, None, place], jnp.nan, x)
    if label.ndim > 1:
        seen = present(groups, x).any(axis=-1)
        label = jnp.where(seen, label, jnp.zeros((), label.dtype))
    return x, label


def hide(
    x: Float32[Array, "n y x b"],
    label: UInt[Array, "n ..."],
    key: Array,
    share: float,
    empty: float = 0.0,
) -> tuple[Float32[Array, "n y x b"], UInt[Array, "n ..."]]:
    """Take the data of a side or of a hole from some samples, as scenes lack them.

    Half of those have a straight edge at any place: along rows or columns, as tiles end, or aslant,
    as orbits do. The others have a round hole, as clouds leave it. What is hidden is as no data is
    in classification, and has no label.

    Parameters
    ----------
    x : array
        Samples.
    label : array
        Of each pixel; or of each sample, whose middle then counts.
    key : array
        A jax random key.
    share : float
        Of the samples, 0 to 1.
    empty : float
        What stands for no data.
    """
    n, rows, columns, _ = x.shape
    some, kind, aslant, angle, distance, middle, size = jax.random.split(key, 7)
    y = (jnp.arange(rows, dtype=jnp.float32) - (rows - 1) / 2)[None, :, None]
    z = (jnp.arange(columns, dtype=jnp.float32) - (columns - 1) / 2)[None, None, :]
    one = (n, 1, 1)
    turned = jax.random.uniform(angle, one, maxval=2 * math.pi)
    upright = jnp.round(turned / (math.pi / 2)) * (math.pi / 2)
    turned = jnp.where(jax.random.bernoulli(aslant, shape=one), turned, upright)
    at = jax.random.uniform(distance, one, minval=-_FARTHEST, maxval=_FARTHEST) * float(
        min(rows, columns)
    )
    side = jnp.cos(turned) * y + jnp.sin(turned) * z > at
    place = jax.random.uniform(middle, (2, *one), minval=-0.5, maxval=0.5)
    radius = jax.random.uniform(size, one, minval=1.0, maxval=max(rows / 3, 2.0))
    hole = (y - place[0] * float(rows)) ** 2 + (z - place[1] * float(columns)) ** 2 < radius**2
    hidden = jnp.where(jax.random.bernoulli(kind, shape=one), side, hole)
    hidden &= jax.random.bernoulli(some, share, one)
    gone = hidden if label.ndim > 1 else hidden[:, rows // 2, columns // 2]
    none = jnp.zeros((), label.dtype)
    return jnp.where(hidden[..., None], empty, x), jnp.where(gone, none, label)


def mix(
    x: Float32[Array, "n y x b"], label: UInt[Array, "n y x"], key: Array, share: float
) -> tuple[Float32[Array, "n y x b"], UInt[Array, "n y x"]]:
    """Put a square of another sample, with its labels, into some samples.

    A square covers a tenth to a half of a sample, lies anywhere within it, and comes from the same
    place of the sample before in the batch.

    Parameters
    ----------
    x : array
        Samples.
    label : array
        Of each pixel.
    key : array
        A jax random key.
    share : float
        Of the samples, 0 to 1.

    Source
    ------
    Yun et al. 2019 (arXiv:1905.04899), CutMix; for labels per pixel French et al. 2020
    (arXiv:1906.01916).
    """
    n, rows, columns, _ = x.shape
    some, area, top, left = jax.random.split(key, 4)
    one = (n, 1, 1)
    edge = jnp.sqrt(jax.random.uniform(area, one, minval=_PATCH[0], maxval=_PATCH[1]))
    inside = jax.random.bernoulli(some, share, one)
    for pixels, begin, axis in ((rows, top, (1, -1, 1)), (columns, left, (1, 1, -1))):
        length = edge * float(pixels)
        first = jax.random.uniform(begin, one) * (float(pixels) - length)
        at = jnp.arange(pixels, dtype=jnp.float32).reshape(axis) + 0.5
        inside &= (at >= first) & (at < first + length)
    other, theirs = jnp.roll(x, 1, axis=0), jnp.roll(label, 1, axis=0)
    return jnp.where(inside[..., None], other, x), jnp.where(inside, theirs, label)
