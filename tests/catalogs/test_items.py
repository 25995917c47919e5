"""Items as catalogs hold them: places, dates, addresses, doubles, several assets per band."""

import copy
import json
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import osm4eo_xr as oxr
from osm4eo_xr.catalogs import asset_looks
from osm4eo_xr.catalogs.acquisitions import when
from osm4eo_xr.catalogs.asset_looks import check_items
from osm4eo_xr.catalogs.footprints import footprint, touching
from osm4eo_xr.catalogs.items import asset_keys, read_items
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.imagery.reflectance import Scaling
from tests.fuzz.mutations import JUNK, places

GRID = target_geobox((14.0, 50.0, 14.01, 50.005), bounds_crs="EPSG:4326")


def item(name: str = "a", **changes: Any) -> dict[str, Any]:
    """Return an item over the grid; ``properties`` and ``assets`` are added to its own."""
    properties = {"datetime": "2023-08-15T10:00:00Z", "platform": "sentinel-2a"}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "bbox": [13.9, 49.9, 14.1, 50.1],
        "geometry": None,
        "links": [],
        **changes,
        "properties": properties | changes.get("properties", {}),
        "assets": changes.get("assets", {"red": {"href": "/x/red.tif"}}),
    }


def written(folder: Path, number: int, name: str = "red.tif") -> str:
    """Write a constant band over the grid; return its path."""
    place: Any = {"crs": "EPSG:32633", "transform": from_origin(425_000, 5_545_000, 100, 100)}
    folder.mkdir(exist_ok=True, parents=True)
    shape: Any = {"count": 1, "height": 150, "width": 150, "dtype": "uint16", "nodata": 0}
    with rasterio.open(folder / name, "w", driver="GTiff", **place, **shape) as sink:
        sink.write(np.full((1, 150, 150), number, np.uint16))
    return str(folder / name)


@pytest.mark.parametrize("backend", ["stackstac", "odc"])
def test_a_box_in_lat_lon_order_hides_no_pixels(tmp_path: Path, backend: Any) -> None:
    """Read as lon/lat it crosses the antimeridian: the item was left out by one library alone."""
    red = {"red": {"href": written(tmp_path, 3000)}}
    state = {"properties": {"s2:processing_baseline": "05.09"}, "assets": red}
    whole = [item("a", **state), item("b", bbox=[49.9, 13.9, 14.1, 50.1], **state)]
    cube = oxr.stack_items(whole, GRID, ["red"], backend=backend)
    np.testing.assert_allclose(cube.to_numpy(), 0.2, atol=1e-6)


def test_hrefs_may_be_written_as_addresses(tmp_path: Path) -> None:
    """Blanks and umlauts of a path as %20 and %C3%BC, as pystac and browsers write them."""
    written(tmp_path / "ein Ort", 3000, "rön.tif")
    path = tmp_path / "item.json"
    for href in ("./ein%20Ort/r%C3%B6n.tif", "./ein Ort/rön.tif"):
        path.write_text(json.dumps(item(assets={"red": {"href": href}})))
        assert read_items(path)[0]["assets"]["red"]["href"] == str(tmp_path / "ein Ort" / "rön.tif")


def test_items_that_do_not_say_where_they_lie_are_named_and_left_out() -> None:
    items = [item("a"), item("lost", bbox=None)]
    del items[1]["bbox"]
    with pytest.warns(InputWarning, match=r"^lost: no bbox, geometry or proj: fields"):
        assert [i["id"] for i in touching(items, GRID)] == ["a"]


@pytest.mark.parametrize(
    "fields",
    [
        {"proj:code": "EPSG:32633", "proj:bbox": [420_000, 5_530_000, 440_000, 5_550_000]},
        {"proj:epsg": 32633, "proj:shape": [200, 200]}
        | {"proj:transform": [100, 0, 420_000, 0, -100, 5_550_000, 0, 0, 1]},
    ],
)
def test_a_footprint_comes_from_fields_of_the_projection(fields: dict[str, Any]) -> None:
    for placed in (item(properties=fields), item(assets={"red": {"href": "/x"} | fields})):
        del placed["bbox"]
        found = footprint(placed)
        assert found is not None
        np.testing.assert_allclose(found.bounds, (13.88, 49.91, 14.16, 50.1), atol=0.02)
        assert touching([placed], GRID) == [placed]


def test_boxes_across_the_antimeridian_lie_on_both_sides_of_it() -> None:
    far = item(bbox=[179.5, 45, -179.5, 46])
    with pytest.raises(InputError, match=r"no item touches the grid: .*the grid \(14.0"):
        touching([far], GRID)
    with pytest.raises(InputError, match=r"^item a: bbox \(13, 46, 15, 45\) is none; exp"):
        touching([item(bbox=[13, 46, 15, 45])], GRID)
    there = target_geobox((179.6, 45.2, -179.9, 45.4), bounds_crs="EPSG:4326", crs="EPSG:32601")
    assert touching([far, item("b")], there) == [far]
    beyond = [item(bbox=[179.9, 45, 180.5, 46]), item(bbox=[-180.5, 45, -179.7, 46])]
    assert touching(beyond, there) == beyond
    east_of_it = target_geobox(
        (-179.9, 45.2, -179.8, 45.4), bounds_crs="EPSG:4326", crs="EPSG:32601"
    )
    assert touching(beyond, east_of_it) == beyond
    high = item(bbox=[13.9, 49.9, 0, 14.1, 50.1, 3000])
    assert touching([high], GRID) == [high]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-06-01T01:00:00+02:00", "2024-05-31T23:00:00"),
        ("2024-06-01T01:00:00Z", "2024-06-01T01:00:00"),
        ("2024-06-01t01:00:00.5z", "2024-06-01T01:00:00.500000"),
        ("2024-06-01T01:00:00-0730", "2024-06-01T08:30:00"),
    ],
)
def test_dates_are_in_utc(tmp_path: Path, text: str, utc: str) -> None:
    red = {"red": {"href": written(tmp_path, 3000)}}
    dated = item(properties={"datetime": text}, assets=red)
    assert when(dated) == utc
    cube = oxr.stack_items(dated, GRID, ["red"], offset=0.0)
    assert cube["time"].values[0] == np.datetime64(utc, "ns")


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(InputError, match="item a: datetime 'soon' is no date and time"):
        when(item(properties={"datetime": "soon"}))


def test_a_range_counts_by_its_start(tmp_path: Path) -> None:
    times = {"start_datetime": "2024-06-01T01:00:00+02:00", "end_datetime": "2024-06-30T00:00:00Z"}
    dated = item(
        properties={"datetime": None, **times}, assets={"red": {"href": written(tmp_path, 3000)}}
    )
    cube = oxr.stack_items(dated, GRID, ["red"], offset=0.0)
    assert cube["time"].values[0] == np.datetime64("2024-05-31T23:00:00", "ns")
    np.testing.assert_allclose(cube.to_numpy(), 0.3, atol=1e-6)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({}, r"has no datetime and no start_datetime: nothing .*properties.datetime, or"),
        (
            {"end_datetime": "2024-06-30T00:00:00Z"},
            "no start_datetime, only the end_datetime 2024-06-30T00:00:00Z",
        ),
        (
            {"start_datetime": "2024-07-01T00:00:00Z", "end_datetime": "2024-06-30T00:00:00Z"},
            "end_datetime 2024-06-30T00:00:00Z lies before start_datetime 2024-07-01",
        ),
        ({"start_datetime": "June"}, "start_datetime 'June' is no date"),
    ],
)
def test_items_without_a_date_say_what_is_missing(times: dict[str, str], said: str) -> None:
    """Two of them had one date, none, so that one of them vanished as an older processing."""
    dated = [item(name, properties={"datetime": None, **times}) for name in ("a", "b")]
    with pytest.raises(InputError, match=f"item a:? .*{said}|item a: {said}"):
        read_items(dated)


def test_bands_that_lead_to_one_file_are_refused(tmp_path: Path) -> None:
    """Both were read from its first band."""
    path = written(tmp_path, 3000)
    assets = {"red": {"href": path}, "B08": {"href": Path(path).as_uri()}}
    both = item(assets=assets)
    with pytest.raises(InputError, match=r"item a: assets red \(red\) and B08 \(nir\) lead to one"):
        oxr.stack_items(both, GRID, ["red", "nir"], offset=0.0, allow_missing=True)
    assert oxr.stack_items(both, GRID, ["nir"], offset=0.0).sizes["band"] == 1


@pytest.mark.parametrize("backend", ["stackstac", "odc"])
def test_what_the_first_item_lacks_others_may_have(tmp_path: Path, backend: Any) -> None:
    """odc-stac takes the bands of all items from the first one."""
    red, nir = ({"href": written(tmp_path, n, f"{n}.tif")} for n in (3000, 2000))
    dates = ({"datetime": f"2023-08-{day}T10:00:00Z"} for day in (15, 16))
    first, second = (
        item(name, assets=assets, properties=date)
        for name, assets, date in zip(
            ("a", "b"), ({"red": red}, {"red": red, "nir": nir}), dates, strict=True
        )
    )
    how: Any = {"offset": 0.0, "allow_missing": True, "backend": backend}
    found = oxr.stack_items([first, second], GRID, ["red", "nir"], **how)
    middle = found[:, :, GRID.shape[0] // 2, GRID.shape[1] // 2].compute()
    np.testing.assert_allclose(middle, [[0.3, np.nan], [0.3, 0.2]], atol=1e-6)


@pytest.mark.parametrize("kind", [str, Path])
def test_catalogs_are_not_read_from_addresses(kind: Any) -> None:
    with pytest.raises(
        InputError, match=r"^https://a\.org/c\.json is an address; expected the path"
    ):
        read_items(kind("https://a.org/c.json"))


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    path = written(tmp_path / "a b", 3000)
    address = Path(path).as_uri()
    assert "%20" in address
    absolute = item(assets={"red": {"href": address}})
    catalog = tmp_path / "a b" / "item.json"
    links = [{"rel": "self", "href": catalog.as_uri()}]
    relative = item(assets={"red": {"href": "red.tif"}}, links=links)
    for one in (absolute, relative):
        (read,) = read_items(one)
        assert read["assets"]["red"]["href"] == path
        cube = oxr.stack_items(one, GRID, ["red"], offset=0.0).compute()
        assert float(cube.mean()) == pytest.approx(0.3)
    catalog.write_text(json.dumps(absolute))
    assert read_items(catalog)[0]["assets"]["red"]["href"] == path


@pytest.mark.parametrize(
    "assets",
    [
        {"B02_60m": {}, "B02_20m": {}, "B02_10m": {}},
        {"x_B02": {"gsd": 60}, "b-B02": {"gsd": 20.0}, "long-name-B02": {"gsd": 10}},
        {
            "B02": {"proj:transform": [60, 0, 0, 0, -60, 0]},
            "B02_fine": {"proj:transform": [10, 0, 0, 0, -10, 0]},
        },
        {
            "B02": {"href": "/p/R60m/T33UUU_B02_60m.jp2"},
            "B02-fine": {"href": "/p/R10m/T33UUU_B02_10m.jp2"},
        },
        {"B02": {}, "B02_fine": {"raster:bands": [{"spatial_resolution": 10}]}},
    ],
)
def test_of_several_assets_the_finest_is_read(assets: dict[str, dict[str, Any]]) -> None:
    full = {key: {"href": f"/x/{key}.tif"} | asset for key, asset in assets.items()}
    assert asset_keys(item(assets=full), ["blue"], allow_missing=False) == {
        "blue": list(assets)[-1]
    }


def twice(**second: Any) -> list[dict[str, Any]]:
    """Return an item and another processing of it."""
    told = {"grid:code": "MGRS-33UVR", "s2:processing_baseline": "02.09"}
    return [item("old", properties=told), item("new", properties=told | second)]


@pytest.mark.parametrize(
    "told",
    [
        {"id": "HLS.L30.T32UMA.2024183T101559.v2.0"},
        {"id": "a", "collection": "HLSL30_2.0"},
        {"id": "a", "properties": {"platform": "LANDSAT_8"}},
        {"id": "LC08_L2SP_194024_20240701_02_T1"},
    ],
)
def test_landsats_assets_are_not_taken_by_sentinels_numbers(told: dict[str, Any]) -> None:
    numbered, named = ({key: {"href": f"{key}.tif"}} for key in ("B05", "nir08"))
    with pytest.raises(InputError, match="is Landsat's, whose bands are numbered otherwise"):
        asset_keys({"assets": numbered, **told}, ["rededge1"], allow_missing=True)
    assert asset_keys({"assets": named, **told}, ["nir08"], allow_missing=True) == {
        "nir08": "nir08"
    }
    sentinel = {"id": "HLS.S30.T32UMA.2024183T101559.v2.0", "assets": numbered}
    assert asset_keys(sentinel, ["rededge1"], allow_missing=True) == {"rededge1": "B05"}


def test_one_acquisition_in_two_baselines_counts_once() -> None:
    with pytest.warns(InputWarning, match=r"1 of 2 items \(first: old\) are older processings"):
        (kept,) = read_items(twice(**{"s2:processing_baseline": "05.00"}))
    assert kept["id"] == "new"
    with pytest.warns(InputWarning, match="first: new"):
        (kept,) = read_items(twice(**{"s2:processing_baseline": "99.99"}))
    assert kept["id"] == "old"


@pytest.mark.parametrize(
    "second",
    [
        {"datetime": "2023-08-15T10:00:15Z"},
        {"platform": "sentinel-2b"},
        {"grid:code": "MGRS-33UVS"},
    ],
)
def test_other_acquisitions_all_count(second: dict[str, Any]) -> None:
    assert len(read_items(twice(**second))) == 2


def test_two_data_strips_of_one_data_take_both_count() -> None:
    strips = [f"S2A_OPER_MSI_L2A_DS_X_20230816T000000_S20230815T1000{s}_N05.09" for s in (10, 55)]
    first, second = twice(**{"s2:datastrip_id": strips[1]})
    first["properties"]["s2:datastrip_id"] = strips[0]
    assert len(read_items([first, second])) == 2


def test_real_items_are_all_acquisitions_of_their_own(data_dir: Path) -> None:
    assert len(read_items(data_dir / "stac_33TW" / "catalog.json")) == 10


def test_pixels_settle_what_an_item_leaves_open(tmp_path: Path) -> None:
    for number, value in ((400, 0.04), (2000, None)):
        assets = {"red": {"href": written(tmp_path / str(number), number)}}
        placeholder = "S2A_MSIL2A_20180601T101031_N9999_R022_T33UUU_20230601T101031"
        open_item = item(placeholder, assets=assets)
        if value is None:
            with pytest.raises(InputError, match="5 % of its numbers reach 2000"):
                oxr.stack_items(open_item, GRID, ["red"])
            continue
        cube = oxr.stack_items(open_item, GRID, ["red"]).compute()
        np.testing.assert_allclose(cube, value, atol=1e-6)


@pytest.mark.parametrize("backend", ["stackstac", "odc"])
def test_a_file_that_cannot_be_read_is_no_data_whatever_its_item_leaves_open(
    tmp_path: Path, backend: Any
) -> None:
    assets = [{"red": {"href": written(tmp_path, 400)}}, {"red": {"href": f"{tmp_path}/no.tif"}}]
    days = ({"datetime": f"2023-08-{day}T10:00:00Z"} for day in (15, 17))
    items = [item("ab"[k], assets=assets[k], properties=day) for k, day in enumerate(days)]
    cube = oxr.stack_items(items, GRID, ["red"], allow_missing=True, backend=backend).compute()
    np.testing.assert_allclose(cube[0], 0.04, atol=1e-6)
    assert np.isnan(cube[1]).all()
    with pytest.raises(InputError, match=r"no file .*no\.tif"):
        oxr.stack_items(items, GRID, ["red"], backend=backend).compute()


def test_headers_that_items_leave_open_are_asked_for_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = item(assets={"red": {"href": written(tmp_path, 400)}})
    band = asset_looks.asset_of(one, "red", "red", {}).band("nearest")
    told = [replace(band, scaling=Scaling(1e-4, -0.1))]
    all_wait = threading.Barrier(4)
    monkeypatch.setattr(asset_looks, "_bands", lambda *_: all_wait.wait(20) < 4 and told)
    keys = {"red": "red", "nir": "nir"}
    assets = {key: {"href": f"https://host/{key}.tif"} for key in keys}
    items = [item(name, assets=assets) for name in "ab"]
    for known in asset_looks.settled_numbers(items, [keys, keys]):
        assert {(n.scale, n.offset) for n in known.values()} == {(1e-4, -0.1)}
    assert not asset_looks.settled_numbers([], [])


@pytest.mark.parametrize(
    ("number", "properties", "says"),
    [
        (
            400,
            {"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "05.11"},
            r"^item a, asset red: 100 % of the reflectances are below -0.02 \(.*: -0.06",
        ),
        (64500, {"s2:processing_baseline": "02.09"}, "below 0 that were stored as uint16"),
    ],
)
def test_assets_that_cannot_be_reflectance_are_refused_before_work(
    tmp_path: Path, number: int, properties: dict[str, Any], says: str
) -> None:
    assets = {"red": {"href": written(tmp_path, number)}}
    wrong = item(properties=properties, assets=assets)
    told = {"s2:processing_baseline": "02.09", "datetime": "2023-08-18T10:00:00Z"}
    right = item("b", properties=told)
    right["assets"] = {"red": {"href": written(tmp_path / "right", 3000)}}
    with pytest.raises(InputError, match=says) as caught:
        check_items([right, wrong], GRID, ["red"])
    assert re.search(r"(scale|offset)=", str(caught.value))
    check_items([right], GRID, ["red"])
    if number == 400:
        check_items([wrong], GRID, ["red"], offset=0.0)
        with pytest.warns(InputWarning, match="below -0.02"):
            check_items([wrong], GRID, ["red"], offset=-0.1)


def test_no_real_item_is_refused(data_dir: Path) -> None:
    grid = target_geobox((15.4, 45.85, 15.6, 46.05), bounds_crs="EPSG:4326", resolution=120)
    items = read_items(data_dir / "stac_33TW" / "catalog.json")
    check_items(items, grid)
    wrong = copy.deepcopy(items)
    for one in wrong:
        one["properties"]["earthsearch:boa_offset_applied"] = False  # raster:bands says -0.1
    with pytest.raises(InputError, match="of the reflectances are below -0.02"):
        check_items(wrong, grid)


def test_items_that_hold_anything_are_read_or_refused_in_one_line() -> None:
    whole = item(
        properties={"proj:epsg": 32633, "s2:processing_baseline": "05.09"},
        assets={"red": {"href": "/x/red.tif", "gsd": 10, "raster:bands": [{"nodata": 0}]}},
        links=[{"rel": "self", "href": "/x/item.json"}, {"href": "/x"}],
        geometry={"type": "Polygon", "coordinates": [[[13, 49], [15, 49], [15, 51], [13, 49]]]},
    )
    refused, tried = 0, 0
    for number in range(len([*places(whole)])):
        for junk in JUNK[::2]:
            odd = copy.deepcopy(whole)
            holder, key = [*places(odd)][number]
            holder[key] = junk
            tried += 1
            try:
                (found,) = touching(read_items([odd]), GRID)
                asset_keys(found, ["red"], allow_missing=True)
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017 - either end is right
                refused += 1
    assert tried / 3 < refused < tried


def test_a_link_without_relation_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text(json.dumps(item()))
    links = [{"href": "./nowhere.json"}, {"rel": "item", "href": "./item.json"}]
    catalog = {"type": "Catalog", "id": "c", "links": links}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    assert [i["id"] for i in read_items(tmp_path / "catalog.json")] == ["a"]


def test_links_that_lead_back_to_a_catalog_give_each_item_once(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "item.json").write_text(json.dumps(item()))
    later = {"datetime": "2023-08-20T10:00:00Z"}
    (below / "other.json").write_text(json.dumps(item("b", properties=later)))
    for path, leads in (
        (tmp_path / "catalog.json", ["./catalog.json", "./below/catalog.json", "below/item.json"]),
        (below / "catalog.json", ["../catalog.json", "./item.json", "../below/other.json"]),
    ):
        links = [{"rel": "child", "href": href} for href in leads]
        path.write_text(json.dumps({"type": "Catalog", "id": "c", "links": links}))
    (below / "same.json").symlink_to(below / "catalog.json")
    for start in (tmp_path / "catalog.json", below / "catalog.json", below / "same.json"):
        assert [i["id"] for i in read_items(start)] == ["a", "b"]


def test_an_asset_without_a_place_is_named(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "red.tif", "w", "GTiff", width=9, height=9, count=1, dtype="uint16"
    ) as file:
        file.write(np.ones((1, 9, 9), np.uint16))
    told = {"s2:processing_baseline": "02.09"}
    odd = item(assets={"red": {"href": str(tmp_path / "red.tif")}}, properties=told)
    cube = oxr.stack_items([odd], GRID, ["red"])
    with pytest.raises(InputError, match=r"red\.tif has no CRS or position"):
        cube.compute()
