"""Samples of a country run by themselves: made once, found by the run, and refused without need."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.country.run import country_samples, plan_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.samples.store import open_samples
from tests.cases.train_case import BANDS, box, ground, spectra

COUNTRY = """
name = "Havelland"
seed = 3
scenes = [{files = "tile.tif"}]
labels = {rasters = "labels.tif"}
samples = {per_class = 20, patch = 8, block = 300}
train = {depth = 11, epochs = 1}
"""


@pytest.fixture
def country(tmp_path: Path) -> Path:
    labels = ground()
    grid = box(*labels.shape)
    names: Any = {"band": list(BANDS)}
    scene = georeference(spectra(labels), grid, dims=("band", "y", "x"), coords=names)
    write_cog(scene, tmp_path / "tile.tif")
    write_cog(georeference(labels, grid), tmp_path / "labels.tif")
    file = tmp_path / "country.toml"
    file.write_text(COUNTRY)
    return file


def test_samples_are_made_once_and_the_run_finds_them(country: Path) -> None:
    path, settings = country_samples(country)
    assert (settings.depth, settings.seed) == (11, 3)
    drawn = open_samples(path)
    assert drawn["label"].to_numpy().any()
    assert np.isin(drawn["label"].to_numpy(), (0, 1, 5, 12)).all()
    made = (path / "zarr.json").stat().st_mtime_ns
    assert country_samples(country)[0] == path
    assert (path / "zarr.json").stat().st_mtime_ns == made
    todo = [piece.name for piece in plan_country(country).todo]
    assert "samples" not in todo
    assert todo[0] == "model"


def test_a_run_with_a_given_model_has_no_samples(country: Path) -> None:
    country.write_text(COUNTRY + 'classify = {model = "tiny"}\n')
    with pytest.raises(InputError, match="classifies with a given model and draws no samples"):
        country_samples(country)


def test_fewer_groups_than_are_compared_are_refused_before_anything_is_made(country: Path) -> None:
    with pytest.raises(InputError, match="has 1 group of features; expected 2 or more"):
        country_samples(country, groups=2)
    assert not (country.parent / "result").exists()
