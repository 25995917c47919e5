"""Compiled kernels of the sieve that touch regions and links, not pixels."""

from typing import Any

import numpy as np

from osm4eo_xr.sieving.kernels import NONE, kernel

_ON_PATH = 1
_DONE = 2


def biggest_links(a: Any, b: Any, size: Any, asks: Any) -> Any:
    """Return for each region that asks its link to the biggest neighbor (int64, -1 for none).

    Links ``a[i]``-``b[i]`` (int32) stand in scan order and the first wins among equals. A region of
    ``size`` 0 (int64) is nobody's neighbor.
    """
    best = np.full(size.size, NONE, np.int64)
    find_biggest_links(a, b, size, asks, best, np.zeros(size.size, size.dtype))
    return best


@kernel
def find_biggest_links(a: Any, b: Any, size: Any, asks: Any, best: Any, best_size: Any) -> None:
    """Fill what ``biggest_links`` returns, and the sizes of the biggest neighbors."""
    for i in range(a.size):
        one = a[i]
        other = b[i]
        if asks[one] and size[other] > best_size[one]:
            best[one] = i
            best_size[one] = size[other]
        if asks[other] and size[one] > best_size[other]:
            best[other] = i
            best_size[other] = size[one]


def mark_chains(best: Any, begin: Any) -> Any:
    """Return which regions are met on the chains of biggest neighbors from ``begin`` (bool).

    ``best`` (int32) is the next region of each on its chain, -1 at the end.
    """
    met = np.zeros(best.size, bool)
    walk_chains(best, begin, met)
    return met


@kernel
def walk_chains(best: Any, begin: Any, met: Any) -> None:
    """Fill what ``mark_chains`` returns."""
    for i in range(best.size):
        if begin[i]:
            j = best[i]
            while j != NONE and not met[j]:
                met[j] = True
                j = best[j]


def follow_chains(best: Any, target: Any, known: Any) -> None:
    """Fill ``target`` (int64) of the regions not ``known`` from the end of their chains.

    ``best`` is as in ``mark_chains``. A chain that ends without a known region, or closes on
    itself, gives -1.
    """
    fill_targets(best, target, np.where(known, np.uint8(_DONE), np.uint8(0)))


@kernel
def fill_targets(best: Any, target: Any, state: Any) -> None:
    """Fill ``target`` of the regions whose ``state`` is 0."""
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
