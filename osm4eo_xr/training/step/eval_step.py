"""One step of evaluation, as jitted functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from osm4eo_xr.networks import resnet
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.inputs import normalized
from osm4eo_xr.training.step.task import Task  # noqa: TC001 - checked at run time in the tests

if TYPE_CHECKING:
    from jaxtyping import Float32


def make_eval_step(task: Task) -> Callable[..., Float32[Array, "n *yx k"]]:
    """Return ``logits(variables, image)`` under the running statistics."""
    return _applied(task, resnet.apply_eval)


def make_feature_step(task: Task) -> Callable[..., tuple[Array, Array]]:
    """Return ``logits, features(folded, image)``, features being what the last layer sees."""
    return _applied(task, resnet.apply_with_features)


def _applied(task: Task, apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``apply`` on variables and images, normalized by the task's numbers."""
    form = replace(task.form, settings=TrainSettings(dtype=task.settings.dtype))
    program = _program(form, apply)
    center, scale = (jnp.asarray(v, jnp.float32) for v in (task.center, task.scale))
    return lambda variables, image: program(variables, center, scale, image)


@cache
def _program(form: Task, apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``apply`` on variables, center, scale and images, jitted."""

    def applied(variables: Any, center: Array, scale: Array, image: Array) -> Any:
        x = normalized(form, center, scale, image)
        return apply(form.net, variables, x, dtype=form.dtype)

    return jax.jit(applied)
