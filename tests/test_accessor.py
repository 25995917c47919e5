"""``raster.oxr``: the public functions as methods, registered with the first public name."""

import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import osm4eo_xr as oxr
from osm4eo_xr.accessor import RasterAccessor
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference

BOX = oxr.target_geobox((4321000, 3210000, 4321960, 3210640))


@pytest.fixture
def class_map() -> xr.DataArray:
    classes = np.random.default_rng(0).integers(1, 13, (64, 96)).astype("uint8")
    classes[10:40, 10:60] = 12
    return georeference(da.from_array(classes).rechunk(32), BOX, attrs={"nodata": 0})


@pytest.mark.usefixtures("no_compute")
def test_methods_are_lazy(class_map: xr.DataArray) -> None:
    assert class_map.oxr.sieve(9).oxr.extract("water").chunks is not None


def test_methods_give_what_the_functions_give(class_map: xr.DataArray, tmp_path: Path) -> None:
    xr.testing.assert_identical(class_map.oxr.sieve(9, 4), oxr.sieve(class_map, 9, 4))
    sieved = class_map.oxr.sieve(9)
    xr.testing.assert_identical(
        sieved.oxr.extract("water", min_area=1000),
        oxr.extract_layer(sieved, "water", min_area=1000),
    )
    written = class_map.oxr.to_cog(tmp_path / "a.tif")
    np.testing.assert_array_equal(oxr.open_raster(written), class_map)


def test_quicklook_draws_maps_and_scenes(class_map: xr.DataArray) -> None:
    figure = class_map.oxr.quicklook(title="Land use", pixels=32)
    assert [a.get_title() for a in figure.axes] == ["Land use", ""]
    assert figure.axes[0].images[0].get_array().shape == (22, 32)
    scene = georeference(
        da.ones((3, 64, 96), dtype="float32"), BOX, dims=("band", "y", "x")
    ).assign_coords(band=["red", "green", "blue"])
    assert scene.oxr.quicklook(pixels=32).axes[0].images[0].get_array().shape == (22, 32, 3)


def test_a_first_public_name_registers_it() -> None:
    script = (
        "import xarray as xr, osm4eo_xr as oxr\n"
        "assert not hasattr(xr.DataArray, 'oxr')\n"
        "oxr.default_legend\n"
        "assert xr.DataArray(1).oxr.sieve\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_wrong_input_is_refused_as_by_the_functions(class_map: xr.DataArray) -> None:
    assert isinstance(class_map.oxr, RasterAccessor)
    for call, words in (
        (lambda: class_map.oxr.sieve(0), "size is 0"),
        (lambda: class_map.oxr.extract("lake"), "no class 'lake'"),
        ((class_map * np.uint8(20)).oxr.quicklook, "which legend 'osmlanduse-12' does"),
        (lambda: xr.DataArray(np.ones((4, 4), "uint8")).oxr.to_cog("a.tif"), "."),
    ):
        with pytest.raises(InputError, match=words):
            call()
