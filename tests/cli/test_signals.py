"""Commands that a signal ends: the exit code, one line, and nothing half-made."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.models.model import save_model
from tests.cases.country_case import make_country
from tests.inference.test_classify import make_model

SECONDS = 5  # promised; the command's own timers give up after 3.5, so a busy machine keeps it too
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def write_map(path: Path, bands: int = 1) -> Path:
    rng = np.random.default_rng(0)
    shape = {"height": 6000, "width": 6000, "count": bands, "dtype": "uint8", "nodata": 0}
    place = from_origin(4_400_000, 3_280_000, 10, 10)
    with rasterio.open(path, "w", "GTiff", crs="EPSG:3035", transform=place, **shape) as file:
        if bands > 1:
            file.descriptions = ("blue", "green", "red", "nir")
        for band in range(1, bands + 1):
            file.write(rng.integers(1, 13, (6000, 6000), dtype=np.uint8), band)
    return path


def end(number: signal.Signals, begun: str, folder: Path, *arguments: object) -> str:
    """Start a command, send a signal when a file of this pattern is there; return its last line."""
    command = [sys.executable, "-m", "osm4eo_xr", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while not any(folder.rglob(begun)) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        began = time.monotonic()
        _, said = process.communicate(timeout=60)
        took = time.monotonic() - began
    assert took < SECONDS
    assert process.returncode == CODES[number], said
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("command", ["sieve", "classify", "labels"])
def test_a_command_leaves_nothing(number: signal.Signals, command: str, tmp_path: Path) -> None:
    source = write_map(tmp_path / "in.tif", 4 if command == "classify" else 1)
    arguments = {
        "sieve": [source],
        "classify": [source, "--model", tmp_path / "model"],
        "labels": [demo_osm_path(), "--like", source],
    }[command]
    if command == "classify":
        save_model(make_model(), tmp_path / "model")
    before = sorted(tmp_path.iterdir())
    said = end(
        number, ".out.tif.part-*", tmp_path, command, *arguments, "--out", tmp_path / "out.tif"
    )
    assert said == f"error: ended by {number.name}; outputs are as they were before"
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("where", [(), ("--cluster", "local")])
def test_a_run_can_go_on(number: signal.Signals, where: tuple[str, ...], tmp_path: Path) -> None:
    country = make_country(tmp_path / "here", edge=120, overlap=30)
    said = end(number, ".*.part-*/*", tmp_path / "here", "run", country, *where)
    assert said.endswith("finished pieces stay; run the same command again to go on")
    assert not list((tmp_path / "here").rglob(".*.part-*"))
