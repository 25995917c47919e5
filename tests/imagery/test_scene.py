"""Files to scenes: names, numbers, no data, positions, laziness."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, target_geobox
from osm4eo_xr.imagery.bands import METHOD_BANDS

LEFT, TOP = 4_321_000.0, 3_210_000.0  # on the snapped EPSG:3035 grid


def write_tif(path: Path, data: np.ndarray, **profile: Any) -> Path:
    """Write (band, y, x) as GeoTIFF; EPSG:3035 10 m unless told."""
    names = profile.pop("names", [])
    scale, offset = profile.pop("scale", None), profile.pop("offset", None)
    defaults = {"crs": "EPSG:3035", "transform": from_origin(LEFT, TOP, 10, 10)}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=data.shape[0],
        height=data.shape[1],
        width=data.shape[2],
        dtype=data.dtype,
        **(defaults | profile),
    ) as sink:
        sink.write(data)
        for i, name in enumerate(names, start=1):
            sink.set_band_description(i, name)
        if scale is not None:
            sink.scales = [scale] * data.shape[0]
            sink.offsets = [offset] * data.shape[0]
    return path


def distinct(bands: int = 1, height: int = 60, width: int = 80) -> np.ndarray:
    """Digital numbers that differ in every pixel."""
    count = bands * height * width
    return (1600 + np.arange(count)).reshape(bands, height, width).astype(np.uint16)


@pytest.fixture(scope="module")
def brandenburg(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "brandenburg" / "IMG_DATA").glob("*.jp2"))


@pytest.mark.usefixtures("no_compute")
def test_havelland_is_ten_bands_on_the_snapped_grid(brandenburg: list[Path]) -> None:
    scene = oxr.open_scene(brandenburg)
    assert scene.dims == ("band", "y", "x")
    assert tuple(scene["band"].values) == METHOD_BANDS
    assert scene.dtype == np.float32
    assert scene.chunks is not None
    assert scene.chunks[0] == (10,)
    geobox = geobox_of(scene)
    assert geobox.crs is not None
    assert geobox.crs.epsg == 3035
    assert geobox.resolution.xy == (10, -10)
    assert geobox.affine.c % 10 == 0
    assert geobox.affine.f % 10 == 0


def test_havelland_equals_rasterios_own_warp(brandenburg: list[Path]) -> None:
    scene = oxr.open_scene(brandenburg, bands=["B08", "B11"], chunks=400)
    geobox = geobox_of(scene)
    values = scene.compute()
    for name, band_id in (("nir", "B08"), ("swir16", "B11")):
        path = next(p for p in brandenburg if band_id in p.name)
        step = {"nir": 1.0, "swir16": 2.0}[name]
        with (
            rasterio.open(path) as source,
            WarpedVRT(
                source,
                crs="EPSG:3035",
                transform=geobox.affine,
                width=geobox.shape[1],
                height=geobox.shape[0],
                resampling=Resampling.cubic,
                dtype="float32",
                src_nodata=0,
                nodata=np.nan,
                tolerance=1e-6,
                XSCALE=str(step),
                YSCALE=str(step),
            ) as warped,
        ):
            expected = warped.read(1).astype(np.float32) * np.float32(1e-4)
        np.testing.assert_allclose(values.sel(band=name).values, expected, rtol=0, atol=5e-6)
        assert np.isnan(expected).mean() > 0.1


def test_outside_of_the_data_is_nan_and_inside_is_not(brandenburg: list[Path]) -> None:
    values = oxr.open_scene(brandenburg, bands=["nir"]).compute()[0]
    assert np.isnan(values[0, 0])
    assert np.isnan(values[-1, -1])
    share = float(np.isfinite(values).mean())
    assert share == pytest.approx(1536 * 768 / values.size, abs=0.002)
    assert float(values.min()) > 0.02


def test_native_grid_keeps_pixels_and_brings_20_m_bands_onto_it(brandenburg: list[Path]) -> None:
    scene = oxr.open_scene(brandenburg, bands=["B04", "B05"], geobox="native")
    assert geobox_of(scene).shape == (768, 1536)
    values = scene.compute()
    red = next(p for p in brandenburg if "B04" in p.name)
    with rasterio.open(red) as source:
        np.testing.assert_allclose(values[0], source.read(1) * np.float32(1e-4), rtol=1e-6)
    rededge = next(p for p in brandenburg if "B05" in p.name)
    with rasterio.open(rededge) as source:
        coarse = source.read(1) * 1e-4
    averaged = values[1].values.reshape(384, 2, 768, 2).mean(axis=(1, 3))
    assert np.abs(averaged - coarse)[2:-2, 2:-2].mean() < 0.002  # centerd: no half-pixel shift


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(19, 130),
    cols=st.integers(19, 130),
    method=st.sampled_from(["nearest", "bilinear", "cubic"]),
)
def test_any_chunking_gives_the_same_scene(
    tmp_path_factory: pytest.TempPathFactory, rows: int, cols: int, method: str
) -> None:
    folder = tmp_path_factory.mktemp("chunks")
    rng = np.random.default_rng(rows * 131 + cols)
    numbers = rng.integers(1000, 6000, (2, 90, 100)).astype(np.uint16)
    numbers[:, 20:30, 40:60] = 0
    path = write_tif(
        folder / "scene.tif",
        numbers,
        crs="EPSG:32633",
        transform=from_origin(330_000, 5_822_040, 10, 10),
        names=["B04", "B08"],
    )
    whole = oxr.open_scene(path, resampling=method, chunks=4096).compute()
    reader = oxr.open_scene(path, resampling=method, chunks=cols)
    pieces = reader.chunk({"y": rows, "x": cols}).compute()
    np.testing.assert_allclose(pieces.values, whole.values, rtol=0, atol=5e-5)
    assert np.isnan(whole.values).any()


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-5, 4)])
def test_pixels_keep_their_place_on_a_shifted_window(
    tmp_path: Path, shift: tuple[int, int]
) -> None:
    numbers = distinct()
    path = write_tif(tmp_path / "red.tif", numbers)
    rows, cols = shift
    left, top = LEFT + 10 * cols, TOP - 10 * rows
    target = target_geobox((left, top - 400, left + 500, top))
    values = oxr.open_scene(path, geobox=target, chunks=16).compute()[0]
    for y, x in ((0, 0), (5, 7), (39, 49)):
        row, col = y + rows, x + cols
        inside = 0 <= row < 60 and 0 <= col < 80
        expected = numbers[0, row, col] * 1e-4 if inside else np.nan
        np.testing.assert_allclose(values[y, x], expected, rtol=1e-6)
    with rasterio.open(path) as source:
        x0, y0 = source.xy(10 + rows, 10 + cols)
    assert (float(values.x[10]), float(values.y[10])) == (x0, y0)


def test_reading_one_band_and_window_reads_no_more(
    brandenburg: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from osm4eo_xr.imagery import reader

    scene = oxr.open_scene(brandenburg)
    seen: list[tuple[list[str], int]] = []
    read = reader.read_bands

    def spy(bands: list[Any], rows: slice, cols: slice) -> np.ndarray:
        seen.append(([b.name for b in bands], (rows.stop - rows.start) * (cols.stop - cols.start)))
        return read(bands, rows, cols)

    monkeypatch.setattr(reader, "read_bands", spy)
    scene.isel(band=2, y=slice(300, 340), x=slice(500, 540)).compute(scheduler="synchronous")
    assert [names for names, _ in seen] == [["red"]]
    assert seen[0][1] < 80 * 80


@pytest.mark.parametrize(
    ("numbers", "profile", "expected"),
    [
        (np.uint16(4000), {}, 0.4),
        (np.int16(4000), {"nodata": -9999}, 0.4),
        (np.uint16(400), {"scale": 1e-3, "offset": 0.0}, 0.4),
        (np.uint16(5000), {"scale": 1e-4, "offset": -0.1}, 0.4),
        (np.float32(0.4), {}, 0.4),
        (np.float64(0.4), {"nodata": -3.4e38}, 0.4),
    ],
)
def test_scaling_follows_type_and_tags(
    tmp_path: Path, numbers: Any, profile: dict[str, Any], expected: float
) -> None:
    path = write_tif(tmp_path / "nir.tif", np.full((1, 40, 40), numbers), **profile)
    values = oxr.open_scene(path).compute()
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "bad", "tag", "nodata"),
    [
        ("uint16", 0, None, None),
        ("uint16", 65535, None, None),
        ("uint16", 65535, 65535, None),
        ("uint16", 7, 7, None),
        ("uint16", 9, None, 9),
        ("int16", -9999, -9999, None),
        ("float32", np.nan, None, None),
        ("float32", np.nan, np.nan, None),
        ("float32", -3.4e38, None, None),
        ("float32", -3.4028234663852886e38, -3.4028234663852886e38, None),
        ("float32", np.inf, None, None),
        ("float32", -1.0, None, -1.0),
    ],
)
@pytest.mark.parametrize("warped", [False, True])
def test_each_no_data_value_becomes_nan(
    tmp_path: Path, dtype: str, bad: float, tag: float | None, nodata: float | None, warped: bool
) -> None:
    good = 0.3 if dtype.startswith("float") else 3000
    numbers = np.full((1, 40, 40), good, dtype)
    numbers[0, 10:20, 5:15] = bad
    path = write_tif(tmp_path / "nir.tif", numbers, nodata=tag)
    shift = 5 if warped else 0
    grid = GeoBox((40, 40), from_origin(LEFT + shift, TOP, 10, 10), "EPSG:3035")
    values = oxr.open_scene(path, geobox=grid, nodata=nodata).compute()[0].values
    assert np.isnan(values[12:18, 7:13]).all()
    np.testing.assert_allclose(values[25:, :38], 0.3, rtol=1e-5)
    assert np.nanmax(np.abs(values - 0.3)) < 1e-5


def refusal(path: Any, **options: Any) -> str:
    """Return the one-line message of a refused input."""
    with pytest.raises(InputError) as caught:
        oxr.open_scene(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("numbers", "options", "says"),
    [
        (np.full((1, 40, 40), 120, np.uint8), {}, "display image"),
        (np.full((1, 40, 40), 120, np.uint16), {}, "display image"),
        (np.full((1, 40, 40), 900, np.uint16), {}, "x1000"),
        (np.full((1, 40, 40), 48000, np.uint16), {}, "reflectances above 2.5 (5, 50 and 95 %: 4.8"),
        (np.full((1, 40, 40), 64500, np.uint16), {}, "below 0 that were stored as uint16"),
        (np.full((1, 40, 40), -10000, np.int16), {}, "100 % of the values are below -0.2"),
        (np.full((1, 40, 40), 60.0, np.float32), {}, "percent, 0-255 or radiances"),
        (np.full((1, 40, 40), 2500.0, np.float32), {}, "x10000"),
        (np.full((1, 40, 40), 3000, np.uint16), {"bands": ["green"]}, "no band green"),
        (np.full((1, 40, 40), 3000, np.uint16), {"names": ["a", "b"]}, "2 entries for 1"),
        (np.full((1, 40, 40), 3000, np.uint16), {"scale": -1.0}, "positive"),
        (np.full((1, 40, 40), 3000, np.uint16), {"resampling": "best"}, "best"),
        (np.full((1, 40, 40), 3000, np.uint16), {"chunks": 0}, "chunks=0"),
    ],
)
def test_what_cannot_be_reflectance_is_refused(
    tmp_path: Path, numbers: np.ndarray, options: dict[str, Any], says: str
) -> None:
    assert says in refusal(write_tif(tmp_path / "nir.tif", numbers), **options)


def test_a_grid_elsewhere_is_refused_with_both_extents(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "nir.tif", distinct())
    far = target_geobox((20.0, 60.0, 20.1, 60.1), bounds_crs="EPSG:4326")
    message = refusal(path, geobox=far)
    assert "nir.tif does not touch the grid: it covers lon/lat (10.000, 51.9" in message
    assert "the grid (19.9" in message
    near = target_geobox((LEFT - 500, TOP - 500, LEFT + 20, TOP))
    assert np.isfinite(oxr.open_scene(path, geobox=near)).sum() == 2 * 50


def test_a_named_scale_is_taken_at_its_word(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "nir.tif", np.full((1, 40, 40), 300, np.uint16))
    np.testing.assert_allclose(oxr.open_scene(path, scale=1e-3).compute(), 0.3, rtol=1e-5)
    np.testing.assert_allclose(
        oxr.open_scene(path, scale=1e-3, offset=-0.1).compute(), 0.2, rtol=1e-5
    )


def test_unusable_files_are_refused_in_one_line(tmp_path: Path) -> None:
    assert "no file" in refusal(tmp_path / "missing.tif")
    text = tmp_path / "text.tif"
    text.write_text("not a raster")
    assert "not a raster" in refusal(text)
    bare = write_tif(tmp_path / "bare_B08.tif", distinct(), crs=None)
    assert "no CRS" in refusal(bare)
    (tmp_path / "empty").mkdir()
    assert "has no .tif" in refusal(tmp_path / "empty")
    assert "no file given" in refusal([])
    red = write_tif(tmp_path / "a_B04.tif", distinct())
    again = write_tif(tmp_path / "b_B04.tif", distinct())
    assert "twice" in refusal([red, again])
    unnamed = write_tif(tmp_path / "stack.tif", distinct(bands=3))
    assert "unnamed" in refusal(unnamed)
    late = write_tif(tmp_path / "T33UUU_20230216T102101_B08.tif", distinct())
    assert "offset" in refusal(late)
    assert float(oxr.open_scene(late, offset=-0.1)[0, 0, 0]) == pytest.approx(0.06, rel=1e-4)


def test_names_come_from_descriptions_or_the_caller(tmp_path: Path) -> None:
    numbers = distinct(bands=3)
    stack = write_tif(tmp_path / "stack.tif", numbers, names=["B8A", "red", "ndvi"])
    assert list(oxr.open_scene(stack)["band"].values) == ["red", "nir08"]
    named = oxr.open_scene(stack, names=["blue", "green", "red"], bands=["B04", "B02"]).compute()
    assert list(named["band"].values) == ["red", "blue"]
    np.testing.assert_allclose(named.values, numbers[[2, 0]] * 1e-4, rtol=1e-5)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "nir.tif", np.full((1, 40, 40), 3000, np.uint16))
    assert float(oxr.open_scene(path).mean()) == pytest.approx(0.3)
    write_tif(path, np.full((1, 40, 40), 4000, np.uint16))
    assert float(oxr.open_scene(path).mean()) == pytest.approx(0.4)


def test_a_scene_travels_to_other_processes(tmp_path: Path) -> None:
    scene = oxr.open_scene(write_tif(tmp_path / "nir.tif", distinct()))
    again: xr.DataArray = pickle.loads(pickle.dumps(scene))  # noqa: S301 -- our own bytes
    xr.testing.assert_identical(again.compute(), scene.compute())


@pytest.mark.usefixtures("no_compute")
def test_open_raster_keeps_type_and_no_data(tmp_path: Path) -> None:
    classes = (np.arange(3000).reshape(1, 50, 60) % 13).astype(np.uint8)
    path = write_tif(tmp_path / "classes.tif", classes, nodata=0)
    raster = oxr.open_raster(path, chunks=32)
    assert raster.dims == ("y", "x")
    assert raster.dtype == np.uint8
    assert raster.attrs["nodata"] == 0
    np.testing.assert_array_equal(raster.compute(scheduler="synchronous"), classes[0])
    assert float(raster.x[0]) == LEFT + 5
    with pytest.raises(InputError, match="2 bands, expected 1"):
        oxr.open_raster(write_tif(tmp_path / "two.tif", distinct(bands=2)))
