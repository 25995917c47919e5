"""What a report on a probability sample says in JSON, on a page and in a terminal."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.design_report import DesignReport, figure_km2, report_html, unseen_notes
from osm4eo_xr.accuracy.figures import Figure, Figures

LEGEND = oxr.default_legend()
K = len(LEGEND.ids)
FOREST, WATER = LEGEND.ids.index(8), LEGEND.ids.index(12)
UNKNOWN = Figure(*[float("nan")] * 4)
RIGHT = Figure(0.9, 0.01, 0.88, 0.92)


def figures(**more: Any) -> Figures:
    """Return those of 60 points in forest and water; nothing is known of the other classes."""
    points = np.zeros((K, K), np.int64)
    points[FOREST, FOREST], points[WATER, WATER], points[WATER, FOREST] = 40, 15, 5
    per_class = [UNKNOWN] * K
    per_class[FOREST] = per_class[WATER] = RIGHT
    areas = [Figure(0.0, 0.0, 0.0, 0.0)] * K
    areas[FOREST], areas[WATER] = Figure(1234.5, 20, 1195, 1274), Figure(6, 1, 4, 8)
    counted = np.zeros(K)
    counted[FOREST], counted[WATER] = 1300, 5
    rest = {"counted": counted, "confusion": points / points.sum(), "points": points}
    return Figures(
        overall=RIGHT,
        users=tuple(per_class),
        producers=tuple(per_class),
        areas=tuple(areas),
        **rest,
        **more,
    )


def report(**more: Any) -> DesignReport:
    how: dict[str, Any] = {"method": "Olofsson et al. 2014", "intervals": "wilson"}
    return DesignReport(figures(), LEGEND, **{"name": "map of a land", **how, **more})


class Cells(HTMLParser):
    """Collects the rows of all tables, and every tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002 - as the base class
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def test_what_nobody_knows_is_null_in_json_that_every_reader_takes(tmp_path: Path) -> None:
    text = report().save(tmp_path / "new" / "folder" / "r.json").read_text()

    def refuse(word: str) -> None:
        raise AssertionError(word)

    tree = json.loads(text, parse_constant=refuse)  # NaN is none of JSON's words
    by_slug = {c["slug"]: c for c in tree["classes"]}
    assert by_slug["urban"]["users_accuracy"] == dict.fromkeys(
        ("value", "standard_error", "low", "high")
    )
    assert by_slug["water"]["reference_points"] == 20
    assert by_slug["water"]["map_points"] == 15
    assert tree["total"] == 60
    assert tree["intervals"] == "95 %, wilson"
    assert tree["either_label"] is None
    assert tree["overall_bounds"] is None


def test_the_table_has_the_classes_that_were_seen_or_mapped() -> None:
    rows = Cells(report_html(report().to_dict())).rows
    assert [row[0] for row in rows] == ["class", "forest", "water"]
    assert rows[1] == [
        "forest",
        "40",
        "90.0% (88.0%-92.0%)",
        "90.0% (88.0%-92.0%)",
        "1,300.00",
        "1,234.50 (1,195.00-1,274.00)",
    ]


def test_a_class_that_is_mapped_and_was_never_seen_has_no_accuracy() -> None:
    given = figures()
    given.counted[0] = 2.5
    found = DesignReport(given, LEGEND, "m", "wald").to_dict()
    assert Cells(report_html(found)).rows[1] == ["urban", "0", "-", "-", "2.50", "0.00 (0.00-0.00)"]


def test_areas_by_probabilities_have_a_column_where_there_are_any() -> None:
    helped = {12: (Figure(5.5, 0.5, 4.5, 6.5), 0.81234, 2.34567)}
    found = DesignReport(figures(assisted=helped), LEGEND, "m", "wald").to_dict()
    head, forest, water = Cells(report_html(found)).rows
    assert head[-1] == "with probabilities km², 95 %"
    assert (forest[-1], water[-1]) == ("-", "5.50 (4.50-6.50)")
    shown = str(DesignReport(figures(assisted=helped), LEGEND, "m", "wald"))
    assert "probabilities" in shown  # in a terminal as well
    assert "5.50 (4.50-6.50)" in shown
    assert "probabilities" not in str(report())
    [area] = [c for c in found["classes"] if "assisted_km2" in c]
    assert area["assisted_by"] == {"lambda": 0.8123, "points_ratio": 2.346}


def test_either_labels_bounds_interpreters_and_notes_are_listed() -> None:
    found = report(
        either=Figure(0.95, 0.01, 0.93, 0.97),
        bounds=(0.85, 0.94),
        agreement={"interpreters": 3, "all_agree": 0.7, "points": 58, "fleiss_kappa": 0.6543},
        notes=("a last word",),
        parts={"known": figures()},
    )
    text = report_html(found.to_dict())
    assert "an alternative label counts as right too: 95.0% (93.0%-97.0%)." in text
    assert "without a sure label were wrong: 85.0%; or right: 94.0%." in text
    assert "3 interpreters agree on 70.0% of 58 points" in text
    assert "Fleiss&#x27; kappa 0.654." in text
    assert "<li>a last word</li>" in text
    assert "<h4>known: overall accuracy 90.0% (88.0%-92.0%)</h4>" in text
    assert len([row for row in Cells(text).rows if row[0] == "class"]) == 2
    assert report_html(report().to_dict()).count("<li>") == 0


def test_what_strata_may_hold_unseen_is_told_with_its_size() -> None:
    first, second = unseen_notes({"mine": 1234.5, "water": 0.04321}, 0.0266)
    assert "up to so much of it: mine 1,234.50 km², water 0.0432 km². That" in first
    assert "may be wrong on up to 2.7% of the map" in second
    assert unseen_notes({}, 0.0) == []


def test_names_from_outside_are_text_and_no_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    found = report(name=evil, method=evil, notes=(evil,), parts={evil: figures()})
    page = found.save(tmp_path / "r.HTML").read_text()
    assert page.startswith("<!doctype html>")
    assert "script" not in Cells(page).tags
    assert page.count("&lt;script&gt;") == 5  # title, heading, method, note, part


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        ({"value": 1234.567, "low": 0.0, "high": 2500.0}, "1,234.57 (0.00-2,500.00)"),
        ({"value": None, "low": None, "high": None}, "-"),
        ({"value": 3.0, "low": None, "high": 4.0}, "-"),
    ],
)
def test_areas_are_written_with_both_limits_or_not_at_all(figure: Any, text: str) -> None:
    assert figure_km2(figure) == text


def test_in_a_terminal_the_figures_stand_above_what_they_mean() -> None:
    text = " ".join(str(report(notes=("read this",))).split())
    assert "map of a land" in text
    assert "60 points, Olofsson et al. 2014; overall accuracy 90.0 % (88.0-92.0)" in text
    assert text.index("forest") < text.index("Counted areas add up") < text.index("read this")
    assert "urban" not in text
    assert repr(report()).startswith("<DesignReport 'map of a land': 60 points,")
    assert report()._repr_html_() == report_html(report().to_dict())
