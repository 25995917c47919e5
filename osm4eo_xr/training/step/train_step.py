"""One step of training, as a jitted function of arrays.

A program is compiled for the form of a task. What differs between the folds, seeds and lengths of
one training - normalization, weights of classes, rates, seed - are its arguments, so that all of
them share one compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.grouped_layers import group_order
from osm4eo_xr.networks.presence import present
from osm4eo_xr.samples.label_weights import unpack
from osm4eo_xr.training.step.inputs import prepared
from osm4eo_xr.training.step.losses import (
    bootstrap_cross_entropy,
    cross_entropy,
    forward_cross_entropy,
    generalized_cross_entropy,
)
from osm4eo_xr.training.step.optimizer import optimizer, rate_schedule
from osm4eo_xr.training.step.task import (
    Numbers,
    Task,
    numbers_of,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int32, UInt8

    from osm4eo_xr.training.settings import TrainSettings

State = dict[str, Any]
"""``params``, ``batch_stats``, ``opt`` (of the optimizer) and ``step`` (int32).

``average`` holds a moving average of the first two, if the settings want it.
"""


def fresh_state(task: Task, variables: Mapping[str, Any]) -> State:
    """Return the state before the first step."""
    params = jax.tree.map(jnp.asarray, dict(variables["params"]))
    state: State = {
        "params": params,
        "batch_stats": jax.tree.map(jnp.asarray, dict(variables["batch_stats"])),
        "opt": optimizer(task.settings, rate_schedule(task.settings, task.steps)).init(params),
        "step": jnp.zeros((), jnp.int32),
    }
    if task.settings.average:  # copies, since a step gives the state's memory away
        state["average"] = jax.tree.map(jnp.array, _learned(state))
    return state


def learned_of(state: State) -> dict[str, Any]:
    """Return the variables that are validated and saved: the average, if there is one."""
    return state["average"] if "average" in state else _learned(state)


def _learned(state: State) -> dict[str, Any]:
    """Return the variables of the last step."""
    return {name: state[name] for name in ("params", "batch_stats")}


def _averaged(settings: TrainSettings, state: State, learned: dict[str, Any]) -> dict[str, Any]:
    """Move the average towards what a step learned; the first steps, far off, are soon forgotten.

    Source
    ------
    The warm-up of the decay is that of TensorFlow's ``ExponentialMovingAverage``.
    """
    done = state["step"].astype(jnp.float32)
    decay = jnp.minimum(jnp.float32(settings.average), (1.0 + done) / (10.0 + done))
    return jax.tree.map(lambda a, b: a + (1.0 - decay) * (b - a), state["average"], learned)


def make_train_step(task: Task) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Return ``step(state, image, label) -> (state, sums)``; the state is given away.

    ``sums`` holds the step's weighted loss, its weight, and its correct and labeled pixels.
    """
    make = _step_program if task.settings.accumulate == 1 else _step_by_parts
    program, numbers = make(task.form), numbers_of(task)
    return lambda state, image, label: program(state, numbers, image, label)


@cache
def _step_program(form: Task) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Return ``step(state, numbers, image, label)``, jitted."""

    def step(
        state: State, numbers: Numbers, image: Array, label: Array
    ) -> tuple[State, dict[str, Array]]:
        x, label = prepared(form, numbers, state["step"], image, label)
        grads, stats, sums = _gradient(
            form, numbers, state["params"], state["batch_stats"], x, label
        )
        return _moved(form, numbers, state, grads, stats, sums)

    return jax.jit(step, donate_argnums=0)


@cache
def _step_by_parts(form: Task) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Return ``step(state, numbers, image, label)`` that adds up the gradients of a batch's parts.

    Each part is a call of its own: in a loop within one program a CPU convolves ten times slower,
    and without the loop it holds all parts at once.
    """
    parts = form.settings.accumulate

    @jax.jit
    def prepare(
        numbers: Numbers, step: Array, image: Array, label: Array
    ) -> list[tuple[Array, Array]]:
        x, label = prepared(form, numbers, step, image, label)
        return list(zip(_cut(x, parts), _cut(label, parts), strict=True))

    gradient = jax.jit(partial(_gradient, form))
    add = jax.jit(partial(jax.tree.map, jnp.add))
    move = jax.jit(partial(_moved, form), donate_argnums=1)

    def step(
        state: State, numbers: Numbers, image: Array, label: Array
    ) -> tuple[State, dict[str, Array]]:
        first, *others = prepare(numbers, state["step"], image, label)
        grads, stats, sums = gradient(numbers, state["params"], state["batch_stats"], *first)
        for part in others:
            more, stats, more_sums = gradient(numbers, state["params"], stats, *part)
            grads, sums = add((grads, sums), (more, more_sums))
        return move(numbers, state, grads, stats, sums)

    return step


def _gradient(
    form: Task, numbers: Numbers, params: Any, stats: Any, x: Array, label: Array
) -> tuple[Any, Any, dict[str, Array]]:
    """Return the gradient of the weighted sum of the loss, the new statistics and the sums."""
    differ = jax.grad(_loss, argnums=2, has_aux=True)
    grads, (stats, sums) = differ(form, numbers, params, stats, x, label)
    return grads, stats, sums


def _moved(
    form: Task, numbers: Numbers, state: State, grads: Any, stats: Any, sums: dict[str, Array]
) -> tuple[State, dict[str, Array]]:
    """Return the state after a step with that gradient."""
    settings = form.settings
    grads = jax.tree.map(lambda g: g / jnp.maximum(sums["weight"], 1e-6), grads)
    rule = optimizer(settings, lambda count: numbers.rates[count])
    with jax.numpy_dtype_promotion("standard"):  # optax counts on it
        updates, opt = rule.update(grads, state["opt"], state["params"])
    params = optax.apply_updates(state["params"], updates)
    learned = {"params": params, "batch_stats": stats}
    after = {**learned, "opt": opt, "step": state["step"] + 1}
    if settings.average:
        after["average"] = _averaged(settings, state, learned)
    return after, sums


def _cut(x: Array, parts: int) -> Array:
    """Deal samples out to parts; of a batch on several devices each part has its share on each."""
    return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)


def _loss(task: Task, numbers: Numbers, params: Any, stats: Any, x: Array, label: Array) -> Any:
    """Return the weighted sum of the loss, and the new statistics and the sums."""
    variables = {"params": params, "batch_stats": stats}
    if task.net.network == "coupled" and task.settings.auxiliary:
        apply = resnet.apply_train_with_branches
        logits, branches, stats = apply(task.net, variables, x, dtype=task.dtype)
    else:
        logits, stats = resnet.apply_train(task.net, variables, x, dtype=task.dtype)
        branches = None
    classes, share = unpack(label)
    index, where = indices(task.class_ids, classes)
    weight = jnp.where(where, share * numbers.weights[index], 0.0)
    total = jnp.sum(weight * _pixel_loss(task, numbers, logits, index, where))
    hit = where & (logits.argmax(axis=-1).astype(jnp.int32) == index)
    sums = {
        "loss": total,
        "weight": weight.sum(),
        "correct": hit.sum(dtype=jnp.float32),
        "labeled": where.sum(dtype=jnp.float32),
    }
    if branches is not None:
        own = _branch_loss(task, numbers, branches, x, index, weight)
        total += task.settings.auxiliary * own
    return total, (stats, sums)


def _branch_loss(
    task: Task,
    numbers: Numbers,
    branches: Float32[Array, "g *n k"],
    x: Float32[Array, "s y x b"],
    index: Int32[Array, "*n"],
    weight: Float32[Array, "*n"],
) -> Float32[Array, ""]:
    """Return the weighted sum of the losses of the groups' own heads, where each is there.

    Source
    ------
    Li et al. 2020 (doi:10.3390/rs12122067), auxiliary training: the sum of the losses of all
    sensors' outputs joins the loss of the fused output.
    """
    there = jnp.moveaxis(present(group_order(task.net), x), -1, 0)
    if there.ndim > branches.ndim - 1:  # a window has one label
        there = there.any(axis=(2, 3))
    spread = jnp.broadcast_to(index[None], branches.shape[:-1])
    where = there & (weight > 0)[None]
    return jnp.sum(weight[None] * _pixel_loss(task, numbers, branches, spread, where))


def _pixel_loss(
    task: Task,
    numbers: Numbers,
    logits: Float32[Array, "*n k"],
    index: Int32[Array, "*n"],
    where: Bool[Array, "*n"],
) -> Float32[Array, "*n"]:
    settings = task.settings
    if settings.logit_adjustment:
        logits += numbers.adjustment.reshape((1,) * index.ndim + (-1,))
    if numbers.noise is not None:
        return forward_cross_entropy(logits, index, numbers.noise, where=where)
    if settings.loss == "generalized":
        return generalized_cross_entropy(logits, index, where=where)
    if settings.loss == "bootstrap":
        return bootstrap_cross_entropy(logits, index, where=where)
    how: Any = {"smoothing": settings.label_smoothing, "spread": numbers.spread}
    return cross_entropy(logits, index, where=where, **how)


def indices(
    class_ids: tuple[int, ...], label: UInt8[Array, "*n"]
) -> tuple[Int32[Array, "*n"], Bool[Array, "*n"]]:
    """Return the logit of each label, and where the label is one of the classes."""
    table = np.full(256, -1, np.int32)
    table[list(class_ids)] = np.arange(len(class_ids), dtype=np.int32)
    index = jnp.asarray(table)[label]
    return jnp.maximum(index, 0), index >= 0
