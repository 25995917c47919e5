"""Probabilities averaged: over the eight views of a block, its flips and quarter turns.

A network that learned from all of them answers a little differently to each. Their mean is surer,
and the class of a pixel does not hang on which way is north.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from osm4eo_xr.geometry.views import VIEWS, view, view_back

if TYPE_CHECKING:
    from jaxtyping import Float32

_LEAST = 1e-30  # probability whose logarithm is still finite


def average_on_host(
    run: Callable[[Float32[np.ndarray, "b p p"]], Float32[np.ndarray, "k n n"]],
    x: Float32[np.ndarray, "b p p"],
) -> Float32[np.ndarray, "k n n"]:
    """Return the logarithm of the mean probability over all views; the block itself runs last.

    Parameters
    ----------
    run : callable
        The network: from a normalized block with its margin to logits.
    x : array
        The block.
    """
    return log_mean(
        view_back(number, run(np.ascontiguousarray(view(number, x))))
        for number in reversed(range(VIEWS))
    )


def log_mean(
    logits: Iterable[Float32[np.ndarray, "k y x"]],
) -> Float32[np.ndarray, "k y x"]:
    """Return the logarithm of the mean probability of logits that come one after another."""
    total, count = np.float32(0), 0
    for some in logits:
        total, count = total + np.asarray(_probability(some)), count + 1
    return np.log(np.maximum(total / np.float32(count), np.float32(_LEAST)))


@jax.jit
def _probability(logits: jax.Array) -> jax.Array:
    return jax.nn.softmax(logits, axis=0)


def average_on_device(
    run: Callable[[Float32[jax.Array, "b p p"]], Float32[jax.Array, "k n n"]],
    x: Float32[jax.Array, "b p p"],
) -> Float32[jax.Array, "k n n"]:
    """Return the same within a jax program, which holds the network once and runs it again."""
    views = [partial(view, number) for number in range(VIEWS)]
    backs = [partial(view_back, number) for number in range(VIEWS)]

    def probability(number: jax.Array) -> jax.Array:
        logits = run(jax.lax.switch(number, views, x))
        return jax.lax.switch(number, backs, jax.nn.softmax(logits.astype(jnp.float32), axis=0))

    def add(total: jax.Array, number: jax.Array) -> tuple[jax.Array, None]:
        return total + probability(number), None

    numbers = jnp.arange(VIEWS)
    start = jnp.zeros(jax.eval_shape(probability, numbers[0]).shape, jnp.float32)
    total, _ = jax.lax.scan(add, start, numbers)
    return jnp.log(jnp.maximum(total / VIEWS, _LEAST))
