"""Which groups of channels are there at a pixel, and what of them counts: arrays only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from osm4eo_xr.feature_ids.ids import Group  # noqa: TC001 - checked at run time in the tests

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_LEAST = 1e-6  # far below the share of one pixel in the coarsest cell, 1/16


def present(groups: Sequence[Group], x: Float[Array, "n y x c"]) -> Bool[Array, "n y x g"]:
    """Return where each group has all of its channels; what is not finite is missing."""
    there = [jnp.isfinite(channels_of(group, x)).all(axis=-1) for group in groups]
    return jnp.stack(there, axis=-1)


def channels_of(group: Group, x: Float[Array, "n y x c"]) -> Float[Array, "n y x d"]:
    """Return the channels of a group."""
    return x[..., np.array(group.channels)]


def filled(group: Group, x: Float[Array, "n y x c"]) -> Float[Array, "n y x d"]:
    """Return the channels of a group, 0 where any of them is missing."""
    own = channels_of(group, x)
    return jnp.where(jnp.isfinite(own).all(axis=-1, keepdims=True), own, 0.0)


def cell_shares(share: Float[Array, "n y x g"], stride: int) -> Float[Array, "n p q g"]:
    """Return the mean over cells of ``stride`` by ``stride`` pixels, counted from the first."""
    n, rows, cols, groups = share.shape
    cells = share.reshape(n, rows // stride, stride, cols // stride, stride, groups)
    return cells.mean(axis=(2, 4))


def mean_weights(share: Float[Array, "*n g"]) -> Float[Array, "*n g"]:
    """Return weights that sum to 1 and are in proportion to shares; 0 where nothing is there."""
    return share / jnp.maximum(share.sum(axis=-1, keepdims=True), _LEAST)


def soft_weights(score: Float[Array, "*n g"], share: Float[Array, "*#n g"]) -> Float[Array, "*n g"]:
    """Return a softmax of scores over what is there, each counted by its share.

    Where nothing is there all weights are 0.
    """
    known = jnp.where(share > 0, score, -jnp.inf)
    top = jax.lax.stop_gradient(known.max(axis=-1, keepdims=True))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    # missing scores are set aside before the exponential, so that no gradient is 0 times infinity
    safe = jnp.where(share > 0, score - top, 0.0)
    return mean_weights(share * jnp.exp(safe))
