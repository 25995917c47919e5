"""Sources of every kind become one lazy cube, the same for any chunks, or are refused in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.features.cube import open_features
from osm4eo_xr.features.indices import index_of
from osm4eo_xr.features.kernels import terrain
from osm4eo_xr.features.sources import FeatureSource
from osm4eo_xr.geometry.grid import georeference
from tests.cases.safe_case import write_safe
from tests.cases.slovenia_case import features_of, files_of, heights_of
from tests.cases.train_case import box

ROWS, COLS = 40, 50
GRID: GeoBox = box(ROWS, COLS)
RNG = np.random.default_rng(0)


def write(
    path: Path,
    pixels: np.ndarray,
    *,
    names: tuple[str, ...] = (),
    grid: GeoBox = GRID,
    nodata: float | None = None,
) -> str:
    """Write (band, y, x) numbers as a plain GeoTIFF."""
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
        "crs": str(grid.crs),
        "transform": grid.affine,
        "nodata": nodata,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
        for k, name in enumerate(names, start=1):
            file.set_band_description(k, name)
    return str(path)


def scene(seed: int = 0, grid: GeoBox = GRID) -> xr.DataArray:
    bands = ["red", "nir"]
    values = np.random.default_rng(seed).uniform(0.02, 0.5, (len(bands), *grid.shape))
    chunks: Any = (1, 17, 23)
    data = da.from_array(values.astype(np.float32), chunks=chunks)
    return georeference(data, grid, dims=("band", "y", "x"), coords={"band": bands})


def heights(grid: GeoBox) -> np.ndarray:
    row, col = np.mgrid[0 : grid.shape[0], 0 : grid.shape[1]]
    return (300 + 20 * np.sin(row / 5) + 15 * np.cos(col / 7)).astype(np.float32)[None]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One source of each kind; radar on another grid, and embeddings bottom-up."""
    folder = tmp_path_factory.mktemp("features")
    wide = box(ROWS + 20, COLS + 20, -10, -10)
    coarse = GeoBox((60, 60), from_origin(4_320_995, 3_210_120, 12.0, 12.0), "EPSG:3035")
    power = RNG.uniform(0.01, 0.3, (2, *coarse.shape)).astype(np.float32)
    quantized = RNG.integers(-127, 128, (64, ROWS, COLS)).astype(np.int8)
    quantized[:, 3, 4] = -128
    return {
        "s2@2024-04": FeatureSource(scene(), bands=["nir", "ndvi"]),
        "s2@2024-07": scene(seed=1),
        "s1@2024-summer": FeatureSource(
            write(folder / "gamma0_desc.tif", power, names=("VV", "VH"), grid=coarse), unit="linear"
        ),
        "dem": write(folder / "dem.tif", heights(wide), grid=wide),
        "aef@2024": FeatureSource(
            write(folder / "aef.tif", quantized[:, ::-1], grid=upside_down(GRID), nodata=-128),
            bands=["A17", "A02"],
        ),
        "canopy": write(folder / "canopy.tif", np.full((1, ROWS, COLS), 7, np.uint8), nodata=0),
        "quantized": quantized,
        "power": power,
    }


def upside_down(grid: GeoBox) -> GeoBox:
    """Return a grid whose rows go from south to north."""
    a = grid.affine
    affine = type(a)(a.a, a.b, a.c, a.d, -a.e, a.f + a.e * grid.shape[0])
    return GeoBox(grid.shape, affine, grid.crs)


@pytest.fixture(scope="module")
def given_sources(sources: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in sources.items() if name not in ("quantized", "power")}


@pytest.fixture(scope="module")
def cube(given_sources: dict[str, Any]) -> xr.DataArray:
    return open_features(given_sources).compute(scheduler="sync")


@pytest.mark.usefixtures("no_compute")
def test_opening_computes_nothing(given_sources: dict[str, Any]) -> None:
    features = open_features(given_sources, chunks=16)
    assert (features.dims, features.dtype, features.chunksizes["band"]) == (
        ("band", "y", "x"),
        np.float32,
        (13,),
    )
    assert features.attrs["units"] == "per feature"


def test_features_are_named_and_say_what_they_are(cube: xr.DataArray) -> None:
    columns = (cube[name].values.tolist() for name in ("band", "unit", "scaling"))
    assert [*zip(*columns, strict=True)] == [
        ("s2:nir@2024-04", "1", "reflectance"),
        ("s2:ndvi@2024-04", "1", "(nir - red) / (nir + red)"),
        ("s2:red@2024-07", "1", "reflectance"),
        ("s2:nir@2024-07", "1", "reflectance"),
        ("s1:vv_desc@2024-summer", "dB", "10 log10 of gamma0"),
        ("s1:vh_desc@2024-summer", "dB", "10 log10 of gamma0"),
        ("dem:height", "m", "height"),
        ("dem:slope", "degree", "Horn 1981"),
        ("dem:aspect_sin", "1", "sine, Horn 1981"),
        ("dem:aspect_cos", "1", "cosine, Horn 1981"),
        ("aef:A17@2024", "1", "(q / 127.5)² sign(q)"),
        ("aef:A02@2024", "1", "(q / 127.5)² sign(q)"),
        ("canopy:b1", "", "number * 1 + 0"),
    ]
    assert cube.sel(band="aef:A17@2024").no_data.item() == "no-data tag -128"


def test_embeddings_keep_their_no_data_without_a_tag(tmp_path: Path) -> None:
    quantized = RNG.integers(-127, 128, (64, ROWS, COLS)).astype(np.int8)
    quantized[:, 0] = -128
    path = write(tmp_path / "aef.tif", quantized)
    made = open_features({"aef@2024": FeatureSource(path, bands=["A00"])}).compute()
    assert np.isnan(made[0, 0]).all()
    assert np.isfinite(made[0, 1:]).all()


def test_values_are_those_of_the_sources(cube: xr.DataArray, sources: dict[str, Any]) -> None:
    april = scene().compute()
    wanted = index_of("ndvi", april.sel(band="nir").values, april.sel(band="red").values)
    np.testing.assert_array_equal(cube.sel(band="s2:ndvi@2024-04"), wanted)
    np.testing.assert_array_equal(cube.sel(band="s2:nir@2024-07"), scene(seed=1)[1])
    whole = heights(box(ROWS + 20, COLS + 20, -10, -10))[0]
    exact = terrain(whole, (10.0, 10.0))[:, 9 : 9 + ROWS, 9 : 9 + COLS]
    np.testing.assert_allclose(cube[6:10], exact, rtol=1e-6)
    numbers = sources["quantized"][17].astype(np.float64)
    axis = np.where(numbers == -128, np.nan, (numbers / 127.5) ** 2 * np.sign(numbers))
    np.testing.assert_allclose(cube.sel(band="aef:A17@2024"), axis, rtol=3e-7)
    assert (cube.sel(band="canopy:b1") == 7).all()
    # Power, not dB, is resampled: what GDAL makes of power, in dB.
    plain = {"power": FeatureSource(sources["s1@2024-summer"].data)}
    power = open_features(plain, geobox=GRID).compute(scheduler="sync")
    np.testing.assert_allclose(cube[4:6], 10 * np.log10(power), rtol=1e-5)
    assert 0 < np.isin(power, sources["power"]).mean() < 0.2  # most lie between


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(14, 60), st.tuples(st.integers(5, ROWS), st.integers(5, COLS)))
def test_any_chunks_give_the_same(
    given_sources: dict[str, Any], cube: xr.DataArray, chunks: int, of_scene: tuple[int, int]
) -> None:
    changed = dict(given_sources)
    changed["s2@2024-07"] = scene(seed=1).chunk(dict(zip(("y", "x"), of_scene, strict=True)))
    found = open_features(changed, chunks=chunks).compute(scheduler="sync")
    resampled = [str(band) for band in cube.band.values if str(band).startswith("s1:")]
    xr.testing.assert_equal(found.drop_sel(band=resampled), cube.drop_sel(band=resampled))
    # GDAL's own transformer is exact to a millionth of a pixel.
    np.testing.assert_allclose(found.sel(band=resampled), cube.sel(band=resampled), atol=1e-3)


def test_open_rasters_come_onto_the_grid_as_files_do(tmp_path: Path) -> None:
    other = box(ROWS + 30, COLS + 30, -15, -15)
    shifted = GeoBox(other.shape, other.affine * other.affine.translation(0.4, 0.3), other.crs)
    pixels = heights(shifted)
    path = write(tmp_path / "dem.tif", pixels, grid=shifted)
    cut: Any = 13
    raster = georeference(da.from_array(pixels[0], chunks=cut), shifted)
    of_file = open_features({"dem": path}, geobox=GRID).compute(scheduler="sync")
    for chunks in (11, 1024):
        found = open_features({"dem": raster}, geobox=GRID, chunks=chunks)
        np.testing.assert_allclose(found.compute(scheduler="sync"), of_file, atol=1e-3)
    assert np.isfinite(of_file).all()


def test_series_become_periods_of_medoids_and_percentiles() -> None:
    days = np.array(["2024-03-05", "2024-04-10", "2024-07-01"], "datetime64[ns]")
    parts = [scene(seed=k) for k in range(3)]
    series = xr.concat(parts, "time").assign_coords(time=days)
    source = FeatureSource(
        series, by="season", statistics=["medoid", "p50"], bands=["nir", "nir_p50", "ndvi"]
    )
    found = open_features({"s2": source}).compute(scheduler="sync")
    assert found.band.values.tolist() == [
        f"s2:{band}@2024-{season}"
        for season in ("spring", "summer")
        for band in ("nir", "nir_p50", "ndvi")
    ]
    spring = np.stack([part.sel(band="nir").values for part in parts[:2]])
    np.testing.assert_allclose(found[1], spring.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found[3], parts[2].sel(band="nir"))


def test_pixels_come_from_the_first_file_that_knows_them(tmp_path: Path) -> None:
    west, east = np.full((2, ROWS, 30), 1.0, np.float32), np.full((2, ROWS, 40), 2.0, np.float32)
    west[0, 0, 29] = np.nan
    files = [
        write(tmp_path / "west.tif", west, grid=box(ROWS, 30)),
        write(tmp_path / "east.tif", east, grid=box(ROWS, 40, 0, 10)),
    ]
    found = open_features({"x@2024": FeatureSource(files, resampling="nearest")}, geobox=GRID)
    assert found.band.values.tolist() == ["x:b1@2024", "x:b2@2024"]
    values = found.compute(scheduler="sync").to_numpy()
    assert (values[:, 1:, :30] == 1).all()
    assert (values[:, :, 30:] == 2).all()
    assert (values[:, 0, 29] == 2).all()  # both bands of one file


def tessera_zone(folder: Path, version: str = "1.1") -> tuple[str, np.ndarray, np.ndarray]:
    """Write a store in TESSERA's layout: two years, eight bands, water and a part never written."""
    import zarr

    numbers = RNG.integers(-127, 128, (2, 8, ROWS, COLS)).astype(np.int8)
    scales = RNG.uniform(0.01, 0.1, (2, ROWS, COLS)).astype(np.float32)
    scales[:, :3], scales[:, 5, 5] = np.nan, 0.0
    root = zarr.open_group(folder, mode="w", zarr_format=3)
    root.attrs["geoemb:model"] = f"https://example.org/tessera/{version}"
    zone = root.create_group("utm33")
    affine = list(GRID.affine)[:6]
    zone.attrs.update({"proj:code": "EPSG:3035", "spatial:transform": affine})
    for name, data, dims in (
        ("embeddings", numbers, ("time", "band", "y", "x")),
        ("scales", scales, ("time", "y", "x")),
        ("time", np.array([2023, 2024], np.int32), ("time",)),
    ):
        zone.create_array(name, data=data, dimension_names=dims)
    return f"{folder}/utm33", numbers, scales


def test_tessera_zones_and_tiles_are_read_in_their_layout(tmp_path: Path) -> None:
    zone, numbers, scales = tessera_zone(tmp_path / "t.zarr")
    wanted = numbers[1, [5, 0]] * np.where(scales[1] > 0, scales[1], np.nan)
    bands = ["T005", "T000"]
    found = open_features({"tessera-1.1@2024": FeatureSource(zone, bands=bands)}, geobox=GRID)
    assert found.band.values.tolist() == ["tessera-1.1:T005@2024", "tessera-1.1:T000@2024"]
    np.testing.assert_array_equal(found.compute(scheduler="sync"), wanted.astype(np.float32))
    tile = tmp_path / "grid_15.25_46.05.npy"
    np.save(tile, np.moveaxis(numbers[1], 0, -1))
    np.save(tmp_path / "grid_15.25_46.05_scales.npy", scales[1])
    write(tile.with_suffix(".tiff"), np.ones((1, ROWS, COLS), np.uint8))
    same = open_features({"tessera-1.1@2024": FeatureSource(tile, bands=bands)}, geobox=GRID)
    np.testing.assert_array_equal(same.compute(scheduler="sync"), wanted.astype(np.float32))
    for name, message in {
        "tessera-1.0@2024": "is of TESSERA 1.1; expected 1.0",
        "tessera-1.1@2022": "has no year 2022; expected one of 2023, 2024",
        "tessera@2024": "states no version",
    }.items():
        with pytest.raises(InputError, match=message):
            open_features({name: FeatureSource(zone, bands=bands)}, geobox=GRID)


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "no source": (lambda _: {}, "no source given"),
    "name": (lambda _: {"S2": scene()}, "group 'S2'"),
    "band": (
        lambda _: {"s2@2024": FeatureSource(scene(), bands=["nbr"])},
        r"s2@2024: s2:…@2024 has no 'nbr'; expected some of red, nir, ndvi",
    ),
    "unit": (lambda s: {"s1@2024": s["s1@2024-summer"].files}, "unit of radar is not stated"),
    "contradiction": (
        lambda s: {"s1@2024": FeatureSource(s["s1@2024-summer"].data, unit="dB")},
        "no number is below 0.*pass unit=linear",
    ),
    "resampling": (
        lambda s: {"aef@2024": FeatureSource(s["aef@2024"].data, resampling="cubic")},
        "resampling 'cubic' of embeddings",
    ),
    "twice": (
        lambda _: {"s2@2024": scene(), "s2": FeatureSource(dated(), by="year")},
        "feature s2:nir@2024 is given twice",
    ),
    "elsewhere": (
        lambda _: {"s2@2024": scene(), "x": scene(grid=box(9, 9, 900))},
        "x: .*does not touch",
    ),
    "polarization": (
        lambda s: {"s1": FeatureSource(s["canopy"], unit="dB")},
        "does not say its polarization",
    ),
}


def dated() -> xr.DataArray:
    return scene().expand_dims(time=np.array(["2024-05-01"], "datetime64[ns]"))


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(case: str, given_sources: dict[str, Any]) -> None:
    make, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as refused:
        open_features(make(given_sources))
    assert "\n" not in str(refused.value)


def test_five_dates_and_heights_of_slovenia_are_one_cube(data_dir: Path) -> None:
    files = files_of(data_dir)
    days = list(files)
    lazy = features_of(data_dir, days, ["red", "nir", "swir16", "ndvi"], dem=True)
    found = lazy.compute(scheduler="sync")
    assert found.shape == (24, 101, 100)
    with rasterio.open(files[days[2]]) as file:
        red, nir = (file.read(k).astype(np.float32) * np.float32(1e-4) for k in (4, 8))
    np.testing.assert_allclose(found.sel(band=f"s2:red@{days[2]}"), red, rtol=1e-6)
    np.testing.assert_allclose(
        found.sel(band=f"s2:ndvi@{days[2]}"), index_of("ndvi", nir, red), rtol=1e-6
    )
    np.testing.assert_array_equal(found.sel(band="dem:height"), heights_of(data_dir))
    slope = found.sel(band="dem:slope").to_numpy()
    assert np.isfinite(slope[1:-1, 1:-1]).all()
    assert np.isnan(slope[0]).all()
    times = json.loads((data_dir / "slovenia" / "TestEOPatch" / "timestamps.json").read_text())
    assert set(days) <= {time[:10] for time in times}


def test_products_are_scenes_of_features_too(tmp_path: Path) -> None:
    """A SAFE folder holds images in folders of its own, where no plain folder has them."""
    safe = write_safe(
        tmp_path, "2A", "05.09", offsets=dict.fromkeys(range(13), -1000), bands=("B04",)
    )
    scene = oxr.open_safe(safe, bands=["red"], geobox="native")
    target = scene.odc.geobox
    found = oxr.open_features({"s2@2024": oxr.FeatureSource(safe, bands=["red"])}, geobox=target)
    np.testing.assert_array_equal(found[0], scene[0])
