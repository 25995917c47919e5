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
from osm4eo_xr.samples.label_weights import unpack, with_own

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int32, UInt, UInt32

    from osm4eo_xr.training.step.task import Task


def with_self_labels(
    form: Task,
    teacher: Mapping[str, Any],
    x: Float32[Array, "n y x b"],
    label: UInt[Array, "n y x"],
    usable: Bool[Array, "n y x"],
    begun: Bool[Array, ""] | Int32[Array, ""],
) -> UInt32[Array, "n y x"]:
    """Return labels to which the teacher has added its own, once that has begun.

    Parameters
    ----------
    form : Task
        Whose settings have the threshold.
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
    classes, _ = unpack(label)
    unlabeled = usable & (classes == jnp.uint8(0))

    def judged() -> UInt32[Array, "n y x"]:
        logits = resnet.apply_eval(form.net, teacher, x, dtype=form.dtype)
        chances = jax.nn.softmax(logits)
        own = jnp.asarray(form.class_ids, jnp.uint8)[chances.argmax(axis=-1)]
        sure = chances.max(axis=-1) >= jnp.float32(form.settings.self_training)
        return with_own(label, own, unlabeled & sure)

    def as_given() -> UInt32[Array, "n y x"]:
        return with_own(label, jnp.zeros(label.shape, jnp.uint8), jnp.zeros(label.shape, bool))

    return jax.lax.cond(begun, judged, as_given)
