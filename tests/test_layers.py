import dask.array as da
import numpy as np
import pytest
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import georeference, target_geobox
from osm4eo_xr.layers import extract_layer
from osm4eo_xr.legend import default_legend


def class_map() -> xr.DataArray:
    pixels = np.random.default_rng(0).integers(0, 13, (60, 70)).astype(np.uint8)
    geobox = target_geobox((4_320_000, 3_210_000, 4_320_700, 3_210_600))
    attrs = {**default_legend().attrs(), "nodata": 0, "model": "abc"}
    return georeference(da.from_array(pixels).rechunk(17), geobox, attrs=attrs)


@pytest.mark.parametrize("layer", ["water", "Water bodies", 12, "12", "clc:5"])
def test_a_layer_is_found_by_name_id_or_code(layer: str | int) -> None:
    water = extract_layer(class_map(), layer)
    np.testing.assert_array_equal(water, np.where(class_map() == 12, 12, 0))
    assert water.name == "water"
    assert water.dtype == np.uint8
    assert water.attrs["flag_values"] == [12]
    assert water.attrs["flag_meanings"] == "water"
    assert water.attrs["model"] == "abc"
    assert water.attrs["nodata"] == 0


def test_several_classes_as_clc_codes() -> None:
    both = extract_layer(class_map(), ["forest", "water"], codes="clc")
    pixels = class_map().values
    np.testing.assert_array_equal(both, np.where(pixels == 8, 31, np.where(pixels == 12, 5, 0)))
    assert both.attrs["flag_values"] == [31, 5]
    assert both.name == "forest-water"


def test_mask_tells_other_land_from_no_data() -> None:
    mask = extract_layer(class_map(), "water", codes="mask")
    pixels = class_map().values
    np.testing.assert_array_equal(mask, np.where(pixels == 0, 255, pixels == 12))
    assert mask.attrs["nodata"] == 255
    assert mask.attrs["flag_meanings"] == "other water"


@pytest.mark.usefixtures("no_compute")
def test_layers_are_lazy() -> None:
    assert extract_layer(class_map(), "water").chunks == class_map().chunks


@pytest.mark.parametrize("layer", ["lava", 13, []])
def test_unknown_layers_are_named(layer: str) -> None:
    with pytest.raises(InputError, match=r"no class|no layer"):
        extract_layer(class_map(), layer)


def test_other_rasters_are_refused() -> None:
    with pytest.raises(InputError, match="float64"):
        extract_layer(class_map().astype(float), "water")
