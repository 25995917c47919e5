"""Losses per pixel, unreduced: arrays only; 0 where ``where`` is false.

Generalized cross entropy after Zhang & Sabuncu 2018 (arXiv:1805.07836), "hard" bootstrapping
after Reed et al. 2014 (arXiv:1412.6596). Both follow wrong labels less than cross entropy does.
"Forward" correction after Patrini et al. 2017 (arXiv:1609.03683) needs to know how often they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import Array

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int32

GENERALIZED_Q = 0.7
"""Between cross entropy (0) and mean absolute error (1)."""

_LEAST = 1e-6  # probability of a confusion that was never seen

BOOTSTRAP_BETA = 0.8
"""Share of the given label; the rest is the class that the network holds most likely."""


def cross_entropy(
    logits: Float32[Array, "*n k"],
    index: Int32[Array, "*n"],
    *,
    where: Bool[Array, "*n"],
    smoothing: float = 0.0,
    spread: Float32[Array, " k"] | None = None,
) -> Float32[Array, "*n"]:
    """Return -log p of the label, ``smoothing`` of which is spread over the classes.

    Parameters
    ----------
    logits : array
        Scores of the classes.
    index : array
        Index of the label; any value within the classes where there is none.
    where : array
        Where there is a label.
    smoothing : float
        0 to below 1.
    spread : array, optional
        Share of each class in what is spread, 1 in all; by default alike for all.
    """
    log_p = jax.nn.log_softmax(logits)
    loss = -_pick(log_p, index)
    if smoothing:
        even = log_p.mean(axis=-1) if spread is None else jnp.tensordot(log_p, spread, axes=1)
        loss = (1.0 - smoothing) * loss - smoothing * even
    return jnp.where(where, loss, 0.0)


def generalized_cross_entropy(
    logits: Float32[Array, "*n k"],
    index: Int32[Array, "*n"],
    *,
    where: Bool[Array, "*n"],
    q: float = GENERALIZED_Q,
) -> Float32[Array, "*n"]:
    """Return (1 - p^q) / q; parameters as for ``cross_entropy``, ``q`` above 0 and at most 1."""
    log_p = _pick(jax.nn.log_softmax(logits), index)
    return jnp.where(where, -jnp.expm1(q * log_p) / q, 0.0)


def bootstrap_cross_entropy(
    logits: Float32[Array, "*n k"],
    index: Int32[Array, "*n"],
    *,
    where: Bool[Array, "*n"],
    beta: float = BOOTSTRAP_BETA,
) -> Float32[Array, "*n"]:
    """Return the cross entropy of ``beta`` label and 1 - ``beta`` likeliest class."""
    log_p = jax.nn.log_softmax(logits)
    loss = -beta * _pick(log_p, index) - (1.0 - beta) * log_p.max(axis=-1)
    return jnp.where(where, loss, 0.0)


def forward_cross_entropy(
    logits: Float32[Array, "*n k"],
    index: Int32[Array, "*n"],
    noise: Float32[Array, "k k"],
    *,
    where: Bool[Array, "*n"],
) -> Float32[Array, "*n"]:
    """Return -log of the probability of the given label where the network's are of the true ones.

    Parameters
    ----------
    logits, index, where
        As for ``cross_entropy``; the network learns the true classes, the index is the given one.
    noise : array (true, given)
        p(given | true).

    Source
    ------
    Patrini et al. 2017, CVPR, theorem 2: "forward" correction.
    """
    log_p, log_noise = jax.nn.log_softmax(logits), jnp.log(jnp.maximum(noise, _LEAST))
    given = log_noise.T[index]  # (*n, true)
    return jnp.where(where, -jax.nn.logsumexp(log_p + given, axis=-1), 0.0)


def _pick(values: Float32[Array, "*n k"], index: Int32[Array, "*n"]) -> Float32[Array, "*n"]:
    """Return the value at each index of the last axis."""
    return jnp.take_along_axis(values, index[..., None], axis=-1)[..., 0]
