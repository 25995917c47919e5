"""STAC items to cubes, and the way of a cube to one scene, on real items."""

import json
import pickle
from pathlib import Path
from typing import Any, Literal

import dask.array as da
import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin
from rasterio.warp import reproject

import osm4eo_xr as oxr
from osm4eo_xr.catalogs import assets
from osm4eo_xr.catalogs.assets import CubeReader
from osm4eo_xr.catalogs.items import read_items
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.imagery.offsets import item_numbers
from osm4eo_xr.imagery.reflectance import Scaling

BANDS = ("blue", "green", "red", "nir")


def item_scaling(item: dict[str, Any], key: str, **given: float) -> Scaling:
    """Return the scaling of digital numbers in a file without tags."""
    return item_numbers(item, key, **given).of_file("uint16", (1.0, 0.0))


@pytest.fixture(scope="module")
def catalog(data_dir: Path) -> Path:
    return data_dir / "stac_33TW" / "catalog.json"


@pytest.fixture(scope="module")
def grid() -> GeoBox:
    """Both tiles' seam, 12 km around it, at the files' 120 m."""
    return target_geobox((15.4, 45.85, 15.6, 46.05), bounds_crs="EPSG:4326", resolution=120)


def items_of(path: Path) -> list[dict[str, Any]]:
    tree = json.loads(path.read_text())
    return tree if isinstance(tree, list) else tree.get("features", [tree])


APPLIED = "stac_33TW/sentinel-2-l2a/S2B_33TWM_20230820_0_L2A/S2B_33TWM_20230820_0_L2A.json"
COLLECTION_1 = "stac_items/earthsearch_v1_sentinel-2-c1-l2a_10items.json"
VERSION_0 = "stac_items/earthsearch_v0_S2A_28QCH_20200714_0_L2A.json"
PLANETARY_OLD = "stac_items/planetarycomputer_S2B_T06VVN_20190629.json"
PLANETARY_NEW = (
    "stac_items/planetarycomputer_sentinel-2-l2a_2items.json",
    "stac_items/planetarycomputer_sentinel-2-l2a_4items_list.json",
)
TELLING = (
    "s2:processing_baseline",
    "s2:product_uri",
    "s2:product_id",
    "sentinel:product_id",
)


@pytest.mark.parametrize(
    ("row", "file", "key", "offset"),
    [
        (2, APPLIED, "blue", 0.0),  # although raster:bands says -0.1
        (2, APPLIED, "nir", 0.0),
        (3, APPLIED, "blue-jp2", -0.1),  # ESA's own file beside the corrected one
        (3, COLLECTION_1, "blue", -0.1),  # boa_offset_applied is false, raster:bands says -0.1
        (4, VERSION_0, "B02", 0.0),  # N0214 in its product id
        (4, PLANETARY_OLD, "B02", 0.0),  # baseline 02.12
        (4, PLANETARY_NEW[0], "B02", -0.1),  # 05.11
        (4, PLANETARY_NEW[1], "B02", -0.1),  # 05.10
    ],
)
def test_each_row_of_the_offset_table_on_real_items(
    data_dir: Path, row: int, file: str, key: str, offset: float
) -> None:
    for item in items_of(data_dir / file):
        scaling = item_scaling(item, key)
        assert (scaling.scale, scaling.offset) == (1e-4, offset), (row, item["id"])
        assert item_scaling(item, key, offset=-0.05).offset == -0.05  # row 1


def test_real_items_without_a_baseline_go_by_their_processing(data_dir: Path) -> None:
    (old,) = items_of(data_dir / VERSION_0)
    old["properties"] = {k: v for k, v in old["properties"].items() if k not in TELLING}
    with pytest.raises(InputError, match="pass offset=-0.1, or offset=0"):  # row 7, though of 2020
        item_scaling(old, "B02")
    old["properties"]["s2:generation_time"] = "2020-07-14T18:00:00Z"
    assert item_scaling(old, "B02").offset == 0.0  # row 5
    for new in items_of(data_dir / PLANETARY_NEW[0]):
        properties = {k: v for k, v in new["properties"].items() if k not in TELLING}
        bare = new | {"properties": properties, "id": "unnamed"}
        assert properties["datetime"] > "2022-01-25"
        with pytest.raises(InputError, match="pass offset=-0.1, or offset=0"):  # row 7
            item_scaling(bare, "B02")


@pytest.mark.parametrize(
    ("properties", "bands", "offset"),
    [
        ({"earthsearch:boa_offset_applied": True}, [{"offset": -0.1}], 0.0),
        ({"sentinel:boa_offset_applied": True}, [], 0.0),
        ({"earthsearch:boa_offset_applied": False}, [{"offset": -0.1}], -0.1),
        ({"s2:processing_baseline": "05.09"}, [{"offset": 0}], 0.0),
        ({"s2:processing_baseline": "04.00"}, [], -0.1),
        ({"s2:processing_baseline": "03.01"}, [], 0.0),
        ({"processing:version": "05.10"}, [{"scale": 1e-4}], -0.1),
        ({"s2:product_uri": "S2B_MSIL2A_20230820T094549_N0509_R079_T33TWL.SAFE"}, [], -0.1),
        ({"sentinel:product_id": "S2A_MSIL2A_20200714T114401_N0214_R123_T28QCH"}, [], 0.0),
        ({"s2:generation_time": "2021-06-01T10:00:00Z"}, [], 0.0),
    ],
)
def test_each_row_of_the_offset_table(
    properties: dict[str, Any], bands: list[dict[str, Any]], offset: float
) -> None:
    item = {"id": "x", "properties": properties, "assets": {"red": {"raster:bands": bands}}}
    assert item_scaling(item, "red").offset == offset


def test_unknown_offset_is_refused() -> None:
    item = {"id": "x", "properties": {"datetime": "2023-06-01T10:00:00Z"}, "assets": {"red": {}}}
    with pytest.raises(InputError, match="pass offset=-0.1, or offset=0"):
        item_scaling(item, "red")
    assert item_scaling(item, "red", offset=0.0).offset == 0.0


GDALS_DEFAULTS = [{"data_type": "uint16", "scale": 1.0, "offset": 0.0}]  # which catalogs copy
DN, REFLECTANCE = np.uint16(3596), np.float32(0.3596)
KNOWN = {"s2:processing_baseline": "05.10"}
REMOVED = {"earthsearch:boa_offset_applied": True}


@pytest.mark.parametrize(
    ("number", "tags", "properties", "stated", "given", "right"),
    [
        (DN, (1.0, 0.0), KNOWN, [], {}, 0.2596),
        (DN, (1.0, 0.0), KNOWN, GDALS_DEFAULTS, {}, 0.2596),
        (DN, (1.0, 0.0), KNOWN, GDALS_DEFAULTS, {"scale": 1e-4}, 0.2596),
        (DN, (1.0, 0.0), {}, GDALS_DEFAULTS, {"offset": -0.1}, 0.2596),
        (DN, (1.0, 0.0), KNOWN, [{"scale": 1e-4, "offset": 0}], {}, 0.3596),
        (DN, (1e-4, -0.1), {}, [], {}, 0.2596),
        (DN, (1e-4, -0.1), {}, GDALS_DEFAULTS, {}, 0.2596),
        (DN, (1e-4, -0.1), {}, [], {"scale": 1e-4}, 0.2596),
        (DN, (1e-4, -0.1), {}, [{"scale": 1e-4, "offset": 0}], {}, 0.3596),
        (DN, (1e-4, -0.1), REMOVED, [], {}, 0.3596),
        (DN, (1e-5, -0.01), {}, [], {}, 0.02596),
        (DN, (1e-4, 0.0), {}, [], {}, 0.3596),
        (DN, (1e-4, 0.0), KNOWN, [], {}, 0.2596),
        (REFLECTANCE, (1.0, 0.0), {}, [], {}, 0.3596),
        (REFLECTANCE, (1.0, 0.0), KNOWN, [{"scale": 1.0, "offset": 0.0}], {}, 0.3596),
        (np.float32(3596), (1.0, 0.0), KNOWN, [{"scale": 1e-4}], {}, 0.2596),
        (np.float32(3596), (1e-4, -0.1), {}, [], {}, 0.2596),
        (np.uint8(36), (0.01, 0.0), {}, [], {}, 0.36),
    ],
)
@pytest.mark.parametrize("backend", ["stackstac", "odc"])
def test_what_an_item_leaves_open_its_file_says(
    tmp_path: Path,
    backend: Literal["stackstac", "odc"],
    number: np.generic,
    tags: tuple[float, float],
    properties: dict[str, Any],
    stated: list[dict[str, Any]],
    given: dict[str, Any],
    right: float,
) -> None:
    item, box = tagged_item(tmp_path, number, tags, properties, stated)
    cube = oxr.stack_items([item], box, ["nir"], backend=backend, **given)
    np.testing.assert_allclose(cube, right, rtol=1e-5)
    if not properties and not stated:
        path = item["assets"]["nir"]["href"]
        scene = oxr.open_scene(path, names=["nir"], **given)
        np.testing.assert_array_equal(cube[0], scene)


def tagged_item(
    folder: Path,
    number: np.generic,
    tags: tuple[float, float],
    properties: dict[str, Any],
    stated: list[dict[str, Any]],
) -> tuple[dict[str, Any], GeoBox]:
    """Write a number into a file with these tags; return its item and grid."""
    box = target_geobox((4_500_000, 3_260_000, 4_500_300, 3_260_300))
    path = folder / "tagged.tif"
    how: Any = {"count": 1, "height": 30, "width": 30, "crs": "EPSG:3035", "dtype": number.dtype}
    with rasterio.open(path, "w", driver="GTiff", transform=box.affine, **how) as file:
        file.write(np.full((1, 30, 30), number))
        file.scales, file.offsets = (tags[0],), (tags[1],)
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "one",
        "bbox": list(box.extent.to_crs("EPSG:4326").boundingbox),
        "geometry": None,
        "properties": {"datetime": "2024-06-01T10:00:00Z", **properties},
        "links": [],
        "assets": {"nir": {"href": str(path), "roles": ["data"], "raster:bands": stated}},
    }
    return item, box


def test_numbers_that_nothing_tells_are_refused(tmp_path: Path) -> None:
    """Not taken for ten thousandths, nor for what cannot be read."""
    dull, box = tagged_item(tmp_path, np.uint8(36), (1.0, 0.0), KNOWN, [])
    for allowed in (False, True):
        with pytest.raises(InputError, match="item one, asset nir holds uint8 values, which is a"):
            oxr.stack_items([dull], box, ["nir"], allow_missing=allowed).compute()
    dull["properties"].pop("s2:processing_baseline")
    with pytest.raises(InputError, match="which is a display image"):
        oxr.stack_items([dull], box, ["nir"])
    tagged, _ = tagged_item(tmp_path, DN, (1e-4, -0.1), {}, [])
    with pytest.raises(InputError, match="scale 0.0001 and offset -0.1, and is to be read with"):
        oxr.stack_items([tagged], box, ["nir"], scale=1e-3)
    plain, _ = tagged_item(tmp_path, DN, (1.0, 0.0), {}, GDALS_DEFAULTS)
    with pytest.raises(InputError, match="nothing tells whether digital numbers carry the offset"):
        oxr.stack_items([plain], box, ["nir"])


def test_headers_wait_for_pixels_where_the_item_tells_the_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, read = [], assets._by_itself
    monkeypatch.setattr(
        assets, "_by_itself", lambda asset, **how: headers.append(asset) or read(asset, **how)
    )
    for properties, stated in ((KNOWN, GDALS_DEFAULTS), ({}, [{"scale": 1e-4, "offset": -0.1}])):
        item, box = tagged_item(tmp_path, DN, (1.0, 0.0), properties, stated)
        headers.clear()
        cube = oxr.stack_items([item], box, ["nir"])
        assert not headers
        assert float(cube[0, 0, 0, 0]) == pytest.approx(0.2596)
        assert len(headers) == 1


@pytest.mark.usefixtures("no_compute")
@pytest.mark.parametrize("backend", ["stackstac", "odc"])
def test_stacking_masking_and_composing_are_lazy(
    catalog: Path, grid: GeoBox, backend: Literal["stackstac", "odc"]
) -> None:
    cube = oxr.stack_items(catalog, grid, BANDS, backend=backend)
    assert cube.shape == (10, 4, *grid.shape)
    assert cube.dtype == np.float32
    classes = oxr.stack_classes(catalog, grid, backend=backend)
    made = oxr.composite(oxr.mask_clouds(cube, classes, dilation=2))
    at_once = oxr.composite_items(catalog, grid, BANDS, backend=backend)
    assert at_once["reflectance"].chunks == made["reflectance"].chunks
    assert isinstance(made["reflectance"].data, da.Array)
    assert made["reflectance"].shape == (4, *grid.shape)
    assert made["observations"].dtype == np.uint16


@pytest.mark.parametrize("resampling", ["nearest", "cubic"])
def test_both_backends_see_the_same(catalog: Path, grid: GeoBox, resampling: str) -> None:
    ours, theirs = (
        oxr.stack_items(
            catalog, grid, ["red", "nir"], backend=backend, resampling=resampling
        ).compute()
        for backend in ("stackstac", "odc")
    )
    assert float(np.isnan(ours).mean()) < 0.9
    np.testing.assert_array_equal(ours, theirs)
    for name in ("time", "band", "y", "x", "item"):
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_bands_of_a_chunk_are_read_together_and_what_lacks_is_no_data(
    catalog: Path, grid: GeoBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [item for item in read_items(catalog) if "33TWM" in item["id"]][:3]
    items[1] = items[1] | {"assets": {"other": items[1]["assets"]["blue"]}}
    reads, get = [], CubeReader.__getitem__
    monkeypatch.setattr(
        CubeReader, "__getitem__", lambda self, key: reads.append(key) or get(self, key)
    )
    options: Any = {"allow_missing": True, "chunks": 100, "resampling": "nearest"}
    cube = oxr.stack_items(items, grid, ["red", "nir"], **options)
    whole = pickle.loads(pickle.dumps(cube)).compute()  # noqa: S301 - our own
    assert len(reads) == np.prod(cube.data.numblocks)
    assert cube.data.numblocks[:2] == (3, 1)
    assert np.isnan(whole[1]).all()
    assert not np.isnan(whole[0]).all()
    theirs = oxr.stack_items(items, grid, ["red", "nir"], **options, backend="odc")
    np.testing.assert_array_equal(whole, theirs)
    np.testing.assert_array_equal(cube[2, 1, 7:50, 30:120], theirs[2, 1, 7:50, 30:120])


def test_ten_dates_of_two_tiles_make_one_plausible_scene(catalog: Path, grid: GeoBox) -> None:
    made = oxr.composite_items(catalog, grid, BANDS, dilation=2).compute()
    scene = made["reflectance"]
    classes = oxr.stack_classes(catalog, grid).compute()
    water = (classes == 6).sum("time") >= 2
    assert int(water.sum()) > 100
    assert float((made["observations"].where(water) > 0).sum() / water.sum()) > 0.99
    assert float((made["observations"] > 0).mean()) > 0.98
    red, nir = scene.sel(band="red", drop=True), scene.sel(band="nir", drop=True)
    ndvi = (nir - red) / (nir + red)
    plants = ndvi > 0.6
    assert float(plants.mean()) > 0.5
    assert float(red.where(plants).median()) < 0.1
    assert 0.2 < float(nir.where(plants).median()) < 0.5
    assert float(scene.sel(band="blue").quantile(0.99)) < 0.15  # no cloud left


def local_item(path: Path, epsg: int, bbox: list[float], day: str) -> pystac.Item:
    """Return an item with one red asset."""
    ring = [[bbox[i], bbox[j]] for i, j in ((0, 1), (2, 1), (2, 3), (0, 3), (0, 1))]
    tree = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": path.stem,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": bbox,
        "properties": {
            "datetime": f"{day}T10:00:00Z",
            "proj:code": f"EPSG:{epsg}",
            "s2:processing_baseline": "02.09",
        },
        "links": [],
        "assets": {"red": {"href": str(path), "roles": ["data"]}},
    }
    return pystac.Item.from_dict(tree)


@pytest.mark.parametrize("backend", ["stackstac", "odc"])
def test_items_of_two_zones_keep_their_pixels(
    tmp_path: Path, backend: Literal["stackstac", "odc"]
) -> None:
    grid = target_geobox((11.99, 50.0, 12.01, 50.01), bounds_crs="EPSG:4326")
    items = []
    for epsg in (32632, 32633):
        box = grid.extent.to_crs(f"EPSG:{epsg}").boundingbox.buffered(500)
        own = target_geobox(
            (box.left, box.bottom, box.right, box.top),
            bounds_crs=f"EPSG:{epsg}",
            crs=f"EPSG:{epsg}",
        )
        rows, cols = np.mgrid[: own.shape[0], : own.shape[1]]
        east, north = own.affine * (cols + 0.5, rows + 0.5)
        x, y = own.crs.transformer_to_crs(grid.crs)(east, north)  # pyright: ignore[reportOptionalMemberAccess, reportArgumentType] -- both have a CRS
        numbers = 3000 + (x - grid.affine.c) * 0.5 + (grid.affine.f - y) * 0.25
        path = tmp_path / f"zone{epsg}.tif"
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=1,
            height=own.shape[0],
            width=own.shape[1],
            dtype="uint16",
            crs=f"EPSG:{epsg}",
            transform=own.affine,
            nodata=0,
        ) as sink:
            sink.write(np.round(numbers).astype(np.uint16), 1)
        items.append(local_item(path, epsg, [11.98, 49.99, 12.02, 50.02], "2020-06-01"))
    cube = oxr.stack_items(items, grid, ["red"], backend=backend, resampling="bilinear").compute()
    x, y = cube["x"] - grid.affine.c, grid.affine.f - cube["y"]
    expected = (3000 + x * 0.5 + y * 0.25) * 1e-4
    for t in (0, 1):  # half a pixel would be off by 2.5 or 1.25 digital numbers
        difference = (cube[t, 0] - expected.transpose("y", "x")) * 1e4
        assert abs(float(difference.mean())) < 0.3
        assert float(np.abs(difference).max()) < 2.0


@pytest.mark.parametrize("backend", ["stackstac", "odc"])
def test_distinct_pixels_stay_where_rasterio_puts_them(
    tmp_path: Path, backend: Literal["stackstac", "odc"]
) -> None:
    own = GeoBox((90, 110), from_origin(500_000, 5_400_000, 10, 10), "EPSG:32633")
    numbers = (1000 + 110 * np.arange(90)[:, np.newaxis] + np.arange(110)).astype(np.uint16)
    path = tmp_path / "red.tif"
    place = {"crs": "EPSG:32633", "transform": own.affine, "height": 90, "width": 110}
    with rasterio.open(path, "w", driver="GTiff", count=1, dtype="uint16", **place) as sink:
        sink.write(numbers, 1)
    box = own.geographic_extent.boundingbox
    corners = [box.left, box.bottom, box.right, box.top]
    item = local_item(path, 32633, corners, "2020-06-01")
    options: Any = {"backend": backend, "resampling": "nearest"}
    cut = oxr.stack_items(item, own[3:50, 7:90], ["red"], **options)
    np.testing.assert_array_equal(cut[0, 0], numbers[3:50, 7:90] * np.float32(1e-4))
    around = target_geobox((box.left, box.bottom, box.right, box.top), bounds_crs="EPSG:4326")
    warped = oxr.stack_items(item, around, ["red"], **options).to_numpy()[0, 0]
    expected = np.zeros(around.shape, np.uint16)
    target: Any = {"dst_transform": around.affine, "dst_crs": "EPSG:3035"}
    reproject(numbers, expected, src_transform=own.affine, src_crs="EPSG:32633", **target)
    both = np.isfinite(warped) & (expected > 0)
    assert both.sum() > 0.97 * max(np.isfinite(warped).sum(), (expected > 0).sum())
    ours, theirs = (np.round(warped[both] * 1e4) - 1000), expected[both] - 1000.0
    assert (ours == theirs).mean() > 0.9  # the rest lies astride two pixels
    assert abs(np.mean(ours // 110 - theirs // 110)) < 0.02
    assert abs(np.mean(ours % 110 - theirs % 110)) < 0.02


def test_what_cannot_be_stacked_is_refused(catalog: Path, grid: GeoBox, tmp_path: Path) -> None:
    far = target_geobox((10.0, 60.0, 10.1, 60.1), bounds_crs="EPSG:4326", resolution=120)
    with pytest.raises(InputError, match=r"lon/lat \(15.000, 45.057, .*the grid \(9.9"):
        oxr.stack_items(catalog, far, BANDS)
    item = read_items(catalog)[0]
    del item["assets"]["red"], item["assets"]["red-jp2"]
    with pytest.raises(InputError, match="has no asset for red"):
        oxr.stack_items(item, grid, BANDS)
    gap = oxr.stack_items(item, grid, BANDS, allow_missing=True).compute()
    assert np.isnan(gap.sel(band="red")).all()
    assert not np.isnan(gap.sel(band="nir")).all()
    with pytest.raises(InputError, match="no STAC file"):
        oxr.stack_items(tmp_path / "none.json", grid)
    with pytest.raises(InputError, match="no STAC item"):
        oxr.stack_items([], grid)
    with pytest.raises(InputError, match="backend"):
        oxr.stack_items(catalog, grid, backend="gdal")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="unknown"):
        oxr.stack_items(catalog, grid, ["thermal"])


def test_a_task_of_a_long_series_holds_no_more_than_a_short_ones() -> None:
    sides = {}
    for times in (10, 100, 1000):
        data: Any = da.zeros((times, 4, 2048, 2048), chunks=(1, 4, 1024, 1024), dtype=np.float32)
        cube = xr.DataArray(
            data, dims=("time", "band", "y", "x"), coords={"band": ["blue", "green", "red", "nir"]}
        )
        chunks = oxr.composite(cube)["reflectance"].chunks
        assert chunks is not None
        sides[times] = chunks[1][0]
        assert times * 4 * 4 * chunks[1][0] * chunks[2][0] <= 128 * 2**20
    assert sides[10] > sides[100] > sides[1000]


def random_cube(seed: int, times: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    cube = rng.random((times, 3, 13, 17)).astype(np.float32)
    cube[rng.random(cube.shape) < 0.2] = np.nan
    return cube


def plain_composite(cube: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the composite pixel by pixel, in numpy alone."""
    out = np.full(cube.shape[1:], np.nan, np.float32)
    counts = np.zeros(cube.shape[2:], int)
    for y, x in np.ndindex(*cube.shape[2:]):
        seen = cube[:, :, y, x]
        seen = seen[np.isfinite(seen).all(axis=1)].astype(np.float64)
        counts[y, x] = len(seen)
        if len(seen):
            median = np.median(seen, axis=0)
            ndvi = (seen[:, 2] - seen[:, 1]) / (seen[:, 2] + seen[:, 1])
            distance = ((seen - median) ** 2).sum(axis=1)
            choice = {
                "median": median,
                "medoid": seen[distance.argmin()],
                "best": seen[ndvi.argmax()],
            }
            out[:, y, x] = choice[method]
    return out, counts


@settings(max_examples=12)
@given(
    seed=st.integers(0, 999),
    times=st.integers(1, 9),
    chunk=st.integers(3, 17),
    method=st.sampled_from(["medoid", "median", "best"]),
)
def test_composites_equal_numpy_for_any_chunking(
    seed: int, times: int, chunk: int, method: Literal["medoid", "median", "best"]
) -> None:
    values = random_cube(seed, times)
    data: Any = da.from_array(values).rechunk((1, 2, chunk, chunk))
    cube = xr.DataArray(
        data, dims=("time", "band", "y", "x"), coords={"band": ["green", "red", "nir"]}
    )
    made = oxr.composite(cube, method).compute()
    expected, counts = plain_composite(values, method)
    np.testing.assert_allclose(made["reflectance"], expected, rtol=1e-6)
    np.testing.assert_array_equal(made["observations"], counts)


def test_masked_clouds_grow_by_a_disc_across_chunks() -> None:
    classes = np.full((1, 30, 30), 4, np.uint8)
    classes[0, 15, 14] = 9
    classes[0, 0, 0] = 0
    classes[0, 27, 3] = 3
    data: Any = da.from_array(classes).rechunk((1, 8, 15))
    scl = xr.DataArray(data, dims=("time", "y", "x"), coords={"time": [0]})
    cube = xr.DataArray(
        np.ones((1, 2, 30, 30), np.float32), dims=("time", "band", "y", "x"), coords={"time": [0]}
    )
    gone = np.isnan(oxr.mask_clouds(cube, scl, dilation=4).compute().values)
    y, x = np.mgrid[:30, :30]
    expected = ((y - 15) ** 2 + (x - 14) ** 2 <= 16) | ((y == 0) & (x == 0))
    expected[27, 3] = True  # shadow goes, but does not grow
    np.testing.assert_array_equal(gone, np.broadcast_to(expected, gone.shape))
    with pytest.raises(InputError, match="differ in time"):
        oxr.mask_clouds(cube.assign_coords(time=[5]), scl)
    with pytest.raises(InputError, match="0 to 11"):
        oxr.mask_clouds(cube, scl, classes=[12])
