"""How good a class map is: scores from confusion counts, as JSON, HTML and text.

Scores after Congalton & Green 2019, "Assessing the Accuracy of Remotely Sensed Data".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.accuracy.confusion import cohens_kappa, plain_number, quotient
from osm4eo_xr.accuracy.validation.intervals import block_bootstrap, block_bootstraps
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_json
from osm4eo_xr.names import counted
from osm4eo_xr.tables import html_table

if TYPE_CHECKING:
    from jaxtyping import Int64

    from osm4eo_xr.accuracy.figures import Figure
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.tables import Table

__all__ = ["CAUTION", "HELD_OUT_CAUTION", "AccuracyReport"]

CAUTION = (
    "Shares of what was compared, without intervals: they are the map's own accuracy only if the "
    "points are a simple random sample of it, and not if they were drawn by class or from "
    "OpenStreetMap. Draw points with design-points for figures with intervals."
)
"""What a reader of figures without a design has to know."""

HELD_OUT_CAUTION = (
    "Agreement with labels in held-out blocks, not the map's own accuracy; the interval says how "
    "far other blocks of the same ground would move it, not another place, season or training. "
    "Draw points with design-points for the map's own accuracy."
)
"""What a reader of figures of held-out blocks has to know."""


@dataclass(frozen=True, eq=False)
class AccuracyReport:
    """Confusion counts of a map and a reference, and the scores that follow from them.

    Two reports of one legend add up: ``a + b`` is the report of both references together.

    Attributes
    ----------
    counts : ndarray (reference, map) int64
        Pixels or points of each reference class (rows) that the map gives each class (columns),
        in the order of the legend.
    legend : Legend
        The classes.
    missing : int
        Reference pixels or points for which the map has no data; not scored.
    calibration : mapping
        Of a model: ``ece`` (expected calibration error, 0 to 1) before and after its
        temperature; empty for a map.
    name : str
        What was assessed.
    left_out : int
        Points without a class or a place; not scored.
    blocks : ndarray (block, reference, map) int64, optional
        Counts of each spatial block, in an order that depends on the reference alone; they give
        accuracies their intervals.
    class_calibration : mapping of int to float
        By class id: expected calibration error of the pixels that a model gives the class.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> legend = oxr.Legend("woods and water", oxr.default_legend().classes[7::4])
    >>> report = oxr.AccuracyReport(np.array([[90, 10], [5, 95]]), legend)
    >>> report.overall_accuracy, int((report + report).counts.sum())
    (0.925, 400)
    """

    counts: Int64[np.ndarray, "k k"]
    legend: Legend
    missing: int = 0
    calibration: Mapping[str, float] = field(default_factory=dict)
    name: str = ""
    left_out: int = 0
    blocks: Int64[np.ndarray, "b k k"] | None = None
    class_calibration: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", np.asarray(self.counts, np.int64))
        k = len(self.legend.ids)
        if self.counts.shape != (k, k):
            raise InputError(
                f"counts of shape {self.counts.shape} for a legend of {k} classes",
                expected=f"({k}, {k}): rows by reference class, columns by the map's",
            )

    def __add__(self, other: AccuracyReport) -> AccuracyReport:
        if self.legend != other.legend:
            raise InputError(
                f"reports of legends {self.legend.name!r} and {other.legend.name!r} do not add up",
                advice="assess both with one legend",
            )
        counts, missing = self.counts + other.counts, self.missing + other.missing
        left_out = self.left_out + other.left_out
        both = None
        if self.blocks is not None and other.blocks is not None:
            both = np.concatenate([self.blocks, other.blocks])
        return AccuracyReport(
            counts, self.legend, missing, name=self.name, left_out=left_out, blocks=both
        )

    def __repr__(self) -> str:
        """Give the scores over all classes."""
        return f"<AccuracyReport {self.name!r}: {self._summary()}>"

    def _repr_html_(self) -> str:
        """Show the scores over all classes and those of each."""
        scores = (self.producers_accuracy, self.users_accuracy, self.f1)
        rows = [
            [c.name, *(_percent(score[k]) for score in scores), int(self.counts[k].sum())]
            for k, c in enumerate(self.legend.classes)
        ]
        return html_table(
            f"{self.name or 'Accuracy'}: {self._summary()}",
            rows,
            header=("class", "producer's", "user's", "F1", "reference"),
            colors=[c.hex_color for c in self.legend.classes],
        )

    @cached_property
    def total(self) -> int:
        """Pixels or points that were compared."""
        return int(self.counts.sum())

    @cached_property
    def overall_accuracy(self) -> float:
        """Share that the map gives its reference class; NaN where nothing was compared."""
        return float(quotient(np.trace(self.counts), self.total))

    @cached_property
    def overall_interval(self) -> Figure | None:
        """Overall accuracy with its 95 % block-bootstrap interval; None without blocks."""
        return None if self.blocks is None else block_bootstrap(*_right(self.blocks))

    @cached_property
    def class_intervals(self) -> Mapping[str, Sequence[Figure]]:
        """Scores of each class with their 95 % block-bootstrap intervals; nothing without blocks.

        By name (``producers_accuracy``, ``users_accuracy``, ``f1``), in the order of the legend.
        """
        if self.blocks is None:
            return {}
        right = np.diagonal(self.blocks, axis1=1, axis2=2)
        reference, mapped = self.blocks.sum(axis=2), self.blocks.sum(axis=1)
        parts = np.concatenate([right, right, 2 * right], axis=1)
        wholes = np.concatenate([reference, mapped, reference + mapped], axis=1)
        found, k = block_bootstraps(parts, wholes), right.shape[1]
        return {name: found[n * k : n * k + k] for n, name in enumerate(_CLASS_SCORES)}

    def difference(self, other: AccuracyReport) -> Figure | None:
        """Return this overall accuracy minus another's on the same pixels, by block bootstrap.

        None without blocks.

        Raises
        ------
        InputError
            If the two were not scored on the same pixels.
        """
        if self.blocks is None or other.blocks is None:
            return None
        (ours, compared), (theirs, same) = _right(self.blocks), _right(other.blocks)
        if not np.array_equal(compared, same):
            raise InputError(
                f"{self.name!r} and {other.name!r} were not scored on the same pixels",
                advice="score both on one split of one sample set",
            )
        return block_bootstrap(ours - theirs, compared)

    @property
    def caution(self) -> str:
        """What a reader of these figures has to know."""
        return CAUTION if self.blocks is None else HELD_OUT_CAUTION

    @cached_property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond that of chance; NaN where chance alone agrees fully."""
        return cohens_kappa(self.counts)

    @cached_property
    def producers_accuracy(self) -> np.ndarray:
        """Per class: share of the reference that the map finds (recall); NaN without reference."""
        return quotient(np.diag(self.counts), self.counts.sum(axis=1))

    @cached_property
    def users_accuracy(self) -> np.ndarray:
        """Per class: share of the map that the reference confirms (precision); NaN if unmapped."""
        return quotient(np.diag(self.counts), self.counts.sum(axis=0))

    @cached_property
    def f1(self) -> np.ndarray:
        """Per class: harmonic mean of both; NaN for a class that neither side has."""
        both = self.counts.sum(axis=1) + self.counts.sum(axis=0)
        return quotient(2 * np.diag(self.counts), both)

    @cached_property
    def average_accuracy(self) -> float:
        """Mean of the producer's accuracies of the classes that the reference has."""
        return _mean(self.producers_accuracy)

    @cached_property
    def mean_f1(self) -> float:
        """Mean F1 of the classes that the reference has."""
        return _mean(self.f1[self.counts.sum(axis=1) > 0])

    def to_dict(self) -> dict[str, Any]:
        """Return counts and scores as plain JSON types; what is undefined is None."""
        return {
            "name": self.name,
            "legend": self.legend.name,
            "total": self.total,
            "missing": self.missing,
            "left_out": self.left_out,
            "caution": self.caution,
            **self._interval(),
            **{name: plain_number(getattr(self, name), _DIGITS) for name in _SCORES},
            **{name: plain_number(value, _DIGITS) for name, value in self.calibration.items()},
            "classes": [self._class_scores(k) for k in range(len(self.legend.ids))],
            "confusion": {
                "rows": "reference",
                "columns": "map",
                "class_ids": list(self.legend.ids),
                "counts": self.counts.tolist(),
            },
        }

    def _class_scores(self, k: int) -> dict[str, Any]:
        c = self.legend.classes[k]
        error = self.class_calibration.get(c.id)
        return {
            "id": c.id,
            "clc": c.clc,
            "slug": c.slug,
            "reference": int(self.counts[k].sum()),
            "map": int(self.counts[:, k].sum()),
            "producers_accuracy": plain_number(self.producers_accuracy[k], _DIGITS),
            "users_accuracy": plain_number(self.users_accuracy[k], _DIGITS),
            "f1": plain_number(self.f1[k], _DIGITS),
            **self._class_limits(k),
            **({} if error is None else {"ece": plain_number(error, _DIGITS)}),
        }

    def _class_limits(self, k: int) -> dict[str, Any]:
        """Return the limits of a class's scores, and how many blocks have it in the reference."""
        if self.blocks is None:
            return {}
        limits = {
            name: {
                "low": plain_number(figures[k].low, _DIGITS),
                "high": plain_number(figures[k].high, _DIGITS),
            }
            for name, figures in self.class_intervals.items()
        }
        known = int(self.blocks[:, k].any(axis=-1).sum())
        return {"intervals": {**limits, "method": f"95 % block bootstrap, {known} blocks"}}

    def _interval(self) -> dict[str, Any]:
        """Return the overall accuracy's interval with its method's name."""
        if self.overall_interval is None or self.blocks is None:
            return {}
        limits = {
            k: plain_number(getattr(self.overall_interval, k), _DIGITS) for k in ("low", "high")
        }
        method = f"95 % block bootstrap, {len(self.blocks)} blocks"
        return {"overall_interval": {**limits, "method": method}}

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict()`` as JSON; the file appears whole."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return replace_json(path, self.to_dict())

    def table(self) -> Table:
        """Return the scores per class as a rich table."""
        from osm4eo_xr.tables import Table

        table = Table(title=self.name or None, caption=f"{self._summary()}\n{self.caution}")
        table.add_column("class")
        for heading in ("reference", "map", "producer's", "user's", "F1"):
            table.add_column(heading, justify="right")
        for k, c in enumerate(self.legend.classes):
            row, col = int(self.counts[k].sum()), int(self.counts[:, k].sum())
            if row or col:
                scores = (self.producers_accuracy[k], self.users_accuracy[k], self.f1[k])
                table.add_row(c.slug, f"{row:,}", f"{col:,}", *map(_percent, scores))
        return table

    def __rich__(self) -> Table:
        return self.table()

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=100, color_system=None)
        with console.capture() as captured:
            console.print(self.table())
        return captured.get()

    def _summary(self) -> str:
        text = f"{self.total:,} compared"
        if self.missing:
            text += f", {self.missing:,} without data in the map"
        if self.left_out:
            text += f", {self.left_out:,} points without class or place left out"
        accuracy, average = _percent(self.overall_accuracy), _percent(self.average_accuracy)
        if self.overall_interval is not None and self.blocks is not None:
            accuracy = f"{self.overall_interval.percent()} by {counted(len(self.blocks), 'block')}"
        text += f"; overall accuracy {accuracy}, average {average}, kappa {self.kappa:.3f}"
        return text + "".join(f", {name} {v:.3f}" for name, v in self.calibration.items())


_DIGITS = 6  # of shares in JSON
_SCORES = ("overall_accuracy", "average_accuracy", "kappa", "mean_f1")
_CLASS_SCORES = ("producers_accuracy", "users_accuracy", "f1")


def _right(
    blocks: Int64[np.ndarray, "b k k"],
) -> tuple[Int64[np.ndarray, " b"], Int64[np.ndarray, " b"]]:
    """Return right and compared pixels of each block."""
    return np.trace(blocks, axis1=1, axis2=2), blocks.sum(axis=(1, 2))


def _mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean of what is defined."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if np.isfinite(value) else "-"
