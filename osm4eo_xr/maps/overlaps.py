"""Kernel that decides between class maps which overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from osm4eo_xr.legend import PROBABILITY_NO_DATA

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, UInt8


_NO_SHARE = PROBABILITY_NO_DATA


def resolve(
    stack: UInt8[np.ndarray, "tile y x"],
    confidence: Float32[np.ndarray, "tile2 y2 x2"],
    rule: str,
) -> UInt8[np.ndarray, "y x"]:
    """Merge layers of which the first has the lowest tile id; 0 = no data.

    Parameters
    ----------
    stack : ndarray (tile, y, x)
        Classes.
    confidence : ndarray (tile, y, x)
        Higher is surer, NaN is least; of size 0 unless ``rule`` is ``"confidence"``.
    rule : str
        ``"majority"``, ``"confidence"`` or ``"first"``; what is equal goes to the first layer.
    """
    out = np.empty(stack.shape[1:], np.uint8)
    if len(stack) == 1:
        out[:] = stack[0]
    elif rule == "majority":
        _majority(stack, out)
    elif rule == "confidence":
        _surest(stack, np.nan_to_num(confidence, nan=-np.inf), out)
    else:
        _first(stack, out)
    return out


def edge_distance(
    first: tuple[int, int], shape: tuple[int, int], whole: tuple[int, int]
) -> Float32[np.ndarray, "y x"]:
    """Return how far pixel centers are from the nearest edge of their tile, in pixels.

    Parameters
    ----------
    first : tuple of int
        First row and column of the pixels, in their tile.
    shape : tuple of int
        Their rows and columns.
    whole : tuple of int
        Rows and columns of the tile.
    """
    at = [
        np.arange(a, a + n, dtype=np.float32) + np.float32(0.5)
        for a, n in zip(first, shape, strict=True)
    ]
    y, x = (np.minimum(v, np.float32(size) - v) for v, size in zip(at, whole, strict=True))
    return np.minimum(y[:, None], x[None, :])


@numba.njit(nogil=True, cache=True)
def blend(
    stack: UInt8[np.ndarray, "tile y x"],
    steps: UInt8[np.ndarray, "tile class y x"],
    distance: Float32[np.ndarray, "tile y x"],
    class_ids: UInt8[np.ndarray, " class"],
) -> UInt8[np.ndarray, "y x"]:
    """Average probabilities, each weighed by distance and by the greatest; 0 = no data.

    A network's class of unlabeled ground, 0, wins nowhere.

    Parameters
    ----------
    stack : ndarray (tile, y, x)
        Classes. Where one tile has one, or all have the same, it stands.
    steps : ndarray (tile, class, y, x)
        Probabilities, 0-250; 255 = no data.
    distance : ndarray (tile, y, x)
        From the edge of each tile.
    class_ids : ndarray (class,)
        Of the probabilities.
    """
    height, width = stack.shape[1], stack.shape[2]
    out = np.zeros((height, width), np.uint8)
    total = np.zeros(steps.shape[1], np.float64)
    for y in range(height):
        for x in range(width):
            out[y, x], same = _common(stack[:, y, x])
            if not same:
                _add_up(stack[:, y, x], steps[:, :, y, x], distance[:, y, x], total)
                total[class_ids == 0] = 0.0
                if total.max() > 0:
                    out[y, x] = class_ids[total.argmax()]
    return out


@numba.njit(nogil=True, cache=True)
def _common(values: UInt8[np.ndarray, " tile"]) -> tuple[int, bool]:
    """Return the first class that is one, and whether all others are the same."""
    found = 0
    for value in values:
        if value not in (0, found):
            if found != 0:
                return found, False
            found = value
    return found, True


@numba.njit(nogil=True, cache=True)
def _add_up(
    values: UInt8[np.ndarray, " tile"],
    steps: UInt8[np.ndarray, "tile class"],
    distance: Float32[np.ndarray, " tile"],
    total: Float64[np.ndarray, " class"],
) -> None:
    """Add up the weighed probabilities of the tiles that have a class, in their order."""
    total[:] = 0.0
    for k in range(len(values)):
        if values[k] != 0 and steps[k, 0] != _NO_SHARE:
            weight = distance[k] * np.float64(steps[k].max())
            for c in range(len(total)):
                total[c] += weight * steps[k, c]


@numba.njit(nogil=True, cache=True)
def _first(stack: UInt8[np.ndarray, "tile y x"], out: UInt8[np.ndarray, "y x"]) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x] = 0
            for k in range(stack.shape[0]):
                if stack[k, y, x] != 0:
                    out[y, x] = stack[k, y, x]
                    break


@numba.njit(nogil=True, cache=True)
def _surest(
    stack: UInt8[np.ndarray, "tile y x"],
    confidence: Float32[np.ndarray, "tile y x"],
    out: UInt8[np.ndarray, "y x"],
) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            best = 0
            highest = -np.inf
            for k in range(stack.shape[0]):
                value = stack[k, y, x]
                if value != 0 and (best == 0 or confidence[k, y, x] > highest):
                    best = value
                    highest = confidence[k, y, x]
            out[y, x] = best


@numba.njit(nogil=True, cache=True)
def _majority(stack: UInt8[np.ndarray, "tile y x"], out: UInt8[np.ndarray, "y x"]) -> None:
    n = stack.shape[0]
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            best, most = 0, 0
            for k in range(n):
                value = stack[k, y, x]
                if value in (0, best):
                    continue
                votes = 0
                for m in range(k, n):
                    if stack[m, y, x] == value:
                        votes += 1
                if votes > most:
                    best, most = value, votes
            out[y, x] = best
