"""Boundaries as they are found."""

from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.maps.boundary import read_boundary
from osm4eo_xr.places.outlines import country_boundary

LEFT, BOTTOM = 4_400_000, 2_700_000
BOX = target_geobox((LEFT, BOTTOM, LEFT + 1000, BOTTOM + 1000))


def ring(*corners: tuple[float, float]) -> shapely.Polygon:
    return shapely.Polygon([(LEFT + x, BOTTOM + y) for x, y in corners])


BOW_TIE = ring((0, 0), (400, 400), (400, 0), (0, 400))  # signed area 0
SQUARE = ring((500, 500), (900, 500), (900, 900), (500, 900))


@pytest.mark.parametrize("as_file", [True, False])
def test_a_boundary_that_crosses_itself_is_mended_and_told(tmp_path: Path, as_file: bool) -> None:
    frame = gpd.GeoDataFrame(geometry=[BOW_TIE, SQUARE], crs=3035)
    frame.to_file(tmp_path / "b.gpkg")
    with pytest.warns(InputWarning, match="1 invalid polygons of 2 .*Self-intersection"):
        shape = read_boundary(tmp_path / "b.gpkg" if as_file else frame, BOX)
    assert shape.area == pytest.approx(40 * 40 / 2 + 40 * 40)  # pixels


def test_a_bare_geometry_is_mended_too() -> None:
    with pytest.warns(InputWarning, match="were mended"):
        assert read_boundary(BOW_TIE, BOX).area == pytest.approx(40 * 40 / 2)


def test_overlapping_polygons_that_cross_themselves_are_joined() -> None:
    other = ring((0, 0), (400, 400), (0, 400), (400, 0))
    frame = gpd.GeoDataFrame(geometry=[BOW_TIE, other], crs=3035).to_crs(4326)
    with pytest.warns(InputWarning, match="2 invalid polygons of 2"):
        shape = read_boundary(frame, BOX)
    assert shape.area == pytest.approx(40 * 40, rel=1e-3)


def test_lines_and_points_are_no_boundary() -> None:
    for shape in (SQUARE.boundary, SQUARE.centroid, shapely.Polygon()):
        with pytest.raises(InputError, match="holds no polygon"):
            read_boundary(gpd.GeoDataFrame(geometry=[shape], crs=3035), BOX)


def test_of_several_layers_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "b.gpkg"
    for layer, iso in (("old", "AT"), ("new", "CH")):
        frame = gpd.GeoDataFrame({"ISO_A2": [iso]}, geometry=[SQUARE], crs=3035)
        frame.to_file(path, layer=layer)
    with pytest.raises(InputError, match=r"2 layers, old, new; name one with layer="):
        read_boundary(path, BOX)
    with pytest.raises(InputError, match="name one with"):
        country_boundary("AT", path)
    assert len(country_boundary("AT", path, "old")) == 1
    with pytest.raises(InputError, match="has no row for"):
        country_boundary("AT", path, "new")
