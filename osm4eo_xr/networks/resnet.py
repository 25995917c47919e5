"""The network: a ResNet v2 of bottlenecks, for every pixel at once or for one window at a time.

Dense mode is fully convolutional: three stages with strides 1, 2, 2, whose features a decoder
brings back to full resolution, one logit vector per pixel. Window mode is the network of the
original system: the same encoder over a 12x12 window, averaged into one logit vector.

Encoder after He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027), in
the arrangement of Keras' CIFAR-10 example, with wider kernels; decoder after Lin et al. 2017,
"Feature Pyramid Networks" (arXiv:1612.03144). Upsampling repeats pixels, so a block that starts on
a multiple of the stride and carries its halo gives the same logits as the whole scene.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from osm4eo_xr.errors import InputError
from osm4eo_xr.networks.convolution import conv2d
from osm4eo_xr.networks.fold_batch_norm import EPSILON
from osm4eo_xr.networks.layers import BlockLayers, ConvLayer, StageLayers, layers_of
from osm4eo_xr.networks.settings import STRIDE, NetSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

__all__ = ["ResNet", "apply_eval", "apply_folded", "apply_train", "apply_with_features", "init"]

_SEEN = "intermediates"  # flax's collection of what passes by; no variable

Variables = Mapping[str, Any]
"""Nested dicts of arrays: ``params`` and ``batch_stats``."""


class Conv(nn.Module):
    """Convolution with bias and zero "same" padding."""

    features: int
    kernel: int = 1
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float[Array, "n p q d"]:
        """Convolve ``x``."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return conv2d(x, kernel.astype(x.dtype), bias.astype(x.dtype), stride=self.stride)


class Affine(nn.Module):
    """Scale and shift per channel: batch normalization with its statistics worked in."""

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float[Array, "n y x c"]:
        """Scale and shift ``x``."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],), jnp.float32)
        shape = (1, 1, 1, -1)
        return x * scale.astype(x.dtype).reshape(shape) + bias.astype(x.dtype).reshape(shape)


class Bottleneck(nn.Module):
    """Pre-activated bottleneck: its convolutions, added to its input."""

    layers: BlockLayers
    norms: Norms

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float[Array, "n p q d"]:
        """Transform ``x`` and add it back."""
        y = x
        for layer in self.layers.main:
            y = self.norms.around(layer, y)
        if self.layers.shortcut:
            x = self.norms.around(self.layers.shortcut, x)
        return x + y


@dataclass(frozen=True)
class Norms:
    """How batch normalization is done: with the batch's statistics, running ones, or folded."""

    how: Literal["train", "eval", "folded"]
    momentum: float

    def around(self, layer: ConvLayer, x: Array) -> Array:
        """Convolve, with the normalizations and rectifiers that stand beside the convolution."""
        if layer.before:
            x = self.activated(x, layer.before[-1])
        x = Conv(layer.features, layer.kernel, layer.stride, name=layer.path[-1])(x)
        return self.after_conv(x, layer.after[-1]) if layer.after else x

    def activated(self, x: Array, name: str) -> Array:
        """Normalize and rectify a sum, which no convolution could take over."""
        return nn.relu(Affine(name=name)(x) if self.how == "folded" else self._norm(x, name))

    def after_conv(self, x: Array, name: str) -> Array:
        """Normalize and rectify what a convolution gave; folded, it is in the kernel already."""
        return nn.relu(x if self.how == "folded" else self._norm(x, name))

    def _norm(self, x: Array, name: str) -> Array:
        norm = nn.BatchNorm(
            use_running_average=self.how == "eval",
            momentum=self.momentum,
            epsilon=EPSILON,
            name=name,
        )
        return norm(x.astype(jnp.float32)).astype(x.dtype)


class ResNet(nn.Module):
    """The whole network; logits are float32."""

    settings: NetSettings
    how: Literal["train", "eval", "folded"] = "eval"

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float32[Array, "n *yx k"]:
        """Return logits per pixel (dense) or per window."""
        layers, norms = layers_of(self.settings), Norms(self.how, self.settings.momentum)
        x = norms.around(layers.stem, x)
        levels = []
        for stage in layers.stages:
            for block in stage.blocks:
                x = Bottleneck(block, norms, name=block.name)(x)
            levels.append(x)
        if layers.head.before:
            top = norms.activated(levels[-1], layers.head.before[-1])
            top = top.mean(axis=(1, 2), keepdims=True)
            logits = Conv(layers.head.features, name="head")(top)[:, 0, 0]
            top = top[:, 0, 0]
        else:
            top = _decode(levels, layers.stages, norms)
            logits = norms.around(layers.head, top)
        self.sow(_SEEN, "features", top.astype(jnp.float32))  # kept for who asks, else nothing
        return logits.astype(jnp.float32)


def _decode(levels: Sequence[Array], stages: Sequence[StageLayers], norms: Norms) -> Array:
    """Bring the stages' features to full resolution, coarse to fine."""
    lateral = [
        norms.around(stage.lateral, x)
        for stage, x in zip(stages, levels, strict=True)
        if stage.lateral
    ]
    top, factor = lateral.pop(), stages[-1].stride
    for stage in reversed(stages[:-1]):
        if stage.smooth:
            top = norms.around(stage.smooth, lateral.pop() + repeat_pixels(top, factor))
        factor = stage.stride
    return top


def repeat_pixels(x: Float[Array, "n y x c"], factor: int) -> Float[Array, "n p q c"]:
    """Repeat each pixel ``factor`` times along both axes."""
    n, rows, cols, channels = x.shape
    spread = jnp.broadcast_to(x[:, :, None, :, None, :], (n, rows, factor, cols, factor, channels))
    return spread.reshape(n, rows * factor, cols * factor, channels)


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
    return jax.eval_shape(ResNet(settings).init, jax.random.key(0), x)


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
        Normalized images, channels last; y and x are multiples of 4 (dense) or the window.
    dtype : dtype
        In which the layers compute: float32 or bfloat16. Logits and statistics are float32.

    Raises
    ------
    InputError
        If the images do not fit the network.
    """
    _check_shape(settings, x.shape)
    logits, state = ResNet(settings, "train").apply(
        variables, x.astype(dtype), mutable=["batch_stats"]
    )
    return logits, dict(state["batch_stats"])


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
    _check_shape(settings, x.shape)
    return ResNet(settings, "eval").apply(variables, x.astype(dtype))  # pyright: ignore[reportReturnType] - linen's apply may return a tuple, not here


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
    _check_shape(settings, x.shape)
    return ResNet(settings, "folded").apply({"params": folded}, x.astype(dtype))  # pyright: ignore[reportReturnType] - linen's apply may return a tuple, not here


def apply_with_features(
    settings: NetSettings,
    folded: Variables,
    x: Float32[Array, "n y x c"],
    *,
    dtype: Any = jnp.float32,
) -> tuple[Float32[Array, "n *yx k"], Float32[Array, "n *yx f"]]:
    """Return the logits of ``apply_folded``, and the features that its last layer sees.

    Logits are a linear function of the features: the decoder's channels in dense mode, the last
    stage's in window mode.

    Raises
    ------
    InputError
        If the images do not fit the network.
    """
    _check_shape(settings, x.shape)
    logits, seen = ResNet(settings, "folded").apply(
        {"params": folded}, x.astype(dtype), mutable=[_SEEN]
    )
    return logits, seen[_SEEN]["features"][0]  # pyright: ignore[reportReturnType] - linen's types are loose


def _check_shape(settings: NetSettings, shape: tuple[int, ...]) -> None:
    """Refuse images that the network cannot take."""
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
