"""Figures that travel with a model, out of each form in which reports are given."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osm4eo_xr.accuracy.accuracy_report import AccuracyReport
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import default_legend
from osm4eo_xr.models.exchange.published_accuracy import published_accuracy

PLAIN: dict[str, Any] = {
    "overall_accuracy": 0.9,
    "total": 200,
    "caution": "without intervals",
    "classes": [
        {"slug": "forest", "producers_accuracy": 0.95, "users_accuracy": 0.8},
        {"slug": "water", "producers_accuracy": None, "users_accuracy": 0.7},
        {"slug": "shrub", "producers_accuracy": None, "users_accuracy": None},
    ],
}
FIGURE = {"value": 0.9, "standard_error": 0.01, "low": 0.88, "high": 0.92}
DESIGN = PLAIN | {
    "name": "map of 2021",
    "overall_accuracy": FIGURE,
    "intervals": "95 %, wilson",
    "classes": [{"slug": "forest", "producers_accuracy": FIGURE, "users_accuracy": FIGURE}],
}


def save(folder: Path, tree: object) -> str:
    (folder / "r.json").write_text(json.dumps(tree))
    return str(folder / "r.json")


def test_a_report_without_intervals_has_none() -> None:
    found = published_accuracy(PLAIN)
    assert (found.of, found.value, found.total) == ("accuracy", 0.9, 200)
    assert (found.low, found.high, found.interval) == (None, None, "")
    assert found.caution == "without intervals"
    assert found.classes == {  # nothing is said of a class that nobody saw
        "forest": {"producers_accuracy": 0.95, "users_accuracy": 0.8},
        "water": {"producers_accuracy": None, "users_accuracy": 0.7},
    }


def test_a_report_by_design_has_its_own_limits() -> None:
    found = published_accuracy(DESIGN)
    assert (found.value, found.low, found.high) == (0.9, 0.88, 0.92)
    assert (found.of, found.interval) == ("map of 2021", "95 %, wilson")
    assert found.classes == {"forest": {"producers_accuracy": 0.9, "users_accuracy": 0.9}}


def test_limits_by_blocks_stand_beside_the_figure() -> None:
    limits = {"low": 0.8, "high": 0.95, "method": "95 % block bootstrap, 4 blocks"}
    found = published_accuracy(PLAIN | {"overall_interval": limits})
    assert (found.low, found.high) == (0.8, 0.95)
    assert found.interval == "95 % block bootstrap, 4 blocks"


def test_object_mapping_and_file_say_the_same(tmp_path: Path) -> None:
    counts = np.zeros((12, 12), np.int64)
    counts[0, 0], counts[0, 11], counts[11, 11] = 90, 10, 63
    report = AccuracyReport(counts, default_legend(), 0, name="test")
    report.save(tmp_path / "t.json")
    expected = published_accuracy(report)
    assert expected.value == pytest.approx(153 / 163, abs=1e-6)
    assert expected.total == 163
    assert expected.classes["water"]["users_accuracy"] == pytest.approx(63 / 73, abs=1e-6)
    assert published_accuracy(report.to_dict()) == expected
    assert published_accuracy(tmp_path / "t.json") == expected


def test_a_file_of_one_report_in_a_table_needs_no_name(tmp_path: Path) -> None:
    path = save(tmp_path, {"made": "today", "points": PLAIN})
    assert published_accuracy(path).of == "points"
    assert published_accuracy(f"{path}#points").value == 0.9
    named = save(tmp_path, {"points": DESIGN})
    assert published_accuracy(named).of == "map of 2021"  # its own name wins


def test_a_table_may_lie_in_a_table(tmp_path: Path) -> None:
    path = save(tmp_path, {"accuracy": {"network": PLAIN, "forest": DESIGN}})
    assert published_accuracy(f"{path}#accuracy.forest").low == 0.88
    with pytest.raises(InputError) as refused:
        published_accuracy(f"{path}#accuracy")
    assert refused.value.given == f"{path}#accuracy holds 2 reports on accuracy: network, forest"
    assert refused.value.expected == "one, with an overall accuracy"
    assert "FILE#TABLE.TABLE" in refused.value.advice
    with pytest.raises(InputError) as refused:
        published_accuracy(f"{path}#accuracy.trees")
    assert refused.value.given == f"{path} has no table 'trees' there"
    assert refused.value.expected == "of network, forest"
    with pytest.raises(InputError, match="holds a float; expected a report on accuracy"):
        published_accuracy(f"{path}#accuracy.network.overall_accuracy")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON: "),
        ("[" * 100_000, "is not JSON: "),
        ("[1]", "holds a list; expected a report on accuracy"),
        ("{}", "holds 0 reports on accuracy; expected one"),
        ('{"overall_accuracy": NaN, "total": 1, "classes": []}', "accuracy (nan, None, None)"),
        ('{"overall_accuracy": 91.3, "total": 1, "classes": []}', "expected shares of 0 to 1"),
    ],
)
def test_files_that_hold_no_report_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError) as refused:
        published_accuracy(tmp_path / "r.json")
    assert words in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "r.json"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        published_accuracy(tmp_path / "none.json")
    assert refused.value.given == f"no report {tmp_path / 'none.json'}"
    assert refused.value.advice == "give a JSON file of evaluate or assess"


@pytest.mark.parametrize(
    "damage",
    [
        {"total": None},
        {"total": "many"},
        {"classes": None},
        {"classes": [{"users_accuracy": 1}]},
        {"classes": [{"slug": "water", "users_accuracy": "high"}]},
        {"overall_accuracy": "high"},
        {"overall_accuracy": {"low": 0.1}},
        {"overall_interval": [0.1, 0.9]},
    ],
)
def test_half_a_report_is_none(damage: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        published_accuracy(PLAIN | damage)
    assert refused.value.given.startswith("accuracy is no whole report on accuracy (")
    assert refused.value.advice == "give what evaluate, train or assess has written"
