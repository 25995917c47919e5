import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree
from typing import Any

import geopandas as gpd
import jax
import numpy as np
import pystac
import pytest
import rasterio
from rasterio.features import geometry_mask
from rasterio.features import sieve as gdal_sieve
from rio_cogeo.cogeo import cog_validate

from osm4eo_xr.accuracy.held_out import evaluate
from osm4eo_xr.accuracy.validation.training_points import fit_applicability
from osm4eo_xr.cli.failures import report_failure
from osm4eo_xr.country.run import plan_country, run_country
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.scenes import open_scene
from osm4eo_xr.inference.prediction import classify
from osm4eo_xr.legend import default_legend
from osm4eo_xr.maps.country_mosaic import mosaic
from osm4eo_xr.maps.seams import seam_certificate
from osm4eo_xr.models.model_folder import load_model, save_model
from osm4eo_xr.rasters.open import open_probabilities, open_raster
from osm4eo_xr.samples.store import open_samples
from osm4eo_xr.sieving.lazy_sieve import sieve
from tests.cases.commands import attempt
from tests.cases.country_case import LEARN, make_country, products, tiny_model
from tests.cases.small_disk import small_disk_at

TILES = [f"T{i}{j}" for i in range(3) for j in range(3)]
KNOWN = """
[known]
rule = "bayes"
protect = false

[review]
sure = 0.1
"""


def make(path: Path, **options: Any) -> Path:
    """Run a country; optax adds whole numbers and floats, which the tests forbid our kernels."""
    with jax.numpy_dtype_promotion("standard"):
        return run_country(path, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A country file whose run has finished, and what it made."""
    folder = tmp_path_factory.mktemp("land") / "here"
    path = make_country(folder, edge=120, overlap=30, learn=LEARN + KNOWN)
    return path, products(make(path))


def another(source: Path, folder: Path) -> Path:
    """Copy the inputs of a country, not its results."""
    folder.mkdir()
    for item in source.parent.iterdir():
        if item.name != "result":
            (folder / item.name).symlink_to(item)
    (folder / source.name).unlink()
    (folder / source.name).write_text(source.read_text())
    return folder / source.name


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.mark.steps
def test_products_agree_with_each_other(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    out = undisturbed[0].parent / "result"
    joined, sieved, water = (read(out / f"{n}.tif") for n in ("mosaic", "sieved", "water"))
    assert len(np.unique(joined)) > 3
    valid = (joined != 0).astype(np.uint8)
    np.testing.assert_array_equal(sieved, gdal_sieve(joined, 20, mask=valid, connectivity=8))
    box = open_raster(out / "mosaic.tif").odc.geobox
    outline = gpd.read_file(undisturbed[0].parent / "boundary.geojson").to_crs(3035)
    outside = geometry_mask(outline.geometry, out_shape=box.shape, transform=box.affine)
    assert not joined[outside].any()
    polygons = gpd.read_file(out / "water_polygons.gpkg")
    assert polygons["area"].sum() == (water == 12).sum() * 100
    assert polygons["area"].min() >= 1000
    labels = read(out / "labels.tif")
    assert labels.shape == joined.shape
    assert not labels[outside].any()
    tiles = [open_raster(out / "labels" / f"T{i}{j}.tif") for i in range(3) for j in range(3)]
    expected = np.where(outside, 0, mosaic(tiles).to_numpy())
    np.testing.assert_array_equal(labels, expected)


def test_report_says_areas_accuracy_hashes_and_pictures(
    undisturbed: tuple[Path, dict[str, bytes]],
) -> None:
    out = undisturbed[0].parent / "result"
    report = json.loads((out / "report.json").read_text())
    pixels = read(out / "sieved.tif")
    assert {a["id"]: a["pixels"] for a in report["areas"]} == {
        k: int((pixels == k).sum()) for k in range(1, 13)
    }
    labels = read(out / "labels.tif")
    for area in report["areas"]:
        assert area["labeled_km2"] == pytest.approx((labels == area["id"]).sum() * 1e-4)
    assert report["tiles"] == [f"T{i}{j}" for i in range(3) for j in range(3)]
    assert [*report["coverage"]] == report["tiles"]
    for tile, told in report["coverage"].items():
        classes = open_raster(out / "classified" / f"{tile}.tif")
        assert told["no_data"] == pytest.approx(float((classes == 0).mean()), abs=1e-6)
        scene = open_scene(undisturbed[0].parent / "tiles" / f"{tile}.tif")
        assert told["validity"] == scene.attrs["validity"]
    assert {"tiles/T00.tif", "landuse.osm.pbf", "boundary.geojson"} <= report["inputs"].keys()
    scores = evaluate(load_model(out / "model"), open_samples(out / "samples.zarr"), "test")
    assert report["accuracy"] == {"held-out samples": scores.to_dict()}
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4  # map, seams, confusion, training curves
    assert "http" not in page.replace("data:", "")
    assert report["model"]["sha256"] in page


def test_the_report_says_where_tiles_show(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    out = undisturbed[0].parent / "result"
    told = json.loads((out / "report.json").read_text())["seams"]
    tiles = {t.stem: open_scene(t).odc.geobox for t in (out.parent / "tiles").glob("*.tif")}
    final = open_raster(out / "sieved.tif")
    seams = seam_certificate(final.compute(), tiles)
    assert told == [seam.to_dict() for seam in seams]
    assert len(told) > 8
    page = (out / "report.html").read_text()
    for seam in seams[1:11]:
        assert not seam.pairs or f"{seam.excess:+.2%}" in page


def test_products_are_described_for_gis_and_catalogs(
    undisturbed: tuple[Path, dict[str, bytes]],
) -> None:
    out = undisturbed[0].parent / "result"
    digest = load_model(out / "model").digest
    for name in ("classified/T11", "mosaic", "sieved", "water"):
        assert cog_validate(out / f"{name}.tif", strict=True)[0]
        item = pystac.Item.from_file(str(out / f"{name}.stac.json"))
        assert digest in item.properties["processing:lineage"]
        assert str(item.datetime)[:10] == "2017-02-16"
    report = json.loads((out / "report.json").read_text())
    scores = report["accuracy"]["held-out samples"]
    for name, slugs in (("sieved", [a["class"] for a in report["areas"]]), ("water", ["water"])):
        told = json.loads((out / f"{name}.stac.json").read_text())["properties"]
        areas = {a["class"]: a["counted_km2"] for a in told["osm4eo_xr:areas"]}
        assert areas == {a["class"]: a["km2"] for a in report["areas"] if a["class"] in slugs}
        assert "counted" in told["osm4eo_xr:areas_method"]
        (held_out,) = told["osm4eo_xr:accuracy"]
        assert held_out["of"] == "held-out samples"
        assert "block bootstrap" in held_out["method"]
        limits = {k: scores["overall_interval"][k] for k in ("low", "high")}
        assert held_out["overall_accuracy"] == {"value": scores["overall_accuracy"], **limits}
        listed = {c["slug"]: c for c in scores["classes"] if c["reference"] and c["slug"] in slugs}
        assert [c["class"] for c in held_out["classes"]] == [*listed]
        for c in held_out["classes"]:
            bounds = listed[c["class"]]["intervals"]["f1"]
            assert c["f1"] == {"value": listed[c["class"]]["f1"], **bounds}
    plain = pystac.Item.from_file(str(out / "mosaic.stac.json"))
    assert "osm4eo_xr:areas" not in plain.properties
    assert cog_validate(out / "labels.tif", strict=True)[0]
    for name in ("labels/T11", "labels"):
        labels = pystac.Item.from_file(str(out / f"{name}.stac.json"))
        assert "processing:lineage" not in labels.properties


def test_a_second_run_makes_nothing(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    made: list[str] = []
    make(undisturbed[0], watch=lambda piece, *_: made.append(piece))
    assert made == []
    assert plan_country(undisturbed[0]).todo == ()


def test_a_full_disk_is_named_and_nothing_half_written_stays(
    undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = another(undisturbed[0], tmp_path / "there")
    out = path.parent / "result"
    with small_disk_at(out, "24k"):
        with pytest.raises(OSError, match="No space left") as full:
            make(path)
        assert report_failure(full.value) == 1
        assert f"the disk is full: no space left in {out}" in capsys.readouterr().err.replace(
            "\n", ""
        )
        assert products(out) == {}


def test_a_change_remakes_what_depends_on_it_and_a_lost_file_itself(
    undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    path = another(undisturbed[0], tmp_path / "there")
    out = path.parent / "result"
    copytree(undisturbed[0].parent / "result", out)
    assert todo(path) == []
    change(path, "size = 20", "size = 30")
    assert todo(path) == ["sieved", "provenance", "layer water", "vector water"]
    change(path, "size = 30", "size = 20")
    change(path, "epochs = 2", "epochs = 3")
    assert len(todo(path)) == len(plan_country(path).pieces) - 12  # what is before the model stays
    change(path, "epochs = 3", "epochs = 2")
    (out / "classified" / "T11.tif").write_bytes(b"damaged")
    (out / "water.qml").unlink()
    assert todo(path) == ["classified T11", "layer water"]
    (out / "sieved.stac.json").unlink()
    assert todo(path) == ["classified T11", "sieved", "layer water"]
    make(path)
    assert products(out) == undisturbed[1]
    change(path, "2017-02-16", "2017-02-17")
    assert not {f"classified T{k}{k}" for k in range(3)} - set(todo(path))


def change(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def todo(path: Path) -> list[str]:
    return [p.name for p in plan_country(path).todo]


@pytest.fixture
def killed_run(undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path) -> tuple[Path, Any]:
    """A function that starts a run in a process of its own and kills it after a while."""
    path = another(undisturbed[0], tmp_path / "there")
    command = [sys.executable, "-m", "osm4eo_xr", "run", str(path)]

    def start(until: str) -> int:
        process = subprocess.Popen(
            command,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "JAX_NUMPY_DTYPE_PROMOTION": "standard"},
        )
        ends = time.monotonic() + 240
        while not any(path.parent.glob(f"result/{until}")) and process.poll() is None:
            assert time.monotonic() < ends
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()

    return path, start


def test_a_killed_run_goes_on_to_the_same_bytes(
    undisturbed: tuple[Path, dict[str, bytes]], killed_run: tuple[Path, Any]
) -> None:
    path, start = killed_run
    assert start("classified/T01.tif") == -signal.SIGKILL
    assert start(".mosaic.tif.part-*") == -signal.SIGKILL
    assert not (path.parent / "result" / "sieved.tif").exists()
    assert products(make(path)) == undisturbed[1]


class Stopped(Exception):  # noqa: N818 - not an error, the test's own stop
    pass


def test_a_training_that_was_stopped_goes_on_from_its_checkpoint(
    undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    path = another(undisturbed[0], tmp_path / "there")
    out, steps, most = path.parent / "result", list[float](), 0.8

    def stop(piece: str, done: int, total: int) -> None:
        if piece == "model" and total > 1:
            steps.append(done / total)
            if steps[-1] > most:
                raise Stopped
        if piece.startswith("classified"):
            raise Stopped

    (out / ".training" / "of other settings").mkdir(parents=True)
    with pytest.raises(Stopped):
        make(path, watch=stop)
    (kept,) = out.glob(".training/*")
    assert any(kept.glob("checkpoints/*"))
    steps, most = [], 1
    with pytest.raises(Stopped):
        make(path, watch=stop)
    assert 0.5 < steps[0] < steps[-1] == 1  # of two epochs the first was kept
    made = {f.name: f.read_bytes() for f in (out / "model").iterdir()}
    whole = undisturbed[0].parent / "result" / "model"
    assert made == {f.name: f.read_bytes() for f in whole.iterdir()}
    assert not (out / ".training").exists()


def test_one_pass_gives_classes_confidence_and_probabilities(
    undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    path = another(undisturbed[0], tmp_path / "there")
    model, result = tmp_path / "model", undisturbed[0].parent / "result"
    samples = open_samples(result / "samples.zarr")
    how: Any = {"points": 300, "prototypes": 16}
    save_model(fit_applicability(load_model(result / "model"), samples, **how), model)
    wanted = "probabilities = true\napplicability = true"
    text = path.read_text().replace(LEARN + KNOWN, f'[classify]\nmodel = "{model}"\n{wanted}')
    text = text.replace("size = 20", 'size = 20\nwhen = "before"\nprotected = ["water"]')
    path.write_text("fractions = [100]\n" + text + '\n[mosaic]\nrule = "confidence"\n')
    out = make(path)
    scenes = {t.stem: open_scene(t) for t in sorted(undisturbed[0].parent.glob("tiles/*.tif"))}
    scene = scenes.pop("T11")  # touches all others
    around = list(scenes.values())
    expected = classify(
        scene,
        load_model(model),
        outputs=["classes", "confidence", "dissimilarity", "set_size"],
        around=around,
    ).compute()
    tile = read(out / "classified" / "T11.tif")
    np.testing.assert_array_equal(tile, expected["classes"])
    np.testing.assert_array_equal(
        read(out / "classified" / "T11_confidence.tif"), expected["confidence"]
    )
    for name in ("dissimilarity", "set_size"):
        np.testing.assert_array_equal(read(out / "classified" / f"T11_{name}.tif"), expected[name])
    index = expected["dissimilarity"].to_numpy()
    told = json.loads((out / "report.json").read_text())["coverage"]["T11"]["outside"]
    assert told == pytest.approx((index[index < 255] > 100).mean(), abs=1e-6)
    page = (out / "report.html").read_text()
    assert "outside of what the model knows" in page
    joined = {n: read(out / f"{n}.tif") for n in ("dissimilarity", "density", "set_size")}
    final, outline = read(out / "mosaic.tif"), path.parent / "boundary.geojson"
    for name, values in joined.items():
        tiles = [open_raster(out / "classified" / f"{t}_{name}.tif") for t in TILES]
        np.testing.assert_array_equal(values, mosaic(tiles, outline, rule="first"))
        item = pystac.Item.from_file(str(out / f"{name}.stac.json"))
        assert item.properties["proj:shape"] == list(values.shape)
    told = json.loads((out / "report.json").read_text())["applicability"]
    there = (final > 0) & (joined["dissimilarity"] < 255)
    assert told["outside"] == pytest.approx((joined["dissimilarity"][there] > 100).mean(), abs=1e-6)
    assert told["set_size"] == pytest.approx(joined["set_size"][there].mean(), abs=1e-4)
    assert sum(told["set_sizes"].values()) == pytest.approx(1, abs=1e-4)
    assert told["pixels"] == sum(row["pixels"] for row in told["classes"].values()) == there.sum()
    assert f"{told['outside']:.1%} outside" in page
    shares = open_probabilities(out / "classified" / "T11_probabilities.tif")
    assert shares["class"].to_numpy().tolist() == [c.slug for c in default_legend().classes]
    np.testing.assert_array_equal(shares.max("class"), expected["confidence"])
    sieved = sieve(expected["classes"], 20, protected=[12])
    np.testing.assert_array_equal(read(out / "sieved" / "T11.tif"), sieved)
    assert not (out / "sieved.tif").exists()
    assert (read(out / "mosaic.tif") != read(undisturbed[0].parent / "result/sieved.tif")).any()
    with rasterio.open(out / "fractions_100m.tif") as file:
        assert file.descriptions[11] == "water"
        assert file.res == (100, 100)


def test_scenes_from_stac_items_and_accuracy_on_points(data_dir: Path, tmp_path: Path) -> None:
    tiny_model(tmp_path / "tiny")
    point = gpd.points_from_xy([15.505, 15.515], [46.005, 46.015], crs=4326)
    frame = gpd.GeoDataFrame({"class": ["forest", "urban"]}, geometry=point)
    frame.to_file(tmp_path / "points.gpkg")
    path = tmp_path / "c.toml"
    path.write_text(
        STAC.format(catalog=data_dir / "stac_33TW" / "catalog.json") + "[accuracy]\n"
        'points = "points.gpkg"\n'
    )
    assert todo(path) == ["scene A", "classified A", "mosaic", "sieved", "accuracy"]
    out = make(path)
    with rasterio.open(out / "scenes" / "A.tif") as file:
        assert file.descriptions == ("blue", "green", "red", "nir")
        assert np.isfinite(file.read()).mean() > 0.9
    report = json.loads((out / "report.json").read_text())
    assert report["accuracy"]["reference points"]["total"] == 2
    assert report["coverage"]["A"]["skipped"] == []
    assert todo(path) == []


STAC = """
name = "A piece of Slovenia"
layers = []

[[scenes]]
stac = "{catalog}"
tile = "A"
bounds = [15.50, 46.00, 15.52, 46.02]
skip_unreadable = true

[classify]
model = "tiny"

"""


def test_two_runs_do_not_share_a_folder(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    from osm4eo_xr.country.ledger import only_run

    out = undisturbed[0].parent / "result"
    with only_run(out), pytest.raises(InputError, match="another run"):
        make(undisturbed[0])


MINIMAL = 'name = "x"\nscenes = [{ files = "*.tif" }]\n[classify]\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML file"),
        (MINIMAL + "[seive]\nsize = 3", "unknown key seive; did you mean sieve"),
        (MINIMAL + "[sieve]\nsise = 3", r"unknown key sieve\.sise; did you mean size"),
        (MINIMAL + '[sieve]\nsize = "3"', r"sieve\.size is '3'; expected a whole number"),
        (MINIMAL + "[sieve]\nconnectivity = 6", r"connectivity is 6; expected one of 4, 8"),
        (MINIMAL + "[sieve]\nsize = -3", "positive number of pixels"),
        (MINIMAL + "[train]\ndepth = 30", r"\[train\] depth 30 is not 9 n \+ 2"),
        (MINIMAL + "[train]\nseed = 3", "set seed at the top"),
        (MINIMAL.replace("files", "stac"), r"\[scenes\[0\]\] tile = ''; expected an id"),
        (MINIMAL.replace("files", "tile"), "paths or globs, or else stac"),
        (MINIMAL + "[samples]\nper_class = true", "per_class is True; expected a whole number"),
        (MINIMAL.replace('"x"', '"x"\ndate = "May"'), "date = 'May'; expected a day"),
        (MINIMAL.replace("model", "pixels_per_second = 1 #"), "labels"),
        (MINIMAL.replace('name = "x"', ""), "key name is missing"),
        (MINIMAL + "[[layers]]\ncodes = 'id'", r"key layers\[0\]\.classes is missing"),
        (MINIMAL + "[labels]\nosm = 'a'\nrasters = ['b']", "either osm or rasters"),
        (MINIMAL + "[boundary]\nlayer = 'a'", "a vector file"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_country(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    with pytest.raises(InputError, match="no country file"):
        read_country(path)
    path.write_text(MINIMAL)
    with pytest.raises(InputError, match=r"no file .*\*\.tif"):
        plan_country(path)


def test_brackets_in_a_folder_s_name_are_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "run [2]*"
    folder.mkdir()
    path = make_country(folder)
    tiles = plan_country(path).tiles
    assert len(tiles) == 9
    (folder / "tiles" / "T00.tif").rename(folder / "tiles" / "T[0].tif")
    change(path, "tiles/*.tif", "tiles/T[0].tif")
    assert set(plan_country(path).tiles) == {"T[0]"}


def test_commands_print_the_plan_the_result_and_the_tiles(
    undisturbed: tuple[Path, dict[str, bytes]],
) -> None:
    plan = attempt("run", undisturbed[0], "--dry-run")
    assert "0 of 30 pieces to do, 0 chunks, 0 tasks" in plan.output
    done = attempt("run", undisturbed[0])
    assert done.exit_code == 0
    out = undisturbed[0].parent / "result"
    water, page, folder = (
        done.stdout.replace("\n", "").partition(f"{out}/water.tif: ")[2].split(str(out))
    )
    pixels = int((read(out / "water.tif") == 12).sum())
    assert (water, page, folder) == (f"{pixels / 10_000:.2f} km²", "/report.html", "")
    numbers = attempt("tiles", "AT", "--grid", "original")
    assert "085 095 107 108 122 124 138 139" in numbers.output
