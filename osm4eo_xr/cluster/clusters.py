"""Clusters: worker processes on this machine or in a batch system's jobs, as a context manager."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.config
from dask.system import CPU_COUNT
from distributed import Client, Scheduler, SpecCluster
from distributed.system import MEMORY_LIMIT

from osm4eo_xr.cluster.checks import check_interface
from osm4eo_xr.cluster.device_tasks import device_settings
from osm4eo_xr.cluster.gpus import visible_gpus
from osm4eo_xr.cluster.jobs import JobPool
from osm4eo_xr.cluster.local_processes import (
    UNGUARDED,
    SpawnedWorker,
    SpawnTurns,
    end_if_starting,
    unguarded_error,
)
from osm4eo_xr.cluster.security import (
    PROTOCOL,
    WORKER_PAGES,
    dashboard_address,
    temporary_security,
)
from osm4eo_xr.cluster.site import BatchSite, LocalSite, LocalWorkers, Site
from osm4eo_xr.cluster.site_file import load_site
from osm4eo_xr.cluster.worker import WORKER_SETUP, environment_here, expand_folder
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import scratch_folder
from osm4eo_xr.process.endings import last_duty
from osm4eo_xr.process.node import SHARED_MEMORY_ADVICE, lacks_semaphores

__all__ = ["dashboard_url", "open_cluster"]

_CORES_PER_PROCESS = 4
_MEMORY_SHARE = 0.9  # of the machine; the rest is the client's and the system's


@dataclass(frozen=True)
class LocalProcess:
    """One local worker process: its name, threads, bytes of memory and GPU (None = none)."""

    name: str
    threads: int
    memory: int
    gpu: str | None = None


@contextmanager
def open_cluster(name_or_yaml: str | Path | Site, **overrides: Any) -> Iterator[Client]:
    """Open a cluster and connect to it; on leaving, end every process and job it started.

    While it is open, everything dask computes in this process runs on it.

    Parameters
    ----------
    name_or_yaml : str, Path or Site
        Name of a file in ``cluster/`` such as ``"local"`` or ``"slurm-gpu"``, the path of a YAML
        file, or settings that were read already.
    **overrides
        Settings that win over the file's, for example ``gpu={"jobs": 4}`` or ``account="bw01"``.

    Yields
    ------
    distributed.Client
        Its ``cluster`` attribute is the cluster; ``dashboard_url(client)`` says where to look.

    Raises
    ------
    InputError
        If a setting is wrong, the submit command is missing or refuses the job, the jobs die again
        and again before a worker comes up, or a script opens a local cluster outside its
        ``if __name__ == "__main__":``.

    Examples
    --------
    >>> with open_cluster("local") as client:  # doctest: +SKIP
    ...     write_cog(classify(scene, model), "classes.tif")
    """
    end_if_starting()
    site = name_or_yaml if isinstance(name_or_yaml, Site) else load_site(name_or_yaml, **overrides)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_dask_settings(site)))
        if isinstance(site, BatchSite):
            yield stack.enter_context(_batch_client(site))
        elif isinstance(site, LocalSite):
            yield stack.enter_context(_local_client(site))


def dashboard_url(client: Client) -> str:
    """Return the address of a cluster's dashboard, through Jupyter's proxy inside JupyterHub.

    Examples
    --------
    >>> from dask.distributed import Client
    >>> import osm4eo_xr as oxr
    >>> with Client(processes=False, n_workers=1, dashboard_address="127.0.0.1:0") as client:
    ...     oxr.dashboard_url(client).partition(":")[0]
    'http'
    """
    return str(client.dashboard_link or "")


def plan_processes(site: LocalSite, cores: int, memory: int, gpus: list[str]) -> list[LocalProcess]:
    """Lay out the worker processes of one machine.

    Parameters
    ----------
    site : LocalSite
        Settings; what they leave open is worked out here.
    cores, memory : int
        Cores and bytes of the machine (or of this allocation).
    gpus : list of str
        Its GPUs, as ``CUDA_VISIBLE_DEVICES`` names them.

    Raises
    ------
    InputError
        If the settings ask for more GPUs than there are, or leave no process at all.
    """
    on_gpu = _gpu_processes(site.gpu, gpus)
    gpu_threads = _threads(site.gpu, max(2, cores // (2 * on_gpu)) if on_gpu else 0)
    left = max(cores - on_gpu * gpu_threads, 0)
    on_cpu = _cpu_processes(site.cpu, left if on_gpu else cores)
    cpu_threads = _threads(site.cpu, max(1, (left or cores) // on_cpu) if on_cpu else 0)
    if not on_gpu + on_cpu:
        raise InputError(
            f"no GPU found and no cpu workers in cluster {site.name!r}",
            advice="add a cpu section or go to a machine with a GPU",
        )
    share = int(memory * _MEMORY_SHARE) // (on_gpu + on_cpu)
    with_gpu = [
        LocalProcess(f"gpu-{i}", gpu_threads, _memory(site.gpu, share), gpus[i])
        for i in range(on_gpu)
    ]
    without = [
        LocalProcess(f"cpu-{i}", cpu_threads, _memory(site.cpu, share)) for i in range(on_cpu)
    ]
    return with_gpu + without


def _gpu_processes(workers: LocalWorkers | None, gpus: list[str]) -> int:
    """Count the processes that own a GPU."""
    if workers is None:
        return 0
    if workers.processes is not None and workers.processes > len(gpus):
        raise InputError(
            f"gpu.processes: {workers.processes}, but this machine shows {len(gpus)} GPUs",
            advice="one process owns one GPU",
        )
    return len(gpus) if workers.processes is None else workers.processes


def _cpu_processes(workers: LocalWorkers | None, cores: int) -> int:
    """Count the processes without a GPU."""
    if workers is None:
        return 0
    return workers.processes or max(cores // _CORES_PER_PROCESS, min(cores, 1))


def _threads(workers: LocalWorkers | None, otherwise: int) -> int:
    """Task threads per process."""
    return (workers.threads if workers else None) or otherwise


def _memory(workers: LocalWorkers | None, otherwise: int) -> int:
    """Bytes per process."""
    return (workers.memory if workers else None) or otherwise


def _dask_settings(site: Site) -> dict[str, Any]:
    """Return what dask's configuration says while the cluster is open."""
    settings: dict[str, Any] = {"distributed.scheduler.allowed-failures": site.allowed_failures}
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix:
        settings["distributed.dashboard.link"] = f"{prefix}proxy/{{port}}/status"
    return settings


@contextmanager
def _local_client(site: LocalSite) -> Iterator[Client]:
    """Start the processes of one machine."""
    if (why := lacks_semaphores()) is not None:
        raise InputError(
            f"cluster {site.name!r} cannot start worker processes: no semaphores ({why}); "
            f"{SHARED_MEMORY_ADVICE}, or name no cluster and compute in threads"
        )
    plans = plan_processes(site, CPU_COUNT, MEMORY_LIMIT, visible_gpus())
    security = temporary_security(site)
    secure = {"security": security, "protocol": PROTOCOL[site.tls], "host": "127.0.0.1"}
    scheduler = {
        "cls": Scheduler,
        "options": {**secure, "dashboard_address": dashboard_address(site)},
    }
    settings = device_settings(has_gpu=any(p.gpu for p in plans))
    with ExitStack() as stack:
        scratch = stack.enter_context(_scratch_folder(site))
        stack.enter_context(dask.config.set(settings))
        turns = SpawnTurns()
        workers = {p.name: _process_spec(site, p, scratch, turns, secure) for p in plans}
        try:
            quiet: Any = logging.WARNING  # a level, though dask's signature says bool
            with _unheard("tornado.application", "SpecCluster"):  # it is raised as well
                cluster = SpecCluster(
                    workers=workers, scheduler=scheduler, security=security, silence_logs=quiet
                )
            stack.enter_context(cluster)
        except (RuntimeError, OSError) as error:
            if _mark(scratch).exists():
                raise unguarded_error() from None
            # dask then closes what has started, which may fail too, with another error
            first = error.__context__ if isinstance(error.__context__, RuntimeError) else error
            raise InputError(
                f"cluster {site.name!r}: a worker process did not start: "
                f"{' '.join(str(first).split())}",
                advice="run osm4eo-xr doctor",
            ) from None
        stack.enter_context(last_duty(cluster.close))
        client = stack.enter_context(Client(cluster))
        client.wait_for_workers(len(plans), timeout=site.start_timeout)
        yield client


@contextmanager
def _unheard(logger: str, word: str) -> Iterator[None]:
    """Within the block, drop what a logger says with a word in it."""

    def kept(record: logging.LogRecord) -> bool:
        return word not in record.getMessage()

    logging.getLogger(logger).addFilter(kept)
    try:
        yield
    finally:
        logging.getLogger(logger).removeFilter(kept)


@contextmanager
def _batch_client(site: BatchSite) -> Iterator[Client]:
    """Submit a batch system's first jobs and keep them running."""
    network = check_interface("here", site.interface)
    if network.state != "ok":
        raise InputError(f"cluster {site.name!r}: {network.found}", advice=network.advice)
    pool = JobPool(site)
    with (
        dask.config.set(device_settings(has_gpu=site.gpu is not None)),
        pool.running() as cluster,
        Client(cluster) as client,
    ):
        yield client


def _process_spec(
    site: LocalSite, process: LocalProcess, scratch: str, turns: SpawnTurns, secure: dict[str, Any]
) -> dict[str, Any]:
    """Describe one local worker process to dask."""
    environment = environment_here(site, process.threads, gpu=process.gpu is not None)
    environment[UNGUARDED] = str(_mark(scratch))
    if process.gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = process.gpu
    return {
        "cls": SpawnedWorker,
        "options": {
            "before_spawn": environment,
            "turns": turns,
            "nthreads": process.threads,
            "memory_limit": process.memory,
            "local_directory": scratch,
            "resources": {"GPU": 1} if process.gpu is not None else {},
            "preload": [WORKER_SETUP],
            "silence_logs": logging.WARNING,
            "dashboard_address": WORKER_PAGES,
            **secure,
        },
    }


def _mark(scratch: str) -> Path:
    """Return the file by which a worker says that its start ran the whole script."""
    return Path(scratch, "unguarded")


@contextmanager
def _scratch_folder(site: Site) -> Iterator[str]:
    """Make a folder for spilled data; it goes when the cluster closes."""
    parent = expand_folder(site.scratch)
    with ExitStack() as stack:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(scratch_folder("osm4eo-xr-", parent))
        except OSError as error:
            raise InputError(
                f"scratch folder {parent} of cluster {site.name!r} cannot be used: "
                f"{error.strerror}",
                advice="set scratch to a folder on a local disk",
            ) from None
        yield str(folder)
