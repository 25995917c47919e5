"""What dask's workers say when a cluster ends: a line, no traceback, of a heartbeat on its way."""

import asyncio
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Scheduler, Worker
from distributed.comm.core import CommClosedError

from osm4eo_xr.cluster.worker import WORKER_SETUP, dask_setup


@pytest.fixture(autouse=True)
def no_filter(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Hear the logger as it is, whether or not dask lets its words pass on."""
    logger = logging.getLogger("distributed.worker")
    before = logger.filters, logger.propagate
    logger.filters, logger.propagate = [], False
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)
    logger.filters, logger.propagate = before


@pytest.mark.parametrize(("preload", "traced"), [([WORKER_SETUP], False), ([], True)])
def test_a_heartbeat_whose_connection_is_cut_is_a_line(
    preload: list[str], traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Without our setup dask shows its traceback; the day it does not, ours can go."""
    here: Any = {"host": "127.0.0.1", "dashboard_address": ":0"}
    came = asyncio.Event()

    async def never_answers(**_: object) -> None:
        came.set()
        await asyncio.sleep(60)

    async def run() -> None:
        async with (
            Scheduler(**here) as scheduler,
            Worker(scheduler.address, nthreads=1, preload=preload, **here) as worker,
        ):
            worker.periodic_callbacks["heartbeat"].stop()  # the one below is the only one
            scheduler.handlers["heartbeat_worker"] = never_answers
            beat = asyncio.create_task(worker.heartbeat())
            await asyncio.wait_for(came.wait(), 30)
            for comm in list(scheduler._comms):
                comm.abort()
            await asyncio.wait_for(beat, 30)

    asyncio.run(run())
    (told,) = (r for r in caplog.records if "heartbeat" in r.getMessage())
    assert told.getMessage().startswith("Failed to communicate with scheduler during heartbeat.")
    assert ("heartbeat_worker" in told.getMessage()) is not traced  # the connection and its end
    assert bool(told.exc_info) is traced


def test_other_troubles_of_a_worker_are_told(caplog: pytest.LogCaptureFixture) -> None:
    worker: Any = SimpleNamespace(state=SimpleNamespace(total_resources={}))
    dask_setup(worker)
    logger = logging.getLogger("distributed.worker")
    told = [
        ("during heartbeat", OSError("no route to host")),
        ("while fetching", CommClosedError("in tls://10.0.0.1")),
        ("heartbeat is late", None),
    ]
    for message, error in told:
        logger.error(message, exc_info=error)
    seen = [(r.getMessage(), r.exc_info and r.exc_info[1]) for r in caplog.records]
    assert seen == told
