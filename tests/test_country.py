import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.features import geometry_mask
from rasterio.features import sieve as gdal_sieve
from typer.testing import CliRunner

from osm4eo_xr._country_settings import read_country
from osm4eo_xr.cli import app
from osm4eo_xr.country import plan_country, run_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.scene import open_raster
from tests.country_case import make_country, products


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A country file whose run has finished, and what it made."""
    path = make_country(tmp_path_factory.mktemp("land") / "here", edge=120, overlap=30)
    return path, products(run_country(path))


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


def test_report_says_areas_hashes_and_pictures(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    out = undisturbed[0].parent / "result"
    report = json.loads((out / "report.json").read_text())
    pixels = read(out / "sieved.tif")
    assert {a["id"]: a["pixels"] for a in report["areas"]} == {
        k: int((pixels == k).sum()) for k in range(1, 13)
    }
    assert report["tiles"] == [f"T{i}{j}" for i in range(3) for j in range(3)]
    assert "tiles/T00.tif" in report["inputs"]
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 1
    assert "http" not in page.replace("data:", "")
    assert report["model"]["sha256"] in page


def test_a_second_run_makes_nothing(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    made: list[str] = []
    run_country(undisturbed[0], watch=lambda piece, *_: made.append(piece))
    assert made == []
    assert plan_country(undisturbed[0]).todo == ()


def test_a_change_remakes_what_depends_on_it_and_a_lost_file_itself(
    undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    path = another(undisturbed[0], tmp_path / "there")
    out = run_country(path)
    assert products(out) == undisturbed[1]
    path.write_text(path.read_text().replace("size = 20", "size = 30"))
    assert [p.name for p in plan_country(path).todo] == ["sieved", "layer water", "vector water"]
    path.write_text(path.read_text().replace("size = 30", "size = 20"))
    (out / "classified" / "T11.tif").write_bytes(b"damaged")
    (out / "water.qml").unlink()
    assert [p.name for p in plan_country(path).todo] == ["classified T11", "layer water"]
    run_country(path)
    assert products(out) == undisturbed[1]


@pytest.fixture
def killed_run(undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path) -> tuple[Path, Any]:
    """A function that starts a run in a process of its own and kills it after a while."""
    path = another(undisturbed[0], tmp_path / "there")
    command = [sys.executable, "-m", "osm4eo_xr", "run", str(path)]

    def start(until: str) -> int:
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + 120
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
    assert products(run_country(path)) == undisturbed[1]


def test_sieving_before_the_mosaic_and_confidence(
    undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    path = another(undisturbed[0], tmp_path / "there")
    text = path.read_text().replace("size = 20", 'size = 20\nwhen = "before"')
    path.write_text(text + '\n[mosaic]\nrule = "confidence"\n')
    out = run_country(path)
    tile = read(out / "classified" / "T11.tif")
    valid = (tile != 0).astype(np.uint8)
    expected = gdal_sieve(tile, 20, mask=valid, connectivity=8)
    np.testing.assert_array_equal(read(out / "sieved" / "T11.tif"), expected)
    assert not (out / "sieved.tif").exists()
    assert (read(out / "mosaic.tif") != read(undisturbed[0].parent / "result/sieved.tif")).any()


def test_two_runs_do_not_share_a_folder(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    from osm4eo_xr._country_ledger import only_run

    out = undisturbed[0].parent / "result"
    with only_run(out), pytest.raises(InputError, match="another run"):
        run_country(undisturbed[0])


MINIMAL = 'name = "x"\nscenes = [{ files = "*.tif" }]\n[classify]\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML file"),
        (MINIMAL + "[seive]\nsize = 3", "unknown key seive; did you mean 'sieve'"),
        (MINIMAL + "[sieve]\nsise = 3", r"unknown key sieve\.sise; did you mean 'size'"),
        (MINIMAL + '[sieve]\nsize = "3"', r"sieve\.size = '3' is not of type int"),
        (MINIMAL + "[sieve]\nconnectivity = 6", r"connectivity = 6; choose one of 4, 8"),
        (MINIMAL + "[sieve]\nsize = -3", "positive number of pixels"),
        (MINIMAL + "[train]\ndepth = 30", r"train\.depth = 30; expected 9n\+2"),
        (MINIMAL + "[samples]\nper_class = true", "is not of type int"),
        (MINIMAL.replace('"x"', '"x"\ndate = "May"'), "date = 'May'; expected a day"),
        (MINIMAL.replace("model", "pixels_per_second = 1 #"), "labels"),
        (MINIMAL.replace('name = "x"', ""), "key name is missing"),
        (MINIMAL + "[[layers]]\ncodes = 'id'", r"key layers\.classes is missing"),
        (MINIMAL + "[labels]\nosm = 'a'\nrasters = ['b']", "either osm or rasters"),
        (MINIMAL + "[boundary]\ncountry = 'DE'", "a vector file"),
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


def test_commands_print_the_plan_the_result_and_the_tiles(
    undisturbed: tuple[Path, dict[str, bytes]],
) -> None:
    runner = CliRunner()
    plan = runner.invoke(app, ["run", str(undisturbed[0]), "--dry-run"])
    assert "0 of 13 pieces to do" in plan.output
    done = runner.invoke(app, ["run", str(undisturbed[0])])
    assert done.exit_code == 0
    assert "result" in done.output
    assert "085 095 107 108 122 124 138 139" in runner.invoke(app, ["tiles", "AU"]).output
