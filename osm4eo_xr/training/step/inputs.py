"""What a network sees of a batch: normalized, and changed by augmentation in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from osm4eo_xr.feature_ids.channels import Channels
from osm4eo_xr.training.step.augment import (
    drop_bands,
    drop_groups,
    hide,
    jitter,
    mix,
    turn,
    warp,
)
from osm4eo_xr.training.step.self_labels import with_self_labels
from osm4eo_xr.training.step.task import Numbers, Task  # noqa: TC001 - checked at run time in the tests

if TYPE_CHECKING:
    from jaxtyping import Float32

_MISSING, _TAKEN, _MIXED, _WARPED = 3, 4, 5, 6  # keep the draws of other changes as they are


def normalized(
    task: Task,
    center: Float32[Array, " b"],
    scale: Float32[Array, " b"],
    image: Float32[Array, "n y x b"],
) -> Float32[Array, "n y x b"]:
    """Return the network's input; what a pixel lacks becomes 0, as in classification."""
    center, scale = center.reshape(1, 1, 1, -1), scale.reshape(1, 1, 1, -1)
    channels = task.channels or Channels.joint(image.shape[-1])
    there, _ = channels.present(jnp.isfinite(image), axis=-1)
    return jnp.where(there, (image - center) / scale, task.net.empty)


def prepared(
    form: Task,
    numbers: Numbers,
    step: Array,
    image: Array,
    label: Array,
    teacher: Mapping[str, Any] | None = None,
) -> tuple[Array, Array]:
    """Return a batch normalized and augmented; a teacher labels what it surely knows first."""
    key = jax.random.fold_in(jax.random.key(numbers.seed), step)
    x = normalized(form, numbers.center, numbers.scale, image)
    if teacher is not None:
        usable = _usable(form, image)
        begun = step >= numbers.self_from
        label = with_self_labels(form, numbers, teacher, x, label, usable, begun)
    if form.settings.rotation or form.settings.scaling:
        image, label = _warped(form, image, label, jax.random.fold_in(key, _WARPED))
        x = normalized(form, numbers.center, numbers.scale, image)
    return _augmented(form, x, label, key)


def _usable(task: Task, image: Array) -> Array:
    """Return which pixels have data enough to be classified."""
    channels = task.channels or Channels.joint(image.shape[-1])
    return channels.usable(jnp.isfinite(image), axis=-1)


def _warped(task: Task, image: Array, label: Array, key: Array) -> tuple[Array, Array]:
    """Return samples turned and scaled; where data came to be missing there is no label."""
    image, label = warp(image, label, key, task.settings.rotation, task.settings.scaling)
    return image, jnp.where(_usable(task, image), label, jnp.zeros((), label.dtype))


def _augmented(task: Task, x: Array, label: Array, key: Array) -> tuple[Array, Array]:
    settings, net = task.settings, task.net
    turns, jitters, drops = jax.random.split(key, 3)
    if settings.missing:
        hides = jax.random.fold_in(key, _MISSING)
        x, label = hide(x, label, hides, settings.missing, net.empty)
    if settings.flips:
        x, label = turn(x, label, turns)
    if settings.band_jitter:
        x = jitter(x, jitters, settings.band_jitter)
    if settings.band_dropout:
        x = drop_bands(x, drops, settings.band_dropout)
    if settings.group_dropout and net.groups:
        takes = jax.random.fold_in(key, _TAKEN)
        x, label = drop_groups(x, label, takes, net.groups, settings.group_dropout)
    if settings.cutmix and net.mode == "dense":
        x, label = mix(x, label, jax.random.fold_in(key, _MIXED), settings.cutmix)
    return x, label
