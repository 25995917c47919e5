"""Nodes as they are: foreign variables, limits, folders that nobody may write, no device."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

import osm4eo_xr
from osm4eo_xr.cluster.checks import look_around
from osm4eo_xr.node import IGNORED_VARIABLES

PACKAGE = Path(osm4eo_xr.__file__).parent
FOREIGN = ("PROJ_DATA", "PROJ_LIB", "GDAL_DATA")


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = str(PACKAGE.parent)
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root, **environment},
        cwd=root,
    )


def _limited(kind: str, soft: int, hard: int) -> str:
    return f"import resource as r; r.setrlimit(r.RLIMIT_{kind}, ({soft}, {hard}))\n"


def _command(*arguments: str) -> str:
    return f"import sys; sys.argv[1:] = {list(arguments)}\nimport osm4eo_xr.cli.app as a; a.main()"


def _write_map(path: Path, column: int = 0, size: int = 64) -> Path:
    profile = {"driver": "GTiff", "width": size, "height": size, "count": 1, "dtype": "uint8"}
    corner = rasterio.Affine(10, 0, 5e5 + 10 * column, 0, -10, 5e6)
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=corner) as file:
        values = np.ones((size, size), np.uint8)
        values[5, 5] = 2
        file.write(values, 1)
    return path


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    return _write_map(tmp_path / "map.tif")


@pytest.mark.parametrize("name", FOREIGN)
def test_data_of_another_installation_does_not_stop_a_sieve(
    name: str, class_map: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out.tif"
    code = _command("sieve", str(class_map), "--out", str(out))
    done = _run(code, **{name: str(tmp_path / "empty")})
    assert done.returncode == 0, done.stderr
    assert name not in done.stderr
    with rasterio.open(out) as file:
        assert file.crs.to_epsg() == 32633
        assert np.unique(file.read(1)).tolist() == [1]


def test_doctor_notes_the_variables_it_ignores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IGNORED_VARIABLES, "PROJ_LIB", "/apps/gdal/share/proj")
    (note,) = [f for f in look_around("here", "") if f.check == "GDAL and PROJ data"]
    assert note.state == "note"
    assert "PROJ_LIB=/apps/gdal/share/proj of another installation ignored" in note.found


def test_the_import_stays_light() -> None:
    heavy = "{'numpy', 'jax', 'numba', 'rasterio', 'pyproj', 'tempfile'}"
    done = _run(f"import osm4eo_xr, sys; print({heavy} & set(sys.modules))", PROJ_LIB="/none")
    assert done.stdout.strip() == "set()", done.stderr


def test_a_command_raises_its_limit_of_open_files() -> None:
    shown = "\nimport atexit; atexit.register(lambda: print(r.getrlimit(r.RLIMIT_NOFILE)))\n"
    done = _run(_limited("NOFILE", 64, 3000) + shown + _command("--version"))
    assert "(3000, 3000)" in done.stdout, done.stderr


def test_doctor_notes_a_low_limit_of_open_files_also_of_its_workers() -> None:
    done = _run(_limited("NOFILE", 256, 3000) + _command("doctor"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("open files: at most 3000 at a time") == 2, done.stdout


def test_more_tiles_are_joined_than_files_may_be_open_before(tmp_path: Path) -> None:
    for k in range(300):
        _write_map(tmp_path / f"{k}.tif", column=k * 16, size=16)
    files = [str(tmp_path / f"{k}.tif") for k in range(300)]
    out = tmp_path / "out.tif"
    done = _run(_limited("NOFILE", 100, 3000) + _command("mosaic", *files, "--out", str(out)))
    assert done.returncode == 0, done.stderr[-500:]
    with rasterio.open(out) as file:
        assert file.width == 300 * 16
