"""The web tiles over a raster: those of its ground, or a refusal where web maps end."""

from typing import Any

import numpy as np
import pyproj
import pytest
from odc.geo.geobox import GeoBox
from rasterio import Affine

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.viewer.web_mercator import WEB_MERCATOR, cells_over, pixel_size


def degrees(west: float, east: float, pixel: float = 0.1) -> GeoBox:
    shape = (100, round((east - west) / pixel))
    return GeoBox(shape, Affine(pixel, 0, west, 0, -pixel, -10), "EPSG:4326")


@pytest.mark.parametrize(
    "grid",
    [
        GeoBox((100, 160), Affine(1000, 0, 700_000, 0, -1000, 8_100_000), "EPSG:32760"),
        GeoBox((100, 100), Affine(1000, 0, 3_300_000, 0, -1000, -1_000_000), "EPSG:3832"),
        degrees(170, 190),
        degrees(-190, -170),
        degrees(0, 360),
    ],
    ids=["UTM", "Mercator of the Pacific", "beyond 180", "beyond -180", "0 to 360"],
)
def test_rasters_across_the_antimeridian_are_refused(grid: GeoBox) -> None:
    with pytest.raises(InputError, match="crosses the antimeridian.*; cut it there"):
        cells_over(grid, keep=True)


@pytest.mark.parametrize("grid", [degrees(-180, 180), degrees(-180.0001, 179.9999)])
def test_a_raster_around_the_world_has_all_columns(grid: GeoBox) -> None:
    cells = cells_over(grid, keep=True)
    assert cells.columns == range(2**cells.zoom)


def test_a_raster_from_pole_to_pole_is_taken() -> None:
    """The plane holds none of its corners."""
    grid = GeoBox((180, 360), Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    cells = cells_over(grid, keep=True)
    assert (cells.zoom, cells.count) == (0, 1)
    assert cells_over(grid, keep=False) == cells


def test_rasters_that_end_at_the_antimeridian_are_taken() -> None:
    cells = cells_over(degrees(170, 180), keep=True)
    assert cells.columns.stop == 2**cells.zoom
    cells = cells_over(degrees(-180, -170), keep=True)
    assert cells.columns.start == 0


@pytest.mark.parametrize(
    "box",
    [(4_400_000, 3_600_000, 5_100_000, 5_400_000), (4_300_000, 2_700_000, 4_600_000, 3_500_000)],
)
def test_no_pixel_of_a_class_map_is_lost_in_the_south_of_a_tall_country(box: Any) -> None:
    """The plane stretches the north more than the south, whose pixels are smaller in it."""
    grid = target_geobox(box)
    finest = pixel_size(cells_over(grid, keep=True).zoom)
    to_plane = pyproj.Transformer.from_crs("EPSG:3035", WEB_MERCATOR, always_xy=True)
    left, bottom, right, top = grid.boundingbox
    for x, y in ((left, bottom), (right, bottom), (left, top), (right, top)):
        east = np.hypot(*np.subtract(to_plane.transform(x + 10, y), to_plane.transform(x, y)))
        north = np.hypot(*np.subtract(to_plane.transform(x, y + 10), to_plane.transform(x, y)))
        assert finest <= 1.01 * min(east, north)
