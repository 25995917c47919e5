"""Nodes as they are: variables that point to another installation's data."""

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


def _command(*arguments: str) -> str:
    return f"import sys; sys.argv[1:] = {list(arguments)}\nimport osm4eo_xr.cli.app as a; a.main()"


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    path = tmp_path / "map.tif"
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    with rasterio.open(path, "w", **profile, **place) as file:
        values = np.ones((64, 64), np.uint8)
        values[5, 5] = 2
        file.write(values, 1)
    return path


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
