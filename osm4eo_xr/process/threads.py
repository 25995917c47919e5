"""How many threads a step may compute with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from osm4eo_xr.process.environment import with_variables


def allowed_threads() -> int:
    """Return dask's ``num_workers``, which ``--threads`` sets, else the cores of this process."""
    import dask.config

    return dask.config.get("num_workers", None) or core_count()


def core_count() -> int:
    """Return the cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def compute_threads() -> int:
    """Return the threads that this process may compute with: ``NPROC``, as for XLA, or all."""
    stated = os.environ.get("NPROC", "")
    return (int(stated) if stated.isdecimal() else 0) or core_count()


def thread_variables(threads: int) -> dict[str, str]:
    """Return the variables by which libraries keep to a process's task threads.

    jax's CPU thread pool (``NPROC``) and numba's get as many as there are task threads; OpenMP and
    BLAS get one, since each task thread calls them for itself. A library reads them when it is
    loaded, jax when it first computes.
    """
    return {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NPROC": str(threads),
        "NUMBA_NUM_THREADS": str(threads),
    }


@contextmanager
def at_most_threads(threads: int) -> Iterator[None]:
    """Compute with so many threads within the block: dask's, and those of libraries in its tasks.

    jax keeps to them if it has not computed before.
    """
    import dask.config
    from threadpoolctl import threadpool_limits

    # numpy's BLAS is loaded before a command runs, so a variable comes too late for it.
    with (
        with_variables(thread_variables(threads)),
        dask.config.set(num_workers=threads),
        threadpool_limits(1, user_api="blas"),
    ):
        yield
