"""The loop of training: epochs of steps, looks at the validation samples, checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from scipy.special import log_softmax

from osm4eo_xr.errors import InputError
from osm4eo_xr.process.heap import kept_heap
from osm4eo_xr.samples.ground import place_numbers
from osm4eo_xr.training.batches import Prefetch, Windows, train_batches
from osm4eo_xr.training.device_samples import DeviceSamples, fits_device
from osm4eo_xr.training.scoring import index_of, labeled_logits
from osm4eo_xr.training.selection import Look, surely_better
from osm4eo_xr.training.status import Status, Totals, batch_origin
from osm4eo_xr.training.step.data_parallel import place_batch, place_state
from osm4eo_xr.training.step.rate_search import STEPS, RateSearch, find_rate
from osm4eo_xr.training.step.train_step import State, fresh_state, learned_of, make_train_step

if TYPE_CHECKING:
    from osm4eo_xr.progress import Progress
    from osm4eo_xr.training.checkpoints import RunFolder
    from osm4eo_xr.training.step.task import Task

logger = logging.getLogger(__name__)

_LOGGED = 10  # steps between two scalars


@dataclass
class Fit:
    """A training run.

    Attributes
    ----------
    task : Task
        What is learned.
    learn, check : Windows
        Training and validation samples.
    folder : RunFolder, optional
        Where checkpoints and history go.
    progress : callable, optional
        Called as ``progress(steps done, steps in all)``; those of a rate's search count too.
    on_status : callable, optional
        Called with a ``Status`` after each step, also of a search for a learning rate.
    history : list of dict
        One entry per epoch: epoch, step, loss, accuracy, validation_loss, validation_accuracy
        (absent where it was not looked at), samples_per_second, waiting (share of the time), and
        self_labeled where a network trains itself. Loss and accuracy are the mean of the members,
        each by itself; validation is of their mean.
    best : dict, optional
        Variables of the epoch that is kept: the last, if all are trained and no earlier one is
        surely better by validation; else the one with the best validation accuracy.
    search : RateSearch, optional
        What the search for a learning rate found, if the settings ask for one.
    """

    task: Task
    learn: Windows
    check: Windows
    folder: RunFolder | None = None
    progress: Progress | None = None
    on_status: Callable[[Status], None] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    best_epoch: int = 0
    search: RateSearch | None = None
    _epoch: int = 0
    _batches: int = 0
    _held: DeviceSamples | None = None
    _totals: Totals = field(default_factory=Totals)
    _best_look: Look | None = None

    @property
    def done(self) -> int:
        """Steps done."""
        return self._epoch * self.task.steps_per_epoch + self._batches

    @kept_heap()
    def run(self, variables: Mapping[str, Any]) -> None:
        """Train from ``variables``, or from where a stopped run of the folder was."""
        state = self._restored(place_state(fresh_state(self.task, variables)))
        self._held = DeviceSamples(self.learn) if fits_device(self.learn) else None
        if not self.task.settings.learning_rate:
            self._find_rate(state, variables)
        step = make_train_step(self.task)
        while self._epoch < self.task.settings.epochs and not self._is_stale():
            state, record = self._train_epoch(step, state)
            epoch = self._epoch + 1
            if epoch % self.task.settings.validate_every == 0 or epoch == self.task.settings.epochs:
                record |= self._validate(state, epoch)
            self.history.append(record)
            self._epoch, self._batches, self._totals = epoch, 0, Totals()
            self._keep_epoch(state, record)

    def _is_stale(self) -> bool:
        """Whether the last looks at the validation samples were no better than an earlier one."""
        looks = [r["epoch"] for r in self.history if "validation_accuracy" in r]
        since = sum(epoch > self.best_epoch for epoch in looks)
        return 0 < self.task.settings.patience <= since

    def _find_rate(self, state: State, variables: Mapping[str, Any]) -> None:
        """Look for a learning rate, with which the training goes on; a stopped run keeps it."""
        begun = time.perf_counter()

        def looks(done: int, sums: Totals) -> None:
            if self.progress:
                self.progress(done, STEPS + self.task.steps)
            if self.on_status:
                speed = done * self.task.batch / (time.perf_counter() - begun)
                self.on_status(self._status(0, done, STEPS, sums, speed))

        with contextlib.closing(self._endless()) as batches:
            self._take(find_rate(self.task, variables, batches, looks))
        logger.info("learning rate %.3g", self.task.settings.learning_rate)
        if self.folder:
            self.folder.save(0, *self._checkpoint(state))

    def _take(self, search: RateSearch) -> None:
        """Learn at the rate that a search found."""
        self.search = search
        settings = dataclasses.replace(self.task.settings, learning_rate=search.rate)
        self.task = dataclasses.replace(self.task, settings=settings)

    def _endless(self) -> Generator[tuple[Any, Any]]:
        """Yield the images and labels of epoch after epoch."""
        for epoch in itertools.count():
            with self._ahead(epoch) as ahead:
                for image, label, _ in ahead:
                    yield image, label

    def _ahead(self, epoch: int, skip: int = 0) -> Prefetch:
        """Return the batches of an epoch, read ahead."""
        how: Any = {"seed": self.task.settings.seed, "epoch": epoch, "skip": skip}
        if self._held:
            return Prefetch(self._held.batches(self.task.batch, **how), tuple)
        return Prefetch(train_batches(self.learn, self.task.batch, **how), _place)

    def _train_epoch(self, step: Any, state: State) -> tuple[State, dict[str, Any]]:
        """Train what is left of an epoch."""
        start, first, batch = time.perf_counter(), self._batches, self.task.batch
        with self._ahead(self._epoch, first) as ahead:
            for after in self._steps(step, state, ahead, start):
                state = after
                self._keep_step(state)
            waited = ahead.waited
        seconds = time.perf_counter() - start
        return state, {
            "epoch": self._epoch + 1,
            "step": self.done,
            **self._totals.means(),
            "samples_per_second": (self._batches - first) * batch / seconds,
            "waiting": waited / seconds,
        }

    def _steps(self, step: Any, state: State, ahead: Prefetch, start: float) -> Iterator[State]:
        """Take step after step; one is looked at while the next one runs, unless it is kept."""
        first, pending = self._batches, None
        for image, label, positions in ahead:
            state, sums = step(state, image, label)
            if pending:
                self._settle(*pending)
            self._batches += 1
            speed = (self._batches - first) * self.task.batch / (time.perf_counter() - start)
            pending = (sums, positions, self.done, speed)
            if self._keeps_step():
                self._settle(*pending)
                pending = None
            if self.progress:
                before = STEPS if self.search else 0
                self.progress(before + self.done, before + self.task.steps)
            yield state
        if pending:
            self._settle(*pending)

    def _settle(self, sums: Any, positions: np.ndarray, step: int, speed: float) -> None:
        """Look at the sums of a step.

        Raises
        ------
        InputError
            If its loss is not a number.
        """
        sums = {name: float(value) for name, value in jax.device_get(sums).items()}
        if not np.isfinite(sums["loss"]):
            raise InputError(
                f"the loss of step {step} is {sums['loss']}; "
                f"{batch_origin(self.learn.samples, positions)}",
                advice="look at these images, or give a smaller learning_rate",
            )
        self._totals.add(sums)
        if self.folder and step % _LOGGED == 0:
            one = Totals(**sums).means()
            self.folder.log(step, {f"train/{k}": v for k, v in one.items()} | {"speed": speed})
        if self.on_status:
            steps = self.task.steps
            self.on_status(self._status(self._epoch + 1, step, steps, self._totals, speed))

    def _status(self, epoch: int, step: int, steps: int, sums: Totals, speed: float) -> Status:
        return Status(
            epoch=epoch,
            epochs=self.task.settings.epochs,
            step=step,
            steps=steps,
            **sums.means(),
            samples_per_second=speed,
            seconds_left=(steps - step) * self.task.batch / max(speed, 1e-9),
        )

    def _validate(self, state: State, epoch: int) -> dict[str, Any]:
        """Look at the validation samples, and keep the weights or those that were kept before.

        Rates fall to 0 in the last epoch, and few places tell little: its weights are kept unless
        others are surely better.
        """
        variables = learned_of(state)
        look, before = self._look(variables), self._best_look
        last = epoch == self.task.settings.epochs
        if (
            before is None
            or look.accuracy > before.accuracy
            or (last and not surely_better(before, look))
        ):
            self.best, self._best_look = jax.tree.map(np.array, variables), look
            self.best_epoch = epoch
        return {"validation_loss": look.loss, "validation_accuracy": look.accuracy}

    def _look(self, variables: Mapping[str, Any]) -> Look:
        """Count the validation pixels of each place, and those that are right."""
        numbers, places = place_numbers(self.check.samples, self.check.positions)
        place_of = np.zeros(self.check.samples.sizes["sample"], np.int64)
        place_of[self.check.positions] = numbers
        loss, right, pixels = 0.0, np.zeros(places), np.zeros(places)
        for logits, label, where in labeled_logits(
            self.task, variables, self.check, self.task.batch
        ):
            index = index_of(label, self.task.class_ids)
            known = index >= 0
            place, index = place_of[where[known]], index[known]
            log_p = log_softmax(logits[known], axis=-1)
            loss -= float(log_p[np.arange(len(index)), index].sum())
            right += np.bincount(place[log_p.argmax(axis=-1) == index], minlength=places)
            pixels += np.bincount(place, minlength=places)
        return Look(right, pixels, loss / max(float(pixels.sum()), 1.0))

    def _keeps_step(self) -> bool:
        """Whether a checkpoint is due within the epoch; its end has one of its own."""
        due = self.done % self.task.settings.checkpoint_every == 0
        return bool(self.folder) and due and self._batches < self.task.steps_per_epoch

    def _keep_step(self, state: State) -> None:
        if self.folder and self._keeps_step():
            self.folder.save(self.done, *self._checkpoint(state))

    def _keep_epoch(self, state: State, record: Mapping[str, Any]) -> None:
        """Write checkpoint, history and scalars of an epoch."""
        if self.folder:
            self.folder.save(self.done, *self._checkpoint(state))
            self.folder.write_history(self.history)
            self.folder.log(self.done, {f"epoch/{k}": v for k, v in record.items() if k != "step"})

    def _checkpoint(self, state: State) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return arrays and record from which a run continues."""
        best = self.best or jax.tree.map(np.array, learned_of(state))
        look = self._best_look
        return {"state": state, "best": best}, {
            "epoch": self._epoch,
            "batches": self._batches,
            "totals": dataclasses.asdict(self._totals),
            "history": self.history,
            "best_epoch": self.best_epoch,
            "search": self.search and dataclasses.asdict(self.search),
            "best_look": look and [look.right.tolist(), look.pixels.tolist()],
        }

    def _restored(self, state: State) -> State:
        """Continue from the folder's last checkpoint, if there is one."""
        found = self.folder.restore(self._checkpoint(state)[0]) if self.folder else None
        if found is None:
            return state
        arrays, record = found
        self._epoch, self._batches = record["epoch"], record["batches"]
        self._totals, self.history = Totals(**record["totals"]), record["history"]
        self.best_epoch = record["best_epoch"]
        if search := record.get("search"):
            self._take(RateSearch(**search))
        if self.best_epoch:
            right, pixels = map(np.array, record["best_look"])
            self.best, self._best_look = arrays["best"], Look(right, pixels)
        return arrays["state"]


def _place(batch: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
    """Send a batch to the devices; positions stay here."""
    image, label, positions = batch
    return place_batch(image), place_batch(label), positions
