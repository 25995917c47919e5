"""What a worker process does first; named by ``--preload``, so it runs before any task."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from distributed.comm.core import CommClosedError

from osm4eo_xr.cluster.device_tasks import DEVICE_EXECUTOR, DEVICE_TASKS
from osm4eo_xr.cluster.gpus import visible_gpus
from osm4eo_xr.process.node import GPU_MEMORY_VARIABLE, raise_open_files
from osm4eo_xr.process.openssl import keep_connections_apart
from osm4eo_xr.process.threads import thread_variables

if TYPE_CHECKING:
    from distributed import Worker

    from osm4eo_xr.cluster.site import Site

WORKER_SETUP = "osm4eo_xr.cluster.worker"
"""This module's name, for ``--preload``."""


def dask_setup(worker: Worker) -> None:
    """Leave Ctrl-C to the parent; give the process its files, its GPU and threads for it."""
    logging.getLogger("distributed.worker").addFilter(_in_one_line)
    keep_connections_apart()
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_open_files()
    if "GPU" not in worker.state.total_resources:
        return
    if own := own_device(visible_gpus(), str(worker.name)):
        os.environ["CUDA_VISIBLE_DEVICES"] = own
    threads = ThreadPoolExecutor(DEVICE_TASKS, thread_name_prefix="device")
    worker.executors[DEVICE_EXECUTOR] = threads
    # Dask runs as many tasks as a worker has threads, on whichever executor: without more of them
    # those on the device would keep others from reading the next blocks.
    worker.state.nthreads += DEVICE_TASKS


def _in_one_line(record: logging.LogRecord) -> bool:
    """Put the error of a heartbeat whose connection was closed into its line, without traceback.

    Dask logs one at the end of a run, or of a command that a signal ends, if a heartbeat happens
    to be under way.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, CommClosedError) and "heartbeat" in record.getMessage():
        record.msg, record.args = f"{record.getMessage()} ({error})", None
        record.exc_info = None
    return True


def own_device(devices: Sequence[str], worker_name: str) -> str:
    """Pick the process's GPU from those of its job; "" leaves it to see what it sees.

    Worker processes of one job see the same GPUs; they are named ``JOB-0``, ``JOB-1`` … and each
    takes the GPU of its number.
    """
    number = worker_name.rpartition("-")[2]
    if len(devices) < 2 or not number.isdigit():  # noqa: PLR2004
        return ""
    return devices[int(number) % len(devices)]


def worker_environment(site: Site, threads: int, *, gpu: bool) -> dict[str, str]:
    """Return the variables of a worker process, to be set before it imports anything.

    Libraries keep to the process's task threads. GDAL's block cache, 5 % of the node by default, is
    set to the site's figure.
    """
    own = {
        **thread_variables(threads),
        "GDAL_CACHEMAX": str(site.gdal_cache // 1024**2),
        "GDAL_NUM_THREADS": str(site.gdal_threads),
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "JAX_PLATFORMS": "cuda,cpu" if gpu else "cpu",
    }
    if gpu:
        own |= {GPU_MEMORY_VARIABLE: "true", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.85"}
    return {**own, **site.environment}


def environment_here(site: Site, threads: int, *, gpu: bool) -> dict[str, str]:
    """Return ``worker_environment`` for a process on this machine, variables put in.

    The caller's ``JAX_PLATFORMS`` wins over ours, and the site's over both.
    """
    stated = worker_environment(site, threads, gpu=gpu)
    if "JAX_PLATFORMS" in os.environ and "JAX_PLATFORMS" not in site.environment:
        stated["JAX_PLATFORMS"] = os.environ["JAX_PLATFORMS"]
    return {key: expand_variables(value) for key, value in stated.items()}


def expand_variables(text: str) -> str:
    """Return text with ``$NAME`` and ``${NAME:-default}`` put in, as bash does."""
    with_default = r"\$\{(\w+):-([^}]*)\}"
    text = re.sub(with_default, lambda m: os.environ.get(m[1]) or m[2], text)
    return os.path.expandvars(text)


def expand_folder(text: str) -> Path:
    """Return a folder of a site, with variables and a leading ``~`` put in."""
    return Path(expand_variables(text)).expanduser()
