"""Scenes that are searched for: frozen beside the country file, then a run like any other."""

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
import shapely

from osm4eo_xr.catalogs.items import read_items
from osm4eo_xr.cli.app import main
from osm4eo_xr.country.run import plan_country, run_country
from osm4eo_xr.country.scenes.searches import search_scenes, with_found_scenes
from osm4eo_xr.country.settings_file import read_country
from osm4eo_xr.errors import InputError, InputWarning
from tests.cases.search_case import PLACE, SETTINGS, searching_country
from tests.cases.stac_server import Api, serving


@pytest.fixture
def api(data_dir: Path) -> Iterator[Api]:
    with serving(Api(read_items(data_dir / "stac_33TW" / "catalog.json"))) as server:
        yield server


@pytest.fixture
def country(api: Api, tmp_path: Path) -> Path:
    return searching_country(tmp_path, api.url)


def frozen(country: Path) -> dict[str, list[dict]]:
    folder = country.with_suffix(".items")
    return {p.stem: json.loads(p.read_text())["features"] for p in folder.iterdir()}


def test_from_search_to_map_and_once_more_without_the_catalog(api: Api, country: Path) -> None:
    plan = plan_country(country)
    assert plan.tiles == ("100kmE47N25",)
    out = run_country(country)
    with rasterio.open(out / "water.tif") as file:
        assert file.crs.to_epsg() == 3035
        assert (file.read() != file.nodata).any()
    (items,) = frozen(country).values()
    covers = [item["properties"]["eo:cloud_cover"] for item in items]
    assert len(items) == 3
    assert covers == sorted(covers)
    assert max(covers) <= 50
    before = {p: p.read_bytes() for p in out.rglob("*.tif")}
    asked = len(api.asked)
    api.items.clear()  # the catalog forgets; the run does not
    assert not [p for p in plan_country(country).pieces if not p.done]
    run_country(country)
    assert len(api.asked) == asked
    assert {p: p.read_bytes() for p in out.rglob("*.tif")} == before


def test_other_settings_are_another_search_and_refresh_asks_again(api: Api, country: Path) -> None:
    settings = read_country(country)
    assert [len(t.days) for t in search_scenes(settings, country)] == [3]
    asked = len(api.asked)
    search_scenes(settings, country)
    assert len(api.asked) == asked
    search_scenes(settings, country, refresh=True)
    assert len(api.asked) > asked
    country.write_text(SETTINGS.format(url=api.url, cloud=0.3))
    assert [len(t.days) for t in search_scenes(read_country(country), country)] == [2]


def test_other_ground_of_a_tile_is_another_search(api: Api, country: Path) -> None:
    settings = read_country(country)
    (tile,) = search_scenes(settings, country)
    first, asked = tile.path.read_bytes(), len(api.asked)
    write_place(country, PLACE.buffer(0.01))
    search_scenes(settings, country)
    assert len(api.asked) > asked
    assert tile.path.read_bytes() != first
    write_place(country, shapely.transform(PLACE.reverse(), lambda degrees: degrees + 1e-12))
    tile.path.write_bytes(first)
    asked = len(api.asked)
    search_scenes(settings, country)  # rounding is no other ground
    assert len(api.asked) == asked


def test_the_limit_counts_acquisitions_and_not_their_processings(api: Api, country: Path) -> None:
    settings = read_country(country)
    (whole,) = search_scenes(settings, country)
    older = json.loads(json.dumps(api.items))
    for item in older:
        item["id"] += "_older"
        item["properties"] |= {"s2:processing_baseline": "02.00", "processing:version": "02.00"}
    api.items += older
    with pytest.warns(InputWarning, match="are older processings of an acquisition"):
        (found,) = search_scenes(settings, country, refresh=True)
    assert found.days == whole.days


def test_found_items_are_named_from_the_country_file(country: Path) -> None:
    (scene,) = with_found_scenes(read_country(country), country).scenes
    assert scene.stac == "c.items/100kmE47N25.json"


def test_items_of_an_earlier_version_stay_as_far_as_they_cover_the_ground(
    api: Api, country: Path
) -> None:
    settings = read_country(country)
    (tile,) = search_scenes(settings, country)
    tree = json.loads(tile.path.read_text())
    del tree["osm4eo_xr:search"]["ground"]
    tile.path.write_text(json.dumps(tree))
    asked = len(api.asked)
    search_scenes(settings, country)
    assert len(api.asked) == asked
    for item in tree["features"]:
        item["geometry"] = shapely.geometry.mapping(PLACE.buffer(-0.005))
    tile.path.write_text(json.dumps(tree))
    search_scenes(settings, country)
    assert len(api.asked) > asked
    assert "ground" in json.loads(tile.path.read_text())["osm4eo_xr:search"]


def write_place(country: Path, place: shapely.Polygon) -> None:
    gpd.GeoDataFrame(geometry=[place], crs=4326).to_file(country.parent / "place.gpkg")


def test_a_catalog_that_fails_leaves_what_was_found(api: Api, country: Path) -> None:
    settings = read_country(country)
    search_scenes(settings, country)
    before = frozen(country)
    api.failures = deque([400] * 9)
    with pytest.raises(InputError, match=r"the search at .* failed"):
        search_scenes(settings, country, refresh=True)
    assert frozen(country) == before


def test_no_item_and_no_place_are_told(api: Api, country: Path) -> None:
    country.write_text(SETTINGS.format(url=api.url, cloud=0))
    with pytest.raises(InputError, match="found no item for any of 1 tiles; widen period"):
        with_found_scenes(read_country(country), country)
    country.write_text(
        SETTINGS.format(url=api.url, cloud=9).replace('[boundary]\nfile = "place.gpkg"', "")
    )
    with pytest.raises(InputError, match=r"there is no \[boundary\]"):
        with_found_scenes(read_country(country), country)


def test_the_command_shows_what_was_found(api: Api, country: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["osm4eo-xr", "search", str(country)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    shown = capsys.readouterr().out
    assert "3 items for 1 tile" in shown
    assert "100kmE47N25" in shown
    assert str(country.with_suffix(".items")) in shown
    assert api.asked
