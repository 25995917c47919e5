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
import optax
from jax import Array

from osm4eo_xr.training.step.gradient import (
    Gradient,
    gradient,
    jax_gradient,
    kernel_gradient,
    parted,
    runs_on_kernels,
)
from osm4eo_xr.training.step.inputs import prepared
from osm4eo_xr.training.step.optimizer import optimizer, rate_schedule
from osm4eo_xr.training.step.task import (
    Numbers,
    Task,
    numbers_of,
)

if TYPE_CHECKING:
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


def _teacher(form: Task, state: State) -> dict[str, Any] | None:
    """Return the variables that label pixels, if a network trains itself."""
    return state["average"] if form.settings.self_training else None


def _averaged(settings: TrainSettings, state: State, learned: dict[str, Any]) -> dict[str, Any]:
    """Move the average towards what a step learned; the first steps, far off, are soon forgotten.

    Source
    ------
    The warm-up of the decay is that of TensorFlow's ``ExponentialMovingAverage``.
    """
    done = state["step"].astype(jnp.float32)
    decay = jnp.minimum(jnp.float32(settings.average), (1.0 + done) / (10.0 + done))
    return jax.tree.map(lambda a, b: a + (1.0 - decay) * (b - a), state["average"], learned)


def make_train_step(
    task: Task, numbers: Numbers | None = None
) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Return ``step(state, image, label) -> (state, sums)``; the state may be given away.

    ``sums`` holds the step's weighted loss, its weight, and its correct and labeled pixels; where a
    network trains itself, also the pixels without a label, and those that it labeled. ``numbers``
    are the task's, unless others are given.
    """
    form, numbers = task.form, numbers or numbers_of(task)
    if runs_on_kernels(form):
        program = _step_by_parts(form, kernel_gradient(form), _move_joined(form))
    elif form.settings.accumulate > 1:
        program = _step_by_parts(form, jax_gradient(form), _move(form))
    else:
        program = _step_program(form)
    return lambda state, image, label: program(state, numbers, image, label)


@cache
def _step_program(form: Task) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Return ``step(state, numbers, image, label)``, jitted."""

    def step(
        state: State, numbers: Numbers, image: Array, label: Array
    ) -> tuple[State, dict[str, Array]]:
        x, label = prepared(form, numbers, state["step"], image, label, _teacher(form, state))
        grads, stats, sums = gradient(
            form, numbers, state["params"], state["batch_stats"], x, label
        )
        return _moved(form, numbers, state, grads, stats, sums)

    return jax.jit(step, donate_argnums=0)


@cache
def _programs(form: Task) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what stands around the gradient of each part of a batch, jitted.

    Each part is a call of its own: in a loop within one program a CPU convolves ten times slower,
    and without the loop it holds all parts at once.
    """
    parts = form.settings.accumulate

    @jax.jit
    def prepare(
        numbers: Numbers, step: Array, image: Array, label: Array, teacher: Any
    ) -> list[tuple[Array, Array]]:
        x, label = prepared(form, numbers, step, image, label, teacher)
        return list(zip(_cut(x, parts), _cut(label, parts), strict=True))

    return prepare, jax.jit(partial(jax.tree.map, jnp.add))


@cache
def _move(form: Task) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Return ``_moved``, jitted."""
    return jax.jit(partial(_moved, form), donate_argnums=1)


@cache
def _move_joined(form: Task) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Return ``_moved`` for a gradient that is one vector, jitted.

    The state's memory is not given away: numpy has looked into it, and older versions of jax write
    over it or free it all the same.
    """

    def move(
        numbers: Numbers, state: State, grads: Array, stats: Any, sums: dict[str, Array]
    ) -> tuple[State, dict[str, Array]]:
        return _moved(form, numbers, state, parted(grads, state["params"]), stats, sums)

    return jax.jit(move)


def _step_by_parts(
    form: Task, compute: Gradient, move: Callable[..., tuple[State, dict[str, Array]]]
) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Return ``step(state, numbers, image, label)``, which adds up the gradients of parts."""
    prepare, add = _programs(form)

    def step(
        state: State, numbers: Numbers, image: Array, label: Array
    ) -> tuple[State, dict[str, Array]]:
        teacher = _teacher(form, state)
        first, *others = prepare(numbers, state["step"], image, label, teacher)
        grads, stats, sums = compute(numbers, state["params"], state["batch_stats"], *first)
        for part in others:
            more, stats, more_sums = compute(numbers, state["params"], stats, *part)
            grads, sums = add((grads, sums), (more, more_sums))
        return move(numbers, state, grads, stats, sums)

    return step


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
