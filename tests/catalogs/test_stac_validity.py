"""What is no data in STAC assets: taken out before resampling, equal to open_scene."""

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

import osm4eo_xr as oxr
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.imagery import reader
from osm4eo_xr.rasters.warp import Warp

EDGE = 64
GRID = target_geobox((11.994, 49.995, 12.0, 49.999), bounds_crs="EPSG:4326")
Backend = Literal["stackstac", "odc"]
BACKENDS: tuple[Backend, ...] = ("stackstac", "odc")


def write(
    path: Path, numbers: np.ndarray, *, alpha: Any = None, mask: Any = None, **how: Any
) -> str:
    """Write one band of a UTM tile around the grid."""
    left, bottom, right, top = GRID.extent.to_crs("EPSG:32633").boundingbox.buffered(50)
    layers = numbers[None] if alpha is None else np.stack([numbers, alpha])
    rows, cols = numbers.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(layers),
        height=rows,
        width=cols,
        dtype=layers.dtype,
        crs="EPSG:32633",
        transform=from_origin(left, top, (right - left) / cols, (top - bottom) / rows),
        **how,
    ) as sink:
        sink.set_band_description(1, "red")
        if alpha is not None:
            sink.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
        sink.write(layers)
        if mask is not None:
            sink.write_mask(~mask)
    return str(path)


def item(path: str, **asset: Any) -> dict[str, Any]:
    """Return an item of baseline 05.09 with one red asset."""
    west, south, east, north = 11.99, 49.99, 12.01, 50.0
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": Path(path).stem,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {"datetime": "2023-06-01T10:00:00Z", "s2:processing_baseline": "05.09"},
        "links": [],
        "assets": {"red": {"href": path, "roles": ["data"], **asset}},
    }


def stacked(
    given: dict[str, Any], backend: Backend, grid: GeoBox = GRID, **how: Any
) -> xr.DataArray:
    """Return (y, x) reflectance."""
    return oxr.stack_items([given], grid, ["red"], backend=backend, **how)[0, 0].compute()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_zero_is_no_data_whether_tagged_or_not(tmp_path: Path, backend: Backend) -> None:
    """Case A2: two equal tiles, left half 0, right half 2000, one tagged 0."""
    numbers = np.full((EDGE, EDGE), 2000, np.uint16)
    numbers[:, : EDGE // 2] = 0
    tagged = stacked(item(write(tmp_path / "tagged.tif", numbers, nodata=0)), backend)
    untagged = stacked(item(write(tmp_path / "untagged.tif", numbers)), backend)
    np.testing.assert_array_equal(tagged, untagged)
    seen = tagged.to_numpy()[np.isfinite(tagged)]
    assert 0.3 < seen.size / tagged.size < 0.7
    np.testing.assert_allclose(seen, 0.1, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "asset",
    [
        {"raster:bands": [{"nodata": -9999}]},
        {"bands": [{"nodata": -9999}]},
        {"nodata": -9999},
    ],
)
def test_a_value_that_the_item_alone_states(
    tmp_path: Path, backend: Backend, asset: dict[str, Any]
) -> None:
    """Case A3: int16 with -9999, the file untagged."""
    numbers = np.full((EDGE, EDGE), 2000, np.int16)
    numbers[:30] = -9999
    cube = stacked(item(write(tmp_path / "a.tif", numbers), **asset), backend)
    assert 0.3 < float(np.isnan(cube).mean()) < 0.6
    np.testing.assert_allclose(cube.to_numpy()[np.isfinite(cube)], 0.1, atol=1e-6)
    assert cube.attrs["validity"] == "what each file states; STAC item: -9999"


def special(form: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return numbers and how to write them: special values, a mask, an alpha band."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(1500, 4000, (EDGE, EDGE)).astype(np.uint16)
    hidden = np.zeros((EDGE, EDGE), bool)
    hidden[20:40, 20:40] = True
    numbers[50:55, 3:9] = 0
    if form == "saturated":
        numbers[hidden] = 65535
        return numbers, {"nodata": 0}
    numbers[hidden] = 7777
    if form == "mask":
        return numbers, {"mask": hidden}
    return numbers, {"alpha": np.where(hidden, 0, 65535).astype(np.uint16)}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", ["saturated", "mask", "alpha"])
@pytest.mark.parametrize("resampling", ["cubic", "nearest", "average"])
def test_items_equal_open_scene_on_the_same_grid(
    tmp_path: Path, backend: Backend, form: str, resampling: str
) -> None:
    """Case E2: a block of 20 x 20 special values."""
    numbers, how = special(form)
    path = write(tmp_path / "a.tif", numbers, **how)
    cube = stacked(item(path), backend, resampling=resampling)
    parts = stacked(item(path), backend, resampling=resampling, chunks=29)
    scene = oxr.open_scene(path, names=["red"], geobox=GRID, offset=-0.1, resampling=resampling)
    expected = scene[0].compute()
    np.testing.assert_array_equal(cube, expected)
    np.testing.assert_allclose(parts, expected, atol=2e-7)
    assert 0.05 < float(np.isnan(cube).mean()) < 0.3
    assert float(cube.max()) < 0.4


@pytest.mark.parametrize("backend", BACKENDS)
def test_real_lossy_items_equal_open_scene(data_dir: Path, backend: Backend) -> None:
    name = "S2A_33TWL_20230818_0_L2A"
    folder = data_dir / "stac_33TW" / "sentinel-2-l2a" / name
    left, bottom, right, top = 499_980, 5_050_000, 560_000, 5_100_000
    grid = target_geobox((left, bottom, right, top), bounds_crs="EPSG:32633", resolution=120)
    cube = oxr.stack_items(folder / f"{name}.json", grid, ["red", "nir"], backend=backend)[0]
    files = [folder / f"{b}.tif" for b in ("B02", "B03", "B04", "B08")]
    scene = oxr.open_scene(files, bands=["red", "nir"], geobox=grid, offset=0.0).compute()
    assert 0.05 < float(np.isnan(scene).mean()) < 0.95
    np.testing.assert_array_equal(cube.compute(), scene)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_cannot_be_read_is_named_or_left_out(tmp_path: Path, backend: Backend) -> None:
    gone = item(str(tmp_path / "gone.tif"))
    with pytest.raises(ValueError, match=r"gone\.tif"):
        stacked(gone, backend)
    assert np.isnan(stacked(gone, backend, allow_missing=True)).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_bands_of_an_item_are_warped_together_and_one_alone_is_read_alone(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["red", "nir"]
    numbers = {n: np.full((EDGE, EDGE), 2000 + k, np.uint16) for k, n in enumerate(names)}
    both = item(write(tmp_path / "red.tif", numbers["red"]))
    both["assets"]["nir"] = {"href": write(tmp_path / "nir.tif", numbers["nir"]), "roles": ["data"]}
    read: list[str] = []
    warped: list[int] = []
    window, gdal = reader.read_window, Warp._gdal
    monkeypatch.setattr(
        reader, "read_window", lambda path, *how: read.append(Path(path).stem) or window(path, *how)
    )
    monkeypatch.setattr(
        Warp, "_gdal", lambda self, n, *how: warped.append(len(n)) or gdal(self, n, *how)
    )
    stacked = oxr.stack_items([both], GRID, names, backend=backend)
    cube = pickle.loads(pickle.dumps(stacked))  # noqa: S301 - our own
    assert not warped
    whole = cube.compute(scheduler="synchronous")
    assert (sorted(read), warped) == (["nir", "red"], [2])
    read.clear()
    if backend == "stackstac":  # reads chunks whole; one band is asked for as one
        cube = oxr.stack_items([both], GRID, ["nir"])
    alone = cube.sel(band="nir").compute(scheduler="synchronous")
    assert (read, warped) == (["nir"], [2, 1])
    np.testing.assert_array_equal(alone, whole.sel(band="nir"))


def test_items_that_cannot_be_read_are_named_and_left_out_on_request(tmp_path: Path) -> None:
    """Case B3: a file that is not there, one that was cut off, and one that is whole."""
    rng = np.random.default_rng(0)
    noise = rng.integers(1500, 4000, (EDGE, EDGE)).astype(np.uint16)
    whole, cut = write(tmp_path / "whole.tif", noise), write(tmp_path / "cut.tif", noise)
    Path(cut).write_bytes(Path(cut).read_bytes()[:-2000])
    items = [item(whole), item(cut), item(str(tmp_path / "gone.tif"))]
    for day, one in enumerate(items, start=1):
        one["properties"]["datetime"] = f"2023-06-0{day}T10:00:00Z"
    how: dict[str, Any] = {"method": "median", "dilation": None}
    with pytest.raises(InputError, match=r"(cut|gone)\.tif.*: skip_unreadable=True$"):
        oxr.composite_items(items, GRID, ["red"], **how).compute()
    with pytest.warns(InputWarning, match=r"^2 of 3 items .*cut, asset red: .*gone, asset red: "):
        made = oxr.composite_items(items, GRID, ["red"], skip_unreadable=True, **how)
    assert [fault.split(",")[0] for fault in made.attrs["skipped"]] == ["cut", "gone"]
    alone = oxr.composite_items(items[:1], GRID, ["red"], **how)
    np.testing.assert_array_equal(made["reflectance"], alone["reflectance"])
    with pytest.raises(InputError, match="none of 2 items can be read"):
        oxr.composite_items(items[1:], GRID, ["red"], skip_unreadable=True, **how)
