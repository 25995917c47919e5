"""Commands that draw points and score maps: what options mean, and which do not go together."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.cli.commands import accuracy
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from tests.cases.commands import call, misused, refused

ROWS, COLS = 60, 80
LEFT, TOP = 4_400_000, 2_700_000
BOX = target_geobox((LEFT, TOP - 10 * ROWS, LEFT + 10 * COLS, TOP))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a map of forest and water, its strata, and what is sure of it."""
    folder = tmp_path_factory.mktemp("maps")
    values = np.full((ROWS, COLS), 8, np.uint8)
    values[:, 60:] = 12
    for name, pixels in (
        ("map", values),
        ("other", np.where(values == 12, 5, values).astype(np.uint8)),
        ("strata", np.where(np.arange(ROWS)[:, None] < 30, 1, 2).repeat(COLS, 1).astype(np.uint8)),
    ):
        oxr.write_cog(georeference(pixels, BOX), folder / f"{name}.tif")
    sure = georeference(np.full((ROWS, COLS), 0.9, np.float32), BOX)
    oxr.write_cog(sure, folder / "sure.tif")
    x, y = LEFT + 10 * np.array([5, 15, 70]) + 5, TOP - 10 * np.array([5, 5, 5]) - 5
    points = gpd.GeoDataFrame(
        {"kind": ["forest", "water", "water"]}, geometry=gpd.points_from_xy(x, y)
    )
    points.set_crs(3035).to_file(folder / "points.gpkg", layer="mine")
    points.set_crs(3035)[:1].to_file(folder / "points.gpkg", layer="yours")
    return folder


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["0.8"], 0.8),
        (["1"], 1.0),
        (["water=0.95"], {"water": 0.95}),
        (["water=0.95", "old, forest=0.7"], {"water": 0.95, "old, forest": 0.7}),
    ],
)
def test_shares_are_one_or_one_for_each_stratum(given: list[str], found: Any) -> None:
    assert accuracy._expected(given) == found


@pytest.mark.parametrize(
    ("given", "words", "advice"),
    [
        (["much"], "--expected much has no number", "write it as 0.8 or water=0.95"),
        (["water="], "--expected water= has no number", "write it as name=0.05"),
        (["0.8", "0.9"], "--expected 0.8 has no number", "write it as name=0.05"),
        (["water=0.9", "water=0.8"], "--expected water=0.8 gives water twice", "give it once"),
    ],
)
def test_shares_that_are_none_or_given_twice_are_refused(
    given: list[str], words: str, advice: str
) -> None:
    with pytest.raises(InputError) as error:
        accuracy._expected(given)
    assert (error.value.given, error.value.advice) == (words, advice)


def test_targets_are_standard_errors_by_name(folder: Path, tmp_path: Path) -> None:
    points = ("design-points", folder / "map.tif", "--min-per-stratum", 2, "--out", tmp_path / "d")
    printed = call(*points, "--target", "overall=0.05", "--expected", "0.8")
    # Cochran 1977, eq. 5.25 without finite correction: (Σ W S)² / SE² = 0.16 / 0.0025
    assert "64 points, 2 strata" in printed
    error = refused(*points, "--overwrite", "--target", "median=0.05")
    assert error.given == "target 'median' is unknown"
    error = refused(*points, "--overwrite", "--target", "overall=5")
    assert error.given == "target overall 5.0 is no standard error of a share"
    assert json.loads((tmp_path / "d" / "design.json").read_text())["made"]["target"] == {
        "overall": 0.05
    }


def test_strata_may_be_divided_by_class_and_clusters_are_squares(
    folder: Path, tmp_path: Path
) -> None:
    points = ("design-points", folder / "map.tif", "--n", 60)
    out = tmp_path / "crossed"
    call(
        *points, "--min-per-stratum", 5, "--strata", folder / "strata.tif", "--cross", "--out", out
    )
    made = json.loads((out / "design.json").read_text())
    assert [s["pixels"] for s in made["strata"]] == [1800, 600, 1800, 600]
    assert sum(s["points"] for s in made["strata"]) == 60
    out = tmp_path / "clusters"
    how = ("--scheme", "cluster", "--cluster-pixels", 20, "--per-cluster", 6)
    printed = call(*points, *how, "--out", out)
    assert "cluster, 60 points, 10 clusters" in printed
    table = pd.read_csv(out / "points.csv")
    assert (table.groupby("cluster").size() == 6).all()


def test_points_are_divided_and_drawn_in_a_few_ways(folder: Path, tmp_path: Path) -> None:
    design = ("design-points", folder / "map.tif", "--n", 10, "--out", tmp_path / "d")
    for option, word in (("--allocation", "lots"), ("--scheme", "weighted")):
        assert f"Invalid value for '{option}'" in misused(*design, option, word)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "given", "advice"),
    [
        (("--n", 10, "--cross"), "cross divides a raster of strata by class", "give strata"),
        (
            ("--n", 10, "--min-per-stratum", 1),
            "min_per_stratum 1, cluster_pixels 500 and per_cluster 10",
            "",
        ),
        (("--n", 99, "--expected", "sea=0.9"), "expected names 'sea', which is no stratum", "they"),
        (("--n", 99, "--expected", "1.5"), "expected is 1.5", ""),
        (
            ("--n", 50, "--scheme", "cluster", "--per-cluster", 5),
            "n 50 in clusters of 5 points needs 10 clusters, and the map has 1 of 500 pixels",
            "give smaller clusters or fewer points",
        ),
    ],
)
def test_designs_that_cannot_be_drawn_leave_nothing(
    folder: Path, tmp_path: Path, options: tuple, given: str, advice: str
) -> None:
    told = {"--min-per-stratum", "--scheme"} & set(options)
    least = () if told else ("--min-per-stratum", 3)
    error = refused("design-points", folder / "map.tif", "--out", tmp_path / "d", *least, *options)
    assert error.given == given
    assert error.advice.startswith(advice)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--provenance", "map.tif"), "--provenance map.tif"),
        (("--probabilities", "sure.tif"), "--probabilities sure.tif"),
        (("--page", "r.html"), "--page r.html"),
        (("--points", "points.gpkg"), "several --points"),
    ],
)
def test_what_a_design_alone_gives_needs_one(
    folder: Path, tmp_path: Path, options: tuple[str, str], named: str, monkeypatch: Any
) -> None:
    monkeypatch.chdir(folder)
    points = ("assess", "map.tif", "--points", "points.gpkg", "--out", tmp_path / "r.json")
    error = refused(*points, *options)
    assert error.given == f"{named} without --design"
    assert error.advice.startswith("add ")
    assert not any(tmp_path.iterdir())
    assert not (folder / "r.html").exists()


def test_points_of_a_layer_and_a_column_are_scored(folder: Path, tmp_path: Path) -> None:
    points = ("assess", folder / "map.tif", "--points", folder / "points.gpkg")
    out = ("--out", tmp_path / "r.json")
    error = refused(*points, *out, "--column", "kind")
    assert "2 layers" in str(error)
    error = refused(*points, *out, "--points-layer", "mine")
    assert "has no column class_id or class or label or clc" in error.given
    assert "it has kind" in error.advice
    printed = call(*points, *out, "--points-layer", "mine", "--column", "kind")
    assert "without intervals" in " ".join(printed.split())
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["overall_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["total"] == 3


def test_labels_and_intervals_are_of_a_few_kinds(folder: Path, tmp_path: Path) -> None:
    design, sheet = tmp_path / "d", tmp_path / "s.csv"
    call("design-points", folder / "map.tif", "--n", 20, "--min-per-stratum", 5, "--out", design)
    truth = pd.read_csv(design / "points.csv").set_index("id")["map_class"]
    filled = pd.read_csv(design / "sheet_1.csv")
    filled["class"] = truth[filled["id"]].to_numpy()
    filled.to_csv(sheet, index=False)
    points = ("assess", folder / "map.tif", "--points", sheet, "--design", design)
    out = ("--out", tmp_path / "r.json")
    for option, word in (("--labels", "all"), ("--intervals", "bayes")):
        assert f"Invalid value for '{option}'" in misused(*points, *out, option, word)
    call(*points, *out, "--intervals", "wald")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["intervals"] == "95 %, wald"
    assert (report["overall_accuracy"]["low"], report["overall_accuracy"]["high"]) == (1, 1)


CHANGE: tuple[Any, ...] = ("change", "map.tif", "other.tif", "--out")


@pytest.mark.parametrize(
    ("options", "given", "rest"),
    [
        ((), "a map of change needs to know how sure both maps are", "give either confidence"),
        (
            ("--confidence", "sure.tif", "sure.tif", "--threshold", "0.5"),
            "threshold is 0.5, stay 0.98",
            "threshold above 0.5 and up to 1",
        ),
    ],
)
def test_change_without_knowing_how_sure_maps_are_is_none(
    folder: Path, tmp_path: Path, options: tuple, given: str, rest: str, monkeypatch: Any
) -> None:
    monkeypatch.chdir(folder)
    error = refused(*CHANGE, tmp_path / "c.tif", *options)
    assert error.given == given
    assert rest in f"{error.expected} {error.advice}"
    assert not any(tmp_path.iterdir())


def test_change_is_where_both_maps_are_sure(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    sure = ("--confidence", "sure.tif", "sure.tif")
    call(*CHANGE, tmp_path / "c.tif", *sure, "--report", tmp_path / "c.json")
    changed = oxr.open_raster(tmp_path / "c.tif").to_numpy()
    assert (changed[:, :60] == 1).all()
    assert (changed[:, 60:] == 2).all()
    [row] = json.loads((tmp_path / "c.json").read_text())["transitions"]
    assert row["counted_km2"] == pytest.approx(ROWS * 20 * 1e-4)
    call(*CHANGE, tmp_path / "u.tif", *sure, "--threshold", "0.95")
    assert (oxr.open_raster(tmp_path / "u.tif").to_numpy()[:, 60:] == 3).all()  # unsure


@pytest.mark.parametrize(
    "words",
    [
        ("design-points", "map.tif", "--out", "d", "--n", "0"),
        ("design-points", "map.tif", "--out", "d", "--n", "9", "--interpreters", "0"),
        ("design-points", "map.tif", "--out", "d", "--n", "9", "--seed", "-1"),
        ("change", "a.tif", "b.tif", "--out", "c.tif", "--size", "0"),
        ("lucas", "p.csv", "--map", "m.tif", "--out", "d", "--min-parcel", "-1"),
    ],
)
def test_numbers_below_their_least_are_told_with_the_option(words: tuple[str, ...]) -> None:
    assert f"Invalid value for '{words[-2]}'" in misused(*words)
