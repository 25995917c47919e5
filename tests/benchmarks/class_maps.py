"""Class maps of any size that look like classified scenes, any window of them at any time.

Thirteen classes (1 to 13) lie where two smoothed random fields, sums of four octaves, fall into
ranges; a share of the pixels takes a random class, as noise that classifiers leave does.
"""

from typing import Any

import dask.array as da
import numpy as np
from numba import njit

SALT = 0.03
"""Share of pixels with a random class."""

_WAVES = np.array([640, 160, 40, 10])  # pixels between the nodes of each octave
_WEIGHTS = np.array([1.0, 0.6, 0.35, 0.2], np.float32)
_CLASSES = np.array([[1, 2, 3, 4], [5, 6, 2, 7], [8, 9, 10, 4], [11, 12, 13, 8]], np.uint8)


@njit(nogil=True, cache=True)
def _hash(a: Any, b: Any, c: Any) -> Any:
    """Mix three whole numbers to 64 bits (SplitMix64's finaliser)."""
    z = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b) * np.uint64(0xD1B54A32D192ED03)
    z += np.uint64(c) * np.uint64(0x2545F4914F6CDD1D)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(nogil=True, cache=True)
def _add_octave(field: Any, row: int, column: int, seed: int, wave: int, weight: float) -> None:
    """Add noise interpolated between random nodes ``wave`` pixels apart."""
    height, width = field.shape
    first = column // wave
    nodes = np.empty((column + width) // wave - first + 2, np.float32)
    across = np.arange(column, column + width) // wave - first
    share = (np.arange(column, column + width) % wave / wave).astype(np.float32)
    for y in range(height):
        i, rest = divmod(row + y, wave)
        for j in range(nodes.size):
            upper = _hash(seed, i, first + j) >> np.uint64(40)
            lower = _hash(seed, i + 1, first + j) >> np.uint64(40)
            mixed = upper * (1 - rest / wave) + lower * (rest / wave)
            nodes[j] = weight * (mixed / 2**23 - 1)
        for x in range(width):
            left = nodes[across[x]]
            field[y, x] += left + share[x] * (nodes[across[x] + 1] - left)


@njit(nogil=True, cache=True)
def _range_of(value: float) -> int:
    return (value > -0.35) + (value > 0) + (value > 0.35)  # about quartiles


@njit(nogil=True, cache=True)
def class_window(row: int, column: int, height: int, width: int, seed: int = 0) -> Any:
    """Return a window of the endless map, (height, width) uint8."""
    one = np.zeros((height, width), np.float32)
    two = np.zeros((height, width), np.float32)
    for k in range(_WAVES.size):
        _add_octave(one, row, column, 97 * seed + k, _WAVES[k], _WEIGHTS[k])
        _add_octave(two, row, column, 97 * seed + 50 + k, _WAVES[k], _WEIGHTS[k])
    out = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            drawn = _hash(seed + 7, row + y, column + x)
            if (drawn >> np.uint64(40)) < SALT * 2**24:
                out[y, x] = 1 + (drawn & np.uint64(0xFFFFFFFF)) % np.uint64(13)
            else:
                out[y, x] = _CLASSES[_range_of(one[y, x]), _range_of(two[y, x])]
    return out


def lazy_class_map(height: int, width: int, chunk: int) -> da.Array:
    """Return the upper left part of the map, made chunk by chunk when it is needed."""
    sizes: Any = da.core.normalize_chunks((chunk, chunk), (height, width))  # pyright: ignore[reportAttributeAccessIssue] # not in dask's types

    def make(block_info: Any = None) -> np.ndarray:
        (top, bottom), (left, right) = block_info[None]["array-location"]
        return class_window(top, left, bottom - top, right - left)

    return da.map_blocks(make, chunks=sizes, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
