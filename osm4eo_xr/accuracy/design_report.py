"""What a probability sample says about a map, as JSON, HTML and text, with its method's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.files import replace_json, replace_text

if TYPE_CHECKING:
    from osm4eo_xr.accuracy.estimators import Intervals
    from osm4eo_xr.accuracy.figures import Figure, Figures
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.tables import Table

__all__ = ["EXPLANATION", "DesignReport", "figure_km2", "report_html", "unseen_notes"]

EXPLANATION = (
    "Counted areas add up the map's pixels and so carry its errors. Estimated areas correct them "
    "with the reference labels; the interval holds the true area in 95 of 100 such samples."
)

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .8rem; text-align: left; border-bottom: 1px solid #ddd; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
"""


@dataclass(frozen=True, eq=False)
class DesignReport:
    """What a probability sample says about a map.

    Attributes
    ----------
    figures : Figures
        Of the whole map.
    legend : Legend
        The classes.
    method : str
        Name of the estimators.
    intervals : {"wilson", "wald"}
        Kind of the intervals.
    name : str
        What was assessed.
    design : mapping
        Scheme, points and strata.
    left_out : mapping
        Points of the design that are not used, by reason.
    notes : tuple of str
        What a reader has to know.
    either : Figure, optional
        Overall accuracy if an alternative label counts as right too.
    bounds : tuple of float, optional
        Overall accuracy if all points without a sure label were wrong, or right.
    agreement : mapping
        Of several interpreters; see ``Interpretation``.
    parts : mapping of str to Figures
        Known and predicted ground apart, if a provenance raster was given.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_class_map
    >>> class_map = example_class_map()
    >>> design = oxr.design_points(class_map, n=100, seed=1)
    >>> labeled = design.points[["id", "geometry"]].assign(class_id=design.points["map_class"])
    >>> report = oxr.assess(class_map, labeled, design=design)
    >>> overall = report.figures.overall
    >>> overall.value, round(overall.low, 3), overall.high
    (1.0, 0.941, 1.0)
    """

    figures: Figures
    legend: Legend
    method: str
    intervals: Intervals
    name: str = ""
    design: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    either: Figure | None = None
    bounds: tuple[float, float] | None = None
    agreement: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Figures] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Give overall accuracy and its interval."""
        return f"<DesignReport {self.name!r}: {self._summary()}>"

    def _repr_html_(self) -> str:
        """Show the figures of each class."""
        return report_html(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types; what is undefined is None."""
        return {
            "name": self.name,
            "legend": self.legend.name,
            "method": self.method,
            "intervals": f"95 %, {self.intervals}",
            "design": dict(self.design),
            "left_out": dict(self.left_out),
            **self.figures.to_dict(self.legend),
            "either_label": self.either.to_dict() if self.either else None,
            "overall_bounds": list(self.bounds) if self.bounds else None,
            "interpreters": dict(self.agreement),
            "parts": {name: part.to_dict(self.legend) for name, part in self.parts.items()},
            "explanation": EXPLANATION,
            "notes": list(self.notes),
        }

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict()`` as JSON, or a web page if the name ends in .html, whole."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".html":
            return replace_text(path, _page(self.to_dict()))
        return replace_json(path, self.to_dict())

    def table(self) -> Table:
        """Return the figures per class as a rich table."""
        from osm4eo_xr.tables import Table

        table = Table(title=self.name or None, caption=self._caption())
        headings, rows = _rows(self.to_dict())
        for n, heading in enumerate(headings):
            table.add_column(heading, justify="right" if n else "left")
        for row in rows:
            table.add_row(*row)
        return table

    def __rich__(self) -> Table:
        return self.table()

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, color_system=None)
        with console.capture() as captured:
            console.print(self.table())
        return captured.get()

    def _summary(self) -> str:
        points = int(self.figures.points.sum())
        return (
            f"{points:,} points, {self.method}; overall accuracy {self.figures.overall.percent()}"
        )

    def _caption(self) -> str:
        return "\n".join([self._summary(), EXPLANATION, *self.notes])


_HEADINGS = (
    "reference points",
    "user's, 95 %",
    "producer's, 95 %",
    "counted km²",
    "estimated km², 95 %",
)


def _cells(c: Mapping[str, Any]) -> list[str]:
    """Write a class's figures for people."""
    return [
        f"{c['reference_points']:,}",
        _percent(c["users_accuracy"]),
        _percent(c["producers_accuracy"]),
        _km2(c["counted_km2"]),
        figure_km2(c["estimated_km2"]),
    ]


def _percent(figure: Mapping[str, float | None]) -> str:
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "-"
    return f"{value:.1%} ({low:.1%}-{high:.1%})"


def figure_km2(figure: Mapping[str, float | None]) -> str:
    """Write an area with its limits for people."""
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "-"
    return f"{_km2(value)} ({_km2(low)}-{_km2(high)})"


def unseen_notes(areas: Mapping[str, float], wrong: float) -> list[str]:
    """Say what strata may hold, unseen, beyond the intervals.

    Parameters
    ----------
    areas : mapping of str to float
        By class: km² of one stratum without a point of it.
    wrong : float
        Share of the map, of one stratum without a wrong point; 0 is not told.
    """
    notes = []
    if areas:
        listed = ", ".join(f"{name} {_km2(area)} km²" for name, area in areas.items())
        notes.append(
            "Intervals know only of ground like that of the points. With 95 % confidence a "
            f"stratum without a point of a class may hold up to so much of it: {listed}. That is "
            "more than the intervals of these areas leave room for: the areas may be larger, and "
            "the producer's accuracies lower. More points in large strata tell."
        )
    if wrong:
        notes.append(
            "With 95 % confidence a stratum without a wrong point may be wrong on up to "
            f"{wrong:.1%} of the map, for which the interval of overall accuracy leaves no room: "
            "it may be lower. More points in large strata tell."
        )
    return notes


def _km2(area: float) -> str:
    """Write an area to a hectare, a small one with three digits that tell something."""
    return f"{area:,.2f}" if abs(area) >= 1 or area == 0 else f"{area:.3g}"


def report_html(report: Mapping[str, Any]) -> str:
    """Return a design-based report, as ``to_dict`` gives it, as a piece of HTML.

    No scripts and no outside files; all text is escaped.
    """
    head = (
        f"{report['total']:,} points, {report['method']}; intervals {report['intervals']}. "
        f"Overall accuracy {_percent(report['overall_accuracy'])}."
    )
    parts = [f"<p>{escape(head)}</p>", _figures_html(report), f"<p>{report['explanation']}</p>"]
    for name, part in report["parts"].items():
        title = f"{name}: overall accuracy {_percent(part['overall_accuracy'])}"
        parts += [f"<h4>{escape(title)}</h4>", _figures_html(part)]
    listed = [*_more(report), *report["notes"]]
    notes = "".join(f"<li>{escape(note)}</li>" for note in listed)
    return "\n".join([*parts, f"<ul>{notes}</ul>" if notes else ""])


def _more(report: Mapping[str, Any]) -> list[str]:
    """Say what alternative labels, open points and several interpreters mean."""
    found = []
    if report["either_label"]:
        either = _percent(report["either_label"])
        found.append(f"Overall accuracy if an alternative label counts as right too: {either}.")
    if report["overall_bounds"]:
        low, high = report["overall_bounds"]
        found.append(
            f"Overall accuracy if all points without a sure label were wrong: {low:.1%}; or right: "
            f"{high:.1%}."
        )
    people = report["interpreters"]
    if people.get("fleiss_kappa") is not None:
        found.append(
            f"{people['interpreters']} interpreters agree on {people['all_agree']:.1%} of "
            f"{people['points']} points that all labeled; "
            f"Fleiss' kappa {people['fleiss_kappa']:.3f}."
        )
    return found


def _rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return headings and a row for each class that the map or a point has, written for people."""
    shown = [c for c in figures["classes"] if c["reference_points"] or c["counted_km2"]]
    headings, rows = ["class", *_HEADINGS], [[c["slug"], *_cells(c)] for c in shown]
    if any("assisted_km2" in c for c in figures["classes"]):
        headings.append("with probabilities km², 95 %")
        for row, c in zip(rows, shown, strict=True):
            row.append(figure_km2(c["assisted_km2"]) if "assisted_km2" in c else "-")
    return headings, rows


def _figures_html(figures: Mapping[str, Any]) -> str:
    """Return a table of classes."""
    headings, rows = _rows(figures)
    head = "".join(f"<th>{escape(h)}</th>" for h in headings)
    lines = []
    for name, *cells in rows:
        numbers = "".join(f'<td class="n">{escape(v)}</td>' for v in cells)
        lines.append(f"<tr><td>{escape(name)}</td>{numbers}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _page(report: Mapping[str, Any]) -> str:
    """Return a report as a web page."""
    name = escape(report["name"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{name}: accuracy and areas</h1>\n"
        f"{report_html(report)}\n</body></html>\n"
    )
