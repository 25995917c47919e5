"""The web tiles over a raster: those of its ground, or a refusal where web maps end."""

import pytest
from odc.geo.geobox import GeoBox
from rasterio import Affine

from osm4eo_xr.errors import InputError
from osm4eo_xr.viewer.web_mercator import cells_over


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


def test_rasters_that_end_at_the_antimeridian_are_taken() -> None:
    cells = cells_over(degrees(170, 180), keep=True)
    assert cells.columns.stop == 2**cells.zoom
    cells = cells_over(degrees(-180, -170), keep=True)
    assert cells.columns.start == 0
