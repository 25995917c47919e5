"""The ground of each class in a file of labels, block by block."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from osm4eo_xr.errors import InputError
from osm4eo_xr.labels.areas import labeled_km2

NUMBERS = np.random.default_rng(0).choice([0, 5, 12, 255], (77, 130)).astype(np.uint8)


def write(path: Path, crs: str, corner: tuple[float, float], pixel: float, **how: Any) -> Path:
    rows, cols = NUMBERS.shape
    shape: Any = {"count": 1, "height": rows, "width": cols, "dtype": "uint8"}
    place: Any = {"crs": crs, "transform": from_origin(*corner, pixel, pixel)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **how) as file:
        file.write(NUMBERS, 1)
    return path


@pytest.mark.parametrize("blocks", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 32}])
def test_ground_is_pixels_times_their_size_however_blocks_lie(
    tmp_path: Path, blocks: dict[str, Any]
) -> None:
    found = labeled_km2(
        write(tmp_path / "l.tif", "EPSG:3035", (4_321_000, 3_210_000), 20, **blocks)
    )
    expected = np.bincount(NUMBERS.ravel(), minlength=256) * 20.0**2 / 1e6
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.shape == (256,)
    assert found.dtype == np.float64


def test_pixels_of_a_conformal_crs_are_as_large_as_on_the_ground(tmp_path: Path) -> None:
    # On the central meridian of a zone 10 m of the map are 10 / 0.9996 m.
    found = labeled_km2(write(tmp_path / "l.tif", "EPSG:32632", (500_000, 5_800_000), 10))
    assert found.sum() == pytest.approx(NUMBERS.size * (10 / 0.9996) ** 2 / 1e6, rel=1e-5)


def test_pixels_of_many_sizes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "l.tif", "EPSG:4326", (9, 60), 0.1)
    with pytest.raises(InputError, match=r"EPSG:4326 hold .* m².*pixels of one size"):
        labeled_km2(path)
