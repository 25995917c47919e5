"""What a cross-validation found: means over folds with intervals, beside the forest's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.accuracy.validation.distances import distance_figures
from osm4eo_xr.accuracy.validation.intervals import FOLD_METHOD, fold_interval
from osm4eo_xr.files import replace_json, replaced

if TYPE_CHECKING:
    from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
    from osm4eo_xr.accuracy.figures import Figure
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.tables import Table

__all__ = ["CrossValidation", "FoldScore"]

NOTE = (
    "Agreement with OpenStreetMap labels in blocks or tiles that a training had not seen. The "
    "intervals are for such ground; for the accuracy and the areas of a map draw points with "
    "design-points."
)


@dataclass(frozen=True, eq=False)
class FoldScore:
    """One training of a cross-validation.

    Attributes
    ----------
    name : str
        What was held out.
    windows : mapping of str to int
        Windows in train, validation and test, and those left out for the gap.
    network, forest : AccuracyReport
        On the held-out windows; ``forest`` is None where none was trained.
    applicability : mapping, optional
        What ``fit_applicability`` measured on them.
    """

    name: str
    windows: Mapping[str, int]
    network: AccuracyReport
    forest: AccuracyReport | None
    applicability: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """A training, repeated on folds.

    Attributes
    ----------
    folds : tuple of FoldScore
        In order.
    legend : Legend
        The classes.
    by : {"block", "tile"}
        What was held out.
    settings, samples : mapping
        Of the trainings, and of the sample set.
    distances : mapping of str to ndarray
        Meters from samples to samples, from held-out samples to the training samples of their
        fold and, if a map was given, from its pixels to the samples.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.accuracy.validation.fold_report import FoldScore
    >>> legend = oxr.Legend("woods and water", oxr.default_legend().classes[7::4])
    >>> counts = (np.array([[90, 10], [5, 95]]), np.array([[80, 20], [5, 95]]))
    >>> folds = [FoldScore(str(k), {}, oxr.AccuracyReport(c, legend), None)
    ...          for k, c in enumerate(counts)]
    >>> oxr.CrossValidation(tuple(folds), legend, "block").overall.value
    0.9
    """

    folds: tuple[FoldScore, ...]
    legend: Legend
    by: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: Mapping[str, Any] = field(default_factory=dict)
    distances: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def has_forest(self) -> bool:
        """Whether a forest was trained in each fold."""
        return all(fold.forest is not None for fold in self.folds)

    @cached_property
    def overall(self) -> Figure:
        """The network's overall accuracy."""
        return self._mean(lambda f: f.network.overall_accuracy)

    @cached_property
    def forest_overall(self) -> Figure | None:
        """The forest's overall accuracy."""
        return self._mean(lambda f: _of(f).overall_accuracy) if self.has_forest else None

    @cached_property
    def difference(self) -> Figure | None:
        """The network's overall accuracy minus the forest's, paired by fold."""
        if not self.has_forest:
            return None
        return self._mean(lambda f: f.network.overall_accuracy - _of(f).overall_accuracy, least=-1)

    def _mean(self, figure: Callable[[FoldScore], float], *, least: float = 0) -> Figure:
        return self._interval(np.array([figure(f) for f in self.folds]), least=least)

    def _interval(self, values: np.ndarray, *, least: float = 0) -> Figure:
        return fold_interval(values, len(self.folds)).within(least, 1)

    def class_figures(self, k: int) -> dict[str, Figure]:
        """Return the mean scores of the ``k``-th class of the legend, with intervals.

        Folds whose held-out ground or map lacks the class say nothing of its scores.
        """
        names = ("producers_accuracy", "users_accuracy", "f1")
        found = {n: self._mean(lambda f, n=n: attrgetter(n)(f.network)[k]) for n in names}
        class_id = self.legend.ids[k]
        found["ece"] = self._mean(lambda f: f.network.class_calibration.get(class_id, np.nan))
        if self.has_forest:
            found["forest_f1"] = self._mean(lambda f: _of(f).f1[k])
            found["f1_difference"] = self._mean(lambda f: f.network.f1[k] - _of(f).f1[k], least=-1)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is undefined is None."""
        pooled = [fold.network.counts for fold in self.folds]
        return {
            "by": self.by,
            "folds": [_fold_dict(fold) for fold in self.folds],
            "intervals": f"{FOLD_METHOD}, {len(self.folds)} folds",
            "overall_accuracy": self.overall.to_dict(),
            "forest_overall_accuracy": _plain(self.forest_overall),
            "difference": _plain(self.difference),
            "kappa": self._mean(lambda f: f.network.kappa, least=-1).to_dict(),
            "ece": self._mean(lambda f: f.network.calibration["ece"]).to_dict(),
            "classes": [self._class(k) for k in range(len(self.legend.ids))],
            "confusion": {
                "rows": "reference",
                "columns": "network",
                "class_ids": list(self.legend.ids),
                "counts": np.sum(pooled, axis=0).tolist(),
            },
            "applicability": self._applicability(),
            "distances_m": distance_figures(self.distances),
            "settings": dict(self.settings),
            "samples": dict(self.samples),
            "note": NOTE,
        }

    def _applicability(self) -> dict[str, Any] | None:
        """Return mean share inside, coverage and size of sets, if they were measured."""
        seen = [f.applicability for f in self.folds if f.applicability is not None]
        if not seen:
            return None
        found: dict[str, Any] = {n: self._measured(n).to_dict() for n in ("inside", "covered")}
        slugs = sorted({slug for s in seen for slug in s["classes"]})
        means = {k: [s["classes"][k]["covered"] for s in seen if k in s["classes"]] for k in slugs}
        return {
            **found,
            "promised": seen[0]["promised"],
            "set_size": round(float(np.mean([s["set_size"] for s in seen])), 3),
            "covered_by_class": {slug: round(float(np.mean(v)), 4) for slug, v in means.items()},
        }

    def _measured(self, share: str) -> Figure:
        """Return the mean share of held-out pixels inside, or whose set holds the right class."""
        seen = [f.applicability for f in self.folds if f.applicability is not None]
        return self._interval(np.array([s[share]["value"] for s in seen]))

    def _class(self, k: int) -> dict[str, Any]:
        c, figures = self.legend.classes[k], self.class_figures(k)
        folds = sum(bool(f.network.counts[k].any()) for f in self.folds)
        pixels = int(sum(f.network.counts[k].sum() for f in self.folds))
        named = {name: figure.to_dict() for name, figure in figures.items()}
        return {"id": c.id, "slug": c.slug, "folds": folds, "reference": pixels, **named}

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict()`` as JSON; the file appears whole."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return replace_json(path, self.to_dict())

    def draw_distances(self, path: str | Path) -> Path:
        """Draw the shares of samples and of the map's pixels within each distance, as a picture."""
        from osm4eo_xr.plot.charts import plot_distances

        path = Path(path)
        with replaced(path) as part:
            figure = plot_distances(self.distances, title=f"Nearest samples, {self._scheme()}")
            figure.savefig(part, format=path.suffix[1:])
        return path

    def __repr__(self) -> str:
        """Give the means over folds."""
        return f"<CrossValidation {self._summary()}>"

    def _scheme(self) -> str:
        return f"{len(self.folds)} folds by {self.by}"

    def _summary(self) -> str:
        text = f"{self._scheme()}: overall accuracy {self.overall.percent()}"
        if self.forest_overall and self.difference:
            text += f", random forest {self.forest_overall.percent()}"
            text += f", difference {self.difference.points()}"
        return text

    def _trust(self) -> str:
        """Say what sets of classes hold of what was held out, beside what they promise."""
        told = self._applicability()
        if told is None:
            return ""
        inside, covered = (self._measured(n).percent() for n in ("inside", "covered"))
        return (
            f"\nHeld-out {self.by}s: {inside} of their pixels inside of what the model knows; sets "
            f"of {told['set_size']:.1f} classes hold the right one in {covered}, "
            f"{told['promised']:.0%} promised"
        )

    def __rich__(self) -> Table:
        """Show a row per fold and per class."""
        from osm4eo_xr.tables import Table

        caption = f"{self._summary()}{self._trust()}\nIntervals: {FOLD_METHOD}. {NOTE}"
        table = Table(title="network | random forest" if self.has_forest else None, caption=caption)
        headings = ("", "windows", "overall", "producer's", "user's", "F1", "difference", "ECE")
        for n, heading in enumerate(headings):
            table.add_column(heading, justify="right" if n else "left")
        for fold in self.folds:
            reports = [r for r in (fold.network, fold.forest) if r is not None]
            overall = " | ".join(f"{100 * r.overall_accuracy:.1f}" for r in reports)
            ece = f"{fold.network.calibration['ece']:.3f}"
            table.add_row(fold.name, f"{fold.windows['test']:,}", overall, "", "", "", "", ece)
        for k, c in enumerate(self.legend.classes):
            if any(f.network.counts[k].any() for f in self.folds):
                table.add_row(c.slug, "", "", *_cells(self.class_figures(k)))
        return table

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=130, color_system=None)
        with console.capture() as captured:
            console.print(self)
        return captured.get()


def _of(fold: FoldScore) -> AccuracyReport:
    """Return a fold's forest where each fold has one."""
    if fold.forest is None:
        raise TypeError(f"{fold.name} has no forest")
    return fold.forest


def _plain(figure: Figure | None) -> dict[str, float | None] | None:
    return figure.to_dict() if figure else None


def _fold_dict(fold: FoldScore) -> dict[str, Any]:
    found: dict[str, Any] = {"name": fold.name, "windows": dict(fold.windows)}
    found["network"] = fold.network.to_dict()
    if fold.applicability is not None:
        found["applicability"] = dict(fold.applicability)
    return found | ({"random_forest": fold.forest.to_dict()} if fold.forest else {})


def _cells(figures: Mapping[str, Figure]) -> list[str]:
    """Write a class's figures for people."""
    f1 = figures["f1"].percent()
    if "forest_f1" in figures and np.isfinite(figures["forest_f1"].value):
        f1 += f" | {100 * figures['forest_f1'].value:.1f}"
    apart = figures["f1_difference"].points() if "f1_difference" in figures else ""
    ece = figures["ece"].value
    sides = (figures[n].percent() for n in ("producers_accuracy", "users_accuracy"))
    return [*sides, f1, apart, f"{ece:.3f}" if np.isfinite(ece) else "-"]
