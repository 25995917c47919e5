"""The commands ``view``, ``review`` and ``warm``: wrong input, and what right input gives."""

import re
from pathlib import Path

import numpy as np
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.cli.commands import review, viewing, warm
from osm4eo_xr.geometry.grid import georeference, target_geobox
from tests.cases.commands import call, misused, refused

EDGE = 64
BOX = target_geobox((4_400_000, 2_700_000 - 10 * EDGE, 4_400_000 + 10 * EDGE, 2_700_000))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    values = np.full((EDGE, EDGE), 8, np.uint8)
    values[:20] = 12
    oxr.write_cog(georeference(values, BOX), tmp_path / "map.tif")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("view", "none.tif", "--out", "v"), "no file or folder none.tif"),
        (("view", "map.tif", "--static"), "--static without --out"),
        (("view", ".", "--scene", "map.tif"), "--scene with a run"),
        (("view", ".", "--legend", "l.toml"), "--legend with a run"),
        (("view", ".", "--confidence", "c.tif", "--static"), "--confidence with a run"),
        (("view", "map.tif", "--labels", "none.tif", "--out", "v", "--static"), "none.tif"),
        (("review", "none", "--out", "t.geojson"), "none"),
        (("review", ".", "--out", "t.geojson"), "no labels.tif in ."),
        (("review", ".", "--out", "t.gpkg"), "t.gpkg"),
    ],
)
def test_what_cannot_be_shown_is_named_and_nothing_written(
    folder: Path, words: tuple[str, ...], given: str
) -> None:
    before = sorted(folder.iterdir())
    assert given in refused(*words).given
    assert sorted(folder.iterdir()) == before


def test_a_port_is_one_of_a_machine() -> None:
    assert "Invalid value for '--port'" in misused("view", "map.tif", "--port", "65536")


def test_a_viewer_that_is_there_is_replaced_only_if_asked(folder: Path) -> None:
    words = ("view", "map.tif", "--out", "v", "--static")
    assert call(*words).splitlines()[-1] == "v/index.html"
    first = (folder / "v" / "index.html").read_bytes()
    assert "v exists already" in refused(*words).given
    call(*words, "--overwrite")
    assert (folder / "v" / "index.html").read_bytes() == first
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("")
    assert "mine" in refused("view", "map.tif", "--out", "mine", "--static", "--overwrite").given
    assert (folder / "mine" / "notes.txt").exists()


def test_served_from_a_folder_that_goes_with_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept where nobody asks for a folder; the page says where it is until a signal."""
    seen: list[Path] = []
    monkeypatch.setattr(viewing, "_offer", lambda made, *_, **__: seen.append(made))
    call("view", "map.tif")
    assert not seen[0].exists()
    assert [p.name for p in folder.iterdir() if p.suffix in ("", ".html")] == []


def test_mappers_get_tasks_of_a_runs_folder(folder: Path) -> None:
    (folder / "classified").mkdir()
    classes = oxr.open_raster("map.tif").compute()
    unsure = classes.copy(data=np.full(classes.shape, 125, np.uint8)).assign_attrs(nodata=255)
    for name, raster in (
        ("labels", classes * np.uint8(0)),
        ("mosaic", classes),
        ("classified/a", classes),
        ("classified/a_confidence", unsure),
    ):
        oxr.write_cog(raster, folder / f"{name}.tif")
    printed = call("review", ".", "--out", "t.geojson", "--cell", 320, "--places", 2)
    assert re.fullmatch(r"0 objects to check, (1 place|2 places) to map", printed.splitlines()[0])
    assert (folder / "t.geojson").exists()
    assert review.review.__doc__


def test_what_is_compiled_beforehand_is_told_with_its_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []
    clock = iter([0.0, 1.5, 10.0, 10.25, 20.0, 20.0, 25.0, 27.5, 30.0, 33.0])
    monkeypatch.setattr(warm.time, "perf_counter", lambda: next(clock))
    works = ["_sieve", "_overviews", "_composites", "_gradients", "_classify"]
    for name in works:
        monkeypatch.setattr(warm, name, lambda name=name: order.append(name))
    warm.warm()
    assert order == works
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["sieve: 1.5 s", "overviews: 0.2 s", "composites: 0.0 s"]
    assert lines[3:] == ["training: 2.5 s", "network: 3.0 s"]
