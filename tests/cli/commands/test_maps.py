"""Commands that make maps: what their options do to pixels, and what they refuse."""

from pathlib import Path
from typing import Any, get_args

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.features

import osm4eo_xr as oxr
from osm4eo_xr.cli.commands import maps
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.networks.settings import NetSettings
from tests.cases.commands import call, misused, refused

ROWS, COLS = 40, 60
LEFT, TOP = 4_400_000, 2_700_000
FOREST, WATER, SPECK = 8, 12, 5


def box(left: int = 0, cols: int = COLS) -> Any:
    west = LEFT + 10 * left
    return target_geobox((west, TOP - 10 * ROWS, west + 10 * cols, TOP))


def pixels() -> np.ndarray:
    """Return forest with a lake, a speck of six pixels and a row without data."""
    values = np.full((ROWS, COLS), FOREST, np.uint8)
    values[10:30, 20:45] = WATER
    values[15:17, 5:8] = SPECK
    values[0] = 0
    return values


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    oxr.write_cog(georeference(pixels(), box()), tmp_path / "map.tif")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: str, band: int = 1) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(band)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_the_sieve_of_the_command_is_gdals(folder: Path, connectivity: int) -> None:
    call("sieve", "map.tif", "--size", 8, "--connectivity", connectivity, "--out", "s.tif")
    values = pixels()
    expected = rasterio.features.sieve(values, 8, mask=values > 0, connectivity=connectivity)
    np.testing.assert_array_equal(read("s.tif"), np.where(values > 0, expected, 0))
    assert (folder / "s.qml").exists()


@pytest.mark.parametrize("name", ["arable", "5", "clc:21", "Arable land"])
def test_a_protected_class_stays_whatever_its_size(folder: Path, name: str) -> None:
    call("sieve", "map.tif", "--size", 8, "--protect", name, "--out", "s.tif")
    np.testing.assert_array_equal(read("s.tif"), pixels())
    assert folder


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("sieve", "map.tif", "--protect", "lake", "--out", "s.tif"), "no class 'lake'"),
        (("sieve", "map.tif", "--size", "0", "--out", "s.tif"), "size is 0"),
        (("extract", "map.tif", "--layer", "lake", "--out", "w.tif"), "no class 'lake'"),
        (
            ("extract", "map.tif", "--layer", "water", "--threshold", "0.5", "--out", "w.tif"),
            "map.tif does not say which class each band is",
        ),
        (("mosaic", "map.tif", "--country", "Atlantis", "--out", "m.tif"), "no country 'Atlantis'"),
        (("classify", "map.tif", "--model", "none", "--out", "c.tif"), "none"),
    ],
)
def test_what_is_not_there_or_none_is_named_and_nothing_written(
    folder: Path, words: tuple[str, ...], given: str
) -> None:
    before = sorted(folder.iterdir())
    assert given in refused(*words).given
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("sieve", "map.tif", "--connectivity", "6", "--out", "s.tif"), "--connectivity"),
        (("mosaic", "map.tif", "--rule", "confidence", "--out", "m.tif"), "--rule"),
        (("extract", "map.tif", "--layer", "water", "--codes", "name", "--out", "w"), "--codes"),
        (
            ("extract", "map.tif", "--layer", "water", "--min-area", "-1", "--out", "w"),
            "--min-area",
        ),
        (("classify", "a.tif", "--model", "m", "--center", "12", "--out", "c.tif"), "--center"),
        (("classify", "a.tif", "--model", "m", "--engine", "torch", "--out", "c.tif"), "--engine"),
    ],
)
def test_choices_that_are_none_are_told_with_the_option(words: tuple, option: str) -> None:
    assert f"Invalid value for '{option}'" in misused(*words)


def test_where_maps_overlap_the_rule_says_who_wins(folder: Path) -> None:
    other = np.full((ROWS, 30), WATER, np.uint8)
    oxr.write_cog(georeference(other, box(40, 30)), folder / "other.tif")
    call("mosaic", "other.tif", "map.tif", "--rule", "first", "--out", "m.tif")
    found = read("m.tif")
    assert found.shape == (ROWS, 70)
    assert (found[:, 40:] == WATER).all()
    np.testing.assert_array_equal(found[:, :40], pixels()[:, :40])
    call("mosaic", "map.tif", "other.tif", "--rule", "first", "--out", "n.tif")
    expected = np.where(pixels()[:, 40:] == 0, WATER, pixels()[:, 40:])
    np.testing.assert_array_equal(read("n.tif")[:, 40:60], expected)


@pytest.mark.parametrize(("codes", "value"), [("id", WATER), ("clc", 5), ("mask", 1)])
def test_a_layer_holds_what_its_codes_say(folder: Path, codes: str, value: int) -> None:
    call("extract", "map.tif", "--layer", "water", "--codes", codes, "--out", "w.tif")
    water = read("w.tif")
    np.testing.assert_array_equal(water == value, pixels() == WATER)
    assert folder


def test_polygons_of_a_layer_have_its_area_and_legend(folder: Path) -> None:
    words = ("extract", "map.tif", "--layer", "water", "--layer", "arable", "--out", "w.tif")
    call(*words, "--vector", "w.gpkg")
    shapes = gpd.read_file(folder / "w.gpkg")
    areas = shapes.set_index("value").geometry.area
    assert areas.to_dict() == {WATER: 20 * 25 * 100.0, SPECK: 600.0}
    call(*words, "--overwrite", "--min-area", 700, "--vector", "big.gpkg")
    assert gpd.read_file(folder / "big.gpkg")["value"].tolist() == [WATER]


def test_patches_and_holes_below_an_area_go(folder: Path) -> None:
    values = pixels()
    values[20, 30] = FOREST  # an island of one pixel
    oxr.write_cog(georeference(values, box()), folder / "map.tif")
    call("extract", "map.tif", "--layer", "water", "--min-area", 150, "--out", "w.tif")
    np.testing.assert_array_equal(read("w.tif") == WATER, pixels() == WATER)


def test_outputs_of_one_name_and_inputs_are_not_overwritten(folder: Path) -> None:
    before = (folder / "map.tif").read_bytes()
    assert "map.tif" in refused("sieve", "map.tif", "--out", "map.tif").given
    assert (folder / "map.tif").read_bytes() == before
    call("sieve", "map.tif", "--out", "s.tif")
    error = refused("sieve", "map.tif", "--out", "s.tif")
    assert error.given == "s.tif exists already"
    assert "--overwrite" in error.advice or "{overwrite" in error.advice
    call("sieve", "map.tif", "--out", "s.tif", "--overwrite")


def test_a_window_can_be_centered_on_each_of_its_pixels() -> None:
    named, *places = [c for c in get_args(maps.Center) if not c.startswith("original-predict")]
    assert named == "original-train"
    window = NetSettings(bands=4, classes=12, mode="window").window
    assert [int(place) for place in places] == list(range(window))
