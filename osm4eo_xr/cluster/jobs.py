"""Jobs of a batch system, kept at their number while they die and end."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from distributed import SpecCluster
from distributed.core import Status

from osm4eo_xr.cluster.job_scripts import cluster_class, job_options
from osm4eo_xr.cluster.security import PROTOCOL, dashboard_address, shared_security
from osm4eo_xr.cluster.worker import expand_folder
from osm4eo_xr.errors import InputError
from osm4eo_xr.process.endings import last_duty

if TYPE_CHECKING:
    from distributed import Security

    from osm4eo_xr.cluster.site import BatchSite, JobWorkers

logger = logging.getLogger(__name__)

_TEND_EVERY = 2.0  # seconds between looks at the jobs
_DEAD_ON_ARRIVAL = 5  # jobs in a row that end before a worker of theirs connects
_PATIENCE, _LAST_PATIENCE = 10.0, 1.0  # seconds for a job that is being submitted at the end
_TASKS_PER_THREAD = 4  # waiting tasks per thread that justify one more job
_WAITING = {"queued", "no-worker", "processing"}


@dataclass
class _JobState:
    """What is known of one job: when it was asked for, when workers of it were connected."""

    asked: float
    came: float | None = None
    seen: float | None = None


class JobPool:
    """The jobs of a cluster: asked for, watched, replaced and given back.

    dask-jobqueue does not ask again for a job that died, and knows jobs of one kind. The pool adds
    kinds (GPU and CPU jobs side by side), looks every two seconds which jobs have no worker any
    more, and asks for new ones in their place: after a wall time, a ``scancel``, a broken node.
    A submit command that fails for a while (the batch system restarts) is tried again.
    """

    def __init__(self, site: BatchSite) -> None:
        self.site = site
        self.failure: str | None = None
        self.submitted = 0
        self._cluster: Any = None
        self._secure: dict[str, Any] = {}
        self._known: dict[str, _JobState] = {}
        self._over = False
        self._tending = asyncio.Lock()
        self._asking: asyncio.subprocess.Process | None = None
        self._dead_in_a_row = 0
        self._fewer_since: dict[str, float] = {}

    @contextmanager
    def running(self) -> Iterator[SpecCluster]:
        """Open the cluster and keep its jobs at their number until the block ends.

        Raises
        ------
        InputError
            If jobs cannot be submitted, or die again and again before a worker connects.
        """
        command = self.site.submit_command
        if shutil.which(command) is None:
            raise InputError(
                f"no {command} on this machine, which cluster {self.site.name!r} submits jobs with",
                advice="go to a login node of it or take cluster local",
            )
        logs = expand_folder(self.site.logs)
        logs.mkdir(parents=True, exist_ok=True)
        with (
            shared_security(self.site, logs) as security,
            self._opened(security) as cluster,
            last_duty(partial(self._close, patience=_LAST_PATIENCE)),
        ):
            self._submit_first()
            cluster.loop.add_callback(cluster.loop.call_later, _TEND_EVERY, self._watch)
            try:
                yield cluster
            except Exception as error:
                if self.failure is None:
                    raise
                raise InputError(self.failure) from error
            finally:
                self._close()

    def _close(self, *, patience: float = _PATIENCE) -> None:
        """End the look at the jobs that goes on, then close the cluster and cancel its jobs.

        In this order, or the look would ask for a job that nobody is left to cancel.
        """
        self._over = True
        if self._cluster.status == Status.running:
            self._cluster.sync(self._rest, patience)
        self._cluster.close()

    async def _rest(self, patience: float) -> None:
        """Wait so many seconds for the end of the look; the queue's answer is not waited for."""
        self._stop_asking()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience), self._tending:
                pass

    def _stop_asking(self) -> None:
        """End the command that asks for the queue, with all that it has started."""
        if self._asking is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._asking.pid, signal.SIGKILL)

    def _opened(self, security: Security | None) -> Any:
        """Return dask-jobqueue's cluster; it has no jobs yet."""
        self._secure = {"protocol": PROTOCOL[self.site.tls], "security": security}
        scheduler = {"dashboard_address": dashboard_address(self.site)}
        first = next(iter(self.site.groups))
        options = job_options(self.site, first)
        self._cluster = cluster_class(self.site)(
            **options, **self._secure, scheduler_options=scheduler
        )
        return self._cluster

    def _submit_first(self) -> None:
        """Ask for the first jobs; what the batch system refuses now is the caller's error."""
        self._resize()
        try:
            self._cluster.sync(self._correct)
        except RuntimeError as error:
            self._drop_unsubmitted()
            reason = " ".join(str(error).split())
            raise InputError(
                f"cluster {self.site.name!r}: the batch system refused the job: {reason}"
            ) from None

    async def _correct(self) -> None:
        """Let dask submit jobs that are wanted and cancel those that are not."""
        await self._cluster

    async def _watch(self) -> None:
        """Tend the jobs again and again until the block ends."""
        try:
            async with self._tending:
                await self._tend()
        finally:  # what goes wrong once is logged by the loop
            if not self._over:
                self._cluster.loop.call_later(_TEND_EVERY, self._watch)

    async def _tend(self) -> None:
        """Look at the jobs once: replace the lost, grow or shrink with the waiting work."""
        if self._over or self.failure is not None:
            return
        try:
            await self._drop_lost(time.monotonic())
            if self._over or self.failure is not None:
                return
            await self._give_back(self._resize())
            await self._correct()
        except RuntimeError as error:
            self._drop_unsubmitted()
            logger.warning("jobs could not be submitted, trying again: %s", error)

    async def _drop_lost(self, now: float) -> None:
        """Forget jobs whose workers are gone; ``_resize`` asks for others in their place."""
        for job, state in self._known.items():
            if self._workers_of(job):
                state.came, state.seen = state.came or now, now
                self._dead_in_a_row = 0
        patience = self.site.lost_after
        silent = [j for j, s in self._known.items() if now - (s.seen or s.asked) > patience]
        queued = await self._queued_ids() if silent else None
        for job in silent:
            if self._known[job].seen is None and self._in_queue(job, queued):
                continue
            self._dead_in_a_row += self._known[job].seen is None
            self._forget(job)
        if self._dead_in_a_row >= _DEAD_ON_ARRIVAL:
            await self._give_up()

    def _drop_unsubmitted(self) -> None:
        """Forget jobs the batch system did not take, so that the next look asks for them again."""
        for name, job in self._cluster.workers.items():
            if job.job_id is None:
                job.status = Status.closed
                self._forget(name)

    def _in_queue(self, job: str, queued: set[str] | None) -> bool:
        """Whether a job that never had a worker still waits or runs; unknown counts as yes."""
        submitted = self._cluster.workers.get(job)
        if queued is None or submitted is None:
            return True
        return str(submitted.job_id) in queued

    async def _queued_ids(self) -> set[str] | None:
        """Return the ids of all jobs in the queue, None when the batch system does not answer."""
        process = await asyncio.create_subprocess_exec(
            *shlex.split(self.site.queue_command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._asking = process
        if self._over:
            self._stop_asking()
        out, _ = await process.communicate()
        self._asking = None
        if process.returncode:
            return None
        return {word.partition(".")[0] for word in out.decode().split()}

    async def _give_up(self) -> None:
        """Stop asking for jobs and end the cluster, so that nobody waits for ever."""
        self.failure = (
            f"cluster {self.site.name!r}: {_DEAD_ON_ARRIVAL} jobs in a row ended before a worker "
            f"came up; read the newest log in the folder {self.site.logs!r}"
        )
        logger.error(self.failure)
        self._cluster.worker_spec.clear()
        await self._correct()
        await self._cluster.scheduler.close(reason="no job of the cluster comes up")

    def _forget(self, job: str) -> None:
        """Take a job off the list; dask cancels what is left of it."""
        self._known.pop(job, None)
        self._cluster.worker_spec.pop(job, None)

    async def _give_back(self, jobs: list[str]) -> None:
        """Take jobs off the list whose results others have got; where nobody can, a job stays.

        One after the other, so that the last may hold what the ones before it had. dask itself
        would retire workers that are named as their jobs are, and finds none by such an address.
        """
        scheduler = self._cluster.scheduler
        for job in jobs:
            leaving = self._workers_of(job)
            if any(w.has_what for w in leaving) and scheduler.running <= set(leaving):
                continue
            retired = await scheduler.retire_workers([w.address for w in leaving])
            if len(retired) == len(leaving):
                self._forget(job)

    def _workers_of(self, job: str) -> list[Any]:
        """Return the workers of a job that are connected."""
        workers = self._cluster.scheduler.workers.values()
        return [w for w in workers if str(w.name) == job or str(w.name).startswith(f"{job}-")]

    def _resize(self) -> list[str]:
        """Ask for the jobs that the waiting work justifies; return those beyond that number."""
        now = time.monotonic()
        beyond: list[str] = []
        for name, group in self.site.groups.items():
            everyone = [j for j in self._known if j.rpartition("-")[0] == name]
            present = [j for j in everyone if not self._is_ending(j, group, now)]
            wanted = self._wanted(name, group)
            for _ in range(wanted - len(present)):
                self._ask(name, now)
            if wanted >= len(present):
                self._fewer_since.pop(name, None)
            elif now - self._fewer_since.setdefault(name, now) > self.site.idle_after:
                beyond += self._idlest(present)[: len(present) - wanted]
        return beyond

    def _is_ending(self, job: str, group: JobWorkers, now: float) -> bool:
        """Whether a job's workers retire soon.

        Its successor is asked for now: the last worker of a cluster could hand its data to nobody.
        """
        came = self._known[job].came
        lifetime = self.site.lifetime_of(group) - 2 * self.site.lifetime_stagger
        lead = min(self.site.lifetime_margin, lifetime / 2)
        return came is not None and now - came > lifetime - lead

    def _ask(self, name: str, now: float) -> None:
        """Put one more job of a kind on the list, under a name never used before."""
        job = f"{name}-{self.submitted}"
        self.submitted += 1
        self._known[job] = _JobState(asked=now)
        group = self.site.groups[name]
        spec = {"cls": self._cluster.job_cls, "options": self._options(name)}
        if group.processes > 1:
            spec["group"] = [f"-{i}" for i in range(group.processes)]
        self._cluster.worker_spec[job] = spec

    def _options(self, name: str) -> dict[str, Any]:
        """Return a job's options as the cluster passes them on."""
        return {**job_options(self.site, name), **self._secure}

    def _wanted(self, name: str, group: JobWorkers) -> int:
        """Jobs of a kind that the waiting tasks justify, within the site's bounds."""
        if group.maximum_jobs is None:
            return group.jobs
        waiting = [t for t in self._cluster.scheduler.tasks.values() if t.state in _WAITING]
        if len(self.site.groups) > 1:
            waiting = [t for t in waiting if bool(t.resource_restrictions) == (name == "gpu")]
        at_once = group.processes if group.gpus else group.cores
        justified = math.ceil(len(waiting) / (at_once * _TASKS_PER_THREAD))
        return min(max(group.jobs, justified), group.maximum_jobs)

    def _idlest(self, jobs: list[str]) -> list[str]:
        """Order jobs by the tasks their workers have, fewest first."""
        return sorted(jobs, key=lambda j: sum(len(w.processing) for w in self._workers_of(j)))
