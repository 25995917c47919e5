"""How many points a stratified design needs, and how many of them each stratum gets."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

__all__ = [
    "Allocation",
    "allocate",
    "allocate_for",
    "size_for_mean",
    "size_for_share",
    "standard_error",
]

Allocation = Literal["neyman", "proportional", "equal"]

FEWEST = 2
"""Points of a stratum without which it has no variance."""

_TARGETS = ("overall", "users")
_ROUNDING = 0.005  # of an error, as strata hold whole points


def size_for_share(share: float, error: float, population: int) -> int:
    """Return how many points estimate one share with a standard error.

    Parameters
    ----------
    share : float
        What the share is expected to be, 0 to 1.
    error : float
        Standard error that is wanted.
    population : int
        Pixels of the population or stratum.

    Returns
    -------
    int
        Points, with the finite population correction.

    Source
    ------
    Cochran 1977, section 4.4: n0 = p q / V, n = n0 / (1 + (n0 - 1) / N).

    Examples
    --------
    Cochran's own numbers: p = 0.5 to within 0.05 with t = 2, among 3,200 people.

    >>> size_for_share(0.5, 0.05 / 2, 3200)
    356
    """
    endless = share * (1 - share) / error**2
    if population < 1 or not endless:
        return 0
    return min(population, _up(endless / (1 + (endless - 1) / population)))


def size_for_mean(
    sizes: Int64[np.ndarray, " h"], expected: Float64[np.ndarray, " h"], error: float
) -> int:
    """Return how many points of a stratified sample estimate overall accuracy with an error.

    Parameters
    ----------
    sizes : ndarray (strata), int64
        Pixels of the strata.
    expected : ndarray (strata), float64
        Share of each stratum in which the map is expected to be right, 0 to 1.
    error : float
        Standard error of overall accuracy that is wanted.

    Source
    ------
    Cochran 1977, eq. 5.25; Olofsson et al. 2014, eq. 13.
    """
    weight = sizes / sizes.sum()
    spread = np.sqrt(expected * (1 - expected))
    finite = float(weight @ spread**2) / float(sizes.sum())
    return _up(float(weight @ spread) ** 2 / (error**2 + finite))


def allocate(
    n: int,
    sizes: Int64[np.ndarray, " h"],
    expected: Float64[np.ndarray, " h"],
    allocation: Allocation,
    least: Int64[np.ndarray, " h"],
) -> Int64[np.ndarray, " h"]:
    """Divide points among strata.

    Parameters
    ----------
    n : int
        Points in all.
    sizes : ndarray (strata), int64
        Pixels of the strata; no stratum gets more.
    expected : ndarray (strata), float64
        Share of each stratum in which the map is expected to be right, for "neyman".
    allocation : {"neyman", "proportional", "equal"}
        In proportion to size times standard deviation, to size, or to nothing.
    least : ndarray (strata), int64
        Points that each stratum gets at least, whole strata where they have fewer pixels.

    Returns
    -------
    ndarray (strata), int64
        Points per stratum; their sum is ``n``, or what the floors ask for if that is more, or all
        pixels if there are fewer.

    Source
    ------
    Cochran 1977, section 5.5 (Neyman).
    """
    if allocation not in get_args(Allocation):
        known = ", ".join(get_args(Allocation))
        raise InputError(f"allocation {allocation!r} is unknown", advice=f"use one of {known}")
    spread = np.sqrt(expected * (1 - expected))
    ideal = {"neyman": sizes * spread, "proportional": sizes * 1.0, "equal": np.ones(len(sizes))}
    floor = np.minimum(np.maximum(least, FEWEST), sizes)
    wanted = min(max(n, int(floor.sum())), int(sizes.sum()))
    return _between(wanted, ideal[allocation], floor, sizes)


def standard_error(
    points: Int64[np.ndarray, " h"],
    sizes: Int64[np.ndarray, " h"],
    expected: Float64[np.ndarray, " h"],
) -> float:
    """Return the standard error of overall accuracy that a stratified sample is expected to have.

    Parameters
    ----------
    points, sizes : ndarray (strata), int64
        Points and pixels of the strata.
    expected : ndarray (strata), float64
        Share of each stratum in which the map is expected to be right, 0 to 1.

    Source
    ------
    Cochran 1977, eq. 5.7 and 5.52, with p q in the place of a stratum's variance.

    Examples
    --------
    Without strata it is the error of a share: sqrt(0.5 * 0.5 / 100 * 0.9).

    >>> round(standard_error(np.array([100]), np.array([1000]), np.array([0.5])), 4)
    0.0474
    """
    weight = sizes / sizes.sum()
    variance = expected * (1 - expected) / np.maximum(points, 1) * (1 - points / sizes)
    return float(np.sqrt((weight**2 * variance).sum()))


def allocate_for(
    target: Mapping[str, float],
    sizes: Int64[np.ndarray, " h"],
    expected: Float64[np.ndarray, " h"],
    allocation: Allocation,
    least: Int64[np.ndarray, " h"],
) -> Int64[np.ndarray, " h"]:
    """Return the fewest points per stratum with which standard errors are not above a target.

    Eq. 13 of Olofsson et al. 2014 holds where points are divided as Neyman has it. Floors of small
    strata and other divisions take points away from where they tell most, so that more are needed.

    Parameters
    ----------
    target : mapping
        Standard errors: ``overall`` of overall accuracy, ``users`` of each stratum's own accuracy.
    sizes, expected, allocation, least
        As ``allocate`` takes them.

    Raises
    ------
    InputError
        If a target is unknown or no share between 0 and 0.5.
    """
    for name, error in target.items():
        if name not in _TARGETS:
            raise InputError(f"target {name!r} is unknown", advice=f"give {' or '.join(_TARGETS)}")
        if not 0 < error < 0.5:  # noqa: PLR2004 - a share's standard error
            raise InputError(
                f"target {name} {error!r} is no standard error of a share",
                advice="give for example 0.01",
            )
    if not target:
        raise InputError("target is empty", advice="give overall or users, or n")
    if "users" in target:
        pairs = zip(expected, sizes, strict=True)
        needed = [size_for_share(float(p), target["users"], int(size)) for p, size in pairs]
        least = np.maximum(least, needed)
    if "overall" not in target:
        return allocate(0, sizes, expected, allocation, least)

    def divided(n: int) -> Int64[np.ndarray, " h"]:
        return allocate(n, sizes, expected, allocation, least)

    def enough(n: int) -> bool:
        return standard_error(divided(n), sizes, expected) <= target["overall"] * (1 + _ROUNDING)

    fewest, all_pixels = size_for_mean(sizes, expected, target["overall"]), int(sizes.sum())
    return divided(bisect_left(range(all_pixels), 1, lo=min(fewest, all_pixels), key=enough))


def _between(
    n: int,
    ideal: Float64[np.ndarray, " h"],
    floor: Int64[np.ndarray, " h"],
    most: Int64[np.ndarray, " h"],
) -> Int64[np.ndarray, " h"]:
    """Scale ``ideal`` so that its whole numbers between the limits add up to ``n``."""
    ideal = ideal if (ideal > 0).any() else np.ones(len(floor))
    low, high = 0.0, (n + 1) / ideal[ideal > 0].min()
    for _ in range(200):  # halve the scale until it is exact
        scale = (low + high) / 2
        low, high = (scale, high) if np.clip(scale * ideal, floor, most).sum() < n else (low, scale)
    exact = np.clip(high * ideal, floor, most)
    whole = np.floor(exact + 1e-6).astype(np.int64)
    room = np.flatnonzero(whole < most)
    order = room[np.argsort((whole - exact)[room], kind="stable")]
    short = n - int(whole.sum())
    whole[order[:short]] += 1
    return whole + _rest(n - int(whole.sum()), whole, most)


def _rest(
    short: int, whole: Int64[np.ndarray, " h"], most: Int64[np.ndarray, " h"]
) -> Int64[np.ndarray, " h"]:
    """Fill up what strata without spread leave over, the first ones first."""
    more = np.zeros(len(whole), np.int64)
    for k in range(len(whole)):
        more[k] = min(short, int(most[k] - whole[k]))
        short -= int(more[k])
    return more


def _up(value: float) -> int:
    """Round up; a rounding error above a whole number is none."""
    return math.ceil(value - 1e-9)
