"""What dask's workers say when a cluster ends: no traceback of a heartbeat on its way."""

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
def no_filter() -> Iterator[None]:
    logger = logging.getLogger("distributed.worker")
    before, logger.filters = logger.filters, []
    yield
    logger.filters = before


@pytest.mark.parametrize(("preload", "said"), [([WORKER_SETUP], 0), ([], 1)])
def test_a_heartbeat_that_the_schedulers_end_cuts_off_is_not_told(
    preload: list[str], said: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Without our setup dask tells it; the day it does not, ours can go."""
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
            scheduler.handlers["heartbeat_worker"] = never_answers
            beat = asyncio.create_task(worker.heartbeat())
            await asyncio.wait_for(came.wait(), 30)
            for comm in list(scheduler._comms):
                comm.abort()
            await asyncio.wait_for(beat, 30)

    asyncio.run(run())
    assert [r.getMessage() for r in caplog.records if "heartbeat" in r.getMessage()] == [
        "Failed to communicate with scheduler during heartbeat."
    ] * said


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
    assert [r.getMessage() for r in caplog.records] == [message for message, _ in told]
