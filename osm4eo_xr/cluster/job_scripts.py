"""What jobs are told: dask-jobqueue's options of each kind of job, and the script made of them."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

from osm4eo_xr.cluster.gpus import asks_for_gpus
from osm4eo_xr.cluster.security import PROTOCOL, WORKER_PAGES
from osm4eo_xr.cluster.worker import WORKER_SETUP, expand_folder, worker_environment
from osm4eo_xr.errors import extra

if TYPE_CHECKING:
    from osm4eo_xr.cluster.site import BatchSite, JobWorkers


def job_options(site: BatchSite, name: str) -> dict[str, Any]:
    """Return what dask-jobqueue needs for one kind of job (``"gpu"`` or ``"cpu"``)."""
    group = site.groups[name]
    environment = worker_environment(site, group.threads, gpu=group.gpus > 0)
    exports = [f'export {key}="{value}"' for key, value in environment.items()]
    worker = [
        *("--lifetime", f"{site.lifetime_of(group) - site.lifetime_stagger}s"),
        *("--lifetime-stagger", f"{site.lifetime_stagger}s"),
        *("--preload", WORKER_SETUP),
        *("--dashboard-address", WORKER_PAGES),
        *(("--resources", "GPU=1") if group.gpus else ()),
    ]
    options = {
        "cores": group.cores,
        "processes": group.processes,
        "memory": group.memory,
        "interface": site.interface,
        "nanny": True,
        "death_timeout": site.death_timeout,
        "local_directory": _quoted(site.scratch),
        "worker_extra_args": worker,
        "job_script_prologue": [*exports, *site.prologue],
        "job_name": f"osm4eo-{name}",
        "job_extra_directives": _directives(site, group),
        "queue": group.queue,
        "account": site.account,
        "walltime": group.walltime_text,
        "python": site.python,
    }
    return (
        options if site.kind == "slurm" else {**options, "resource_spec": _resources(site, group)}
    )


def job_scripts(site: BatchSite) -> dict[str, str]:
    """Return the script of each kind of job, as it would be submitted."""
    job = cluster_class(site).job_cls
    address = f"{PROTOCOL[site.tls]}SCHEDULER:PORT"
    return {
        name: job(address, name=f"{name}-0", **job_options(site, name)).job_script()
        for name in site.groups
    }


def _quoted(folder: str) -> str:
    """Quote a folder for the worker's shell, which puts in variables and a leading ``~``."""
    home, _, rest = folder.partition("/")
    return f'{home}/"{rest}"' if home.startswith("~") else f'"{folder}"'


def _directives(site: BatchSite, group: JobWorkers) -> list[str]:
    """Return directives beyond dask-jobqueue's: GPUs, logs and the site's own."""
    logs = expand_folder(site.logs).absolute()
    if site.kind == "slurm":
        own = any(asks_for_gpus(d) for d in group.directives)
        gpus = [f"--gres=gpu:{group.gpus}"] if group.gpus and not own else []
        return [*gpus, f"-o {logs}/%x-%j.log", *group.directives]
    return [f"-o {logs}/", "-j oe", *group.directives]


def _resources(site: BatchSite, group: JobWorkers) -> str:
    """Return the resource line of PBS Professional or, in Torque's words, of Moab."""
    if group.resources is not None:
        return group.resources
    mebibytes = math.ceil(group.memory / 1024**2)
    if site.kind == "pbs":
        gpus = f":ngpus={group.gpus}" if group.gpus else ""
        return f"select=1:ncpus={group.cores}{gpus}:mem={mebibytes}mb"
    gpus = f":gpus={group.gpus}" if group.gpus else ""
    return f"nodes=1:ppn={group.cores}{gpus},mem={mebibytes}mb"


def cluster_class(site: BatchSite) -> Any:
    """Return dask-jobqueue's cluster class of a site."""
    module, _, name = site.job_class.rpartition(".")
    with extra("batch", f"a cluster of {site.kind} jobs"):
        return getattr(import_module(module), name)
