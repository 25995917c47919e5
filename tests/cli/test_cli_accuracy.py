"""From a map to points, labels and a report at the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio

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
    assert_refused(run(*given), "several --points without --design")
    assert_refused(
        run("assess", class_map, "--points", "a.csv", "--out", out, "--page", tmp_path / "r.html"),
        "without --design",
    )
    assert not out.exists()


def test_wrong_designs_are_refused_in_one_line(run: Run, tmp_path: Path, class_map: Path) -> None:
    out = tmp_path / "design"
    for given, words in (
        ((), "n (points) or target"),
        (("--n", 100), "give 600 or more"),
        (("--target", "overall"), "--target overall has no number"),
        (("--n", 900, "--expected", "much"), "--expected much has no number"),
        (("--n", 900, "--cross"), "cross divides a raster of strata by class"),
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


def test_change_writes_map_figures_and_points(run: Run, tmp_path: Path, class_map: Path) -> None:
    other, sure = tmp_path / "other.tif", tmp_path / "sure.tif"
    with rasterio.open(class_map) as source:
        classes, profile = source.read(), source.profile
    changed = classes.copy()
    changed[0, 10:20, 10:20] = 1 + classes[0, 10:20, 10:20] % 12
    for path, pixels in ((other, changed), (sure, np.full_like(classes, 240))):
        with rasterio.open(path, "w", **profile | {"nodata": None}) as file:
            file.write(pixels)
    out, figures, points = (tmp_path / name for name in ("change.tif", "change.json", "points"))
    given = ("change", class_map, other, "--confidence", sure, sure, "--size", 25, "--out", out)
    result = run(*given, "--report", figures, "--design", points, "--n", 120)
    assert result.returncode == 0, result.stderr
    assert json.loads(figures.read_text())["counted_km2"]["change"] == 0.01
    with rasterio.open(out) as file:
        assert (file.read(1) == 2).sum() == 100
    sheet = pd.read_csv(points / "sheet_1.csv")
    truth: Any = pd.read_csv(points / "points.csv").set_index("id")["map_class"]
    sheet["class"] = np.array(["stable", "change"])[truth[sheet["id"]].to_numpy() - 1]
    sheet.to_csv(tmp_path / "1.csv", index=False)
    given = ("assess", out, "--points", tmp_path / "1.csv", "--design", points)
    result = run(*given, "--legend", "change", "--out", tmp_path / "r.json")
    assert result.returncode == 0, result.stderr
    areas = {c["slug"]: c for c in json.loads((tmp_path / "r.json").read_text())["classes"]}
    assert areas["change"]["estimated_km2"]["value"] == 0.01
    assert_refused(
        run("change", class_map, other, "--out", tmp_path / "c.tif"), "either confidence"
    )
