"""Zarr stores and NetCDF files read as rasterio datasets are, beside numpy's slices."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.rasters.stores import (
    ArraySource,
    store_attributes,
    store_names,
    store_variables,
)

ROWS, COLS = 20, 30
BOX = target_geobox((4_400_000, 2_700_000 - 10 * ROWS, 4_400_000 + 10 * COLS, 2_700_000))
NUMBERS = np.arange(3 * ROWS * COLS, dtype=np.int16).reshape(3, ROWS, COLS)
NAMES = ["red", "nir", "swir16"]


def cube(**attrs: Any) -> xr.DataArray:
    coords: Any = {"band": NAMES}
    made = georeference(NUMBERS, BOX, dims=("band", "y", "x"), coords=coords, name="s2")
    return made.assign_attrs(attrs)


def write(dataset: xr.Dataset | xr.DataArray, path: Path) -> str:
    made = dataset.to_dataset() if isinstance(dataset, xr.DataArray) else dataset
    if path.suffix == ".nc":
        made.to_netcdf(path, engine="h5netcdf")
    else:
        made.to_zarr(path, zarr_format=2 if "v2" in path.name else 3, consolidated=False)
    return str(path)


@pytest.fixture(scope="module", params=["a.nc", "v2.zarr", "v3.zarr"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    made = cube(_FillValue=np.int16(-1), scale_factor=0.5).to_dataset()
    made.attrs = {"title": "three bands"}
    made["s2"].encoding = {"chunksizes": (1, 7, 11), "chunks": (1, 7, 11)}
    folder = tmp_path_factory.mktemp("stores")
    del made["s2"].attrs["_FillValue"]
    made["s2"].attrs["missing_value"] = np.int16(-1)
    return write(made, folder / request.param)


@settings(max_examples=15)
@given(
    rows=st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)).map(sorted),
    cols=st.tuples(st.integers(0, COLS), st.integers(0, COLS)).map(sorted),
    index=st.sampled_from([1, 2, 3, [3, 1], [2]]),
)
def test_windows_are_numpys_slices(path: str, rows: list[int], cols: list[int], index: Any) -> None:
    source = ArraySource(path)
    found = source.read(index, Window.from_slices(tuple(rows), tuple(cols)))
    source.close()
    picked = NUMBERS[np.array(index) - 1]
    np.testing.assert_array_equal(found, picked[..., slice(*rows), slice(*cols)])
    assert found.dtype == np.int16


def test_layers_have_names_place_type_and_no_data(path: str) -> None:
    source = ArraySource(path)
    assert source.descriptions == tuple(NAMES)
    assert source.nodata == -1
    assert {layer.geobox for layer in source.layers} == {BOX}
    assert {layer.dtype for layer in source.layers} == {np.dtype(np.int16)}
    assert source.layers[0].tag("scale_factor") == 0.5
    assert source.layers[0].tag("add_offset") is None
    assert source.layers[0].block == (7, 11)
    source.close()
    assert store_names(path) == NAMES
    assert store_attributes(path)["title"] == "three bands"
    assert [said["scale_factor"] for said in store_variables(path)] == [0.5] * 3


@pytest.mark.parametrize("kind", ["a.nc", "v3.zarr"])
def test_rows_from_the_south_are_turned_around(tmp_path: Path, kind: str) -> None:
    source = ArraySource(write(cube().isel(y=slice(None, None, -1)), tmp_path / kind))
    assert source.layers[0].geobox == BOX
    np.testing.assert_array_equal(source.read(2, Window(0, 0, COLS, 5)), NUMBERS[1, :5])  # type: ignore[call-arg]
    source.close()


def test_variables_of_their_own_are_bands_in_the_order_of_their_names(tmp_path: Path) -> None:
    one = cube().isel(band=0, drop=True)
    made = xr.Dataset({"red": one, "blue": one + np.int16(1), "time_of_day": ((), 12.0)})
    made["red"].attrs["long_name"] = "B04"
    source = ArraySource(write(made, tmp_path / "v3.zarr"))
    assert source.descriptions == ("blue", "red")
    assert source.layers[1].labels == ("red", "B04")
    np.testing.assert_array_equal(source.read(1, Window(0, 0, COLS, ROWS)), NUMBERS[0] + 1)  # type: ignore[call-arg]
    source.close()


@pytest.mark.parametrize(
    ("long_name", "labels"),
    [
        (["a", "b", "c"], [("red", "a"), ("nir", "b"), ("swir16", "c")]),
        ("one for all", [("red",), ("nir",), ("swir16",)]),
        (["a", "b"], [("red",), ("nir",), ("swir16",)]),
    ],
)
def test_long_names_count_where_each_band_has_one(
    tmp_path: Path, long_name: Any, labels: list[tuple[str, ...]]
) -> None:
    source = ArraySource(write(cube(long_name=long_name), tmp_path / "v3.zarr"))
    assert [layer.labels for layer in source.layers] == labels
    source.close()


def test_bands_without_names_have_none(tmp_path: Path) -> None:
    source = ArraySource(write(cube().drop_vars("band"), tmp_path / "v3.zarr"))
    assert source.descriptions == ("", "", "")
    source.close()


def test_one_date_is_a_raster_and_several_are_a_choice(tmp_path: Path) -> None:
    dated = cube().rename(band="time").assign_coords(time=[10, 20, 30])
    source = ArraySource(write(dated[:1], tmp_path / "v3.zarr"))
    assert source.descriptions == ("s2",)
    source.close()
    path = write(dated, tmp_path / "all_v3.zarr")
    with pytest.raises(InputError) as refused:
        ArraySource(path)
    assert refused.value.given == f"{path}: s2 has 3 entries along time"
    assert ".isel(time=0)" in refused.value.advice


def test_rows_and_columns_come_last(tmp_path: Path) -> None:
    path = write(cube().transpose("x", "y", "band").drop_vars("band"), tmp_path / "v3.zarr")
    with pytest.raises(InputError) as refused:
        ArraySource(path)
    assert refused.value.given == f"{path}: s2 has dims ('x', 'y', 'band')"
    assert refused.value.advice == "put ('y', 'x') last"


@pytest.mark.parametrize(
    "dataset",
    [
        xr.Dataset({"series": ("time", np.arange(4.0))}),
        xr.Dataset({"four": (("a", "band", "y", "x"), np.zeros((1, 1, 2, 2)))}),
        xr.Dataset({"flat": (("band", "y", "x"), np.zeros((0, 3, 3)))}),
    ],
)
def test_what_holds_no_raster_says_what_it_holds(tmp_path: Path, dataset: xr.Dataset) -> None:
    path = write(dataset, tmp_path / "v3.zarr")
    [(name, variable)] = dataset.data_vars.items()
    with pytest.raises(InputError) as refused:
        ArraySource(path)
    assert refused.value.given == (
        f"{path} has no variable with dims (band, y, x) or (y, x); it has {name} {variable.dims}"
    )


def test_unsigned_numbers_in_signed_bytes_are_unsigned(tmp_path: Path) -> None:
    """CF's ``_Unsigned``, as NetCDF of format 3 needs for bytes above 127."""
    made = cube(_Unsigned="true").isel(band=0, drop=True).astype(np.int8)
    made = made.copy(data=np.full((ROWS, COLS), -56, np.int8))
    source = ArraySource(write(made.assign_attrs(_Unsigned="true"), tmp_path / "v3.zarr"))
    assert source.layers[0].dtype == np.uint8
    found = source.read(1, Window(0, 0, 2, 2))  # type: ignore[call-arg]
    assert found.tolist() == [[200, 200], [200, 200]]
    source.close()


def test_files_that_are_missing_or_none_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        ArraySource(str(tmp_path / "none.nc"))
    assert str(refused.value) == f"no file {tmp_path / 'none.nc'}; give the path of a raster"
    (tmp_path / "text.nc").write_text("no HDF5")
    with pytest.raises(InputError, match=r"text\.nc is no Zarr store or NetCDF-4 file of arrays: "):
        ArraySource(str(tmp_path / "text.nc"))
    with h5py.File(tmp_path / "empty.nc", "w"):
        pass
    with pytest.raises(InputError, match=r"it has none$"):
        ArraySource(str(tmp_path / "empty.nc"))


def test_the_root_of_a_store_speaks_for_its_groups(tmp_path: Path) -> None:
    made = cube().to_dataset()
    made.to_zarr(tmp_path / "a.zarr", group="r10m", zarr_format=3, consolidated=False)
    import zarr

    zarr.open_group(tmp_path / "a.zarr", mode="a").attrs["mission"] = "S2"
    assert store_attributes(str(tmp_path / "a.zarr" / "r10m")) == {"mission": "S2"}
    assert store_names(str(tmp_path / "a.zarr" / "r10m")) == NAMES
