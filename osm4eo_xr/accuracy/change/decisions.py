"""Whether a pixel changed between two years: rules on arrays.

Two maps that are right in nine of ten pixels differ in up to a fifth of all pixels without any
change, so a difference counts only where both years are sure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.legend import NO_DATA

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt8

STABLE, CHANGE, UNSURE, SMALL = 1, 2, 3, 4
"""Ids of the legend ``change``."""


def judge_sure(
    before: UInt8[np.ndarray, "y x"],
    after: UInt8[np.ndarray, "y x"],
    sure: Bool[np.ndarray, "y x"],
) -> UInt8[np.ndarray, "3 y x"]:
    """Return what happened, the class before and the class after; 0 where a year has no data.

    A pixel changed if its classes differ and ``sure`` holds; else it is unsure.
    """
    known = (before != NO_DATA) & (after != NO_DATA)
    differ = np.where(sure, np.uint8(CHANGE), np.uint8(UNSURE))
    happened = np.where(before == after, np.uint8(STABLE), differ)
    return np.stack([happened, before, after]) * known.astype(np.uint8)


def judge_filtered(
    before: Float32[np.ndarray, "k y x"],
    after: Float32[np.ndarray, "k y x"],
    ids: UInt8[np.ndarray, " k"],
    stay: float,
    threshold: float,
) -> UInt8[np.ndarray, "3 y x"]:
    """Judge as ``judge_sure`` does, by a hidden Markov model of two years.

    A pair of classes has the probability P(c before) T(c, d) P(d after), normalized, where T is
    ``stay`` for d = c and the same for all other classes. A pixel changed if the pairs of two
    classes together reach ``threshold``, and is stable if the others do.

    Source
    ------
    Abercrombie & Friedl 2016, "Improving the consistency of multitemporal land cover maps using a
    hidden Markov model", IEEE TGRS 54, with a uniform prior and two years.
    """
    move = np.float32((1 - stay) / (len(ids) - 1))
    known = np.isfinite(before).all(axis=0) & np.isfinite(after).all(axis=0)
    a, b = (np.where(known, p, np.float32(0)) for p in (before, after))
    same = a * b
    kept = np.float32(stay) * same.sum(axis=0)
    every = a.sum(axis=0) * b.sum(axis=0)
    moved = move * np.maximum(every - same.sum(axis=0), 0)
    known &= kept + moved > 0
    share = moved / np.where(known, kept + moved, np.float32(1))
    changed = share >= np.float32(threshold)
    stable = ~changed & (1 - share >= np.float32(threshold))
    happened = np.select([changed, stable], [np.uint8(CHANGE), np.uint8(STABLE)], np.uint8(UNSURE))
    first, second = _best_two(a, b)
    one = same.argmax(axis=0)
    pair = [np.where(stable, ids[one], ids[k]) for k in (first, second)]
    return np.stack([happened, *pair]).astype(np.uint8) * known.astype(np.uint8)


def _best_two(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the most probable two different classes before and after."""
    (a1, a2), (b1, b2) = (np.argsort(-p, axis=0, kind="stable")[:2] for p in (a, b))
    at = [
        np.take_along_axis(p, k[None], axis=0)[0] for p, k in ((a, a1), (a, a2), (b, b1), (b, b2))
    ]
    other_before = at[1] * at[2] > at[0] * at[3]
    first = np.where((a1 == b1) & other_before, a2, a1)
    second = np.where((a1 == b1) & ~other_before, b2, b1)
    return first, second
