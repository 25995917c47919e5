"""A country whose model sees two periods and heights, planned and made from one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import rasterio

from osm4eo_xr.country.pieces.learning import _make_samples
from osm4eo_xr.country.run import plan_country, run_country
from osm4eo_xr.country.scenes.composites import open_searched
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.models.model import Model
from osm4eo_xr.models.model_folder import load_model, save_model
from osm4eo_xr.models.record import Normalization
from osm4eo_xr.networks.resnet import init
from osm4eo_xr.networks.settings import NetSettings
from osm4eo_xr.samples.store import open_samples
from tests.cases.country_case import MODEL, make_country

FEATURES = """
[[features]]
group = "s2@2017-02"
bands = ["red", "nir", "ndvi"]

[[features]]
group = "s2@2017-07"
files = "july/{tile}.tif"
bands = ["nir"]
optional = true

[[features]]
group = "dem"
files = "dem.tif"
bands = ["height", "slope"]
"""
IDS = ["s2:red@2017-02", "s2:nir@2017-02", "s2:ndvi@2017-02", "s2:nir@2017-07"]
IDS += ["dem:height", "dem:slope"]
HOLE = np.s_[:, 20:50, 30:60]


LABELS = """
[labels]
rasters = ["labels/T00.tif", "labels/T01.tif"]

[samples]
per_class = 9
patch = 8
block = 200
"""

COUPLED = """
[train]
network = "coupled"
depth = 11
width = 4
kernel = 3
decoder = 8
epochs = 1
batch = 8
"""


def features_model(path: Path) -> Path:
    """Save a network with random weights that takes the features and does without July."""
    net = NetSettings(bands=len(IDS), classes=12, depth=11, width=4, kernel=3, decoder=8)
    scale = Normalization((0.1, 0.2, 0.3, 0.2, 40.0, 2.0), (0.03, 0.07, 0.2, 0.07, 6.0, 2.0))
    how: dict[str, Any] = {"units": "per feature", "optional": ("s2@2017-07",)}
    return save_model(Model(net, init(net, jax.random.key(3)), tuple(IDS), scale, **how), path)


def lay_out(folder: Path) -> Path:
    """Lay out two tiles, a second date of them with a hole, and heights of all ground."""
    path = make_country(folder, edge=120, overlap=30, learn=FEATURES + MODEL)
    features_model(folder / "tiny")
    for tile in (folder / "tiles").iterdir():
        if tile.stem not in ("T00", "T01"):
            tile.unlink()
    (folder / "july").mkdir()
    grids = []
    for tile in sorted((folder / "tiles").iterdir()):
        with rasterio.open(tile) as file:
            numbers, profile, names = file.read(), file.profile, file.descriptions
        grids.append(profile["transform"])
        changed = np.clip(numbers * 1.3, 1, 9000).astype(np.uint16)
        changed[HOLE] = 0
        with rasterio.open(folder / "july" / tile.name, "w", **profile) as file:
            file.write(changed)
            for k, name in enumerate(names, start=1):
                file.set_band_description(k, name)
    (folder / "labels").mkdir()
    for tile, grid in zip(("T00", "T01"), grids, strict=True):
        place = {"crs": "EPSG:3035", "transform": grid, "nodata": 0}
        shape: dict[str, Any] = {"height": 120, "width": 120, "count": 1, "dtype": "uint8"}
        with rasterio.open(
            folder / "labels" / f"{tile}.tif", "w", driver="GTiff", **shape, **place
        ) as file:
            file.write(np.full((1, 120, 120), 8, np.uint8))
    first = grids[0]
    row, col = np.mgrid[0:140, 0:240]
    heights = (40 + 8 * np.sin(row / 9) + 5 * np.cos(col / 11)).astype(np.float32)
    profile = {"driver": "GTiff", "height": 140, "width": 240, "count": 1, "dtype": "float32"}
    place = {"crs": "EPSG:3035", "transform": first * first.translation(-10, -10)}
    with rasterio.open(folder / "dem.tif", "w", **profile, **place) as file:
        file.write(heights, 1)
    return path


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("features") / "land")


def test_a_country_is_planned_and_made_with_features(country: Path) -> None:
    plan = plan_country(country)
    assert plan.features is not None
    assert list(plan.features.features) == IDS
    assert plan.features.pixel_bytes == 24
    assert plan.features.gigabytes == pytest.approx(24 * 2 * 120**2 / 1e9)
    assert "6 features, 24 bytes per pixel" in repr(plan)
    out = run_country(country)
    with rasterio.open(out / "classified" / "T00.tif") as file:
        classes = file.read(1)
    with rasterio.open(country.parent / "tiles" / "T00.tif") as file:
        seen = (file.read() > 0).all(axis=0)
    np.testing.assert_array_equal(classes > 0, seen)  # also in the hole of July
    report = json.loads((out / "report.json").read_text())
    assert report["tiles"]
    assert not plan_country(country).todo
    # Other heights make what was classified anew.
    with rasterio.open(country.parent / "dem.tif", "r+") as file:
        file.write(file.read(1) + 1, 1)
    todo = {piece.name for piece in plan_country(country).todo}
    assert {"classified T00", "classified T01", "mosaic"} <= todo


def test_samples_are_drawn_where_an_optional_group_is_missing(country: Path) -> None:
    file = country.with_name("learning.toml")
    file.write_text(country.read_text().replace(MODEL, LABELS))
    run = open_searched(file)
    _make_samples(run, run.out / "samples.zarr", None)
    samples = open_samples(run.out / "samples.zarr")
    assert samples.attrs["optional"] == ["s2@2017-07"]
    assert samples.attrs["units"] == "per feature"
    image, label = samples["image"].to_numpy(), samples["label"].to_numpy()
    assert np.isnan(image[label > 0][:, 3]).any()
    assert np.isfinite(image[label > 0][:, [0, 1, 2, 4, 5]]).all()


def test_a_country_learns_a_coupled_network_and_maps_with_it(tmp_path: Path) -> None:
    path = lay_out(tmp_path / "land")
    for file in (path.parent / "labels").iterdir():
        with rasterio.open(file, "r+") as labels:
            classes = labels.read(1)
            classes[:, ::2] = 12
            labels.write(classes, 1)
    path.write_text(path.read_text().replace(MODEL, LABELS + COUPLED))
    out = run_country(path)
    model = load_model(out / "model")
    assert model.net.network == "coupled"
    assert [group.name for group in model.net.groups] == ["s2@2017-02", "s2@2017-07", "dem"]
    assert model.bands == tuple(IDS)
    with rasterio.open(out / "classified" / "T00.tif") as file:
        found = file.read(1)
    with rasterio.open(path.parent / "tiles" / "T00.tif") as file:
        seen = (file.read() > 0).all(axis=0)
    np.testing.assert_array_equal(found > 0, seen)  # also in the hole of July, which is optional
    assert json.loads((out / "report.json").read_text())["accuracy"]
    assert not plan_country(path).todo


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('group = "dem"', 'group = "s2@2017-07"', "features name group 's2@2017-07' twice"),
        ('group = "dem"', 'group = "DEM"', "group 'DEM'; expected source@period"),
        ('files = "dem.tif"', "", "group = 'dem'; expected s2 or s2@period, as it has no files"),
        ('files = "july/{tile}.tif"', "", "2 of 3 groups of features have no files"),
        ("optional = true", "optionl = true", "unknown key features.*optionl.*mean optional"),
    ],
)
def test_groups_that_cannot_be_are_refused(
    country: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    other = tmp_path / "country.toml"
    other.write_text(country.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        read_country(other)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"slope"]', '"steepness"]', "dem: dem .* has no 'steepness'; expected some of height"),
        ('"dem.tif"', '"heights.tif"', "no file .*heights.tif"),
        ('"ndvi"]', '"ndvy"]', "has no 'ndvy'"),
    ],
)
def test_a_plan_refuses_features_that_are_not_there(
    country: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    folder: Any = tmp_path / "land"
    folder.mkdir()
    for item in country.parent.iterdir():
        if item.name not in ("result", country.name):
            (folder / item.name).symlink_to(item)
    (folder / country.name).write_text(country.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        plan_country(folder / country.name)
