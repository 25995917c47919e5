"""The coupled network: an encoder per group of channels, fused, with a head of its own each.

After Li et al. 2020, "A Multi-Sensor Fusion Framework Based on Coupled Residual Convolutional
Neural Networks", Remote Sensing 12(12), 2067 (doi:10.3390/rs12122067): residual networks side by
side, one per sensor, whose features are fused, and an auxiliary loss per sensor, so that each
learns by itself too. The loss is L = L_fused + w * (L_1 + … + L_G), with the cross entropy L_g of
the own head of group g where the group is there (``training.step.train_step``).

New here: fusion at every stage, pixel by pixel, of the groups that are there; any may be missing. A
group counts in a cell by the share of its pixels that are there, and by nothing where there are
none. Ahead of the fusion each group has a normalization and a convolution of its own, without which
periods that share an encoder could change places unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from osm4eo_xr.networks.bottlenecks import SEEN, How, Norms, ResNet, decide, merge
from osm4eo_xr.networks.grouped_layers import (
    FusionLayers,
    encoders_of,
    fusion_layers,
    group_order,
    parts_of,
)
from osm4eo_xr.networks.presence import (
    cell_shares,
    filled,
    mean_weights,
    present,
    soft_weights,
)
from osm4eo_xr.networks.settings import NetSettings  # noqa: TC001 - flax reads the hints

if TYPE_CHECKING:
    from jaxtyping import Float, Float32


class Branch(NamedTuple):
    """What an encoder gives of one group.

    ``levels`` are the features of its stages, ``top`` what its own head sees, ``logits`` what that
    gives.
    """

    levels: Sequence[Array]
    top: Array
    logits: Array


class Coupled(nn.Module):
    """The whole network; logits are float32. Values that are not finite are missing."""

    settings: NetSettings
    how: How = "eval"

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float32[Array, "n *yx k"]:
        """Return logits per pixel (dense) or per window."""
        net, norms = self.settings, Norms(self.how, self.settings.momentum)
        share = present(group_order(net), x).astype(x.dtype)
        branches = self._branches(x)
        self.sow(SEEN, "branches", jnp.stack([b.logits for b in branches]))
        layers = fusion_layers(net)
        if layers is None:
            top, logits = _mean_decision(branches, share)
        else:
            fused = _fuse(layers, branches, share, norms)
            if layers.head.before:
                top, logits = decide(fused, (), layers.head, norms)
            else:
                top = merge(fused, layers.stages, norms)
                logits = norms.around(layers.head, top).astype(jnp.float32)
        self.sow(SEEN, "features", top.astype(jnp.float32))
        return logits

    def _branches(self, x: Array) -> list[Branch]:
        """Run the encoders, each over all of its groups at once."""
        found, parts = [], parts_of(self.settings)
        for groups, (name, part) in zip(encoders_of(self.settings), parts, strict=True):
            stacked = jnp.concatenate([filled(group, x) for group in groups])
            levels, top, logits = ResNet(part, self.how, name=name).steps(stacked)
            cut = [jnp.split(v, len(groups)) for v in (*levels, top, logits)]
            found += [Branch(each[:-2], *each[-2:]) for each in zip(*cut, strict=True)]
        return found


def _fuse(
    layers: FusionLayers, branches: Sequence[Branch], share: Array, norms: Norms
) -> list[Array]:
    """Return what comes to the decoder from each level that is fused."""
    fused = []
    for k, level in enumerate(layers.levels):
        features = [branch.levels[level] for branch in branches]
        own = cell_shares(share, share.shape[1] // features[0].shape[1])
        lateral = [norms.around(*pair) for pair in zip(layers.laterals[k], features, strict=True)]
        if layers.joins:
            parts = [f * own[..., g : g + 1] for g, f in enumerate(lateral)]
            fused.append(norms.around(layers.joins[k], jnp.concatenate(parts, axis=-1)))
            continue
        if layers.scores:
            scores = [norms.around(*pair) for pair in zip(layers.scores[k], features, strict=True)]
            weights = soft_weights(jnp.concatenate(scores, axis=-1), own)
        else:
            weights = mean_weights(own)
        parts = [f * weights[..., g : g + 1] for g, f in enumerate(lateral)]
        fused.append(sum(parts[1:], parts[0]))
    return fused


def _mean_decision(
    branches: Sequence[Branch], share: Float[Array, "n y x g"]
) -> tuple[Float[Array, "n *yx f"], Float32[Array, "n *yx k"]]:
    """Return the weighted features side by side, and the mean of the groups' logits.

    The mean of logits is the normalized geometric mean of probabilities. In window mode a group
    counts by the share of the window that it is there.
    """
    if branches[0].logits.ndim < share.ndim:
        share = share.mean(axis=(1, 2))
    weights = mean_weights(share)
    tops = [b.top * weights[..., g : g + 1] for g, b in enumerate(branches)]
    exact = weights.astype(jnp.float32)
    logits = [b.logits * exact[..., g : g + 1] for g, b in enumerate(branches)]
    return jnp.concatenate(tops, axis=-1), sum(logits[1:], logits[0])
