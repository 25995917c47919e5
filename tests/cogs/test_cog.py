import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import dask.array as da
import dask.base
import dask.config
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import Compression, Resampling
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_validate

from osm4eo_xr.cogs.cog import _bands_of_rows, write_cog
from osm4eo_xr.cogs.levels import Layout, LevelFiles, shrink_block
from osm4eo_xr.cogs.overviews import _halve, _mode, shrink, shrink_all
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.rasters.open import open_raster


def grid(height: int, width: int) -> GeoBox:
    return target_geobox((4_320_000, 3_210_000, 4_320_000 + 10 * width, 3_210_000 + 10 * height))


def class_map(height: int, width: int, chunks: Any = (700, 500), seed: int = 0) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 13, (-(-height // 7), -(-width // 7))).astype(np.uint8)
    pixels = coarse.repeat(7, 0).repeat(7, 1)[:height, :width]
    attrs = {**default_legend().attrs(), "nodata": 0}
    data = da.from_array(pixels, chunks=chunks)
    return georeference(data, grid(height, width), attrs=attrs, name="class_map")


def named_alone(raster: xr.DataArray, legend: str) -> xr.DataArray:
    """Return classes as ``open_raster`` gives them: without flags, with the name of a legend."""
    attrs = {"nodata": 0, "legend": legend}
    return georeference(raster.data, raster.odc.geobox, attrs=attrs)


def levels_of(path: Path) -> dict[int, np.ndarray]:
    with rasterio.open(path) as file:
        found, scales = {1: file.read()}, file.overviews(1)
    for k, scale in enumerate(scales):
        with rasterio.open(path, overview_level=k) as file:
            found[scale] = file.read()
    return found


def test_cog_is_valid_and_holds_pixels_grid_colors_and_no_data(tmp_path: Path) -> None:
    raster = class_map(1500, 1300)
    path = write_cog(raster, tmp_path / "map.tif")
    assert cog_validate(path, strict=True)[0]
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), raster.values)
        assert file.crs.to_epsg() == 3035
        assert file.transform == raster.odc.geobox.affine
        assert file.nodata == 0
        assert file.block_shapes == [(512, 512)]
        assert file.compression == Compression.zstd
        assert file.colormap(1)[12] == (0, 204, 242, 255)
        assert file.colormap(1)[0] == (0, 0, 0, 0)
        assert file.overviews(1) == [2, 4]
    beside = sorted(p.name for p in tmp_path.iterdir())
    assert beside == ["map.qml", "map.tif", "map.tif.aux.xml"]


def test_every_overview_takes_the_mode_of_full_resolution_pixels(tmp_path: Path) -> None:
    raster = class_map(1100, 1030)
    found = levels_of(write_cog(raster, tmp_path / "map.tif"))
    assert sorted(found) == [1, 2, 4]
    for scale, pixels in found.items():
        expected = shrink(raster.values[None], scale, classes=True, nodata=0)
        np.testing.assert_array_equal(pixels, expected)


def test_a_class_map_that_was_opened_is_written_as_it_was(tmp_path: Path) -> None:
    first = write_cog(class_map(1100, 1030), tmp_path / "map.tif")
    again = write_cog(open_raster(first), tmp_path / "again.tif")
    for scale, pixels in levels_of(first).items():
        np.testing.assert_array_equal(levels_of(again)[scale], pixels)
    with rasterio.open(first) as one, rasterio.open(again) as other:
        assert other.colormap(1) == one.colormap(1)
    for suffix in (".tif.aux.xml", ".qml"):
        written = (tmp_path / f"again{suffix}").read_bytes()
        assert written == (tmp_path / f"map{suffix}").read_bytes()


@pytest.mark.parametrize("legend", ["osmlanduse-12, mask", "osmlanduse-12, CORINE codes", "mine"])
def test_codes_that_name_a_legend_are_not_averaged(tmp_path: Path, legend: str) -> None:
    raster = class_map(1100, 1030)
    plain = named_alone(raster, legend)
    found = levels_of(write_cog(plain, tmp_path / "again.tif"))
    np.testing.assert_array_equal(found[2], shrink(raster.values[None], 2, classes=True, nodata=0))


def test_corine_codes_that_were_opened_keep_their_names(tmp_path: Path) -> None:
    plain = named_alone(class_map(8, 8), "osmlanduse-12, CORINE codes")
    write_cog(plain, tmp_path / "codes.tif")
    root = ET.parse(tmp_path / "codes.tif.aux.xml").getroot()  # noqa: S314 - just written by us
    names = [e.text or "" for e in root.iterfind("PAMRasterBand/CategoryNames/Category")]
    assert names[5] == "Water bodies"
    assert names[31] == "Forests"


@pytest.mark.parametrize("name", ["1.tif", "2.tif", "4.tif"])
def test_a_file_may_bear_the_name_of_a_level(tmp_path: Path, name: str) -> None:
    raster = class_map(1100, 1030)
    plain = write_cog(raster, tmp_path / "map.tif")
    assert write_cog(raster, tmp_path / name).read_bytes() == plain.read_bytes()


@settings(max_examples=20)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([1, 3, 12, 40, 255]),
    st.sampled_from([None, 0, 3, 255]),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 9),
)
def test_all_scales_at_once_equal_each_by_itself(
    y: int, x: int, kinds: int, nodata: int | None, dtype: type, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    block = draw.integers(0, kinds + 1, (2, y, x)).astype(dtype)
    block[:, : y // 2] = block[0, 0, 0] if nodata is None else nodata
    scales = (2, 4, 8, 16, 32)
    found = shrink_all(block, scales, classes=True, nodata=nodata)
    for scale, pixels in zip(scales, found, strict=True):
        expected = shrink(block, scale, classes=True, nodata=nodata)
        np.testing.assert_array_equal(pixels, expected)


@settings(max_examples=200)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 5),
    st.sampled_from([-1, 0, 1, 255]),
    st.integers(0, 99),
)
def test_cells_of_two_by_two_take_the_same_mode_as_any_others(
    y: int, x: int, kinds: int, nodata: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, kinds, (y, x)).astype(np.uint8)
    found, expected = np.empty((2, -(-y // 2), -(-x // 2)), np.uint8)
    _halve(pixels, nodata, found)
    _mode(pixels, 2, nodata, expected)
    np.testing.assert_array_equal(found, expected)


def overviews_by_gdal(pixels: np.ndarray, scales: tuple[int, ...], nodata: int) -> list[np.ndarray]:
    """Return GDAL's modes, each from the full resolution."""
    height, width = pixels.shape
    # GDAL's cells are of equal size only where the raster is a multiple of the scale.
    y, x = (-n % scales[-1] for n in pixels.shape)
    whole = np.pad(pixels, ((0, y), (0, x)), constant_values=nodata)
    shape = {"height": height + y, "width": width + x, "count": 1}
    profile = {"driver": "GTiff", "dtype": pixels.dtype, "nodata": nodata, **shape}
    found = []
    with MemoryFile() as memory:
        with memory.open(**profile, transform=grid(height, width).affine) as file:
            file.write(whole, 1)
            for scale in scales:  # of several at once, GDAL would make one from another
                file.build_overviews([scale], Resampling.mode)
        for level, scale in enumerate(scales):
            with memory.open(overview_level=level) as file:
                found.append(file.read(1)[: -(-height // scale), : -(-width // scale)])
    return found


@settings(max_examples=60)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([1, 3, 12, 80, 255]),
    st.sampled_from([0, 3, 255]),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(1, 40),
    st.integers(0, 9),
)
def test_modes_equal_those_of_gdal(
    y: int, x: int, kinds: int, nodata: int, dtype: type, patch: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, kinds + 1, (-(-y // patch), -(-x // patch))).astype(dtype)
    pixels = pixels.repeat(patch, 0).repeat(patch, 1)[:y, :x]
    pixels[: y // 3] = nodata
    scales = (2, 4, 8, 16, 32, 64)
    expected = overviews_by_gdal(pixels, scales, nodata)
    found = shrink_all(pixels[None], scales, classes=True, nodata=nodata)
    for ours, gdals in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours[0], gdals)


def test_mean_equals_that_of_gdal_and_skips_no_data(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(size=(512, 640)).astype(np.float32)
    pixels[:101, :77] = np.nan
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "nodata": np.nan, "tiled": True}
    transform = grid(512, 640).affine
    path = tmp_path / "gdal.tif"
    with rasterio.open(path, "w", height=512, width=640, transform=transform, **profile) as file:
        file.write(pixels, 1)
        file.build_overviews([2], Resampling.average)
    with rasterio.open(path, overview_level=0) as file:
        np.testing.assert_allclose(shrink(pixels[None], 2, classes=False), file.read(), rtol=1e-5)


@pytest.mark.parametrize("nodata", [-3.4e38, 9.969209968386869e36, 1e20, -9999.0, -99.9])
def test_no_data_of_any_float_enters_no_mean(tmp_path: Path, nodata: float) -> None:
    """Also those that float32 rounds, and that no integer type holds."""
    pixels = np.full((1024, 1024), 5.0, np.float32)
    pixels[::2, ::2] = nodata
    raster = georeference(da.from_array(pixels), grid(1024, 1024), attrs={"nodata": nodata})
    path = write_cog(raster, tmp_path / "a.tif")
    with rasterio.open(path) as file:
        assert file.nodata == np.float32(nodata)
        assert file.read(1, masked=True).mask.sum() == 512 * 512
    with rasterio.open(path, overview_level=0) as file:
        assert np.all(file.read(1) == 5)


def test_probabilities_keep_bands_names_and_average_overviews(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 251, (3, 600, 520)).astype(np.uint8)
    pixels[:, :300, :300] = 255
    raster = georeference(
        da.from_array(pixels).rechunk((1, 256, 256)),
        grid(600, 520),
        dims=("class", "y", "x"),
        coords={"class": ["urban", "forest", "water"]},
        attrs={"nodata": 255},
    )
    path = write_cog(raster, tmp_path / "p.tif", compression="deflate")
    found = levels_of(path)
    np.testing.assert_array_equal(found[1], pixels)
    np.testing.assert_array_equal(found[2], shrink(pixels, 2, classes=False, nodata=255))
    assert (found[2][:, :150, :150] == 255).all()
    with rasterio.open(path) as file:
        assert file.descriptions == ("urban", "forest", "water")
        assert file.nodata == 255
    assert cog_validate(path, strict=True)[0]


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(64, 900), st.integers(64, 900))
def test_any_chunking_gives_the_same_bytes(tmp_path: Path, y: int, x: int) -> None:
    one = write_cog(class_map(1100, 1100, chunks=-1), tmp_path / "one.tif").read_bytes()
    many = write_cog(class_map(1100, 1100, chunks=(y, x)), tmp_path / "many.tif").read_bytes()
    assert one == many


@pytest.mark.parametrize("scheduler", ["threads", "synchronous", "processes"])
def test_any_scheduler_gives_the_same_bytes(tmp_path: Path, scheduler: str) -> None:
    expected = write_cog(class_map(900, 800, chunks=-1), tmp_path / "a.tif").read_bytes()
    with dask.config.set(scheduler=scheduler):
        assert write_cog(class_map(900, 800), tmp_path / "b.tif").read_bytes() == expected


def test_worker_processes_give_the_same_bytes_and_keep_no_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    monkeypatch.setattr("osm4eo_xr.cogs.cog.MOST_TASKS", 20)  # several graphs, one after the other
    expected = write_cog(class_map(1600, 1500, chunks=-1), tmp_path / "a.tif").read_bytes()
    calls: list[tuple[int, int]] = []
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        path = write_cog(
            class_map(1600, 1500, chunks=(512, 512)),
            tmp_path / "b.tif",
            progress=lambda done, total: calls.append((done, total)),
        )
        assert not any(dict(client.has_what()).values())  # pyright: ignore[reportCallIssue, reportArgumentType] - not asynchronous
    assert path.read_bytes() == expected
    assert calls[-1] == (12, 12)
    assert [done for done, _ in calls] == list(range(1, 13))


def test_rows_are_cut_so_that_no_graph_passes_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = da.zeros((1, 40, 30), chunks=(1, 1, 1)).map_blocks(np.negative)
    assert _bands_of_rows(levels) == [(0, 40)]
    monkeypatch.setattr("osm4eo_xr.cogs.cog.MOST_TASKS", 500)
    bands = _bands_of_rows(levels)
    assert [first for first, _ in bands] == [0, *(last for _, last in bands[:-1])]
    assert bands[-1][1] == 40
    for first, last in bands:
        (part,) = dask.base.optimize(levels[:, first:last])
        assert 0 < len(dict(part.__dask_graph__())) <= 500


def test_progress_counts_blocks(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    raster = class_map(1600, 1500, chunks=(512, 512))
    write_cog(raster, tmp_path / "a.tif", progress=lambda *n: calls.append((n[0], n[1])))
    assert calls == [(k, 12) for k in range(1, 13)]


def test_failure_midway_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    path.write_bytes(b"old")
    raster = class_map(1200, 1200)

    def fail(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info[0]["chunk-location"] == (1, 1):
            raise OSError("tile is broken")
        return block

    broken = raster.copy(data=raster.data.map_blocks(fail, dtype=np.uint8))
    with pytest.raises(OSError, match="tile is broken"):
        write_cog(broken, path)
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]
    assert path.read_bytes() == b"old"


def test_blocks_that_come_while_or_after_files_are_closed_are_dropped(tmp_path: Path) -> None:
    """A failed task leaves others writing; closing under them crashed GDAL now and then."""
    layout = Layout(class_map(600, 600).odc.geobox, "uint8", ("",), 0, classes=True)
    levels = shrink_block(np.ones((1, 512, 512), np.uint8), layout)
    for attempt in range(20):
        (folder := tmp_path / str(attempt)).mkdir()
        started = threading.Event()

        def write_on(files: LevelFiles, started: threading.Event = started) -> int:
            for _ in range(50):
                files.write(0, 0, levels)
                started.set()
            return len(levels)

        with ThreadPoolExecutor(2) as threads:
            with LevelFiles(folder, layout) as files:
                writing = [threads.submit(write_on, files) for _ in range(2)]
                assert started.wait(60)
            assert [w.result() for w in writing] == [len(levels)] * 2
        with rasterio.open(folder / "1.tif") as written:
            assert (written.read(1)[:512, :512] == 1).all()


def test_overviews_beyond_one_tile_per_block_are_made_from_the_level_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osm4eo_xr.cogs.levels.DEEPEST", 2)
    raster = class_map(1700, 2100)
    found = levels_of(write_cog(raster, tmp_path / "map.tif"))
    half = shrink(raster.values[None], 2, classes=True, nodata=0)
    quarter = shrink(half, 2, classes=True, nodata=0)
    np.testing.assert_array_equal(found[4], quarter)
    np.testing.assert_array_equal(found[8], shrink(quarter, 2, classes=True, nodata=0))


def test_category_names_and_attribute_table(tmp_path: Path) -> None:
    write_cog(class_map(100, 100), tmp_path / "map.tif")
    root = ET.parse(tmp_path / "map.tif.aux.xml").getroot()  # noqa: S314 - just written by us
    names = [e.text or "" for e in root.iterfind("PAMRasterBand/CategoryNames/Category")]
    assert names[0] == ""
    assert names[12] == "Water bodies"
    rows = root.findall("PAMRasterBand/GDALRasterAttributeTable/Row")
    assert [f.text for f in rows[11]] == ["12", "Water bodies", "water", "0", "204", "242", "255"]


@pytest.mark.parametrize(
    ("raster", "message"),
    [
        (xr.DataArray(np.zeros((4, 4), np.uint8), dims=("y", "x")), "no CRS"),
        (georeference(np.zeros((4, 4), np.complex64), grid(4, 4)), "cannot write complex64"),
        (class_map(8, 8).astype(np.float32), "classes are float32"),
        (class_map(8, 8).rename(y="row"), "dims"),
    ],
)
def test_wrong_rasters_are_refused(tmp_path: Path, raster: xr.DataArray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_cog(raster, tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder .*nowhere"):
        write_cog(class_map(8, 8), tmp_path / "nowhere" / "a.tif")
