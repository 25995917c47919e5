"""A learning rate for a network and its samples, found by a few steps beforehand."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from osm4eo_xr.errors import InputWarning
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.status import Totals
from osm4eo_xr.training.step.data_parallel import place_state
from osm4eo_xr.training.step.task import numbers_of
from osm4eo_xr.training.step.train_step import fresh_state, make_train_step

if TYPE_CHECKING:
    from jax import Array

    from osm4eo_xr.training.step.task import Task

STEPS = 100
"""Steps of a search."""

_RATES = 1e-5, 1.0  # of the first and the last step
_STILL = 20  # first steps, up to a rate of 1e-4, that tell the loss before it falls
_WIDTH = 4.0  # steps: standard deviation of the smoothing, a fifth of a decade
_FALL = 0.02  # of the first loss, at least, that some rate has to bring
_SURE = 5.0  # standard errors that it has to bring, too
_NEVER = 2**31 - 1  # step from which a network labels pixels itself

Looks = Callable[[int, int, Totals], object]
"""Called with the steps done, the steps in all, and the sums of the last one."""


@dataclass(frozen=True)
class RateSearch:
    """What a search found.

    Attributes
    ----------
    rate : float
        The learning rate to take.
    found : bool
        Whether the loss fell for sure; else the rate is that of the default settings.
    rates, losses : list of float
        Of each step; the loss is None where a batch has no labels.
    """

    rate: float
    found: bool
    rates: list[float]
    losses: list[float | None]


def search_steps(settings: TrainSettings) -> int:
    """Return the steps ahead of a training that look for its rate."""
    return 0 if settings.learning_rate else STEPS


def find_rate(
    task: Task,
    variables: Mapping[str, Any],
    batches: Iterator[tuple[Array, Array]],
    looks: Looks | None = None,
) -> RateSearch:
    """Find the rate that has half of the loss's fall behind it, as rates rise step by step.

    The steps go through the programs of the training itself. What they learn is given up. Where no
    rate lowers the loss for sure, a warning says so and the rate of the default settings is taken.

    Parameters
    ----------
    task : Task
        What is to be learned; its own rate is not looked at.
    variables : mapping
        From where the training will begin.
    batches : iterator
        Images and labels, without an end.
    looks : callable, optional
        Called as ``looks(steps done, steps in all, sums of the step)``.

    Source
    ------
    Smith 2017, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186), section
    3.3: the range test. Where its rate is read off is ours: the lowest loss may lie anywhere in the
    flat part that batch normalization leaves, the middle of the fall does not.
    """
    numbers = numbers_of(task)
    rates = np.geomspace(*_RATES, STEPS)
    risen = np.pad(rates, (0, len(numbers.rates) - STEPS), mode="edge").astype(np.float32)
    never = jnp.asarray(_NEVER, jnp.int32)
    step = make_train_step(task, numbers._replace(rates=jnp.asarray(risen), self_from=never))
    own = jax.tree.map(jnp.array, dict(variables))  # copies, since a step gives its state away
    state, seen = place_state(fresh_state(task, own)), []
    for image, label in itertools.islice(batches, STEPS):
        state, sums = step(state, image, label)
        seen.append(Totals(**{name: float(v) for name, v in jax.device_get(sums).items()}))
        if looks:
            looks(len(seen), STEPS, seen[-1])
        if not np.isfinite(seen[-1].loss):
            break  # nor would it be one at higher rates
    losses, weights = np.array([[one.loss, one.weight] for one in seen]).T
    return read_off(rates, losses, weights)


def read_off(
    rates: np.ndarray, sums: Sequence[float] | np.ndarray, weights: Sequence[float] | np.ndarray
) -> RateSearch:
    """Return the rate by which the loss has fallen half as far as it ever does.

    Losses before the fall are those of the lowest rates. A fall counts that is larger than the
    scatter of the batches explains.

    Parameters
    ----------
    rates : ndarray (step,) float64
        Learning rate of each step.
    sums, weights : sequence of float (step,)
        Loss of each step, summed, and of how many pixels. They may end before the rates do, and the
        last sum need not be a number.
    """
    total, weight = np.asarray(sums, float), np.asarray(weights, float)
    ends = np.flatnonzero(~np.isfinite(total))
    total, weight = (v[: ends[0]] if len(ends) else v for v in (total, weight))
    losses = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
    at = _middle_of_fall(losses, total, weight)
    if at is None:
        _warn(losses[:_STILL])
    rate = TrainSettings.learning_rate if at is None else float(rates[at])
    known = [float(v) if np.isfinite(v) else None for v in losses]
    return RateSearch(rate, at is not None, rates[: len(losses)].tolist(), known)


def _middle_of_fall(losses: np.ndarray, total: np.ndarray, weight: np.ndarray) -> int | None:
    """Return the step by which the smoothed loss has fallen half as far as it ever does.

    None if it does not fall for sure.
    """
    known = np.isfinite(losses)
    if len(losses) <= _STILL or known[:_STILL].sum() <= 1:
        return None
    kernel = _kernel(len(losses))
    smooth = kernel @ total / (kernel @ weight)
    level = total[:_STILL].sum() / weight[:_STILL].sum()
    lowest = _STILL + int(np.argmin(smooth[_STILL:]))
    scatter = np.nanstd((losses - smooth)[: lowest + 1])
    share = kernel[lowest] * known  # of each step in the smoothed loss
    error = scatter * np.sqrt(1 / known[:_STILL].sum() + (share**2).sum())
    if level - smooth[lowest] <= max(_SURE * error, _FALL * level):
        return None
    return int(np.flatnonzero(smooth <= (level + smooth[lowest]) / 2)[0])


def _warn(first: np.ndarray) -> None:
    low, high = _RATES
    known = first[np.isfinite(first)]
    loss = f", which is {known.mean():.3g} at first" if len(known) else ""
    warnings.warn(
        f"no learning rate from {low:g} to {high:g} surely lowers the loss{loss}: "
        f"{TrainSettings.learning_rate:g} is taken; or give a learning_rate of your own",
        InputWarning,
        stacklevel=4,
    )


def _kernel(steps: int) -> np.ndarray:
    """Return the weights (step, step) by which each step's neighbors count in its mean."""
    apart = np.subtract.outer(np.arange(steps), np.arange(steps)) / _WIDTH
    weights = np.exp(-0.5 * apart**2)
    return weights / weights.sum(axis=1, keepdims=True)
