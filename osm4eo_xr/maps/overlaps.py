"""Kernel that decides between class maps which overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8


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
