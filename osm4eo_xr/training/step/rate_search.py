"""A learning rate for a network and its samples, found by a few steps beforehand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.training.status import Totals
from osm4eo_xr.training.step.data_parallel import place_state
from osm4eo_xr.training.step.task import numbers_of
from osm4eo_xr.training.step.train_step import fresh_state, make_train_step

if TYPE_CHECKING:
    from jax import Array

    from osm4eo_xr.progress import Progress
    from osm4eo_xr.training.step.task import Task

MOST_STEPS = 100
"""Steps of a search; trainings of few steps have shorter ones."""

_RATES = 1e-5, 1.0  # of the first and the last step
_SMOOTHED = 0.9  # share of the losses before that a smoothed loss keeps
_FALLS = 0.98  # of the first loss, at most, that some rate has to reach
_NEVER = 2**31 - 1  # step from which a network labels pixels itself


def find_rate(
    task: Task,
    variables: Mapping[str, Any],
    batches: Iterator[tuple[Array, Array]],
    progress: Progress | None = None,
) -> float:
    """Return the rate that has half of the loss's fall behind it, as rates rise step by step.

    The steps go through the programs of the training itself. What they learn is given up.

    Parameters
    ----------
    task : Task
        What is to be learned; its own rate is not looked at.
    variables : mapping
        From where the training will begin.
    batches : iterator
        Images and labels, without an end.
    progress : callable, optional
        Called as ``progress(steps done, steps in all)``.

    Raises
    ------
    InputError
        If no rate lowers the loss.

    Source
    ------
    Smith 2017, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186), section
    3.3: the range test. Where its rate is read off is ours: the lowest loss may lie anywhere in the
    flat part that batch normalization leaves, the middle of the fall does not.
    """
    numbers = numbers_of(task)
    steps = min(MOST_STEPS, len(numbers.rates))  # as many numbers as in training: the same program
    rates = np.geomspace(*_RATES, steps)
    risen = np.pad(rates, (0, len(numbers.rates) - steps), mode="edge").astype(np.float32)
    never = jnp.asarray(_NEVER, jnp.int32)
    step = make_train_step(task, numbers._replace(rates=jnp.asarray(risen), self_from=never))
    own = jax.tree.map(jnp.array, dict(variables))  # copies, since a step gives its state away
    state, losses = place_state(fresh_state(task, own)), []
    for image, label in itertools.islice(batches, steps):
        state, sums = step(state, image, label)
        losses.append(float(Totals(**jax.device_get(sums)).means()["loss"]))
        if progress:
            progress(len(losses), steps)
        if not np.isfinite(losses[-1]):
            break  # nor would it be one at higher rates
    return middle_of_fall(rates, losses)


def middle_of_fall(rates: np.ndarray, losses: Sequence[float]) -> float:
    """Return the first rate by which the smoothed loss has fallen half as far as it ever does.

    Losses may end before the rates do, and are then a number each but for the last.

    Raises
    ------
    InputError
        If the loss does not fall.
    """
    smooth = _smoothed([loss for loss in losses if np.isfinite(loss)])
    if not len(smooth) or smooth.min() > _FALLS * smooth[0]:
        low, high = _RATES
        raise InputError(
            f"no learning rate from {low:g} to {high:g} lowers the loss, {losses[0]:.3g} at first",
            advice="give a learning_rate of your own, such as 0.002",
        )
    half = (smooth[0] + smooth.min()) / 2
    return float(rates[np.flatnonzero(smooth <= half)[0]])


def _smoothed(values: Sequence[float]) -> np.ndarray:
    """Return a moving average that weighs the first values as the others."""
    kept, found = 0.0, []
    for k, value in enumerate(values, start=1):
        kept = _SMOOTHED * kept + (1 - _SMOOTHED) * value
        found.append(kept / (1 - _SMOOTHED**k))
    return np.array(found)
