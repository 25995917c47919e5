"""Accuracies and areas with standard errors and intervals, from a probability sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.accuracy.confusion import plain_number
from osm4eo_xr.accuracy.estimators import Intervals, effective_size, interval, ratio
from osm4eo_xr.accuracy.sampling import PostStratified, Stratified

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

    from osm4eo_xr.accuracy.sampling import Sample
    from osm4eo_xr.legend import Legend

__all__ = [
    "Figure",
    "Figures",
    "figures_of",
    "figures_with_intervals",
    "unseen_areas",
    "unseen_errors",
]

_ROUNDING = 1e-9  # of the map's area


@dataclass(frozen=True)
class Figure:
    """One estimate.

    Attributes
    ----------
    value, error, low, high : float
        Estimate, standard error, and the limits of its 95 % confidence interval; NaN where the
        sample says nothing.
    """

    value: float
    error: float
    low: float
    high: float

    def times(self, factor: float) -> Figure:
        """Return it in another unit."""
        return Figure(*(v * factor for v in (self.value, self.error, self.low, self.high)))

    def within(self, least: float, most: float) -> Figure:
        """Return it with limits that do not exceed what the figure can be."""
        low, high = np.clip((self.low, self.high), least, most)
        return Figure(self.value, self.error, float(low), float(high))

    def to_dict(self, digits: int = 6) -> dict[str, float | None]:
        """Return plain JSON types; what is undefined is None."""
        names = ("value", "standard_error", "low", "high")
        values = (self.value, self.error, self.low, self.high)
        return {name: plain_number(v, digits) for name, v in zip(names, values, strict=True)}

    def percent(self) -> str:
        """Write it for people as a share, without limits where there are none."""
        if not np.isfinite(self.value):
            return "-"
        value, low, high = (f"{100 * v:.1f}" for v in (self.value, self.low, self.high))
        return f"{value} % ({low}-{high})" if self._has_limits else f"{value} %"

    def points(self) -> str:
        """Write it for people as a difference of shares, in percentage points, as ``percent``."""
        if not np.isfinite(self.value):
            return "-"
        value, low, high = (f"{100 * v:+.1f}" for v in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})" if self._has_limits else value

    @property
    def _has_limits(self) -> bool:
        return bool(np.isfinite((self.low, self.high)).all())


@dataclass(frozen=True, eq=False)
class Figures:
    """Accuracies and areas of a map or of a part of it.

    Attributes
    ----------
    overall : Figure
        Share of the area where map and reference agree.
    users, producers : tuple of Figure
        Per class of the legend: share of the map's area that the reference confirms, and share of
        the reference's area that the map finds.
    areas : tuple of Figure
        Per class: area by the reference, km².
    counted : ndarray (k), float64
        Per class: area of the map's pixels, km².
    confusion : ndarray (reference, map), float64
        Shares of the area; their sum is 1. NaN where no point lies in what is described.
    points : ndarray (reference, map), int64
        Points.
    assisted : mapping of int to tuple
        By class id: the area that the difference estimator gives with the map's probabilities
        (Figure, km²), its λ, and how many times as many points the areas above would take (NaN
        where the sample has no spread).
    """

    overall: Figure
    users: tuple[Figure, ...]
    producers: tuple[Figure, ...]
    areas: tuple[Figure, ...]
    counted: Float64[np.ndarray, " k"]
    confusion: Float64[np.ndarray, "k k"]
    points: Int64[np.ndarray, "k k"]
    assisted: Mapping[int, tuple[Figure, float, float]] = field(default_factory=dict)

    def to_dict(self, legend: Legend) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "total": int(self.points.sum()),
            "overall_accuracy": self.overall.to_dict(),
            "classes": [self._class(k, legend) for k in range(len(legend.ids))],
            "confusion": {
                "rows": "reference",
                "columns": "map",
                "class_ids": list(legend.ids),
                "shares": [[plain_number(v, 8) for v in row] for row in self.confusion],
                "points": self.points.tolist(),
            },
        }

    def _class(self, k: int, legend: Legend) -> dict[str, Any]:
        c = legend.classes[k]
        found = {
            "id": c.id,
            "clc": c.clc,
            "slug": c.slug,
            "reference_points": int(self.points[k].sum()),
            "map_points": int(self.points[:, k].sum()),
            "users_accuracy": self.users[k].to_dict(),
            "producers_accuracy": self.producers[k].to_dict(),
            "counted_km2": round(float(self.counted[k]), 4),
            "estimated_km2": self.areas[k].to_dict(4),
        }
        if c.id in self.assisted:
            area, tuned, gain = self.assisted[c.id]
            found["assisted_km2"] = area.to_dict(4)
            found["assisted_by"] = {
                "lambda": plain_number(tuned, 4),
                "points_ratio": plain_number(gain, 3),
            }
        return found


def figures_of(
    sample: Sample,
    reference: Int64[np.ndarray, " n"],
    mapped: Int64[np.ndarray, " n"],
    inside: Float64[np.ndarray, " n"],
    counted: Float64[np.ndarray, " k"],
    intervals: Intervals,
) -> Figures:
    """Estimate a map's figures.

    Parameters
    ----------
    sample : Sample
        The design.
    reference, mapped : ndarray (n), int64
        Places of the classes in the legend.
    inside : ndarray (n), float64
        1 where a point belongs to what is described, 0 elsewhere.
    counted : ndarray (k), float64
        km² of each class on the map in what is described.
    intervals : {"wilson", "wald"}
        Kind of the intervals.

    Source
    ------
    Olofsson et al. 2014, eqs. 1 to 11; Stehman 2014, eqs. 2 and 12 to 28.
    """
    k = len(counted)
    of_reference = (reference[:, None] == np.arange(k)) * inside[:, None]
    of_map = (mapped[:, None] == np.arange(k)) * inside[:, None]
    right = of_reference * (reference == mapped)[:, None]
    whole = np.repeat(inside[:, None], k, axis=1)
    overall = right.sum(axis=1, keepdims=True)
    cells = (of_reference[:, :, None] * of_map[:, None, :]).reshape(len(inside), -1)
    total = sample.total(inside[:, None])[0]
    confusion = sample.total(cells).reshape(k, k) / total if total else np.full((k, k), np.nan)
    points = np.rint(of_reference.T @ of_map).astype(np.int64)

    def shares(y: np.ndarray, x: np.ndarray) -> tuple[Figure, ...]:
        return _shares(sample, y, x, intervals)

    areas = shares(of_reference, whole)
    return Figures(
        overall=shares(overall, whole[:, :1])[0],
        users=shares(right, of_map),
        producers=shares(right, of_reference),
        areas=tuple(area.times(float(counted.sum())) for area in areas),
        counted=counted,
        confusion=confusion,
        points=points,
    )


def unseen_areas(
    sample: Sample,
    reference: Int64[np.ndarray, " n"],
    inside: Float64[np.ndarray, " n"],
    figures: Figures,
) -> dict[int, float]:
    """Return areas that one stratum may hold unseen, of classes whose intervals leave less room.

    Parameters
    ----------
    sample, reference, inside
        As ``figures_of`` took them.
    figures : Figures
        What it returned.

    Returns
    -------
    dict
        By place in the legend: km², as ``sampling`` has it; of classes that the map or a point
        has. Empty for designs without strata.
    """
    if not isinstance(sample, Stratified | PostStratified) or not inside.any():
        return {}
    kinds = (reference[:, None] == np.arange(len(figures.counted))) * inside[:, None]
    ground = float(figures.counted.sum())
    share = sample.unseen(kinds) / sample.total(inside[:, None])[0]
    value, high = np.array([(area.value, area.high) for area in figures.areas]).T
    room = np.minimum(share * ground, ground - value)
    there = (figures.counted > 0) | figures.points.any(axis=1)
    more = room > high - value + _ROUNDING * ground
    return {int(k): float(room[k]) for k in np.flatnonzero(there & more)}


def unseen_errors(
    sample: Sample,
    wrong: Bool[np.ndarray, " n"],
    inside: Float64[np.ndarray, " n"],
    overall: Figure,
) -> float:
    """Return the share of the map on which one stratum may be wrong unseen, by ``unseen_areas``.

    Parameters
    ----------
    sample, inside
        As ``figures_of`` took them.
    wrong : ndarray (n), bool
        Whether map and reference differ.
    overall : Figure
        Overall accuracy.

    Returns
    -------
    float
        0 to 1; 0 where the interval of overall accuracy leaves room for it, and for designs
        without strata.
    """
    if not isinstance(sample, Stratified | PostStratified) or not inside.any():
        return 0.0
    room = sample.unseen((wrong * inside)[:, None])[0] / sample.total(inside[:, None])[0]
    room = min(float(room), overall.value)
    return room if room > overall.value - overall.low + _ROUNDING else 0.0


def _shares(
    sample: Sample, y: np.ndarray, x: np.ndarray, intervals: Intervals
) -> tuple[Figure, ...]:
    """Estimate ratios with their intervals."""
    value, error = ratio(sample, y, x)
    return figures_with_intervals(sample, x, value, error, intervals)


def figures_with_intervals(
    sample: Sample, x: np.ndarray, value: np.ndarray, error: np.ndarray, intervals: Intervals
) -> tuple[Figure, ...]:
    """Put intervals to shares and standard errors."""
    size = effective_size(sample, x, value, error)
    low, high = interval(value, error, size, sample.degrees, intervals)
    return tuple(Figure(*map(float, row)) for row in zip(value, error, low, high, strict=True))
