"""Self-training: what a network surely knows of unlabeled pixels becomes their label.

In each step the moving average of the weights, which is steadier than the weights, looks at the
samples as they are; the network then learns them turned and mixed, and so to say the same.

Source
------
Tarvainen and Valpola 2017 (arXiv:1703.01780), the mean teacher; Sohn et al. 2020
(arXiv:2001.07685), FixMatch: labels above a threshold, learned from views that differ more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from osm4eo_xr.networks import resnet
from osm4eo_xr.samples.label_weights import with_own

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt, UInt32

    from osm4eo_xr.training.step.task import Numbers, Task


def with_self_labels(
    form: Task,
    numbers: Numbers,
    teacher: Mapping[str, Any],
    x: Float32[Array, "n y x b"],
    label: UInt[Array, "n y x"],
    usable: Bool[Array, "n y x"],
    begun: Bool[Array, ""],
) -> UInt32[Array, "n y x"]:
    """Return labels to which the teacher has added its own, once that has begun.

    A network that learned smoothed labels never says more than that they are smoothed: the
    threshold is of the probability without the share that was spread.

    Parameters
    ----------
    form : Task
        Whose settings have the threshold.
    numbers : Numbers
        Tell how smoothed labels are spread.
    teacher : mapping
        The moving average of the variables.
    x : array
        Normalized images.
    label : array
        Given labels, 0 where there is none.
    usable : array
        Which pixels have data.
    begun : array
        Whether the teacher knows enough.
    """
    settings = form.settings
    plain = settings.loss == "cross_entropy"
    smoothed = jnp.float32(settings.label_smoothing if plain else 0.0)

    def judged() -> UInt32[Array, "n y x"]:
        chances = jax.nn.softmax(resnet.apply_eval(form.net, teacher, x, dtype=form.dtype))
        best = chances.argmax(axis=-1)
        least = jnp.float32(settings.self_training) * (1.0 - smoothed)
        sure = chances.max(axis=-1) >= least + smoothed * numbers.spread[best]
        return with_own(label, jnp.asarray(form.class_ids, jnp.uint8)[best], sure, usable)

    def as_given() -> UInt32[Array, "n y x"]:
        none = jnp.zeros(label.shape, jnp.uint8)
        return with_own(label, none, none > jnp.uint8(0), usable)

    return jax.lax.cond(begun, judged, as_given)
