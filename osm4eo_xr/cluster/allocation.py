"""The tasks of one Slurm job step as a cluster: no job is submitted from within."""

from __future__ import annotations

import os
import shutil
from asyncio import to_thread
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client, Security, rpc
from distributed.utils import json_load_robust

from osm4eo_xr.cluster.device_tasks import device_settings
from osm4eo_xr.cluster.gpus import visible_gpus
from osm4eo_xr.cluster.security import (
    PROTOCOL,
    WORKER_PAGES,
    await_published,
    dashboard_address,
    publish,
    security_of,
)
from osm4eo_xr.cluster.site import LocalSite
from osm4eo_xr.cluster.site_file import load_site
from osm4eo_xr.cluster.worker import WORKER_SETUP, environment_here, expand_folder
from osm4eo_xr.errors import InputError, extra

_LEAST_TASKS = 3  # scheduler, this program, a worker


@contextmanager
def open_allocation(name_or_yaml: str | Path = "local", **overrides: Any) -> Iterator[Client]:
    """Make a cluster of the tasks that ``srun`` started, and connect to it.

    Every task runs the same program: the first becomes the scheduler and each from the third on a
    worker, which never come out of this call; the second goes on with the body. A worker that is
    given a GPU (``srun --gpus-per-task=1``) owns it as those of ``open_cluster`` do.

    Parameters
    ----------
    name_or_yaml : str or Path
        Settings of the kind "local": threads and memory of a worker, its environment, scratch.
    **overrides
        Settings that win over the file's.

    Yields
    ------
    distributed.Client
        When all workers are there.

    Raises
    ------
    InputError
        If a setting is wrong, or the program does not run as three Slurm tasks or more.

    Examples
    --------
    >>> import os, osm4eo_xr as oxr
    >>> _ = os.environ.pop("SLURM_PROCID", None)
    >>> with oxr.open_allocation():  # doctest: +ELLIPSIS
    ...     pass
    Traceback (most recent call last):
      ...
    osm4eo_xr.errors.InputError: 0 Slurm tasks, and ...; start it with srun -n 3 or more
    """
    site = load_site(name_or_yaml, **overrides)
    if not isinstance(site, LocalSite):
        raise InputError(
            f"cluster {site.name!r} submits jobs of its own", advice="give one of kind local"
        )
    tasks = int(os.environ.get("SLURM_NTASKS", "0")) if "SLURM_PROCID" in os.environ else 0
    if tasks < _LEAST_TASKS:
        raise InputError(
            f"{tasks} Slurm tasks, and a scheduler, this program and a worker need one each",
            advice=f"start it with srun -n {_LEAST_TASKS} or more",
        )
    with _meeting_place(site) as folder:
        security = security_of(folder) if site.tls else None
        with _runner(site, folder, security) as runner, Client(runner, security=security) as client:
            if security is not None:  # the runner's own connection, which ends all, has no key
                key = security.get_connection_args("client")
                runner.scheduler_comm = rpc(runner.scheduler_address, connection_args=key)
            try:
                client.wait_for_workers(tasks - 2, timeout=site.start_timeout)
                workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
                has_gpu = any("GPU" in w["resources"] for w in workers.values())
                with dask.config.set(device_settings(has_gpu=has_gpu)):
                    yield client
            finally:
                client.shutdown()


@contextmanager
def _meeting_place(site: LocalSite) -> Iterator[Path]:
    """Share a folder below the working one with the other tasks; the second task removes it.

    The first task makes it. It holds the cluster's key and the scheduler's address.
    """
    step = (os.environ.get(f"SLURM_{n}", "0") for n in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    folder = Path(f".osm4eo-xr-{'-'.join(step)}").absolute()
    first, second = (os.environ["SLURM_PROCID"] == k for k in "01")
    if first:
        publish(site, folder)
    await_published(folder, site.start_timeout)
    try:
        yield folder
    finally:
        if second:
            shutil.rmtree(folder, ignore_errors=True)


def _runner(site: LocalSite, folder: Path, security: Security | None) -> Any:
    """Become what this task is for: only the second task comes back from here."""
    secure = {"security": security, "protocol": PROTOCOL[site.tls]}
    return _runner_class(site.start_timeout)(
        scheduler_file=str(folder / "scheduler.json"),
        scheduler_options={**secure, "dashboard_address": dashboard_address(site)},
        worker_options={**_worker_options(site), **secure, "dashboard_address": WORKER_PAGES},
    )


def _runner_class(seconds: float) -> Any:
    """dask-jobqueue's runner, patient with a scheduler that is still writing its address."""
    with extra("batch", "a cluster of the tasks of a job step"):
        from dask_jobqueue.slurm import SLURMRunner

    class Runner(SLURMRunner):
        async def get_scheduler_address(self) -> str:
            # The scheduler writes its file in place; the runner's own reading can meet a half.
            read = partial(json_load_robust, self.scheduler_file, timeout=seconds)
            return (await to_thread(read))["address"]

    return Runner


def _worker_options(site: LocalSite) -> dict[str, Any]:
    """Set this process's environment and return what dask's worker takes."""
    has_gpu = site.gpu is not None and bool(visible_gpus())
    group = site.gpu if has_gpu else site.cpu
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK", "1"))
    threads = (group.threads if group else None) or cores
    os.environ |= environment_here(site, threads, gpu=has_gpu)
    return {
        "nthreads": threads,
        "memory_limit": (group.memory if group else None) or "auto",
        "local_directory": str(expand_folder(site.scratch)),
        "resources": {"GPU": 1} if has_gpu else {},
        "preload": [WORKER_SETUP],
    }
