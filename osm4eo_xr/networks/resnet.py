"""The networks as functions of arrays: fresh variables, and logits of images.

Dense mode is fully convolutional: three stages with strides 1, 2, 2, whose features a decoder
brings back to full resolution, one logit vector per pixel. Window mode is the network of the
original system: the same encoder over a 12x12 window, averaged into one logit vector. All networks
are made of such a ResNet (``bottlenecks``): of one, of several whose probabilities are averaged,
of one per group (``coupled``), or of one behind the attention over periods (``temporal``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from osm4eo_xr.errors import InputError
from osm4eo_xr.networks.bottlenecks import SEEN, Ensemble, How, ResNet
from osm4eo_xr.networks.coupled import Coupled
from osm4eo_xr.networks.settings import STRIDE, NetSettings
from osm4eo_xr.networks.temporal import Temporal

if TYPE_CHECKING:
    from jaxtyping import Float32

__all__ = [
    "apply_eval",
    "apply_folded",
    "apply_train",
    "apply_train_members",
    "apply_train_with_branches",
    "apply_with_features",
    "check_shape",
    "init",
    "variable_shapes",
]

Variables = Mapping[str, Any]
"""Nested dicts of arrays: ``params`` and ``batch_stats``."""


def _network(settings: NetSettings, how: How) -> nn.Module:
    """Return the network that the settings name."""
    if settings.members > 1:
        return Ensemble(settings, how)
    named = {"resnet": ResNet, "coupled": Coupled, "temporal": Temporal}
    return named[settings.network](settings, how)


def init(settings: NetSettings, key: jax.Array) -> dict[str, Any]:
    """Return fresh variables (``params`` and ``batch_stats``, float32).

    Kernels are drawn by He et al. 2015 (arXiv:1502.01852): normal, variance 2 / inputs. One draw
    serves all of them, which compiles at once where a draw per layer takes XLA many seconds.

    Parameters
    ----------
    settings : NetSettings
        Shape of the network.
    key : array
        A jax random key.
    """
    shapes = variable_shapes(settings)
    leaves = jax.tree.leaves(shapes["params"])
    drawn = iter(_split(jax.random.normal(key, (sum(leaf.size for leaf in leaves),)), leaves))

    def fill(path: Any, leaf: Any) -> Array:
        name, values = path[-1].key, next(drawn)
        if name == "kernel":
            return jnp.asarray(values * np.sqrt(2.0 / np.prod(leaf.shape[:-1])).astype(np.float32))
        return jnp.full(leaf.shape, 1.0 if name == "scale" else 0.0, jnp.float32)

    params = jax.tree_util.tree_map_with_path(fill, shapes["params"])
    stats = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.full(leaf.shape, 1.0 if path[-1].key == "var" else 0.0, jnp.float32),
        shapes["batch_stats"],
    )
    return {"params": params, "batch_stats": stats}


@cache
def variable_shapes(settings: NetSettings) -> Variables:
    """Return the variables' shapes and dtypes; nothing is computed."""
    edge = settings.window if settings.mode == "window" else STRIDE
    x = jax.ShapeDtypeStruct((1, edge, edge, settings.bands), jnp.float32)
    return jax.eval_shape(_network(settings, "eval").init, jax.random.key(0), x)


def _split(values: Array, leaves: Sequence[Any]) -> list[np.ndarray]:
    """Cut a vector into arrays of the leaves' shapes."""
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = np.split(np.asarray(values), ends[:-1])
    return [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]


def apply_train(
    settings: NetSettings,
    variables: Variables,
    x: Float32[Array, "n y x c"],
    *,
    dtype: Any = jnp.float32,
) -> tuple[Float32[Array, "n *yx k"], dict[str, Any]]:
    """Return logits under the batch's own statistics, and the updated ``batch_stats``.

    Parameters
    ----------
    settings : NetSettings
        Shape of the network.
    variables : mapping
        ``params`` and ``batch_stats``.
    x : array
        Normalized images, channels last; y and x are multiples of 4 (dense) or the window. Of
        networks with groups, what is not finite is missing: a group counts where all of its
        channels are there. Others take finite values only.
    dtype : dtype
        In which the layers compute: float32 or bfloat16. Logits and statistics are float32.

    Raises
    ------
    InputError
        If the images do not fit the network.
    """
    check_shape(settings, x.shape)
    logits, state = _network(settings, "train").apply(
        variables, x.astype(dtype), mutable=["batch_stats"]
    )
    return logits, dict(state["batch_stats"])


def apply_train_with_branches(
    settings: NetSettings,
    variables: Variables,
    x: Float32[Array, "n y x c"],
    *,
    dtype: Any = jnp.float32,
) -> tuple[Float32[Array, "n *yx k"], Float32[Array, "g n *yx k"], dict[str, Any]]:
    """Return what ``apply_train`` does, and between the two the logits of each group by itself.

    Of a coupled network; a group's own logits mean nothing where it is missing.

    Raises
    ------
    InputError
        If the images do not fit the network.
    """
    logits, seen, stats = _train(settings, variables, x, dtype)
    return logits, seen["branches"][0], stats


def apply_train_members(
    settings: NetSettings,
    variables: Variables,
    x: Float32[Array, "n y x c"],
    *,
    dtype: Any = jnp.float32,
) -> tuple[Float32[Array, "m n *yx k"], dict[str, Any]]:
    """Return what ``apply_train`` does, but the logits of each of several members by itself.

    Raises
    ------
    InputError
        If the images do not fit the network.
    """
    _, seen, stats = _train(settings, variables, x, dtype)
    return seen["members"][0], stats


def _train(
    settings: NetSettings, variables: Variables, x: Float32[Array, "n y x c"], dtype: Any
) -> tuple[Any, Mapping[str, Any], dict[str, Any]]:
    """Return logits, what passed by, and the updated ``batch_stats``."""
    check_shape(settings, x.shape)
    logits, state = _network(settings, "train").apply(
        variables, x.astype(dtype), mutable=["batch_stats", SEEN]
    )
    return logits, state[SEEN], dict(state["batch_stats"])


def apply_eval(
    settings: NetSettings,
    variables: Variables,
    x: Float32[Array, "n y x c"],
    *,
    dtype: Any = jnp.float32,
) -> Float32[Array, "n *yx k"]:
    """Return logits under the running statistics; parameters as for ``apply_train``.

    Raises
    ------
    InputError
        If the images do not fit the network.
    """
    check_shape(settings, x.shape)
    return _network(settings, "eval").apply(variables, x.astype(dtype))  # pyright: ignore[reportReturnType] - linen's apply may return a tuple, not here


def apply_folded(
    settings: NetSettings,
    folded: Variables,
    x: Float32[Array, "n y x c"],
    *,
    dtype: Any = jnp.float32,
) -> Float32[Array, "n *yx k"]:
    """Return the logits of ``apply_eval`` from parameters that ``fold`` gave.

    Raises
    ------
    InputError
        If the images do not fit the network.
    """
    check_shape(settings, x.shape)
    return _network(settings, "folded").apply({"params": folded}, x.astype(dtype))  # pyright: ignore[reportReturnType] - linen's apply may return a tuple, not here


def apply_with_features(
    settings: NetSettings,
    folded: Variables,
    x: Float32[Array, "n y x c"],
    *,
    dtype: Any = jnp.float32,
) -> tuple[Float32[Array, "n *yx k"], Float32[Array, "n *yx f"]]:
    """Return the logits of ``apply_folded``, and the features that its last layer sees.

    The logits of one network are a linear function of the features: the decoder's channels in
    dense mode, the last stage's in window mode. Of several members, all features stand side by
    side.

    Raises
    ------
    InputError
        If the images do not fit the network.
    """
    check_shape(settings, x.shape)
    logits, seen = _network(settings, "folded").apply(
        {"params": folded}, x.astype(dtype), mutable=[SEEN]
    )
    return logits, seen[SEEN]["features"][0]  # pyright: ignore[reportReturnType] - linen's types are loose


def check_shape(settings: NetSettings, shape: tuple[int, ...]) -> None:
    """Refuse images (n, y, x, band) that the network cannot take.

    Raises
    ------
    InputError
        If their bands are not the network's, or their edges not the window's or multiples of 4.
    """
    _, rows, cols, bands = shape
    if bands != settings.bands:
        raise InputError(f"images have {bands} bands, the network takes {settings.bands}")
    if settings.mode == "window" and (rows, cols) != (settings.window, settings.window):
        raise InputError(
            f"windows are {rows} x {cols} pixels, the network takes "
            f"{settings.window} x {settings.window}"
        )
    if rows % STRIDE or cols % STRIDE:
        raise InputError(
            f"images are {rows} x {cols} pixels",
            advice=f"give multiples of {STRIDE} along both axes",
        )
