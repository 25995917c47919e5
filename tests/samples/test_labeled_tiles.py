"""Scenes and labels in pairs, on the ground that both cover."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.samples.labeled_tiles import holds_window, labeled_tiles

WEST, SOUTH = 4_321_000, 3_210_000


def raster(left: int, top: int, width: int, height: int, *, bands: int = 0) -> xr.DataArray:
    """Return a raster whose pixels say in which column and row of the ground they lie."""
    box = target_geobox(
        (
            WEST + 10 * left,
            SOUTH - 10 * (top + height),
            WEST + 10 * (left + width),
            SOUTH - 10 * top,
        )
    )
    place = (np.arange(top, top + height)[:, None] * 16 + np.arange(left, left + width)) % 251
    if not bands:
        return georeference(place.astype(np.uint8), box)
    pixels = np.broadcast_to(place, (bands, height, width)).astype(np.float32)
    names: Any = {"band": [f"b{k}" for k in range(bands)]}
    return georeference(pixels, box, dims=("band", "y", "x"), coords=names)


def test_both_are_cut_to_one_ground() -> None:
    (tile,) = labeled_tiles(raster(0, 0, 12, 9, bands=2), raster(5, -3, 20, 7), ["A"])
    assert tile.labels.shape == tile.scene.shape[1:] == (4, 7)
    np.testing.assert_array_equal(tile.scene[1], tile.labels)
    assert tile.geobox == tile.labels.odc.geobox == tile.scene.odc.geobox
    assert (tile.left, -tile.top) == ((WEST + 50) // 10, SOUTH // 10)


@pytest.mark.parametrize("ahead", range(4))
def test_edges_half_a_pixel_off_pair_alike(ahead: int) -> None:
    whole = GeoBox((12, 12), Affine(30, 0, 339_885, 0, -30, 4_265_115), "EPSG:32633")
    place = np.arange(144, dtype=np.uint8).reshape(12, 12)
    names: Any = {"band": ["nir"]}
    scene = georeference(
        place[None].astype(np.float32), whole, dims=("band", "y", "x"), coords=names
    )
    labels = georeference(place[ahead:, ahead:].copy(), whole[ahead:, ahead:])
    (tile,) = labeled_tiles(scene, labels, None)
    np.testing.assert_array_equal(tile.scene[0], place[ahead:, ahead:])
    np.testing.assert_array_equal(tile.labels, place[ahead:, ahead:])


@pytest.mark.parametrize("patch", [1, 2, 5, 6])
def test_a_window_is_whole_where_its_slices_are(patch: int) -> None:
    (tile,) = labeled_tiles(raster(0, 0, 9, 6, bands=1), raster(0, 0, 9, 6), None)
    whole = holds_window(tile, patch).to_numpy()
    for y, x in np.ndindex(6, 9):
        top, left = y - patch // 2, x - patch // 2
        assert whole[y, x] == (top >= 0 and left >= 0 and top + patch <= 6 and left + patch <= 9)


@pytest.mark.parametrize(
    ("scenes", "labels", "names", "message"),
    [
        ([raster(0, 0, 9, 6, bands=1)], [], None, "1 scenes and 0 label rasters"),
        ([raster(0, 0, 9, 6, bands=1)], [raster(9, 0, 4, 6)], None, "tile0 do not overlap"),
        ([raster(0, 0, 9, 6, bands=1)], [raster(0, 0, 9, 6)], ["A", "B"], "2 names for 1 tiles"),
    ],
)
def test_what_does_not_pair_is_refused(
    scenes: Any, labels: Any, names: list[str] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        labeled_tiles(scenes, labels, names)
