"""A country run that keeps known ground: map, provenance, sieve, polygons, report."""

import json
import re
from pathlib import Path
from shutil import copyfile
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from osm4eo_xr.country.findings.review import _make, review_result
from osm4eo_xr.country.run import _open, plan_country, run_country
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.country.viewing import open_run, write_run_viewer
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.vectors import read_vector
from osm4eo_xr.legend import default_legend
from osm4eo_xr.maps.country_mosaic import mosaic
from osm4eo_xr.maps.known_ground import merge_known
from osm4eo_xr.maps.known_rules import noise_table
from osm4eo_xr.names import counted
from osm4eo_xr.osm.landuse import read_landuse
from osm4eo_xr.rasters.open import open_probabilities, open_raster
from osm4eo_xr.sieving.lazy_sieve import sieve
from tests.cases.commands import attempt
from tests.cases.country_case import LEARN, MODEL, make_country, tiny_model

ROWS = {"forest": {"forest": 0.8, "pastures": 0.2}, "urban": {"urban": 0.6, "industrial": 0.4}}
KNOWN = """
[labels]
osm = "landuse.osm.pbf"

[known]
rule = "bayes"
noise = { forest = { forest = 0.8, pastures = 0.2 }, urban = { urban = 0.6, industrial = 0.4 } }

[review]
sure = 0.1
share = 0.2
pixels = 3
cell = 100
apart = 150

[accuracy]
points = "points.geojson"

[products]
viewer = true
"""


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A country file whose run has finished."""
    folder = tmp_path_factory.mktemp("known") / "here"
    path = make_country(folder, edge=100, overlap=20, learn=MODEL + KNOWN)
    tiny_model(folder / "tiny")
    _write_points(folder)
    return run_country(path).parent / path.name


def _write_points(folder: Path) -> None:
    with rasterio.open(folder / "tiles" / "T11.tif") as file:
        box, crs = file.bounds, file.crs
    x, y = np.meshgrid(np.linspace(box.left, box.right, 20), np.linspace(box.bottom, box.top, 20))
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(x.ravel(), y.ravel()), crs=crs)
    points["class"] = "forest"
    points.to_crs(4326).to_file(folder / "points.geojson", driver="GeoJSON")


def read(country: Path, name: str) -> xr.DataArray:
    return open_raster(country.parent / "result" / f"{name}.tif").compute()


def test_the_map_is_the_mosaic_of_merged_tiles(country: Path) -> None:
    noise, tiles = noise_table(ROWS, default_legend()), {}
    for k in range(9):
        tile = f"T{k // 3}{k % 3}"
        shares = country.parent / "result" / "classified" / f"{tile}_probabilities.tif"
        how: Any = {"probabilities": open_probabilities(shares), "noise": noise}
        pair = read(country, f"labels/{tile}"), read(country, f"classified/{tile}")
        tiles[tile] = merge_known(*pair, rule="bayes", **how)["classes"]
    outline = read_vector(country.parent / "boundary.geojson", "boundary")
    joined = read(country, "mosaic")
    np.testing.assert_array_equal(joined, mosaic(tiles, outline))
    known = read(country, "labels") == joined
    sieved = sieve(joined, 20, 8, protected_pixels=known.to_numpy() & (joined > 0).to_numpy())
    np.testing.assert_array_equal(read(country, "sieved"), sieved)
    assert (sieved != joined).any()


def test_provenance_is_that_of_the_final_map(country: Path) -> None:
    final, labels, origin = (
        read(country, n).to_numpy() for n in ("sieved", "labels", "provenance")
    )
    expected = np.select([final == 0, labels == 0, labels == final], [0, 2, 1], default=3)
    np.testing.assert_array_equal(origin, expected)
    assert set(np.unique(origin)) == {0, 1, 2, 3}
    shown = read(country, "mosaic").to_numpy()
    kept = (shown == labels) & (shown > 0)
    np.testing.assert_array_equal(final[kept], labels[kept])
    item = json.loads((country.parent / "result" / "provenance.stac.json").read_text())
    classes = item["assets"]["data"]["bands"][0]["classification:classes"]
    assert [c["name"] for c in classes] == ["openstreetmap", "prediction", "overruled"]


def test_report_and_polygons_say_what_is_known(country: Path) -> None:
    out = country.parent / "result"
    report = json.loads((out / "report.json").read_text())
    final, origin = read(country, "sieved").to_numpy(), read(country, "provenance").to_numpy()
    for area in report["areas"]:
        for value, part in enumerate(("known", "predicted", "overruled"), start=1):
            pixels = ((final == area["id"]) & (origin == value)).sum()
            assert area[f"{part}_km2"] == pytest.approx(pixels * 1e-4)
    assert report["known"]["noise"]["forest"]["pasture"] == 0.2
    scores = report["accuracy"]
    parts = [r["total"] for name, r in scores.items() if name != "reference points"]
    assert len(parts) >= 2
    assert sum(parts) == scores["reference points"]["total"]
    page = (out / "report.html").read_text()
    assert "together make likeliest" in page
    polygons, water = gpd.read_file(out / "water_polygons.gpkg"), read(country, "water").to_numpy()
    pixels = (polygons["area"] / 100 * polygons["known_share"]).sum()
    assert pixels == pytest.approx(((water == 12) & (origin == 1)).sum(), abs=0.01)


def test_viewer_shows_what_the_run_made(country: Path) -> None:
    out = country.parent / "result"
    assert 'href="viewer/index.html"' in (out / "report.html").read_text()
    text = (out / "viewer" / "about.js").read_text()
    about = json.loads(text[text.index("{") : text.rindex("}") + 1])
    report = json.loads((out / "report.json").read_text())
    names = ["confidence", "provenance", "layer-water", "labels", "map", "scene"]
    assert [overlay["name"] for overlay in about["overlays"]] == names
    areas = {e["value"]: e["figures"] for e in about["overlays"][4]["entries"]}
    assert areas == {a["id"]: f"{a['km2']:,.2f}" for a in report["areas"]}
    told = "".join(p.read_text() for p in (out / "viewer" / "tiles" / "objects").rglob("*.js"))
    areas = read_landuse(out / "landuse")
    named = set(map(int, re.findall(r'\[\\"(?:way|relation)\\", (\d+)', told)))
    assert 10 < len(named) <= len(areas)
    assert named <= set(areas["osm_id"])
    made = (out / "viewer" / "about.js").stat().st_mtime_ns
    for result in (country, out):
        write_run_viewer(open_run(result), out / "viewer")
    assert (out / "viewer" / "about.js").stat().st_mtime_ns == made
    with pytest.raises(InputError, match="no report of a run"):
        open_run(country.parent)


def test_tasks_lead_back_to_openstreetmap(country: Path, tmp_path: Path) -> None:
    out, again = country.parent / "result", tmp_path / "again.geojson"
    how = ["--sure", "0.1", "--share", "0.2", "--pixels", "3", "--cell", "100", "--apart", "150"]
    told = attempt("review", str(out), "--out", str(again), *how)
    assert told.exit_code == 0, told.output
    assert again.read_bytes() == (out / "tasks.geojson").read_bytes()
    features = json.loads(again.read_text())["features"]
    checks = [f["properties"] for f in features if f["properties"]["task"] == "check"]
    places = [f["properties"] for f in features if f["properties"]["task"] == "map"]
    objects, cells = counted(len(checks), "object"), counted(len(places), "place")
    assert f"{objects} to check, {cells} to map" in told.output
    assert min(len(checks), len(places)) >= 5
    assert all(p["given"] != p["suggested"] and p["share"] >= 0.2 for p in checks)
    page = (out / "report.html").read_text()
    assert f"{objects} to check and {cells} to map" in page
    areas = read_landuse(country.parent / "landuse.osm.pbf").set_index(["osm_kind", "osm_id"])
    assert all(areas.loc[(p["osm_kind"], p["osm_id"]), "tag"] == p["tag"] for p in checks)
    outline = read_vector(country.parent / "boundary.geojson", "boundary").to_crs(4326)
    cells = gpd.read_file(again).query("task == 'map'")
    assert cells.intersects(outline.union_all()).all()
    with pytest.raises(InputError, match=r"no labels.tif in .*; give the folder of a run"):
        review_result(tmp_path)


def test_tiles_that_are_none_of_the_run_by_now_are_not_reviewed(country: Path) -> None:
    out, run = country.parent / "result", open_run(country)
    review, tasks = run.settings.review, (out / "tasks.geojson").read_bytes()
    objects, places = review_result(out, review)
    assert objects is not None
    assert places is not None
    names = ("confidence", "probabilities", "")
    left = [out / "classified" / f"A{'_' * bool(name)}{name}.tif" for name in names]
    for path in left:  # another tile's, in the place of one of the run's
        copyfile(path.with_name(path.name.replace("A", "T22", 1)), path)
    box = rasterio.open(out / "classified" / "T00.tif").transform
    for path in left:
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
            file.transform = box
    try:
        again = review_result(out, review)
        _make(run, None)
    finally:
        for path in left:
            path.unlink()
    pd.testing.assert_frame_equal(again[0], objects)
    pd.testing.assert_frame_equal(again[1], places)
    assert (out / "tasks.geojson").read_bytes() == tasks


def test_land_use_of_earlier_settings_is_not_reviewed(country: Path) -> None:
    """The folder stays where labels are rasters by now, and says nothing of these."""
    out, run = country.parent / "result", open_run(country)
    report = out / "report.json"
    told = report.read_bytes()
    tree = json.loads(told)
    tree["settings"]["labels"] |= {"osm": "", "rasters": ["labels/*.tif"]}
    report.write_text(json.dumps(tree))
    try:
        objects, places = review_result(out, run.settings.review)
        assert open_run(out).landuse is None
    finally:
        report.write_bytes(told)
    assert (out / "landuse").is_dir()
    assert objects is None
    assert places is not None
    assert run.landuse == out / "landuse"


def test_another_rule_classifies_nothing_again(country: Path) -> None:
    text, other = country.read_text(), country.with_name("other.toml")
    bayes, rows = text[text.index("rule") :].splitlines()[:2]
    other.write_text(text.replace(bayes, bayes + "\nprotect = false"))
    todo = [p.name for p in plan_country(other).todo]
    maps = ["mosaic", "sieved", "provenance", "layer water", "vector water"]
    maps += ["tasks", "accuracy"]
    assert todo == maps
    other.write_text(text.replace(bayes, 'rule = "osm"').replace(rows, ""))
    assert [name for name in (p.name for p in plan_country(other).todo) if "T" not in name] == maps


def test_tiles_may_be_blended(country: Path) -> None:
    text, other = country.read_text(), country.with_name("blended.toml")
    rule, noise = text[text.index('rule = "bayes"') :].splitlines()[:2]
    text = text.replace(rule, 'rule = "osm"').replace(noise, "") + '\n[mosaic]\nrule = "blend"\n'
    other.write_text(text)
    assert not [p.name for p in plan_country(other).todo if p.name.startswith("classified")]
    lazy = next(p.lazy for p in _open(other, hashing=False).rest() if p.kind == "mosaic")
    assert lazy is not None
    opened = lazy(read_any)
    tiles, shares = {}, {}
    for k in range(9):
        tile = f"T{k // 3}{k % 3}"
        pair = read(country, f"labels/{tile}"), read(country, f"classified/{tile}")
        tiles[tile] = merge_known(*pair)["classes"]
        folder = country.parent / "result" / "classified"
        shares[tile] = open_probabilities(folder / f"{tile}_probabilities.tif")
    outline = read_vector(country.parent / "boundary.geojson", "boundary")
    expected = mosaic(tiles, outline, rule="blend", probabilities=shares)
    np.testing.assert_array_equal(opened, expected)
    for old, new, wrong in (
        ("size = 20", 'size = 20\nwhen = "before"', "sieve.when = 'before'"),
        ('rule = "osm"', rule + "\n" + noise, "known.rule = 'bayes'"),
    ):
        other.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=wrong):
            read_country(other)


def read_any(path: Path) -> xr.DataArray:
    return open_probabilities(path) if "probabilities" in path.name else open_raster(path)


def test_noise_is_estimated_after_the_model_or_asked_for(tmp_path: Path) -> None:
    path = make_country(
        tmp_path / "a", edge=60, overlap=12, learn=LEARN + KNOWN[KNOWN.index("[known") :]
    )
    text = path.read_text()
    path.write_text(text[: text.index("noise =")] + text[text.index("[accuracy]") :])
    _write_points(path.parent)
    names = [p.name for p in plan_country(path).pieces]
    assert names.index("model") < names.index("noise") < names.index("mosaic")
    given = text[: text.index("noise =")].replace(LEARN, MODEL + KNOWN[: KNOWN.index("[known")])
    path.write_text(given)
    with pytest.raises(InputError, match=r"known.noise = \{\}; expected a table"):
        read_country(path)
    path.write_text(given.replace('rule = "bayes"', "noise = { forest = { forest = 0.5 } }"))
    with pytest.raises(
        InputError, match=r"noise.forest = .*; expected probabilities that sum to 1"
    ):
        read_country(path)
