"""Waits at addresses that overlap: files of one block are asked for together, not in turn.

A read from an address waits for the network most of its time. Dask's threads are as many as a
machine has cores, and each of them reads the bands of a block; these threads are beside them and
just wait. Each keeps its open files. ``attempts`` limits how many of them are at a host.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

from osm4eo_xr.rasters.remote.addresses import is_remote

K = TypeVar("K")
T = TypeVar("T")

_THREADS = 16

_here = threading.local()


def at_once(work: Callable[[K], T], places: dict[K, str]) -> list[T]:
    """Return what work makes of each key, in order; of those at addresses all at once.

    Parameters
    ----------
    work : callable
        Takes a key. GDAL's settings of this thread do not reach the threads that wait.
    places : dict of key to str
        The path that each is read from.

    Raises
    ------
    Exception
        The first that work raises, in order of the keys; then no other still runs.
    """
    alone = len(places) <= 1 or hasattr(_here, "waits")
    if alone or not all(map(is_remote, places.values())):
        return [work(key) for key in places]
    futures = [_pool().submit(work, key) for key in places]
    try:
        wait(futures)
    finally:  # an interrupt leaves none waiting for its turn
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


@cache
def _pool() -> ThreadPoolExecutor:
    """Return this process's threads."""
    return ThreadPoolExecutor(_THREADS, "osm4eo_xr-remote", setattr, (_here, "waits", True))


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of these threads
