"""Compiled kernels of the sieve that touch regions and links, not pixels."""

from typing import Any

import numpy as np
from numba import njit

from osm4eo_xr.sieving.kernels import NONE

_ON_PATH = 1
_DONE = 2


@njit(nogil=True, cache=True)
def biggest_links(a: Any, b: Any, size: Any, asks: Any) -> Any:
    """Return for each region that asks its link to the biggest neighbor (int64, -1 for none).

    Links ``a[i]``-``b[i]`` stand in scan order and the first wins among equals. A region of size 0
    is nobody's neighbor.
    """
    best = np.full(size.size, NONE, np.int64)
    best_size = np.zeros(size.size, size.dtype)
    for i in range(a.size):
        if asks[a[i]] and size[b[i]] > best_size[a[i]]:
            best[a[i]], best_size[a[i]] = i, size[b[i]]
        if asks[b[i]] and size[a[i]] > best_size[b[i]]:
            best[b[i]], best_size[b[i]] = i, size[a[i]]
    return best


@njit(nogil=True, cache=True)
def mark_chains(best: Any, begin: Any) -> Any:
    """Return which regions are met on the chains of biggest neighbors from ``begin`` (bool)."""
    met = np.zeros(best.size, np.bool_)
    for i in range(best.size):
        if begin[i]:
            j = best[i]
            while j != NONE and not met[j]:
                met[j] = True
                j = best[j]
    return met


@njit(nogil=True, cache=True)
def follow_chains(best: Any, target: Any, known: Any) -> None:
    """Fill ``target`` of the regions not ``known`` from the end of their chains.

    A chain that ends without a known region, or closes on itself, gives -1.
    """
    state = np.zeros(best.size, np.uint8)
    for i in range(best.size):
        if known[i]:
            state[i] = _DONE
    for i in range(best.size):
        j = i
        while j != NONE and state[j] == 0:
            state[j] = _ON_PATH
            j = best[j]
        found = target[j] if j != NONE and state[j] == _DONE else NONE
        j = i
        while j != NONE and state[j] == _ON_PATH:
            state[j] = _DONE
            target[j] = found
            j = best[j]
