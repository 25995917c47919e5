"""Samples → a trained model."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import xarray as xr

from osm4eo_xr import resnet
from osm4eo_xr._batches import Prefetch, Windows, train_batches
from osm4eo_xr._train_settings import TrainSettings
from osm4eo_xr._train_step import State, Task, fresh_state, make_train_step
from osm4eo_xr.errors import InputError
from osm4eo_xr.evaluate import index_of, labelled_logits, windows_of
from osm4eo_xr.legend import Legend, legend_from_dict
from osm4eo_xr.model import Model, Normalisation

__all__ = ["DEMO_SAMPLES", "DEMO_SETTINGS", "TrainSettings", "train"]

DEMO_SAMPLES: Mapping[str, Any] = {
    "per_class": 400,
    "patch": 32,
    "fractions": (0.6, 0.1, 0.3),
}
"""What the demo gives ``draw_samples``: as much as two cores learn from in two minutes. The scene
is small, so a large share of its blocks is held out: few blocks would score their own luck."""

DEMO_SETTINGS = TrainSettings(
    depth=11, kernel=3, epochs=12, batch=16, weight_decay=0.05, validate_every=3
)
"""Settings with which the demo trains: the smallest depth, which passes over the samples often in
the time there is, scored better than depth 29 with fewer passes."""

_SPREAD = 1.349  # quartile range of a normal distribution over its standard deviation
_NORMALISED_BY = 512  # training windows whose pixels give the statistics


def train(
    samples: xr.Dataset,
    settings: TrainSettings | None = None,
    *,
    legend: Legend | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Model:
    """Train a network and keep the weights that were best on the validation samples.

    Parameters
    ----------
    samples : Dataset
        As ``draw_samples`` or ``open_samples`` returns it; may be larger than the memory.
    settings : TrainSettings, optional
        Network and training.
    legend : Legend, optional
        Classes; by default those the samples were drawn with.
    progress : callable, optional
        Called as ``progress(steps done, steps in all)``.

    Returns
    -------
    Model
        ``training`` records settings, history per epoch, validation scores and the data.

    Raises
    ------
    InputError
        If the samples have no training or validation split, no label of the legend, or the loss
        is no longer a number.
    """
    settings = settings or TrainSettings()
    legend = legend or legend_from_dict(json.loads(samples.attrs["legend"]), source="samples")
    bands = tuple(str(b) for b in samples["band"].values)
    window = settings.window if settings.mode == "window" else None
    learn = windows_of(samples, "train", bands=bands, window=window)
    check = windows_of(samples, "validation", bands=bands, window=window)
    task = _task(settings, learn, legend, bands)
    fit = Fit(task, learn, check)
    variables = resnet.init(task.net, jax.random.key(settings.seed))
    fit.run(fresh_state(task, variables), progress)
    return _model(fit, samples, legend, bands)


def _task(settings: TrainSettings, learn: Windows, legend: Legend, bands: tuple[str, ...]) -> Task:
    """Work out shapes, normalisation and class weights."""
    image, label = _look(learn)
    counts = np.bincount(label.ravel(), minlength=256)[list(legend.ids)]
    if not counts.sum():
        raise InputError(
            f"no training sample has a class of legend {legend.name!r}; give the legend the "
            f"labels were made with"
        )
    offset, scale = robust_statistics(image)
    return Task(
        net=settings.net(bands=len(bands), classes=len(legend.ids)),
        settings=settings,
        class_ids=legend.ids,
        offset=offset,
        scale=scale,
        weights=_class_weights(settings, counts),
        steps=settings.epochs * max(1, len(learn) // min(settings.batch, len(learn))),
    )


def _look(learn: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Read evenly spaced training windows, from which statistics are taken."""
    index = np.unique(np.linspace(0, len(learn) - 1, _NORMALISED_BY).astype(np.int64))
    return learn.read(index)


def robust_statistics(image: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return median and quartile range over 1.349 per band: clouds and roofs move neither."""
    pixels = image.reshape(-1, image.shape[-1])
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    if not len(pixels):
        raise InputError("no training window has a pixel with data; check the scene")
    low, middle, high = np.percentile(pixels, (25, 50, 75), axis=0).astype(np.float32)
    spread = np.maximum((high - low) / _SPREAD, 1e-3 * max(float(np.abs(middle).max()), 1e-6))
    return tuple(map(float, middle)), tuple(map(float, spread))


def _class_weights(settings: TrainSettings, counts: np.ndarray) -> tuple[float, ...]:
    """Return 1 for all, or weights by which every class that occurs counts alike."""
    if settings.class_weights == "none":
        return (1.0,) * len(counts)
    occurs = counts > 0
    weights = counts.sum() / np.maximum(counts, 1) / occurs.sum()
    return tuple(map(float, np.where(occurs, weights, 1.0)))


@dataclass
class Fit:
    """A training run.

    Attributes
    ----------
    task : Task
        What is learned.
    learn, check : Windows
        Training and validation samples.
    history : list of dict
        One entry per epoch: epoch, step, loss, accuracy, validation_loss, validation_accuracy
        (None where it was not looked at), samples_per_second, waiting (share of the time).
    best : dict, optional
        Variables of the epoch with the best validation accuracy.
    """

    task: Task
    learn: Windows
    check: Windows
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    best_epoch: int = 0

    @property
    def batch(self) -> int:
        """Samples per step."""
        return min(self.task.settings.batch, len(self.learn))

    def run(self, state: State, progress: Callable[[int, int], None] | None) -> None:
        """Train all epochs."""
        step = make_train_step(self.task)
        settings = self.task.settings
        for epoch in range(settings.epochs):
            state, record = self._epoch(step, state, epoch, progress)
            if (epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.epochs:
                record |= self._validate(state, epoch)
            self.history.append(record)

    def _epoch(
        self, step: Any, state: State, epoch: int, progress: Callable[[int, int], None] | None
    ) -> tuple[State, dict[str, Any]]:
        """Train one epoch; the sums of a step are looked at while the next one runs."""
        settings = self.task.settings
        batches = train_batches(self.learn, self.batch, seed=settings.seed, epoch=epoch)
        start, totals, pending = time.perf_counter(), Totals(), None
        done = epoch * (len(self.learn) // self.batch)
        with Prefetch(batches, _place) as ahead:
            for image, label, positions in ahead:
                state, sums = step(state, image, label)
                if pending:
                    totals.add(*pending)
                done += 1
                pending = (sums, done, positions)
                if progress:
                    progress(done, self.task.steps)
            if pending:
                totals.add(*pending)
            waited = ahead.waited
        seconds = time.perf_counter() - start
        return state, {
            "epoch": epoch + 1,
            "step": done,
            **totals.means(),
            "samples_per_second": totals.steps * self.batch / seconds,
            "waiting": waited / seconds,
        }

    def _validate(self, state: State, epoch: int) -> dict[str, Any]:
        """Score the validation samples and keep the weights if they are the best so far."""
        variables = {name: state[name] for name in ("params", "batch_stats")}
        scores = self._scores(variables)
        accuracies = [r["validation_accuracy"] for r in self.history if "validation_accuracy" in r]
        if self.best is None or scores["validation_accuracy"] > max(accuracies, default=-1.0):
            self.best = jax.tree.map(np.array, variables)
            self.best_epoch = epoch + 1
        return scores

    def _scores(self, variables: Mapping[str, Any]) -> dict[str, float]:
        loss = right = total = 0.0
        for logits, label in labelled_logits(self.task, variables, self.check, self.batch):
            index = index_of(label, self.task.class_ids)
            known = index >= 0
            log_p = _log_softmax(logits[known])
            loss -= float(log_p[np.arange(known.sum()), index[known]].sum())
            right += float((log_p.argmax(axis=-1) == index[known]).sum())
            total += float(known.sum())
        total = max(total, 1.0)
        return {"validation_loss": loss / total, "validation_accuracy": right / total}


@dataclass
class Totals:
    """Sums over the steps of an epoch."""

    steps: int = 0
    loss: float = 0.0
    weight: float = 0.0
    correct: float = 0.0
    labelled: float = 0.0

    def add(self, sums: Mapping[str, Any], step: int, positions: np.ndarray) -> None:
        """Add one step.

        Raises
        ------
        InputError
            If its loss is not a number.
        """
        loss = float(sums["loss"])
        if not np.isfinite(loss):
            raise InputError(
                f"the loss of step {step} is {loss}; its batch holds samples "
                f"{', '.join(map(str, np.sort(positions)[:8]))} …: look at their images, or give a "
                f"smaller learning_rate"
            )
        self.steps += 1
        self.loss += loss
        self.weight += float(sums["weight"])
        self.correct += float(sums["correct"])
        self.labelled += float(sums["labelled"])

    def means(self) -> dict[str, float]:
        """Return loss and accuracy per labelled pixel."""
        return {
            "loss": self.loss / max(self.weight, 1e-6),
            "accuracy": self.correct / max(self.labelled, 1.0),
        }


def _place(batch: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
    """Send a batch to the device; positions stay here."""
    image, label, positions = batch
    return jax.device_put(image), jax.device_put(label), positions


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _model(fit: Fit, samples: xr.Dataset, legend: Legend, bands: tuple[str, ...]) -> Model:
    """Put together what was learned."""
    task = fit.task
    units = "reflectance" if samples.attrs.get("units", "1") in ("1", "reflectance") else None
    return Model(
        net=task.net,
        variables=fit.best or {},
        bands=bands,
        normalisation=Normalisation(offset=task.offset, scale=task.scale),
        legend=legend,
        class_ids=task.class_ids,
        units=units or "digital number",
        training={
            "settings": dataclasses.asdict(task.settings),
            "history": fit.history,
            "best_epoch": fit.best_epoch,
            "samples": {
                "train": len(fit.learn),
                "validation": len(fit.check),
                **{
                    name: samples.attrs[name]
                    for name in ("seed", "patch", "block", "gap", "crs", "tiles")
                    if name in samples.attrs
                },
            },
        },
    )
