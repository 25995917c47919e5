"""Building blocks in Flax, and what is made of them: a ResNet v2 of bottlenecks, or several.

Encoder after He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027), in
the arrangement of Keras' CIFAR-10 example, with wider kernels; decoder after Lin et al. 2017,
"Feature Pyramid Networks" (arXiv:1612.03144). Upsampling repeats pixels, so a block that starts on
a multiple of the stride and carries its halo gives the same logits as the whole scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from osm4eo_xr.networks.convolution import conv2d
from osm4eo_xr.networks.fold_batch_norm import EPSILON
from osm4eo_xr.networks.grouped_layers import parts_of
from osm4eo_xr.networks.layers import BlockLayers, ConvLayer, StageLayers, layers_of
from osm4eo_xr.networks.settings import NetSettings  # noqa: TC001 - flax reads the hints

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

SEEN = "intermediates"
"""Flax's collection of what passes by; no variable."""

How = Literal["train", "eval", "folded"]
"""How batch normalization is done: with the batch's statistics, running ones, or folded."""


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

    how: How
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
    how: How = "eval"

    def __call__(self, x: Float[Array, "n y x c"]) -> Float32[Array, "n *yx k"]:
        """Return logits per pixel (dense) or per window."""
        _, top, logits = self.steps(x)
        self.sow(SEEN, "features", top.astype(jnp.float32))  # kept for who asks, else nothing
        return logits

    @nn.compact
    def steps(self, x: Float[Array, "n y x c"]) -> tuple[list[Array], Array, Array]:
        """Return the features of each stage, those of the last layer, and the logits."""
        layers, norms = layers_of(self.settings), Norms(self.how, self.settings.momentum)
        x = norms.around(layers.stem, x)
        levels = []
        for stage in layers.stages:
            for block in stage.blocks:
                x = Bottleneck(block, norms, name=block.name)(x)
            levels.append(x)
        return levels, *decide(levels, layers.stages, layers.head, norms)


class Ensemble(nn.Module):
    """Plain networks side by side; logits are the logarithm of their mean probability, float32.

    After Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation
    using Deep Ensembles" (arXiv:1612.01474). Members differ by the weights they begin with.
    """

    settings: NetSettings
    how: How = "eval"

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float32[Array, "n *yx k"]:
        """Return logits per pixel (dense) or per window."""
        members = [
            ResNet(part, self.how, name=name).steps(x) for name, part in parts_of(self.settings)
        ]
        logits = jnp.stack([own for _, _, own in members])
        top = jnp.concatenate([seen for _, seen, _ in members], axis=-1)
        self.sow(SEEN, "members", logits)
        self.sow(SEEN, "features", top.astype(jnp.float32))
        return nn.logsumexp(nn.log_softmax(logits), axis=0) - math.log(len(members))


def decide(
    levels: Sequence[Array], stages: Sequence[StageLayers], head: ConvLayer, norms: Norms
) -> tuple[Float[Array, "n *yx f"], Float32[Array, "n *yx k"]]:
    """Return what the last layer sees of the stages' features, and the logits."""
    if head.before:
        top = norms.activated(levels[-1], head.before[-1]).mean(axis=(1, 2), keepdims=True)
        logits = Conv(head.features, name=head.path[-1])(top)
        top, logits = top[:, 0, 0], logits[:, 0, 0]
    else:
        top = decode(levels, stages, norms)
        logits = norms.around(head, top)
    return top, logits.astype(jnp.float32)


def decode(levels: Sequence[Array], stages: Sequence[StageLayers], norms: Norms) -> Array:
    """Bring the stages' features to full resolution, coarse to fine."""
    lateral = [
        norms.around(stage.lateral, x)
        for stage, x in zip(stages, levels, strict=True)
        if stage.lateral
    ]
    return merge(lateral, stages, norms)


def merge(lateral: Sequence[Array], stages: Sequence[StageLayers], norms: Norms) -> Array:
    """Add up what comes to the decoder from each stage, coarse to fine."""
    *finer, top = lateral
    factor = stages[-1].stride
    for stage in reversed(stages[:-1]):
        if stage.smooth:
            top = norms.around(stage.smooth, finer.pop() + repeat_pixels(top, factor))
        factor = stage.stride
    return top


def repeat_pixels(x: Float[Array, "n y x c"], factor: int) -> Float[Array, "n p q c"]:
    """Repeat each pixel ``factor`` times along both axes."""
    n, rows, cols, channels = x.shape
    spread = jnp.broadcast_to(x[:, :, None, :, None, :], (n, rows, factor, cols, factor, channels))
    return spread.reshape(n, rows * factor, cols * factor, channels)
