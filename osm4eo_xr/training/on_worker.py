"""A training in a GPU worker of the open cluster, followed from here."""

from __future__ import annotations

import dataclasses
import queue
import time
import uuid
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dask
from distributed import Event, get_client, get_worker

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
        with dask.annotate(**device_annotations()):
            future = client.submit(_trained, training, topic, pure=False)
        while not future.done():
            _hand_on(said, progress, on_status)
        model = future.result()
        _hand_on(said, progress, on_status)
    except BaseException:
        Event(topic, client).set()
        raise
    finally:
        client.unsubscribe_topic(topic)
    return model


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


def _trained(training: Callable[..., Model], topic: str) -> Model:
    """Train in this worker, and say how far it is; a step ends it if nobody waits any more."""
    say, stop, show = get_worker().log_event, Event(topic, get_client()), warnings.showwarning
    said = {"progress": 0.0, "status": 0.0}

    def is_due(what: str, *, last: bool) -> bool:
        due = last or time.monotonic() - said[what] >= _LOOK
        if due:
            said[what] = time.monotonic()
        return due

    def tell(done: int, total: int) -> None:
        if is_due("progress", last=done == total):
            say(topic, {"done": done, "total": total})
            if stop.is_set():
                raise RuntimeError("nobody waits for this training any more")

    def tell_status(status: Status) -> None:
        if is_due("status", last=status.step == status.steps):
            say(topic, {"status": dataclasses.asdict(status)})

    def warn(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, InputWarning):
            say(topic, {"warning": str(message)})
        else:
            show(message, category, *place)

    # Samples are read in threads of this process: as tasks of the cluster, which the client above
    # would make of them, they may wait for the thread of this one.
    with warnings.catch_warnings(), dask.config.set(scheduler="threads"):
        warnings.showwarning = warn
        return training(progress=tell, on_status=tell_status)
