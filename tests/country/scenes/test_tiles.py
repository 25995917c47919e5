"""The tiles of a country file: which files show them, in which order, and what is refused."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import osm4eo_xr as oxr
from osm4eo_xr.country.context import CountryRun
from osm4eo_xr.country.scenes.settings import SceneFiles
from osm4eo_xr.country.scenes.tiles import Tile, files_of, find_tiles
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from tests.cases.country_case import MODEL, make_country


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_country(tmp_path_factory.mktemp("tiles") / "la[n]d", learn=MODEL)


def tiles_of(country: Path, *scenes: SceneFiles) -> Any:
    return find_tiles(replace(read_country(country), scenes=scenes), country.parent)


def test_each_file_of_a_glob_is_a_tile_in_order_of_ids(country: Path) -> None:
    later = SceneFiles(files=("tiles/T0*.tif",), date="2017-07-01")
    found = tiles_of(country, SceneFiles(files=("tiles/T[12]*.tif",)), later)
    ids = [f"T{row}{col}" for row in range(3) for col in range(3)]
    assert [tile.id for tile in found] == ids
    assert [tile.date for tile in found] == ["2017-07-01"] * 3 + ["2017-02-16"] * 6
    assert [t.files for t in found] == [(country.parent / "tiles" / f"{i}.tif",) for i in ids]
    assert found[0].source is later


def test_files_of_a_named_tile_are_one_scene_in_the_order_of_the_patterns(country: Path) -> None:
    scene = SceneFiles(files=("tiles/T20.tif", "tiles/T0[12].tif"), tile="A west")
    (tile,) = tiles_of(country, scene)
    assert tile.id == "A west"
    assert [file.stem for file in tile.files] == ["T20", "T01", "T02"]


def test_a_tile_of_items_is_shown_by_its_composite_that_need_not_be_there(country: Path) -> None:
    box = (12.0, 52.0, 12.1, 52.1)
    (tile,) = tiles_of(country, SceneFiles(stac="items.json", tile="B", bounds=box))
    assert tile.files == (country.parent / "result" / "scenes" / "B.tif",)
    assert not tile.files[0].exists()


def test_tiles_of_one_id_are_refused(country: Path) -> None:
    twice = SceneFiles(files=("tiles/T00.tif",))
    with pytest.raises(InputError, match=r"two tiles are called 'T00'; give each \[\[scenes\]\]"):
        tiles_of(country, twice, SceneFiles(files=("tiles/T01.tif",), tile="T00"))


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    for name in ("a[1].tif", "a1.tif"):
        (tmp_path / name).touch()
    assert files_of(tmp_path, "a[1].tif") == [tmp_path / "a[1].tif"]
    (tmp_path / "a[1].tif").unlink()
    assert files_of(tmp_path, "a[1].tif") == [tmp_path / "a1.tif"]
    assert files_of(tmp_path, str(tmp_path / "a1.tif")) == [tmp_path / "a1.tif"]


def test_folders_are_searched_at_any_depth(tmp_path: Path) -> None:
    places = [tmp_path / "x.tif", tmp_path / "deep" / "er" / "a.tif"]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    assert files_of(tmp_path, "**/*.tif") == sorted(places)
    with pytest.raises(InputError, match=r"no file .*none\*.tif; check the path or glob"):
        files_of(tmp_path, "none*.tif")


def test_a_composite_of_ones_own_bands_is_opened_with_all_of_them(tmp_path: Path) -> None:
    names = ["coastal", "nir", "observations"]
    box = target_geobox((4_321_000, 3_210_000, 4_321_400, 3_210_400))
    values = np.full((3, *box.shape), 0.3, np.float32)
    cube = georeference(values, box, dims=("band", "y", "x"), coords={"band": names})
    path = oxr.write_cog(cube, tmp_path / "A.tif")
    run: Any = SimpleNamespace()
    for bands, found in ((("B01", "nir"), ["coastal", "nir"]), ((), ["nir"])):
        source = SceneFiles(stac="a.json", tile="A", bounds=(9.0, 47.0, 9.1, 47.1), bands=bands)
        scene = CountryRun._opened(run, Tile("A", (path,), "2024-06-01", source))
        assert scene["band"].to_numpy().tolist() == found
