"""Changes of samples that leave their classes as they are, drawn on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import Array

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt8


def turn(
    x: Float32[Array, "n y x b"], label: UInt8[Array, "n ..."], key: Array
) -> tuple[Float32[Array, "n y x b"], UInt8[Array, "n ..."]]:
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
    turned = _turn(x, choice)
    return turned, _turn(label, choice) if label.ndim > 1 else label


def _turn(x: Array, choice: Bool[Array, "3 n"]) -> Array:
    """Flip rows, flip columns, swap both, each where it is chosen."""
    shape = (-1,) + (1,) * (x.ndim - 1)
    x = jnp.where(choice[0].reshape(shape), x[:, ::-1], x)
    x = jnp.where(choice[1].reshape(shape), x[:, :, ::-1], x)
    return jnp.where(choice[2].reshape(shape), x.swapaxes(1, 2), x)


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
