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

_RATES = 1e-6, 1.0  # of the first and the last step
_STILL = 20  # first steps, up to a rate of 1.4e-5, that tell the loss before it falls
_WIDTH = 4.0  # steps: standard deviation of the smoothing, a quarter of a decade
_CUT = 2.0  # first losses that a step's loss counts at most, so that one step decides nothing
_RISEN = 1.5  # first losses above which a rate does harm
_FALL = 0.02  # of the first loss, at least, that some rate has to bring
_SURE = 5.0  # standard errors that it has to bring, too
_OTHERS = 1e-6  # share of other steps in a smoothed loss, at least
_FEW = 5.0  # steps of equal weight that a loss has to be the mean of, to tell something
_NEVER = 2**31 - 1  # step from which a network labels pixels itself

Looks = Callable[[int, Totals], object]
"""Called with the steps done and the sums of the last one."""


@dataclass(frozen=True)
class RateSearch:
    """What a search found.

    Attributes
    ----------
    rate : float
        The learning rate to take.
    found : bool
        Whether the loss fell for sure; else the rate is that of the default settings, or a lower
        one where that did harm.
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
    rate lowers the loss for sure, a warning says so and the rate of the default settings is taken,
    or a lower one that did no harm.

    Parameters
    ----------
    task : Task
        What is to be learned; its own rate is not looked at.
    variables : mapping
        From where the training will begin.
    batches : iterator
        Images and labels, without an end.
    looks : callable, optional
        Called as ``looks(steps done, sums of the step)``.

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
        last = Totals()
        last.add(jax.device_get(sums))
        seen.append(last)
        if looks:
            looks(len(seen), last)
        if not np.isfinite(last.loss):
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
    losses = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    known = [float(v) if w > 0 else None for v, w in zip(losses, weight, strict=True)]
    told: Any = {"rates": rates[: len(losses)].tolist(), "losses": known}
    first = weight[:_STILL]
    tried = max(len(losses), 1)
    if (first > 0).sum() <= 1:
        return RateSearch(_fallen_back(rates[tried - 1], np.nan), found=False, **told)
    losses = np.minimum(losses, _CUT * np.median(losses[:_STILL][first > 0]))
    level = float(np.average(losses[:_STILL], weights=first))
    shares = _kernel(len(losses)) * weight
    shares /= shares.sum(axis=1, keepdims=True)
    smooth = shares @ losses
    at = _middle_of_fall(losses, weight, shares, smooth, level)
    if at is not None:
        return RateSearch(float(rates[at]), found=True, **told)
    harm = np.flatnonzero(smooth > _RISEN * level)
    harmless = rates[max(int(harm[0]), 1) - 1] if len(harm) else rates[tried - 1]
    return RateSearch(_fallen_back(harmless, level), found=False, **told)


def _middle_of_fall(
    losses: np.ndarray, weight: np.ndarray, shares: np.ndarray, smooth: np.ndarray, level: float
) -> int | None:
    """Return the step by which the smoothed loss has fallen half as far as it ever does.

    None if it does not fall for sure. ``shares`` (step, step) are those of each step's loss in the
    smoothed ones, ``level`` is the loss before the fall.
    """
    spread = (shares**2).sum(axis=1)  # 1 / steps of equal weight
    steps = np.flatnonzero(spread[_STILL:] <= 1 / _FEW) + _STILL
    first = weight[:_STILL] / weight[:_STILL].sum()
    if not len(steps) or (first**2).sum() > 1 / _FEW:
        return None
    lowest = int(steps[np.argmin(smooth[steps])])
    so_far = slice(lowest + 1)
    others = np.maximum(1 - np.diag(shares), _OTHERS)  # a step is compared with them alone
    apart = (losses - smooth) / others
    scatter = np.sqrt(np.average(apart[so_far] ** 2, weights=weight[so_far]))
    error = scatter * np.sqrt((first**2).sum() + spread[lowest])
    if level - smooth[lowest] <= max(_SURE * error, _FALL * level):
        return None
    above = np.flatnonzero(smooth[:lowest] > (level + smooth[lowest]) / 2)
    return int(above[-1]) + 1 if len(above) else None


def _fallen_back(harmless: float, level: float) -> float:
    """Return the default rate, or a lower one that did no harm; say so."""
    rate = min(TrainSettings.learning_rate, float(harmless))
    low, high = _RATES
    loss = f", which is {level:.3g} at first" if np.isfinite(level) else ""
    warnings.warn(
        f"no learning rate from {low:g} to {high:g} surely lowers the loss{loss}: {rate:.2g} is "
        "taken; or give a learning_rate of your own",
        InputWarning,
        stacklevel=4,
    )
    return rate


def _kernel(steps: int) -> np.ndarray:
    """Return how much (step, step) each step's neighbors count in its mean."""
    apart = np.subtract.outer(np.arange(steps), np.arange(steps)) / _WIDTH
    return np.exp(-0.5 * apart**2)
