"""The command line on wrong input: one clear line, exit code 1 or 2, nothing half-written."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import shapely.affinity
from rasterio.transform import from_origin

from osm4eo_xr.cli.app import main
from osm4eo_xr.demo import demo_osm_path, demo_scene_paths

EMPTY_OSM = '<osm version="0.6" generator="test"></osm>'


@dataclass(frozen=True)
class Result:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process, as ``main`` runs it for the shell."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["osm4eo-xr", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return Result(int(end.value.code or 0), out, err)

    return call


def write_raster(path: Path, *, crs: str | None = "EPSG:3035", left: float = 4_400_000) -> Path:
    rng = np.random.default_rng(0)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=96,
        height=64,
        count=1,
        dtype="uint8",
        crs=crs,
        transform=from_origin(left, 3_280_000, 10, 10),
        nodata=0,
    ) as dst:
        dst.write(rng.integers(1, 13, (1, 64, 96), dtype=np.uint8))
    return path


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "classes.tif")


def test_python_m_is_the_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "osm4eo_xr", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("osm4eo_xr ")


def test_help_and_version_answer(run: Run) -> None:
    assert "classify" in run("--help").stdout
    assert run("--version").stdout.startswith("osm4eo_xr ")


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys, osm4eo_xr.cli.app\n"
        "heavy = {'jax', 'dask', 'rasterio', 'geopandas', 'numba', 'sklearn', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def assert_refused(result: Result, *words: str, code: int = 1) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.mark.parametrize("command", ["sieve", "mosaic", "extract", "classify", "assess"])
def test_missing_input_is_named(run: Run, command: str, tmp_path: Path, class_map: Path) -> None:
    missing = tmp_path / "missing.tif"
    extra = {
        "sieve": [],
        "mosaic": [],
        "extract": ["--layer", "water"],
        "classify": ["--model", tmp_path / "no-model"],
        "assess": ["--points", class_map],
    }[command]
    out = tmp_path / ("out.json" if command == "assess" else "out.tif")
    result = run(command, missing, *extra, "--out", out)
    assert_refused(result, "no-model" if command == "classify" else "missing.tif")
    assert not (tmp_path / "out.tif").exists()


def test_labels_needs_the_extract(run: Run, tmp_path: Path, class_map: Path) -> None:
    result = run(
        "labels", tmp_path / "no.osm.pbf", "--like", class_map, "--out", tmp_path / "l.tif"
    )
    assert_refused(result, "no.osm.pbf")


def test_empty_extract_is_refused(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.osm"
    empty.write_text(EMPTY_OSM, encoding="utf-8")
    like = [arg for path in demo_scene_paths() for arg in ("--like", path)]
    result = run("labels", empty, *like, "--out", tmp_path / "labels.tif")
    assert_refused(result, "empty.osm")
    assert not (tmp_path / "labels.tif").exists()


def test_raster_without_crs_is_refused(run: Run, tmp_path: Path) -> None:
    bare = write_raster(tmp_path / "bare.tif", crs=None)
    result = run("sieve", bare, "--out", tmp_path / "out.tif")
    assert_refused(result, "bare.tif", "CRS")
    assert not (tmp_path / "out.tif").exists()


def test_scene_and_labels_that_do_not_overlap(run: Run, tmp_path: Path) -> None:
    far = write_raster(tmp_path / "far.tif", left=3_000_000)
    scene = [arg for path in demo_scene_paths() for arg in ("--scene", path)]
    result = run("samples", *scene, "--labels", far, "--out", tmp_path / "samples.zarr")
    assert_refused(result, "overlap")
    assert not (tmp_path / "samples.zarr").exists()


def test_missing_class_is_refused(run: Run, tmp_path: Path, class_map: Path) -> None:
    result = run("extract", class_map, "--layer", "lava", "--out", tmp_path / "lava.tif")
    assert_refused(result, "lava", "water")


def test_unreadable_model_is_refused(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.json").write_text("{", encoding="utf-8")
    result = run("classify", *demo_scene_paths(), "--model", model, "--out", tmp_path / "c.tif")
    assert_refused(result, "model.json")
    assert not (tmp_path / "c.tif").exists()


def test_wrong_size_and_connectivity_are_refused(run: Run, tmp_path: Path, class_map: Path) -> None:
    out = tmp_path / "out.tif"
    assert_refused(run("sieve", class_map, "--size", "0", "--out", out), "size", "0")
    wrong = run("sieve", class_map, "--connectivity", "6", "--out", out)
    assert wrong.returncode == 2
    assert "'6' is not one of '4', '8'" in wrong.stderr
    assert not out.exists()


def test_sieve_protects_classes_and_keeps_the_file_s_no_data(run: Run, tmp_path: Path) -> None:
    values = np.full((1100, 600), 3, np.uint8)
    values[10, 10], values[20, 20], values[30:40, 30], values[30:40, 31] = 12, 5, 0, 255
    source, out = tmp_path / "classes.tif", tmp_path / "out.tif"
    place = {"crs": "EPSG:3035", "transform": from_origin(4_400_000, 3_280_000, 10, 10)}
    kind = {"driver": "GTiff", "dtype": "uint8", "count": 1, "nodata": 255}
    with rasterio.open(source, "w", width=600, height=1100, **kind, **place) as dst:
        dst.write(values, 1)
    result = run("sieve", source, "--protect", "water", "--out", out)
    assert result.returncode == 0, result.stderr
    values[20, 20], values[30:40, 30] = 3, 3
    with rasterio.open(out) as src:
        assert src.nodata == 255
        np.testing.assert_array_equal(src.read(1), values)
    assert_refused(
        run("sieve", source, "--protect", "lava", "--out", out, "--overwrite"), "lava", "water"
    )


def test_wrong_usage_exits_with_2(run: Run, class_map: Path) -> None:
    assert run("sieve", class_map).returncode == 2
    assert run("no-such-command").returncode == 2


def test_extract_sieve_and_mosaic_chain(run: Run, tmp_path: Path, class_map: Path) -> None:
    sieved, joined, water = (tmp_path / f"{n}.tif" for n in ("sieved", "mosaic", "water"))
    neighbor = write_raster(tmp_path / "east.tif", left=4_400_480)
    for arguments in (
        ("sieve", class_map, "--size", "4", "--out", sieved),
        ("mosaic", sieved, neighbor, "--out", joined),
        ("extract", joined, "--layer", "water", "--out", water),
    ):
        result = run(*arguments)
        assert result.returncode == 0, result.stderr
    with rasterio.open(joined) as src:
        assert (src.width, src.height) == (144, 64)
        classes = src.read(1)
    with rasterio.open(water) as src:
        np.testing.assert_array_equal(src.read(1) == 12, classes == 12)


def test_labels_of_the_demo_data(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "labels.tif"
    result = run("labels", demo_osm_path(), "--like", demo_scene_paths()[0].parent, "--out", out)
    assert result.returncode == 0, result.stderr
    with rasterio.open(out) as src:
        assert src.crs.to_epsg() == 3035
        forest = (src.read(1) == 8).sum() / 10_000
    assert forest > 1
    assert re.search(rf"forest\W+{forest:.2f}\b", result.stdout)
    assert result.stdout.splitlines()[-1] == str(out)


def test_composite_writes_a_scene_with_its_counts(run: Run, data_dir: Path, tmp_path: Path) -> None:
    catalog, out = data_dir / "stac_33TW" / "catalog.json", tmp_path / "scene.tif"
    place = ("--bbox", 15.45, 45.92, 15.55, 45.98, "--resolution", 120)
    assert run("composite", catalog, *place, "--bands", "red,nir", "--out", out).returncode == 0
    with rasterio.open(out) as made:
        assert made.descriptions == ("red", "nir", "observations")
        assert made.crs.to_epsg() == 3035
        red, nir, seen = made.read()
    assert seen.max() <= 10
    assert (seen > 0).mean() > 0.95
    assert np.nanmedian(red) < 0.1
    assert 0.2 < np.nanmedian(nir) < 0.5


def test_composite_without_a_grid_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("composite", tmp_path / "catalog.json", "--out", tmp_path / "scene.tif")
    assert result.returncode == 1
    assert "no grid given; expected --like RASTER or --bbox" in result.stderr
    assert not (tmp_path / "scene.tif").exists()


def test_agree_writes_agreement_merged_map_and_provenance(run: Run, tmp_path: Path) -> None:
    predicted = write_raster(tmp_path / "classes.tif")
    labels = write_raster(tmp_path / "labels.tif")
    with rasterio.open(labels, "r+") as dst:
        known = dst.read(1)
        known[:, 32:] = 0
        known[:10, :32] = known[:10, :32] % 12 + 1
        dst.write(known, 1)
    layers = {name: tmp_path / f"{name}.tif" for name in ("agreement", "merged", "provenance")}
    options = ("--merged", layers["merged"], "--provenance", layers["provenance"])
    result = run("agree", labels, predicted, "--out", layers["agreement"], *options)
    assert result.returncode == 0, result.stderr
    agreement, merged, provenance = (rasterio.open(p).read(1) for p in layers.values())
    classes = rasterio.open(predicted).read(1)
    np.testing.assert_array_equal(merged, np.where(known > 0, known, classes))
    np.testing.assert_array_equal(provenance, np.where(known > 0, 1, 2))
    expected = np.where(known == 0, 3, np.where(known == classes, 1, 2))
    np.testing.assert_array_equal(agreement, expected)


def test_agree_refuses_rasters_on_other_grids(run: Run, tmp_path: Path, class_map: Path) -> None:
    far = write_raster(tmp_path / "far.tif", left=3_000_000)
    assert_refused(run("agree", far, class_map, "--out", tmp_path / "out.tif"), "grid")
    assert not (tmp_path / "out.tif").exists()


def test_points_and_boundaries_as_they_are_found(run: Run, tmp_path: Path, class_map: Path) -> None:
    places = gpd.points_from_xy([4_400_005, 4_400_015, 4_400_025], [3_279_995] * 3)
    points = gpd.GeoDataFrame({"lc": [1, None, 2]}, geometry=places, crs=3035)
    points.to_file(tmp_path / "p.gpkg", layer="old")
    points.to_file(tmp_path / "p.gpkg", layer="new")
    given = ("assess", class_map, "--points", tmp_path / "p.gpkg", "--column", "lc")
    report = tmp_path / "r.json"
    assert_refused(run(*given, "--out", report), "2 layers, old, new", "--points-layer")
    assert not report.exists()
    assert run(*given, "--points-layer", "new", "--out", report).returncode == 0
    found = json.loads(report.read_text())
    assert (found["total"], found["left_out"]) == (2, 1)

    bow = shapely.Polygon([(0, 0), (400, 400), (400, 0), (0, 400)])
    bow = shapely.affinity.translate(bow, 4_400_000, 3_279_600)
    gpd.GeoDataFrame(geometry=[bow], crs=3035).to_file(tmp_path / "b.gpkg", layer="bow")
    gpd.GeoDataFrame(geometry=[bow.envelope], crs=3035).to_file(tmp_path / "b.gpkg", layer="box")
    out = tmp_path / "m.tif"
    clip = ("mosaic", class_map, "--boundary", tmp_path / "b.gpkg", "--out", out)
    assert_refused(run(*clip), "2 layers, bow, box", "--boundary-layer")
    ended = run(*clip, "--boundary-layer", "bow")
    assert ended.returncode == 0
    assert "note: the boundary has 1 invalid polygons of 1" in ended.stderr
    with rasterio.open(out) as source:
        assert (source.read(1) > 0).sum() == pytest.approx(40 * 40 / 2, abs=40)
    assert_refused(
        run("mosaic", class_map, "--boundary-layer", "bow", "--out", tmp_path / "n.tif"),
        "--boundary",
    )
