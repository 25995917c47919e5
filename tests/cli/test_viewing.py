"""``osm4eo-xr view``: what it writes, refuses and serves."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copy
from urllib.request import urlopen

import numpy as np
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference
from tests.cases import commands


@pytest.fixture(scope="module")
def class_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    box = oxr.target_geobox((4_320_000, 3_210_000, 4_321_000, 3_211_000))
    lake = georeference(np.full((100, 100), 12, np.uint8), box)
    return oxr.write_cog(lake, tmp_path_factory.mktemp("maps") / "lake.tif")


def call(*arguments: object) -> str:
    return commands.call("view", *arguments)


def test_a_static_folder_is_written_whole(class_map: Path, tmp_path: Path) -> None:
    out = tmp_path / "shown"
    assert str(out / "index.html") in call(
        class_map, "--labels", class_map, "--static", "--out", out
    )
    found = {p.relative_to(out).parts[0] for p in out.rglob("*") if p.is_file()}
    assert {"index.html", "viewer.js", "maplibre-gl.js", "maplibre-gl.LICENSE.txt"} <= found
    assert {p.name for p in (out / "tiles").iterdir()} == {"labels", "map"}
    with pytest.raises(InputError, match="exists already"):
        call(class_map, "--static", "--out", out)
    inside = out / "labels.tif"
    copy(class_map, inside)
    with pytest.raises(InputError, match=r"labels\.tif"):
        call(class_map, "--labels", inside, "--static", "--out", out, "--overwrite")
    assert inside.is_file()


def test_what_it_cannot_show_is_refused(class_map: Path, tmp_path: Path) -> None:
    for arguments, told in (
        ([class_map, "--static"], "--static without --out"),
        ([tmp_path, "--labels", class_map], "--labels with a run"),
        ([tmp_path], "no report of a run"),
        ([tmp_path / "result"], "no file or folder"),
        ([class_map, "--scene", class_map], "none of its 1 bands"),
    ):
        with pytest.raises(InputError, match=told):
            call(*arguments)


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_serves_the_loopback_address_until_a_signal(
    class_map: Path, tmp_path: Path, ending: int, code: int
) -> None:
    command = [sys.executable, "-m", "osm4eo_xr", "--quiet", "view", str(class_map)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"TMPDIR": str(tmp_path)}
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with urlopen(address) as answer:  # noqa: S310 - the address that was just checked
            assert b"<title>lake</title>" in answer.read()
        process.send_signal(ending)
        assert process.wait(20) == code
    assert not any(tmp_path.glob("osm4eo-viewer-*"))
