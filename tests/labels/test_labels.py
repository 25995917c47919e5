from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.labels.label_rasters import read_labels
from osm4eo_xr.labels.objects import rasterize_objects
from osm4eo_xr.labels.rasterize import count_claims, rasterize_labels
from osm4eo_xr.labels.report import label_report
from osm4eo_xr.labels.write import write_labels
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.osm.landuse import read_landuse, write_landuse
from osm4eo_xr.osm.partitions import open_landuse

DEMO_BOUNDS = (4_492_000.0, 3_265_000.0, 4_494_300.0, 3_266_700.0)
PRIORITY = {c.id: c.priority for c in default_legend().classes}


@pytest.fixture(scope="module")
def polygons() -> gpd.GeoDataFrame:
    return read_landuse(demo_osm_path())


def grid(bounds: tuple[float, float, float, float] = DEMO_BOUNDS) -> xr.DataArray:
    geobox = target_geobox(bounds)
    return georeference(np.zeros(geobox.shape, np.uint8), geobox)


def burnt_by_gdal(polygons: gpd.GeoDataFrame, like: xr.DataArray) -> np.ndarray:
    geobox = geobox_of(like)
    rank = np.array([-PRIORITY[i] for i in polygons["class_id"]])
    ordered = polygons.to_crs("EPSG:3035").iloc[np.argsort(rank, kind="stable")]
    pairs = zip(ordered.geometry, ordered["class_id"], strict=True)
    shape = tuple(geobox.shape)
    return rasterize(pairs, out_shape=shape, transform=geobox.affine, dtype="uint8")


@pytest.mark.usefixtures("no_compute")
def test_rasterizing_and_reading_are_lazy(polygons: gpd.GeoDataFrame, tmp_path: Path) -> None:
    labels = rasterize_labels(polygons, grid().chunk(64))
    assert labels.chunks is not None
    assert labels.dtype == np.uint8
    assert labels.attrs["nodata"] == 0
    assert labels.attrs["flag_values"] == list(range(1, 13))
    landuse = write_landuse(demo_osm_path(), tmp_path / "areas")
    assert rasterize_labels(landuse, grid().chunk(64)).chunks is not None
    assert count_claims(polygons, grid().chunk(64)).chunks is not None
    assert read_labels(write(tmp_path / "l.tif", np.eye(4, dtype=np.uint8))).chunks is not None


@pytest.fixture(scope="module")
def expected(polygons: gpd.GeoDataFrame) -> np.ndarray:
    found = burnt_by_gdal(polygons, grid())
    assert len(np.unique(found)) > 4
    return found


CHUNKS = ((170, 230), (64, 64), (7, 230), (170, 13), (41, 97), (100, 200))


@pytest.mark.parametrize("rows_columns", CHUNKS)
def test_six_chunkings_equal_gdal_on_the_whole_grid(
    polygons: gpd.GeoDataFrame, expected: np.ndarray, rows_columns: tuple[int, int]
) -> None:
    like = grid().chunk(dict(zip("yx", rows_columns, strict=True)))
    labels = rasterize_labels(polygons, like)
    assert labels.chunks == like.chunks
    np.testing.assert_array_equal(labels.to_numpy(), expected)


@pytest.mark.parametrize(
    ("cell", "rows_columns"), [*zip((0.008, 0.015, 0.03, 0.06, 0.25, 30.0), CHUNKS, strict=True)]
)
def test_six_partition_sizes_equal_gdal_on_the_whole_grid(
    tmp_path: Path, expected: np.ndarray, cell: float, rows_columns: tuple[int, int]
) -> None:
    landuse = write_landuse(demo_osm_path(), tmp_path / "areas", cell=cell)
    assert (len(landuse.partitions) > 1) is (cell < 1)
    like = grid().chunk(dict(zip("yx", rows_columns, strict=True)))
    np.testing.assert_array_equal(rasterize_labels(landuse, like).to_numpy(), expected)


@settings(max_examples=6)
@given(rows=st.integers(17, 170), columns=st.integers(17, 230))
def test_any_chunking_gives_the_same_claims_and_pure_pixels(
    polygons: gpd.GeoDataFrame, rows: int, columns: int
) -> None:
    like = grid().chunk(y=rows, x=columns)
    for step in (count_claims, partial(rasterize_labels, edge="ignore", min_area=2000.0)):
        found, whole = step(polygons, like), step(polygons, grid())
        assert found.chunks == like.chunks
        np.testing.assert_array_equal(found.to_numpy(), whole.to_numpy())


def test_claims_are_the_classes_over_each_center(polygons: gpd.GeoDataFrame) -> None:
    like, wider = grid(), polygons.to_crs("EPSG:3035")
    wider["geometry"] = wider.buffer(30)  # so that neighbors overlap
    expected = np.zeros(like.shape, np.uint8)
    for class_id in wider["class_id"].unique():
        expected += burnt_by_gdal(wider.loc[wider["class_id"] == class_id], like) > 0
    assert expected.max() > 1
    np.testing.assert_array_equal(count_claims(wider, like).to_numpy(), expected)


def test_ignored_edges_are_the_mixed_pixels() -> None:
    rng = np.random.default_rng(1)
    like, parts = grid((0, 0, 300, 300)), []
    for k, (x, y, r) in enumerate(rng.uniform((0, 0, 20), (300, 300, 70), (12, 3))):
        parts.append(((8, 12, 1, 2)[k % 4], shapely.Point(x, y).buffer(r, quad_segs=5)))
    found = rasterize_labels(frame(*parts), like, edge="ignore").to_numpy()
    # By vector: a pixel keeps a class where the land that the class shows holds all of it.
    shown, covered = {}, shapely.Polygon()
    for class_id in sorted({c for c, _ in parts}, key=PRIORITY.__getitem__):
        union = shapely.union_all([g for c, g in parts if c == class_id])
        shown[class_id], covered = union - covered, covered | union
    expected = np.zeros(like.shape, np.uint8)
    for (i, y), (j, x) in product(enumerate(like.y.values), enumerate(like.x.values)):
        pixel = shapely.box(x - 5, y - 5, x + 5, y + 5)
        for class_id, area in shown.items():
            expected[i, j] = class_id if area.contains(pixel) else expected[i, j]
    assert 0 < (expected > 0).sum() < (rasterize_labels(frame(*parts), like) > 0).sum()
    np.testing.assert_array_equal(found, expected)


def test_neighbors_of_one_class_have_no_edge_between_them() -> None:
    left, right = shapely.box(-20, -20, 53, 120), shapely.box(53, -20, 120, 120)
    labels = rasterize_labels(frame((8, left), (8, right)), grid((0, 0, 100, 100)), edge="ignore")
    assert (labels == 8).all()


def test_small_polygons_can_be_left_out() -> None:
    parts = frame((8, shapely.box(0, 0, 100, 100)), (12, shapely.box(0, 0, 20, 20)))
    like = grid((0, 0, 100, 100))
    assert (rasterize_labels(parts, like) == 12).sum() == 4
    assert (rasterize_labels(parts, like, min_area=401) == 8).all()


def test_a_rule_with_a_priority_of_its_own_is_burnt_by_it() -> None:
    lake, island = shapely.box(0, 0, 100, 100), shapely.box(0, 0, 20, 20)
    parts = frame((12, lake), (8, island))
    parts["priority"] = [0, 1]
    assert (rasterize_labels(parts, grid((0, 0, 100, 100))) == 8).sum() == 4


def frame(*parts: tuple[int, shapely.Geometry]) -> gpd.GeoDataFrame:
    ids, shapes = zip(*parts, strict=True)
    return gpd.GeoDataFrame({"class_id": np.array(ids, np.uint8)}, geometry=list(shapes), crs=3035)


def test_priority_decides_overlaps_not_order_or_size() -> None:
    like = grid((0, 0, 100, 100))
    water, forest = shapely.box(20, 20, 60, 60), shapely.box(0, 0, 100, 100)
    expected = np.full((10, 10), 8)
    expected[4:8, 2:6] = 12
    for parts in (((12, water), (8, forest)), ((8, forest), (12, water))):
        np.testing.assert_array_equal(rasterize_labels(frame(*parts), like), expected)


def test_holes_stay_open() -> None:
    ring = shapely.box(0, 0, 100, 100) - shapely.box(30, 30, 70, 70)
    labels = rasterize_labels(frame((8, ring)), grid((0, 0, 100, 100))).to_numpy()
    assert (labels == 0).sum() == 16
    assert (labels[3:7, 3:7] == 0).all()


def test_wrong_polygons_are_refused() -> None:
    like = grid((0, 0, 100, 100))
    box = shapely.box(0, 0, 50, 50)
    with pytest.raises(InputError, match="do not overlap"):
        rasterize_labels(frame((8, shapely.box(5000, 0, 6000, 50))), like)
    with pytest.raises(InputError, match="class 99 of the polygons"):
        rasterize_labels(frame((99, box)), like)
    with pytest.raises(InputError, match="edge is 'blur'"):
        rasterize_labels(frame((8, box)), like, edge="blur")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="no CRS"):
        rasterize_labels(gpd.GeoDataFrame({"class_id": [8]}, geometry=[box]), like)


OWN = Legend("woods first", tuple(replace(c, id=c.id % 12 + 1) for c in default_legend().classes))
READERS: dict[str, Callable[[Any, Any, Legend], object]] = {
    "rasterize_labels": lambda p, like, own: rasterize_labels(p, like, legend=own),
    "count_claims": lambda p, like, own: count_claims(p, like, legend=own),
    "rasterize_objects": lambda p, like, own: rasterize_objects(p, like, legend=own),
    "write_labels": lambda p, like, own: write_labels(p, "labels.tif", like, legend=own),
    "label_report": lambda p, like, own: label_report(
        like, like, p if isinstance(p, gpd.GeoDataFrame) else open_landuse(p), legend=own
    ),
    "review_objects": lambda p, like, own: oxr.review_objects(p, like, like, legend=own),
}


@pytest.mark.parametrize("reader", READERS)
def test_land_use_of_another_legend_is_refused_by_all_readers(
    reader: str, polygons: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ids are of other classes there: forests would become urban fabric."""
    monkeypatch.chdir(tmp_path)
    like = grid()
    folder = write_landuse(demo_osm_path(), tmp_path / "areas").folder
    for source in (folder, polygons):
        with pytest.raises(InputError) as caught:
            READERS[reader](source, like, OWN)
        assert caught.value.given == (
            "the polygons were made with legend 'osmlanduse-12', this is 'woods first'"
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["areas"]


def test_a_boundary_elsewhere_is_said_to_be_wrong(polygons: gpd.GeoDataFrame) -> None:
    like = grid()
    labels, claims = rasterize_labels(polygons, like), count_claims(polygons, like)
    west, south, *_ = DEMO_BOUNDS
    between = shapely.box(west + 0.1, south + 0.1, west + 0.2, south + 0.2)  # of pixel centers
    for outline, crs in ((shapely.box(2, 48, 3, 49), 4326), (between, 3035)):
        boundary = gpd.GeoDataFrame(geometry=[outline], crs=crs)
        with pytest.raises(InputError) as caught:
            label_report(labels, claims, polygons, boundary=boundary)
        assert str(caught.value) == (
            "the boundary holds no pixel of the labels; give that of the same place"
        )
    with pytest.raises(InputError, match="^the boundary has no CRS; assign one with boundary.set"):
        label_report(labels, claims, polygons, boundary=gpd.GeoDataFrame(geometry=[between]))
    half = shapely.box(west, south, west + 1000, south + 10_000)
    known = gpd.GeoDataFrame(geometry=[half], crs=3035).to_crs(4326)
    found = label_report(labels, claims, polygons, boundary=known)
    assert found["area_km2"] == pytest.approx(1.0 * 1.7, rel=0.01)


def test_columns_that_polygons_lack_are_named(
    polygons: gpd.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lacking = {**dict.fromkeys(READERS, "class_id"), "label_report": "tag", "review_objects": "tag"}
    for reader, column in lacking.items():
        with pytest.raises(InputError, match=f"^the polygons have no column {column}; give those"):
            READERS[reader](polygons.drop(columns=column), grid(), default_legend())
    assert not any(tmp_path.iterdir())


def test_land_use_of_twelve_classes_serves_the_legend_that_has_one_more(
    polygons: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    like, coastal = grid(), default_legend(coastal=True)
    right = rasterize_labels(polygons, like)
    folder = write_landuse(demo_osm_path(), tmp_path / "areas").folder
    for source in (folder, polygons):
        labels = rasterize_labels(source, like, legend=coastal)
        np.testing.assert_array_equal(labels, right)
    with pytest.raises(InputError, match="'osmlanduse-13', this is 'osmlanduse-12'"):
        rasterize_labels(read_landuse(demo_osm_path(), coastal), like)


def write(path: Path, values: np.ndarray, nodata: int | None = None) -> Path:
    transform = target_geobox((0, 0, 10.0 * values.shape[1], 10.0 * values.shape[0])).affine
    profile = {"driver": "GTiff", "count": 1, "crs": "EPSG:3035", "transform": transform}
    profile["nodata"] = nodata
    height, width = values.shape
    with rasterio.open(
        path, "w", height=height, width=width, dtype=values.dtype, **profile
    ) as file:
        file.write(values, 1)
    return path


def test_corine_codes_become_ids_in_one_pass(tmp_path: Path) -> None:
    clc = np.array([[11, 12, 13, 14, 21, 22], [23, 31, 32, 33, 41, 5], [0, 0, 5, 12, 11, 1]])
    path = write(tmp_path / "clc.tif", clc[:2].astype(np.uint8))
    expected = np.arange(1, 13).reshape(2, 6)
    np.testing.assert_array_equal(read_labels(path, codes="clc"), expected)


def test_ids_are_read_as_they_are(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 13, (40, 30)).astype(np.int16)
    labels = read_labels(write(tmp_path / "ids.tif", ids), chunks=16)
    np.testing.assert_array_equal(labels, ids)
    assert labels.dtype == np.uint8


@pytest.mark.parametrize("nodata", [-9999, 255, 70_000, 2**31 - 1])
def test_no_data_of_the_file_is_unlabeled(tmp_path: Path, nodata: int) -> None:
    values = np.array([[nodata, 5], [0, 41]], np.int32)
    labels = read_labels(write(tmp_path / "l.tif", values, nodata=nodata), codes="clc")
    assert labels.values.tolist() == [[0, 12], [0, 11]]


def test_values_outside_the_legend_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.tif", np.full((4, 4), 77, np.uint8))
    with pytest.raises(InputError, match=r"odd\.tif holds the value 77"):
        read_labels(path).compute()
    with pytest.raises(InputError, match="holds float32"):
        read_labels(write(tmp_path / "f.tif", np.ones((4, 4), np.float32)))
