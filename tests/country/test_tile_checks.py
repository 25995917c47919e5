"""Tiles of one run belong together: level, offset, bands, against their neighbors."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.country.tile_checks import (
    TileLook,
    compare_tiles,
    compare_with_training,
    look_at_tile,
)
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import geobox_of, target_geobox
from tests.cases.country_case import MODEL, make_country

LAND = {"blue": 0.05, "green": 0.07, "red": 0.06, "nir": 0.28, "swir16": 0.2}


def looks(**odd: Any) -> dict[str, TileLook]:
    """Return nine tiles side by side, the one in the middle as told."""
    found = {}
    for k in range(9):
        x, y = 4_000_000 + 1000 * (k % 3), 3_000_000 + 1000 * (k // 3)
        grid = target_geobox((x, y, x + 1000, y + 1000))
        level = odd.get("level", "2A") if k == 4 else "2A"
        medians = {b: v * (1 + 0.05 * (k % 4)) for b, v in LAND.items()}
        if k == 4:
            medians = odd.get("medians", medians)
        found[f"T{k}"] = TileLook(level, medians, grid)
    return found


def test_levels_are_not_mixed() -> None:
    with pytest.raises(InputError, match=r"1 tiles \(first: T4\) are top-of-atmosphere .* and 8"):
        compare_tiles(looks(level="1C"))


@pytest.mark.parametrize(
    ("medians", "says"),
    [
        (LAND | {"red": 0.28, "nir": 0.06}, "^tile T4 fits .* if bands red and nir change places"),
        (LAND | {"blue": 0.12}, "blue of 0.120 where its neighbors have 0.0.* top-of-atmosphere"),
        ({b: v + 0.1 for b, v in LAND.items()}, "T4 has a blue|T4 lies far from its neighbors in"),
        (dict.fromkeys(LAND, 0.6), "T4 lies far from its neighbors in 4 of 5 bands .*look at its"),
    ],
)
def test_a_tile_that_does_not_fit_is_told(medians: dict[str, float], says: str) -> None:
    with pytest.warns(InputWarning, match=says) as caught:
        compare_tiles(looks(medians=medians))
    assert sum(w.category is InputWarning for w in caught) == 1  # of its neighbors none


def test_a_tile_far_from_the_training_is_told() -> None:
    odd = looks(medians={b: 2.5 * v for b, v in LAND.items()})
    with pytest.warns(
        InputWarning, match="T4 lies far from what .* learned from in 5 of 5"
    ) as told:
        compare_with_training(odd, LAND)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        compare_with_training(looks(), LAND)
        compare_with_training(odd, {"other": 1.0})


def test_tiles_that_fit_are_not_told() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        compare_tiles(looks())
        compare_tiles(looks(medians={b: 1.4 * v for b, v in LAND.items()}))
        compare_tiles({"alone": looks()["T0"]})


def test_dates_and_tiles_of_real_scenes_fit(data_dir: Path) -> None:
    found = {}
    for folder in sorted((data_dir / "stac_33TW" / "sentinel-2-l2a").glob("*_20230818_0_L2A")):
        scene = oxr.open_scene([folder / f"B{n}.tif" for n in ("02", "03", "04", "08")])
        found[folder.name] = look_at_tile(scene, folder.name, geobox_of(scene), settled=False)
    assert len(found) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        compare_tiles(found)


def test_a_run_refuses_scenes_that_cannot_be_before_it_works(tmp_path: Path) -> None:
    path = make_country(tmp_path, edge=60, overlap=10, learn=MODEL)
    tile = tmp_path / "tiles" / "T11.tif"
    with rasterio.open(tile, "r+") as file:
        numbers = file.read().astype(np.float32)
        file.write(np.full(numbers.shape, 64500, np.uint16))
    with pytest.raises(InputError, match=r"T11.*as numbers below 0 that were stored as uint16"):
        oxr.run_country(path)
    assert not list((tmp_path / "result").rglob("*.tif"))


def test_the_country_file_states_an_offset(tmp_path: Path) -> None:
    path = make_country(tmp_path, edge=60, overlap=10, learn=MODEL)
    text = path.read_text()
    line = 'files = "tiles/*.tif"'
    assert line in text
    path.write_text(text.replace(line, f"{line}, offset = -5.0"))
    with pytest.warns(InputWarning, match=r"below -0\.2 .*; expected a no-data value"):
        oxr.run_country(path)
    path.write_text(text.replace(line, f"{line}, scale = -1.0"))
    with pytest.raises(InputError, match=r"scale = -1.0; expected above 0"):
        oxr.plan_country(path)


def test_medians_are_of_places_all_over() -> None:
    values = np.full((2, 300, 300), 0.1, np.float32)
    values[1] = 0.3
    values[:, :200] = np.nan
    scene = xr.DataArray(values, dims=("band", "y", "x"), coords={"band": ["blue", "nir"]})
    look = look_at_tile(scene, "x", target_geobox((0, 0, 3000, 3000)), settled=False)
    assert look.medians == pytest.approx({"blue": 0.1, "nir": 0.3})
    assert look.level == ""
