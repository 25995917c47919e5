"""Where arrays of stores lie: by coordinates, and by every name of a CRS and a transform."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyproj
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.rasters.store_grids import Grids

ROWS, COLS = 6, 9
LEFT, TOP = 600_000, 5_500_020
TRANSFORM = [10.0, 0.0, LEFT, 0.0, -10.0, TOP]
EXPECTED = GeoBox((ROWS, COLS), from_origin(LEFT, TOP, 10, 10), "EPSG:32633")


def array(*, placed: bool = True, unit: str = "", **attrs: Any) -> xr.DataArray:
    """Return an array, with or without coordinates; attributes are spelled with __ for a colon."""
    said = {k.replace("__", ":"): v for k, v in attrs.items()}
    coords: Mapping[str, Any] = {}
    if placed:
        y = TOP - 10 * (np.arange(ROWS) + 0.5)
        x = LEFT + 10 * (np.arange(COLS) + 0.5)
        units = {"units": unit} if unit else {}
        coords = {"y": ("y", y, units), "x": ("x", x, units)}
    return xr.DataArray(np.zeros((ROWS, COLS), np.uint16), coords, ("y", "x"), "b02", said)


def grid_of(variable: xr.DataArray, *above: Mapping[str, Any]) -> GeoBox:
    return Grids("s.zarr", lambda: above).of(variable)


WKT, JSON = (pyproj.CRS(32633).to_wkt("WKT2_2019"), pyproj.CRS(32633).to_json_dict())


@pytest.mark.parametrize(
    "said",
    [
        {"proj:epsg": 32633},
        {"proj:epsg": "32633"},
        {"proj:code": "EPSG:32633"},
        {"proj:wkt2": WKT},
        {"proj:projjson": JSON},
        {"proj:epsg": None, "proj:code": "EPSG:32633"},
        {"proj:epsg": "", "proj:wkt2": WKT},
    ],
)
@pytest.mark.parametrize("place", ["array", "group", "item", "root"])
def test_every_name_of_a_crs_counts_wherever_it_stands(said: dict[str, Any], place: str) -> None:
    variable = array()
    above: tuple[dict[str, Any], ...] = ()
    if place == "array":
        variable = variable.assign_attrs(said)
    elif place == "item":
        above = ({}, {"stac_discovery": {"properties": said}})
    else:
        above = (said,) if place == "group" else ({}, {}, said)
    found = grid_of(variable, *above)
    assert found.crs == EXPECTED.crs
    assert found.affine == EXPECTED.affine
    assert found.shape == EXPECTED.shape


def test_a_grid_mapping_counts_before_all_other_names() -> None:
    box = target_geobox((4_400_000, 2_700_000, 4_400_090, 2_700_060))
    variable = georeference(np.zeros(box.shape, np.uint8), box).assign_attrs({"proj:epsg": 32633})
    assert grid_of(variable, {"proj:epsg": 4326}) == box


@pytest.mark.parametrize("kind", ["proj", "spatial"])
@pytest.mark.parametrize("numbers", [6, 9])
def test_a_transform_stands_for_coordinates(kind: str, numbers: int) -> None:
    """GDAL's and rasterio's six numbers, or the nine of the whole matrix."""
    transform = [*TRANSFORM, 0.0, 0.0, 1.0][:numbers]
    said: Any = {f"{kind}__transform": transform}
    variable = array(placed=False, proj__epsg=32633, **said)
    assert grid_of(variable) == EXPECTED


def test_what_stands_nearest_counts() -> None:
    variable = array(placed=False, proj__epsg=32633)
    near, far = {"proj:transform": TRANSFORM}, {"proj:transform": [10, 0, 0, 0, -10, 0]}
    assert grid_of(variable, near, far) == EXPECTED
    assert grid_of(variable, {}, far).affine != EXPECTED.affine


def test_a_transform_of_another_shape_is_of_another_array() -> None:
    """A group's transform is that of its finest array."""
    variable = array(placed=False, proj__epsg=32633)
    finest = {"proj:transform": [5, 0, LEFT, 0, -5, TOP], "proj:shape": [2 * ROWS, 2 * COLS]}
    own = {"proj:transform": TRANSFORM, "proj:shape": [ROWS, COLS]}
    assert grid_of(variable, finest, own) == EXPECTED
    with pytest.raises(InputError):
        grid_of(variable, finest)


@pytest.mark.parametrize(
    "transform", [[10, 1, LEFT, 0, -10, TOP], [10, 0, LEFT, 2, -10, TOP], [10, 0, LEFT], []]
)
def test_turned_or_short_transforms_place_nothing(transform: list[float]) -> None:
    with pytest.raises(InputError):
        grid_of(array(placed=False, proj__epsg=32633, proj__transform=transform))


def test_coordinates_count_before_a_transform_that_was_left_on_the_array() -> None:
    variable = array(proj__epsg=32633, proj__transform=[60, 0, 0, 0, -60, 0])
    assert grid_of(variable) == EXPECTED


@pytest.mark.parametrize("said", [{}, {"proj:epsg": None}, {"stac_discovery": {"properties": 3}}])
def test_without_a_crs_there_is_no_grid(said: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no CRS"):
        grid_of(array(), said)


@pytest.mark.parametrize("code", ["EPSG:999999", "nonsense", "EPSG:"])
def test_a_crs_that_is_none_is_named(code: str) -> None:
    with pytest.raises(InputError) as refused:
        grid_of(array(proj__code=code))
    assert refused.value.given.startswith(f"s.zarr: b02 states the CRS {code!r}, which is none (")
    assert refused.value.expected == "an EPSG code, for example in proj:epsg"


@pytest.mark.parametrize("unit", ["km", "Kilometers", "kilometre", "degrees_north", "radians"])
def test_coordinates_of_another_unit_than_the_crs_are_refused(unit: str) -> None:
    with pytest.raises(InputError) as refused:
        grid_of(array(unit=unit, proj__epsg=32633))
    told = f"s.zarr: y counts {unit.casefold()}, its CRS EPSG:32633 does not"
    assert refused.value.given == told
    assert refused.value.advice == "write coordinates in the unit of the CRS"


@pytest.mark.parametrize("unit", ["m", "metre", "km", "radians"])
def test_degrees_are_no_meters(unit: str) -> None:
    variable = array(unit=unit, proj__epsg=4326)
    degrees = variable.assign_coords(
        y=("y", 50 - 0.01 * np.arange(ROWS), {"units": unit}),
        x=("x", 8 + 0.01 * np.arange(COLS), {"units": unit}),
    )
    with pytest.raises(InputError, match=f"y counts {unit}, its CRS EPSG:4326 does not"):
        grid_of(degrees)


@pytest.mark.parametrize("unit", ["m", "metre", "meters", ""])
def test_the_unit_of_the_crs_passes(unit: str) -> None:
    assert grid_of(array(unit=unit, proj__epsg=32633)) == EXPECTED


def test_uneven_steps_are_refused_and_rounded_ones_are_not() -> None:
    variable = array(proj__epsg=32633)
    x = variable["x"].to_numpy().copy()
    x[4] += 2.5  # a quarter of a pixel
    with pytest.raises(InputError) as refused:
        grid_of(variable.assign_coords(x=x))
    assert refused.value.given.startswith("s.zarr: x goes in uneven steps, up to 0.25 pixels off")
    assert refused.value.expected == "a regular grid"
    rounded = variable["x"].to_numpy().astype(np.float32)
    assert grid_of(variable.assign_coords(x=rounded)).affine.almost_equals(EXPECTED.affine, 1.0)


def test_attributes_above_are_read_once_and_only_where_they_are_needed() -> None:
    reads: list[int] = []

    def above() -> list[dict[str, Any]]:
        reads.append(1)
        return [{"proj:epsg": 32633}]

    grids = Grids("s.zarr", above)
    assert grids.of(array(proj__epsg=32633)) == EXPECTED
    assert not reads
    assert grids.of(array()) is grids.of(array())  # two arrays that state the same share a grid
    assert grids.of(array(placed=False, proj__transform=TRANSFORM)) == EXPECTED
    assert len(reads) == 1


def test_bands_before_rows_do_not_matter() -> None:
    cube = xr.concat([array(proj__epsg=32633)] * 3, "band", combine_attrs="override")
    assert grid_of(cube) == EXPECTED
