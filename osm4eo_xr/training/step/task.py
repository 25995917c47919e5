"""What a network is trained for: its form, which decides the programs, and its numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from osm4eo_xr.feature_ids.channels import Channels  # noqa: TC001 - checked at run time in the tests
from osm4eo_xr.networks.settings import NetSettings  # noqa: TC001 - checked at run time in the tests
from osm4eo_xr.training.settings import TrainSettings
from osm4eo_xr.training.step.optimizer import rate_schedule

Noise = tuple[tuple[float, ...], ...]
"""p(given | true) of classes: a row per true class; nothing where labels are taken for right."""

_NUMBERS = (
    "batch",
    "checkpoint_every",
    "class_weights",
    "epochs",
    "learning_rate",
    "noise",
    "noise_epochs",
    "noise_folds",
    "patience",
    "seed",
    "validate_every",
    "warmup",
)
"""Settings that no program depends on."""


_SELF_FROM = 0.5  # of the steps, after which a network labels pixels itself
_LEAST_RATES = 128  # so many are handed to a program; short trainings and a search share one


@dataclass(frozen=True)
class Task:
    """What a network is trained for.

    Attributes
    ----------
    net : NetSettings
        The network.
    settings : TrainSettings
        How it is trained.
    class_ids : tuple of int
        Class id of each logit.
    center, scale : tuple of float
        Normalization per band, in the samples' unit.
    weights : tuple of float
        Weight of each class in the loss.
    batch : int
        Samples per step.
    steps_per_epoch : int
        Steps of an epoch.
    noise : tuple of tuple of float
        What the loss is corrected by ("forward").
    channels : Channels, optional
        Which channels are there or missing together; by default all.
    shares : tuple of float
        Share of each class in the labels of the training samples; by default all are alike.
        Smoothed labels are spread over the classes that occur.
    """

    net: NetSettings
    settings: TrainSettings
    class_ids: tuple[int, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    batch: int = 1
    steps_per_epoch: int = 1
    noise: Noise = ()
    channels: Channels | None = None
    shares: tuple[float, ...] = ()

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.settings.epochs * self.steps_per_epoch

    @property
    def dtype(self) -> str:
        """In which the layers compute here."""
        if self.settings.dtype != "auto":
            return self.settings.dtype
        return "float32" if jax.default_backend() == "cpu" else "bfloat16"

    @property
    def form(self) -> Task:
        """The task without its numbers: tasks of one form share their programs."""
        plain: dict[str, Any] = {
            f.name: f.default for f in fields(TrainSettings) if f.name in _NUMBERS
        }
        plain["batch"] = self.settings.accumulate  # the least that its parts divide
        return Task(
            net=self.net,
            settings=replace(self.settings, **plain),
            class_ids=self.class_ids,
            center=(),
            scale=(),
            weights=(),
            channels=self.channels,
        )


class Numbers(NamedTuple):
    """What differs between tasks of one form.

    ``center`` and ``scale`` (band), ``weights``, ``spread`` and ``adjustment`` (class) are float32;
    ``noise`` is (class, class) float32, or None where labels are taken for right; ``rates`` (step)
    float32; ``seed`` uint32; ``self_from`` int32, the step from which a network that trains itself
    gives labels.
    """

    center: Array
    scale: Array
    weights: Array
    spread: Array
    adjustment: Array
    noise: Array | None
    rates: Array
    seed: Array
    self_from: Array


def numbers_of(task: Task) -> Numbers:
    """Return the numbers of a task; rates go on to a power of two, so that lengths share a form."""
    steps = max(_LEAST_RATES, 1 << (max(task.steps, 1) - 1).bit_length())
    with jax.numpy_dtype_promotion("standard"):  # optax counts on it
        rates: Any = jax.vmap(rate_schedule(task.settings, task.steps))(jnp.arange(steps))
    shares = np.array(task.shares or (1.0,) * len(task.class_ids))
    occurs = shares > 0
    return Numbers(
        center=jnp.asarray(task.center, jnp.float32),
        scale=jnp.asarray(task.scale, jnp.float32),
        weights=jnp.asarray(task.weights, jnp.float32),
        spread=jnp.asarray(occurs / occurs.sum(), jnp.float32),
        adjustment=jnp.asarray(task.settings.logit_adjustment * _log_shares(shares), jnp.float32),
        noise=jnp.asarray(task.noise, jnp.float32) if task.noise else None,
        rates=rates.astype(jnp.float32),
        seed=jnp.asarray(task.settings.seed % 2**32, jnp.uint32),
        self_from=jnp.asarray(round(_SELF_FROM * task.steps), jnp.int32),
    )


def _log_shares(shares: np.ndarray) -> np.ndarray:
    """Return the logarithm of each share; what does not occur is as rare as the rarest that does.

    Source
    ------
    Menon et al. 2021 (arXiv:2007.07314), equation 10: the logit adjusted loss.
    """
    return np.log(np.maximum(shares, shares[shares > 0].min()) / shares.sum())
