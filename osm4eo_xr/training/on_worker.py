"""A training in a GPU worker of the open cluster, followed from here."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dask import config
from dask.base import annotate
from distributed import Event, Reschedule, get_client, get_worker

from osm4eo_xr.cluster.device_tasks import device_annotations
from osm4eo_xr.errors import InputWarning
from osm4eo_xr.training.status import Status

if TYPE_CHECKING:
    from distributed import Client

    from osm4eo_xr.models.model import Model
    from osm4eo_xr.progress import Progress

_LOOK = 0.2  # seconds between two words of the worker, and between two looks for them

Said = queue.SimpleQueue[dict[str, Any]]
"""What came from the worker and was not handed on yet."""


def train_on_worker(
    client: Client,
    training: Callable[..., Model],
    *,
    progress: Progress | None,
    on_status: Callable[[Status], None] | None,
) -> Model:
    """Run ``training(progress=…, on_status=…)`` in a GPU worker, which is then busy with it alone.

    What it says and warns of is said and warned of here, in the caller's thread. Whatever ends the
    wait ends the training.
    """
    topic = f"osm4eo-xr-training-{uuid.uuid4().hex}"
    said: Said = queue.SimpleQueue()
    client.subscribe_topic(topic, lambda event: said.put(event[1]))
    try:
        with annotate(**device_annotations()):
            future = client.submit(_trained, training, topic, pure=False)
        while not future.done():
            _hand_on(said, progress, on_status)
        _hand_on(said, progress, on_status)
        return future.result()
    except BaseException:
        with suppress(Exception):  # what ends the wait is told, not a cluster that is gone as well
            Event(topic, client).set()
        raise
    finally:
        with suppress(Exception):
            client.unsubscribe_topic(topic)


def _hand_on(
    said: Said, progress: Progress | None, on_status: Callable[[Status], None] | None
) -> None:
    """Hand on what the worker says, until it has said nothing for a while."""
    while True:
        try:
            event = said.get(timeout=_LOOK)
        except queue.Empty:
            return
        if "warning" in event:
            warnings.warn(event["warning"], InputWarning, stacklevel=2)
        elif "status" in event and on_status is not None:
            on_status(Status(**event["status"]))
        elif "done" in event and progress is not None:
            progress(event["done"], event["total"])


class _Speaker:
    """What a training says from its worker, a few times a second."""

    def __init__(self, topic: str) -> None:
        self._worker, self._topic = get_worker(), topic
        self._stop = Event(topic, get_client())
        self._thread, self._show = threading.get_ident(), warnings.showwarning
        self._said: dict[str, float] = {}

    def progress(self, done: int, total: int) -> None:
        """Say what is done; end the training if nobody waits any more, or if the worker closes.

        Then another worker begins it anew, from the last checkpoint.
        """
        if self._is_due("done", last=done == total):
            self._say(done=done, total=total)
            if self._worker.status.name.startswith("closing"):
                raise Reschedule
            if self._stop.is_set():
                raise RuntimeError("nobody waits for this training any more")

    def status(self, status: Status) -> None:
        """Say where the run stands."""
        if self._is_due("status", last=status.step == status.steps):
            self._say(status=dataclasses.asdict(status))

    def warn(self, message: Warning | str, category: type[Warning], *place: Any) -> None:
        """Say what the training warns of; what libraries and other tasks do is shown here."""
        if issubclass(category, InputWarning) and threading.get_ident() == self._thread:
            self._say(warning=str(message))
        else:
            self._show(message, category, *place)

    def _say(self, **event: Any) -> None:
        self._worker.log_event(self._topic, event)

    def _is_due(self, what: str, *, last: bool) -> bool:
        now = time.monotonic()
        due = last or now - self._said.get(what, -_LOOK) >= _LOOK
        if due:
            self._said[what] = now
        return due


def _trained(training: Callable[..., Model], topic: str) -> Model:
    """Train in this worker, and say how far it is."""
    speaker = _Speaker(topic)
    # Samples are read in threads of this process: as tasks of the cluster, which the speaker's
    # client would make of them, they may wait for the thread of this one.
    with warnings.catch_warnings(), config.set(scheduler="threads"):
        warnings.showwarning = speaker.warn
        return training(progress=speaker.progress, on_status=speaker.status)
