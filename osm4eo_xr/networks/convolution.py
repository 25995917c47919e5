"""Two-dimensional convolution written the way each platform runs it fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

if TYPE_CHECKING:
    from jaxtyping import Float

Weights = Array | np.ndarray
"""Numbers of a model: on a device, or as they were read from its file."""

_SMALL_MAP = 8  # pixels; up to this edge a CPU trains faster with one matrix product


def conv2d(
    x: Float[Array, "n y x c"],
    kernel: Float[Weights, "k k c d"],
    bias: Float[Weights, " d"],
    *,
    stride: int = 1,
) -> Float[Array, "n p q d"]:
    """Convolve with zero "same" padding; kernels wider than one pixel need ``stride`` 1.

    Parameters
    ----------
    x : array
        Feature maps, channels last.
    kernel : array
        Odd square kernel.
    bias : array
        Added to each output channel.
    stride : int
        With a 1x1 kernel, every ``stride``-th row and column, counted from the first.

    Returns
    -------
    array
        Maps of ``ceil(y / stride)`` by ``ceil(x / stride)`` pixels.

    Raises
    ------
    ValueError
        If a kernel wider than one pixel is given a stride: "same" padding would then depend on
        the size of the map.
    """
    width = kernel.shape[0]
    if width == 1:
        out = _per_pixel(x[:, ::stride, ::stride], kernel[0, 0])
    elif stride != 1:
        raise ValueError(f"a {width}x{width} kernel with stride {stride} is not supported")
    elif max(x.shape[1:3]) <= _SMALL_MAP and jax.default_backend() == "cpu":
        out = _as_matrix_product(x, kernel)
    else:
        out = jax.lax.conv_general_dilated(
            x, jnp.asarray(kernel), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    return out + bias.reshape(1, 1, 1, -1)


def _per_pixel(
    x: Float[Array, "n y x c"], kernel: Float[Weights, "c d"]
) -> Float[Array, "n y x d"]:
    """Multiply each pixel's channels; of one flat matrix a CPU finds the gradient much faster."""
    n, rows, cols, channels = x.shape
    return (x.reshape(-1, channels) @ jnp.asarray(kernel)).reshape(n, rows, cols, -1)


def _as_matrix_product(
    x: Float[Array, "n y x c"], kernel: Float[Weights, "k k c d"]
) -> Float[Array, "n y x d"]:
    """Gather each pixel's neighborhood, then multiply once."""
    width, _, inputs, outputs = kernel.shape
    rows, cols = x.shape[1:3]
    reach = width // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    shifted = [
        padded[:, row : row + rows, col : col + cols]
        for row in range(width)
        for col in range(width)
    ]
    gathered = jnp.concatenate(shifted, axis=-1)
    matrix = kernel.reshape(width * width * inputs, outputs)
    return jnp.einsum("nyxc,cd->nyxd", gathered, matrix)
