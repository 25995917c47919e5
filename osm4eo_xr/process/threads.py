"""How many threads a step may compute with."""

from __future__ import annotations

import os


def allowed_threads() -> int:
    """Return dask's ``num_workers``, which ``--threads`` sets, else the cores of this process."""
    import dask.config

    return dask.config.get("num_workers", None) or core_count()


def core_count() -> int:
    """Return the cores that this process may run on."""
    return len(os.sched_getaffinity(0))
