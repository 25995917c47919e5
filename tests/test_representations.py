"""What Jupyter and a shell show of settings, legends and reports: short, whole, escaped."""

from html.parser import HTMLParser

import numpy as np
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.country.plan import Plan, PlannedPiece
from osm4eo_xr.tables import html_table


class _Cells(HTMLParser):
    """Text of the cells of all tables, row by row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def rows_of(html: str) -> list[list[str]]:
    cells = _Cells(html)
    assert not cells.open
    return cells.rows


def test_cells_are_escaped_and_long_tables_cut() -> None:
    table = html_table("<b>", [["<script>", 1234.5, True]], header=("a", "b", "c"))
    assert "<script>" not in table
    assert rows_of(table) == [["a", "b", "c"], ["<script>", "1,234.5", "True"]]
    assert html_table("", [[k] for k in range(45)]).endswith("and 5 more rows</p>")


def test_a_legend_shows_its_classes_in_their_colors() -> None:
    legend = oxr.default_legend()
    html = legend._repr_html_()
    rows = rows_of(html)
    assert rows[0] == ["", "id", "CLC", "layer", "name", "tag rules"]
    water = legend.classes[-1]
    rules = sum(r.class_id == water.id for r in legend.rules)
    assert rows[12] == ["", "12", "5", "water", water.name, str(rules)]
    assert all(f"background:{c.hex_color}" in html for c in legend.classes)


def test_a_report_shows_the_scores_of_each_class() -> None:
    counts = np.zeros((12, 12), np.int64)
    counts[0, 0], counts[0, 1], counts[1, 1] = 3, 1, 4
    rows = rows_of(AccuracyReport(counts, oxr.default_legend(), name="DE")._repr_html_())
    assert rows[1][2:] == ["75.0 %", "100.0 %", "85.7 %", "4"]
    assert rows[2][2:] == ["100.0 %", "80.0 %", "88.9 %", "4"]


def test_train_settings_name_what_differs_and_evaluate_to_themselves() -> None:
    assert repr(oxr.TrainSettings()) == "TrainSettings()"
    settings = oxr.TrainSettings(depth=20, optimizer="nadam")
    assert repr(settings) == "TrainSettings(depth=20, optimizer='nadam')"
    assert eval(repr(settings), {"TrainSettings": oxr.TrainSettings}) == settings  # noqa: S307
    rows = {row[0]: row[1:] for row in rows_of(settings._repr_html_())}
    assert rows["depth"] == ["20", "default 11"]
    assert rows["epochs"] == ["30", ""]


def test_a_plan_lists_what_is_to_be_made() -> None:
    done = PlannedPiece("labels", done=True, chunks=1, tasks=2, read=3, written=4)
    todo = [
        PlannedPiece(f"classified {k}", done=False, chunks=5000, tasks=7, read=123_456, written=0)
        for k in range(20)
    ]
    plan = Plan(("a", "b"), (done, *todo), 1.25)
    lines = repr(plan).splitlines()
    assert lines[0] == "<Plan: 2 tiles, 21 pieces, 20 to make; about 1.25 hours of one device>"
    told = {
        1e-5: "less than a second of one device",
        0.01: "about 36 seconds of one device",
        0.5: "about 30 minutes of one device",
        1234: "about 1,234 hours of one device",
    }
    for hours, time in told.items():
        assert repr(Plan(("a",), (done,), hours)).splitlines()[0].endswith(f"; {time}>")
    assert repr(Plan(("a",), (done,), 1)).startswith("<Plan: 1 tile, ")
    assert lines[1] == "  classified 0: 5,000 chunks, 7 tasks"
    assert len(lines) == 18
    assert lines[-1] == "  and 4 more"
    rows = rows_of(plan._repr_html_())
    assert rows[1] == ["classified 0", "5,000", "7", "0.1", "0.0"]


def test_pages_harmonies_and_wrong_labels_are_told_in_a_line() -> None:
    """Their fields are a megabyte of HTML, tables of gains, and arrays with a number per object."""
    assert repr(oxr.MapView("x" * 1_300_000)) == "<MapView: a page of 1.3 MB>"
    names = {"tile": ["west", "east"], "band": ["nir"]}
    gain = xr.DataArray([[0.5], [2.0]], names, ("tile", "band"))
    harmony = oxr.Harmony(gain, gain, (("west", "east"),), (100,))
    assert repr(harmony) == "<Harmony: west, east; 1 overlap; gains 0.5 to 2>"
    legend = oxr.Legend("woods and water", oxr.default_legend().classes[7::4])
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.8, 0.2]])
    given, ones = np.array([0, 1, 0, 0]), np.ones(4, np.int64)
    found = oxr.LabelNoise(legend, (8, 12), -ones, given, 0 * ones, ones, shares, ("A",))
    assert repr(found) == f"<LabelNoise: {found.wrong.sum()} of 4 labels are likely wrong>"
    assert found.wrong.tolist() == [False, False, True, False]
