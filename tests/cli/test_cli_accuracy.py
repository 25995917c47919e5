"""From a map to points, labels and a report at the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.test_cli import Result, assert_refused, class_map, run

__all__ = ["class_map", "run"]  # fixtures

Run = Callable[..., Result]


@pytest.fixture
def design(run: Run, tmp_path: Path, class_map: Path) -> Path:
    out = tmp_path / "design"
    result = run(
        *("design-points", class_map, "--out", out, "--n", 240, "--min-per-stratum", 20),
        *("--interpreters", 2, "--expected", "water=0.9", "--expected", "forest=0.7"),
    )
    assert result.returncode == 0, result.stderr
    assert "240 points, 12 strata" in result.stdout
    return out


def test_points_are_drawn_labeled_and_assessed(
    run: Run, tmp_path: Path, class_map: Path, design: Path
) -> None:
    truth = pd.read_csv(design / "points.csv").set_index("id")["map_class"]
    sheets = []
    for k in (1, 2):
        sheet = pd.read_csv(design / f"sheet_{k}.csv")
        sheet["class"] = truth[sheet["id"]].to_numpy()
        if k == 2:
            sheet.loc[:20, "class"] = 8
        sheets += ["--points", tmp_path / f"{k}.csv"]
        sheet.to_csv(sheets[-1], index=False)
    out, page = tmp_path / "r.json", tmp_path / "r.html"
    given = ("assess", class_map, *sheets, "--design", design, "--out", out, "--page", page)
    result = run(*given)
    assert result.returncode == 0, result.stderr
    report = json.loads(out.read_text())
    assert report["overall_accuracy"]["value"] == 1
    assert report["interpreters"]["interpreters"] == 2
    assert 0.8 < report["interpreters"]["fleiss_kappa"] < 1
    assert report["left_out"]["unsure"] > 10
    assert "Olofsson" in page.read_text()
    assert_refused(run(*given), "exists already")


def test_what_needs_a_design_says_so(run: Run, tmp_path: Path, class_map: Path) -> None:
    out = tmp_path / "r.json"
    given = ("assess", class_map, "--points", "a.csv", "--points", "b.csv", "--out", out)
    assert_refused(run(*given), "several --points needs --design")
    assert_refused(
        run("assess", class_map, "--points", "a.csv", "--out", out, "--page", tmp_path / "r.html"),
        "--page needs --design",
    )
    assert not out.exists()


def test_wrong_designs_are_refused_in_one_line(run: Run, tmp_path: Path, class_map: Path) -> None:
    out = tmp_path / "design"
    for given, words in (
        ((), "n (points) or target"),
        (("--n", 100), "give 600 or more"),
        (("--target", "overall"), "--target overall has no number"),
        (("--n", 900, "--expected", "much"), "--expected much has no number"),
        (("--n", 900, "--strata", class_map, "--cross", "--scheme", "grid"), "scheme 'grid'"),
    ):
        assert_refused(run("design-points", class_map, "--out", out, *given), words)
        assert not out.exists()


def test_maps_are_compared(run: Run, tmp_path: Path, class_map: Path) -> None:
    out, agreement = tmp_path / "c.json", tmp_path / "a.tif"
    result = run("compare", class_map, class_map, "--out", out, "--agreement", agreement)
    assert result.returncode == 0, result.stderr
    assert json.loads(out.read_text())["agreement"] == 1
    assert agreement.exists()
    again = ("compare", class_map, class_map, "--overwrite", "--crosswalk", "mars")
    assert_refused(run(*again, "--out", out), "no crosswalk mars")
