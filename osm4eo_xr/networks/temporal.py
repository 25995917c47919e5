"""The temporal network: attention over the periods of each source, pixel by pixel, then a ResNet.

After Garnot & Landrieu 2020, "Lightweight Temporal Self-attention for Classifying Satellite Images
Time Series" (arXiv:2007.00586), L-TAE: per head one learned query in place of one per period, keys
of all channels, and values that are the head's own share of the channels, with sines of the day
added. Different here: a period that a pixel lacks has no weight, and normalization is by batch, so
that it folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from osm4eo_xr.feature_ids.periods import middle_day
from osm4eo_xr.networks.bottlenecks import SEEN, How, Norms, ResNet
from osm4eo_xr.networks.grouped_layers import PeriodLayers, parts_of, period_layers
from osm4eo_xr.networks.presence import filled, present, soft_weights
from osm4eo_xr.networks.settings import HEADS, KEYS, NetSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32

    from osm4eo_xr.feature_ids.ids import Group

_TAU = 1000.0  # days, as in L-TAE
_APART = 30.0  # days between periods whose names are words


class Temporal(nn.Module):
    """The whole network; logits are float32. Values that are not finite are missing."""

    settings: NetSettings
    how: How = "eval"

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float32[Array, "n *yx k"]:
        """Return logits per pixel (dense) or per window."""
        net, norms = self.settings, Norms(self.how, self.settings.momentum)
        attended = {
            layers.periods: PeriodAttention(layers, norms, name=layers.name)(x)
            for layers in period_layers(net)
        }
        parts = [attended.get(periods, filled(periods[0], x)) for periods in net.periods]
        ((name, part),) = parts_of(net)
        _, top, logits = ResNet(part, self.how, name=name).steps(jnp.concatenate(parts, axis=-1))
        self.sow(SEEN, "features", top.astype(jnp.float32))
        return logits


class Query(nn.Module):
    """What each head looks for."""

    @nn.compact
    def __call__(self) -> Float32[Array, "k h"]:
        """Return it."""
        drawn = nn.initializers.he_normal()
        return jnp.asarray(self.param("kernel", drawn, (KEYS, HEADS), jnp.float32))


class PeriodAttention(nn.Module):
    """From the periods of a source to one vector per pixel; 0 where all of them are missing."""

    layers: PeriodLayers
    norms: Norms

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float[Array, "n y x e"]:
        """Attend to the periods that are there."""
        layers, periods = self.layers, self.layers.periods
        there = present(periods, x)
        stacked = jnp.concatenate([filled(period, x) for period in periods])
        values = self.norms.around(layers.embed, stacked)
        values = values.reshape(len(periods), *x.shape[:3], -1)
        place = jnp.asarray(day_sines(days_of_periods(periods), values.shape[-1]))
        values = values + place.astype(x.dtype)[:, None, None, None]
        flat = values.reshape(stacked.shape[0], *values.shape[2:])
        keys = self.norms.around(layers.keys, flat)
        keys = keys.reshape(*values.shape[:-1], HEADS, KEYS)
        query = Query(name=layers.query[-1])().astype(x.dtype)
        seen = self.norms.around(layers.mix, attend(values, keys, query, there))
        return jnp.where(there.any(axis=-1, keepdims=True), seen, 0.0)


def attend(
    values: Float[Array, "t n y x e"],
    keys: Float[Array, "t n y x h k"],
    query: Float[Array, "k h"],
    there: Bool[Array, "n y x t"],
) -> Float[Array, "n y x e"]:
    """Return the mean of each head's values, weighted by how its keys meet its query.

    Parameters
    ----------
    values : array
        Of each period; head h has the h-th share of the channels.
    keys : array
        Of each period and head.
    query : array
        Of each head, the same for all pixels.
    there : array
        Periods that a pixel has; the others have no weight.

    Source
    ------
    Garnot & Landrieu 2020, equations for the attention masks and outputs of heads: softmax over
    the periods of q_h . k_h / sqrt(K), then the sum of the values.
    """
    t, n, rows, cols, channels = values.shape
    heads = query.shape[1]
    score = jnp.einsum("tnyxhk,kh->nyxht", keys, query) / float(query.shape[0]) ** 0.5
    weights = soft_weights(score, there[:, :, :, None].astype(score.dtype))
    own = values.reshape(t, n, rows, cols, heads, channels // heads)
    return jnp.einsum("nyxht,tnyxhd->nyxhd", weights, own).reshape(n, rows, cols, channels)


def days_of_periods(periods: Sequence[Group]) -> list[float]:
    """Return the middle days of periods, counted from the first; by order if one is a word."""
    days = [middle_day(period.period) for period in periods]
    known = [day.toordinal() for day in days if day]
    if len(known) < len(days):
        return [_APART * k for k in range(len(days))]
    return [float(day - min(known)) for day in known]


def day_sines(days: Sequence[float], channels: int) -> Float32[np.ndarray, "t e"]:
    """Return what is added to the values of each period, the same for each head.

    Source
    ------
    Garnot & Landrieu 2020, positional encoding: sin(day / 1000^(2i/d) + pi/2 mod(i, 2)), with d the
    channels of a head, as their i-th channel has it.
    """
    own = channels // HEADS
    place = np.arange(own)
    angle = np.asarray(days)[:, None] / _TAU ** (2 * (place // 2) / own) + np.pi / 2 * (place % 2)
    return np.tile(np.sin(angle), HEADS).astype(np.float32)
