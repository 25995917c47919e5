"""One raster in every form that scenes come in: the same pixels at the same places."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
import zarr
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.warp import reproject

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from osm4eo_xr.imagery.scene_grid import read_grid

pytestmark = pytest.mark.steps

EXTRACT = Path(oxr.__file__).parent / "demo" / "landuse.osm.pbf"
LEFT, TOP = 330_000, 5_822_040
GRID = GeoBox((60, 80), from_origin(LEFT, TOP, 10, 10), "EPSG:32633")
NUMBERS = (1600 + np.arange(2 * 60 * 80)).reshape(2, 60, 80).astype(np.uint16)
NAMES = ["red", "nir"]


def as_tif(folder: Path, driver: str = "GTiff") -> Path:
    path = folder / f"scene-{driver}.tif"
    place = {"crs": "EPSG:32633", "transform": GRID.affine, "height": 60, "width": 80}
    with rasterio.open(path, "w", driver=driver, count=2, dtype="uint16", **place) as sink:
        sink.write(NUMBERS)
        sink.descriptions = NAMES
    return path


def as_cog(folder: Path) -> Path:
    rasterio.shutil.copy(as_tif(folder), folder / "cog.tif", driver="COG", BLOCKSIZE=32)
    return folder / "cog.tif"


def as_vrt(folder: Path) -> Path:
    rasterio.shutil.copy(as_tif(folder), folder / "scene.vrt", driver="VRT")
    return folder / "scene.vrt"


def as_band_files(folder: Path) -> list[Path]:
    paths = [folder / "red.jp2", folder / "nir.jp2"]  # ESA's own names would ask for an offset
    for path, numbers in zip(paths, NUMBERS, strict=True):
        place: Any = {"crs": "EPSG:32633", "transform": GRID.affine, "height": 60, "width": 80}
        place |= {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"}
        with rasterio.open(path, "w", count=1, dtype="uint16", **place) as sink:
            sink.write(numbers, 1)
    return paths


def cube(names: list[Any], **attrs: Any) -> xr.DataArray:
    return georeference(NUMBERS, GRID, dims=("band", "y", "x"), coords={"band": names}, attrs=attrs)


def as_zarr(folder: Path, version: Any = 3) -> Path:
    whole = cube([1, 2], long_name=NAMES, _FillValue=0).to_dataset(name="dn")
    blocks = {"dn": {"chunks": (1, 32, 32)}}
    whole.to_zarr(folder / "store", zarr_format=version, encoding=blocks, consolidated=False)
    return folder / "store"


def as_old_zarr(folder: Path) -> Path:
    return as_zarr(folder, 2)


def as_netcdf(folder: Path) -> Path:
    """A variable per band, rows from south to north, as climate people write it."""
    bands = cube(["B04", "B08"]).to_dataset("band").isel(y=slice(None, None, -1))
    bands.to_netcdf(folder / "scene.nc", engine="h5netcdf")
    return folder / "scene.nc"


FORMS: list[Callable[[Path], Any]] = [
    as_tif,
    as_cog,
    as_vrt,
    as_band_files,
    as_zarr,
    as_old_zarr,
    as_netcdf,
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_pixels(tmp_path: Path, form: Callable[[Path], Any]) -> None:
    path = form(tmp_path)
    scene = oxr.open_scene(path, geobox="native", chunks=32)
    assert list(scene["band"].values) == NAMES
    assert geobox_of(scene) == GRID
    np.testing.assert_array_equal(scene, NUMBERS * np.float32(1e-4))
    assert (float(scene.x[0]), float(scene.y[0])) == (LEFT + 5, TOP - 5)
    part = oxr.open_scene(path, bands=["B08"], geobox="native")[0, 7:41:3, 50].to_numpy()
    np.testing.assert_array_equal(part, NUMBERS[1, 7:41:3, 50] * np.float32(1e-4))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_may_be_the_first_thing_that_a_process_opens(
    tmp_path: Path, form: Callable[[Path], Any]
) -> None:
    """Accessors of xarray are there only once their module is imported, which nobody else did."""
    paths = form(tmp_path)
    files = [str(p) for p in (paths if isinstance(paths, list) else [paths])]
    script = (
        "import sys\n"
        "from osm4eo_xr.imagery.scenes import open_scene\n"
        "scene = open_scene(sys.argv[1:], geobox='native')\n"
        f"assert scene.shape == {NUMBERS.shape}\n"
        "assert abs(float(scene[1, 7, 50]) - float(scene[1, 7, 49]) - 1e-4) < 1e-6\n"
    )
    subprocess.run([sys.executable, "-c", script, *files], check=True)
    like = [word for file in files for word in ("--like", file)]
    out = tmp_path / "labels.tif"
    command = [sys.executable, "-m", "osm4eo_xr", "labels", str(EXTRACT), *like, "--out", str(out)]
    subprocess.run(command, check=True)
    with rasterio.open(out) as labels:
        assert labels.shape == read_grid(paths).shape.yx


def rasterios(grid: GeoBox, method: str) -> np.ndarray:
    """Return both bands on a grid as GDAL's own warper makes them at once."""
    out = np.full((2, *grid.shape), np.nan, np.float32)
    reproject(
        NUMBERS.astype(np.float32),
        out,
        src_transform=GRID.affine,
        src_crs="EPSG:32633",
        src_nodata=np.nan,
        dst_transform=grid.affine,
        dst_crs=str(grid.crs),
        dst_nodata=np.nan,
        resampling=Resampling[method],
        tolerance=1e-6,
        XSCALE=1,
        YSCALE=1,
    )
    return out * np.float32(1e-4)


_BOX = GRID.boundingbox
_BOUNDS = (_BOX.left, _BOX.bottom, _BOX.right, _BOX.top)
TARGETS = [
    *(
        target_geobox(_BOUNDS, bounds_crs="EPSG:32633", crs=crs)
        for crs in ("EPSG:3035", "EPSG:32632")
    ),
    GeoBox((60, 80), from_origin(LEFT + 30, TOP - 50, 10, 10), "EPSG:32633"),
    GeoBox((60, 80), from_origin(LEFT + 3, TOP - 4, 10, 10), "EPSG:32633"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_every_reprojection_equals_rasterios(
    tmp_path: Path, form: Callable[[Path], Any], method: str
) -> None:
    path = form(tmp_path)
    for grid in TARGETS:
        scene = oxr.open_scene(path, geobox=grid, resampling=method, chunks=32)
        expected = rasterios(grid, method)
        assert np.isfinite(expected).mean() > 0.6
        np.testing.assert_allclose(scene, expected, rtol=0, atol=2e-6)


@pytest.mark.usefixtures("no_compute")
@pytest.mark.parametrize("form", [as_zarr, as_netcdf])
def test_stores_are_lazy_in_the_chunks_that_they_have(
    tmp_path: Path, form: Callable[[Path], Path]
) -> None:
    scene = oxr.open_scene(form(tmp_path), geobox="native", chunks=20)
    assert scene.chunks is not None
    assert scene.chunks[2][0] == {as_zarr: 32, as_netcdf: 80}[form]


def test_scaled_floats_and_fill_values_of_a_store(tmp_path: Path) -> None:
    numbers = NUMBERS.astype(np.int16)
    numbers[0, 5:9, 3:7] = -999
    scaled = {"_FillValue": -999, "scale_factor": 2e-4, "add_offset": -0.1}
    tree = cube(NAMES).copy(data=numbers).assign_attrs(scaled).to_dataset(name="dn")
    tree.to_zarr(tmp_path / "scaled.zarr")
    scene = oxr.open_scene(tmp_path / "scaled.zarr", geobox="native").compute()
    assert np.isnan(scene.values[0, 5:9, 3:7]).all()
    assert int(np.isnan(scene).sum()) == 16
    np.testing.assert_allclose(scene[1], NUMBERS[1] * 2e-4 - 0.1, atol=1e-6)


def test_sixty_meters_come_onto_ten(tmp_path: Path) -> None:
    rows, cols = np.mgrid[:20, :30]
    values = {60: 2000 + 120 * cols + 60 * rows, 10: 2000 + 20 * np.mgrid[:120, :180][1]}
    paths = []
    for name, meters in (("B01", 60), ("B08", 10)):
        paths.append(tmp_path / f"{name}.tif")
        numbers = values[meters].astype(np.uint16)
        place = {"transform": from_origin(LEFT, TOP, meters, meters), "crs": "EPSG:32633"}
        shape = {"height": numbers.shape[0], "width": numbers.shape[1]}
        with rasterio.open(
            paths[-1], "w", driver="GTiff", count=1, dtype="uint16", **place, **shape
        ) as sink:
            sink.write(numbers, 1)
    scene = oxr.open_scene(paths, bands=["coastal", "nir"], geobox="native").compute()
    assert scene.shape == (2, 120, 180)
    x, y = (np.arange(n) + 0.5 for n in (180, 120))
    expected = (2000 + 120 * (x / 6 - 0.5) + 60 * (y[:, np.newaxis] / 6 - 0.5)) * 1e-4
    inner = (slice(15, -15), slice(15, -15))  # a plane stays one: a shift would show
    np.testing.assert_allclose(scene.values[0][inner], expected[inner], atol=2e-5)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_coordinates_of_another_unit_or_uneven_steps_are_refused(
    tmp_path: Path, suffix: str
) -> None:
    """Kilometers were read as meters: the scene lay at the origin of the CRS, without a word."""
    grid = target_geobox((4_321_000, 3_209_700, 4_321_200, 3_210_000))
    cube = georeference(np.full((30, 20), 0.2, np.float32), grid, name="red")

    def write(name: str, x: np.ndarray, unit: str) -> Path:
        path = tmp_path / f"{name}.{suffix}"
        moved = cube.assign_coords(x=("x", x, cube["x"].attrs | {"units": unit}))
        if suffix == "nc":
            moved.to_netcdf(path, engine="h5netcdf")
        else:
            moved.to_zarr(path, consolidated=False)
        return path

    x = cube["x"].to_numpy()
    near = oxr.open_scene(write("f", x.astype(np.float32), "m"), geobox="native")
    assert near.rio.bounds()[0] == pytest.approx(4_321_000, abs=1)
    uneven = x + np.resize([0, 2, -2], x.size)
    for path, says in (
        (write("km", x / 1000, "km"), "x counts km, its CRS EPSG:3035 does not"),
        (write("deg", x, "degrees_east"), "x counts degrees_east"),
        (write("uneven", uneven, "m"), "x goes in uneven steps, up to 0.3"),
    ):
        with pytest.raises(InputError, match=says):
            oxr.open_scene(path)


def test_stores_that_are_no_scene_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file .*gone.zarr"):
        oxr.open_scene(tmp_path / "gone.zarr")
    (tmp_path / "text.nc").write_text("no")
    with pytest.raises(InputError, match=r"text.nc is no Zarr store or NetCDF-4 file"):
        oxr.open_scene(tmp_path / "text.nc")
    times = cube(["2017-01", "2017-02"]).rename(band="time")
    times.to_dataset(name="nir").to_zarr(tmp_path / "times.zarr")
    with pytest.raises(InputError, match=r"nir has 2 entries along time; choose one"):
        oxr.open_scene(tmp_path / "times.zarr")
    xr.Dataset({"a": ("n", [1, 2])}).to_zarr(tmp_path / "flat.zarr")
    with pytest.raises(InputError, match=r"no variable with dims .*it has a \('n',\)"):
        oxr.open_scene(tmp_path / "flat.zarr")


def test_band_names_of_no_characters_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "names.zarr"
    cube(["red", "nir"]).to_dataset(name="dn").to_zarr(path, zarr_format=2, consolidated=False)
    names: Any = zarr.open_array(path / "band", mode="r+")
    if names.dtype.kind != "U":
        pytest.skip("this xarray stores texts of any length, whose characters zarr checks")
    names[:] = np.full(2, -1, np.int32).repeat(3).view("<U3")  # beyond Unicode's last character
    with pytest.raises(InputError, match=r"names.zarr is (damaged|no Zarr store)"):
        oxr.open_scene(path)
