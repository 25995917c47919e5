"""The command ``samples`` with a legend of one's own, and options of training that are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.cli.commands.training import _score
from osm4eo_xr.geometry.grid import georeference, target_geobox
from tests.cases.commands import attempt, call, misused, refused
from tests.cases.train_case import small_samples

LEGEND = """
name = "two"
[[class]]
id = 20
clc = 31
slug = "trees"
name = "Trees"
color = [0, 255, 0]
priority = 2
[[class]]
id = 40
clc = 5
slug = "lakes"
name = "Lakes"
color = [0, 0, 255]
priority = 1
"""
EDGE = 80
BOX = target_geobox((4_400_000, 2_700_000 - 10 * EDGE, 4_400_000 + 10 * EDGE, 2_700_000))
DRAW = ("samples", "--scene", "s.tif", "--labels", "l.tif", "--out", "s.zarr")
FEW = ("--per-class", 6, "--patch", 4, "--block", 100)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([20, 40], np.uint8), (8, 8)).repeat(10, 0).repeat(10, 1)
    oxr.write_cog(georeference(labels, BOX), tmp_path / "l.tif")
    pixels = rng.uniform(0.02, 0.3, (3, EDGE, EDGE)).astype(np.float32)
    names: Any = {"band": ["red", "green", "nir"]}
    scene = georeference(pixels, BOX, dims=("band", "y", "x"), coords=names)
    oxr.write_cog(scene, tmp_path / "s.tif")
    (tmp_path / "two.toml").write_text(LEGEND)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_labels_are_read_by_the_legend_that_is_given(folder: Path) -> None:
    printed = call(*DRAW, *FEW, "--legend", "two.toml")
    samples = oxr.open_samples(folder / "s.zarr")
    assert set(np.unique(samples["label"])) == {20, 40}
    assert f"{samples.sizes['sample']} samples in s.zarr" in printed
    assert "trees" in printed


@pytest.mark.usefixtures("folder")
def test_the_time_of_choosing_and_that_of_writing_are_told_apart() -> None:
    told = attempt(*DRAW, *FEW, "--legend", "two.toml").stderr
    assert "choosing pixels: 1 of 1" in told
    assert "samples → s.zarr: 12 of 12" in told


def test_of_a_small_scene_fewer_samples_are_drawn_and_a_note_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # 400 windows of 4 x 4 pixels lie side by side: 0.02 times those of two classes are 4 each.
    call(*DRAW, *FEW, "--legend", "two.toml", "--cover", 0.02)
    assert "4 samples per class, not 6" in caplog.text
    assert oxr.open_samples(folder / "s.zarr").sizes["sample"] == 8


def test_labels_of_another_legend_are_refused_before_anything_is_written(folder: Path) -> None:
    error = refused(*DRAW, *FEW)
    assert "holds the value" in error.given
    assert "the legend it was made with" in error.advice
    assert not (folder / "s.zarr").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--shares", 0.5, 0.2, 0.2), "shares"),
        (("--shares", 1.5, -0.3, -0.2), "shares"),
        (("--block", 0), "block"),
        (("--gap", -1), "gap"),
    ],
)
def test_blocks_and_shares_that_are_none_are_refused(
    folder: Path, options: tuple, words: str
) -> None:
    error = refused(*DRAW, "--per-class", 6, "--patch", 4, "--legend", "two.toml", *options)
    assert words in error.given
    assert not (folder / "s.zarr").exists()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ((*DRAW, "--per-class", "0"), "--per-class"),
        ((*DRAW, "--patch", "0"), "--patch"),
        ((*DRAW, "--shares", "a", "b", "c"), "--shares"),
    ],
)
def test_numbers_below_their_least_are_told(words: tuple[str, ...], option: str) -> None:
    assert f"Invalid value for '{option}'" in misused(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "none.zarr", "--out", "m"),
        ("crossvalidate", "none.zarr", "--out", "r.json"),
        ("applicability", "none", "--samples", "none.zarr", "--out", "m"),
    ],
)
def test_what_is_not_there_is_named_and_nothing_made(folder: Path, words: tuple[str, ...]) -> None:
    before = sorted(folder.iterdir())
    assert "none" in refused(*words).given
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_a_picture_without_a_folder_is_refused_before_the_training() -> None:
    words = ("crossvalidate", "none.zarr", "--out", "r.json", "--distances", "charts/cv.png")
    assert refused(*words).given == "no folder charts to write cv.png into"


def test_a_set_without_a_test_split_is_not_scored_and_that_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = small_samples(per_class=9).compute()
    samples["split"][:] = 0
    model: Any = None  # which is not asked
    before = sorted(folder.iterdir())
    _score(model, samples, folder)
    assert "no test split; the model is not scored" in " ".join(capsys.readouterr().err.split())
    assert sorted(folder.iterdir()) == before
