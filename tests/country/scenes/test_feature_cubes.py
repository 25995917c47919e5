"""What the model sees of a tile: the scene alone, or a cube with the country file's groups."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from osm4eo_xr.country.context import CountryRun
from osm4eo_xr.country.ledger import Ledger
from osm4eo_xr.country.scenes.feature_cubes import (
    FeatureLoad,
    feature_load,
    features_hash,
    group_files,
    of_own_scene,
    open_seen,
    optional_groups,
)
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of
from tests.country.test_features import HOLE, IDS, lay_out


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("cubes") / "land")


def open_run(country: Path) -> CountryRun:
    out = country.parent / "result"
    return CountryRun(read_country(country), country.parent, Ledger(out), out)


@pytest.fixture
def run(country: Path) -> CountryRun:
    return open_run(country)


def test_a_tile_is_seen_with_its_groups_on_its_own_grid(run: CountryRun) -> None:
    tile = run.tiles[0]
    seen = open_seen(run, tile)
    assert list(seen["band"].to_numpy()) == IDS
    assert geobox_of(seen) == run.boxes[tile.id]
    with rasterio.open(tile.files[0]) as file:
        names, numbers = list(file.descriptions), file.read()
    red, nir = (numbers[names.index(name)] / 1e4 for name in ("red", "nir"))
    data = seen.to_numpy()
    np.testing.assert_allclose(data[0], red, rtol=1e-6)
    np.testing.assert_allclose(data[2], (nir - red) / (nir + red), atol=1e-6)
    july = np.clip(numbers[names.index("nir")] * 1.3, 1, 9000).astype(np.uint16) / 1e4
    july[HOLE[1:]] = np.nan
    np.testing.assert_allclose(data[3], july, rtol=1e-6)


@pytest.mark.usefixtures("no_compute")
def test_a_cube_is_lazy(run: CountryRun) -> None:
    assert open_seen(run, run.tiles[1]).chunks is not None


def test_without_groups_the_scene_is_seen(run: CountryRun) -> None:
    run.settings = replace(run.settings, features=())
    tile = run.tiles[0]
    assert open_seen(run, tile).equals(run.open_scene(tile))
    assert feature_load(run) is None
    assert not features_hash(run, tile)
    assert optional_groups(run) == []


def test_files_of_a_group_are_those_of_the_tile(run: CountryRun) -> None:
    july = next(group for group in run.settings.features if group.group == "s2@2017-07")
    for tile in run.tiles:
        assert group_files(run, tile, july) == [run.base / "july" / f"{tile.id}.tif"]
    with pytest.raises(InputError, match=r"no file .*june/T00.tif"):
        group_files(run, run.tiles[0], replace(july, files=("june/{tile}.tif",)))
    assert optional_groups(run) == ["s2@2017-07"]


def test_another_file_or_another_word_of_a_group_is_another_hash(country: Path) -> None:
    first, second = (open_run(country) for _ in range(2))
    tile, other = first.tiles
    before, of_other = features_hash(first, tile), features_hash(first, other)
    assert features_hash(second, tile) == before
    july = country.parent / "july" / "T00.tif"
    whole = july.read_bytes()
    try:
        with rasterio.open(july, "r+") as file:
            file.write(file.read(1) + 1, 1)
        changed = open_run(country)
        assert features_hash(changed, tile) != before
        assert features_hash(changed, other) == of_other
    finally:
        july.write_bytes(whole)
    words = tuple(replace(group, optional=False) for group in second.settings.features)
    second.settings = replace(second.settings, features=words)
    assert features_hash(second, tile) != before


def test_the_load_counts_bytes_as_they_are_read(run: CountryRun) -> None:
    load = feature_load(run)
    assert load is not None
    seen = open_seen(run, run.tiles[0])
    assert load.pixel_bytes * seen[0].size == seen.nbytes
    assert load.gigabytes == pytest.approx(len(run.tiles) * seen.nbytes / 1e9)
    text = str(FeatureLoad(("a", "b"), 8, 12.34, 8.388608))
    assert text.startswith("2 features, 8 bytes per pixel, 12.3 GB in all, 8 MB per block")


def test_numbers_of_the_own_scene_are_told_by_band(run: CountryRun) -> None:
    numbers = {name: float(k) for k, name in enumerate(IDS)}
    assert of_own_scene(run, numbers) == {"red": 0.0, "nir": 1.0, "ndvi": 2.0}
