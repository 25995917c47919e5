"""The look at the middle of bands as they are opened: where, how far, and what it says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.imagery.band_looks import darkest, look_at_bands, middle_numbers, middle_window
from osm4eo_xr.imagery.reader import Band
from osm4eo_xr.imagery.reflectance import Scaling
from osm4eo_xr.rasters.validity import Validity
from osm4eo_xr.rasters.windows import stamp_of

SIZE = 64
LAND = np.random.default_rng(0).uniform(300, 4000, (SIZE, SIZE)).astype(np.uint16)
PLAIN = Scaling(1e-4, 0.0)


def band(path: Path, name: str, numbers: np.ndarray, **how: Any) -> Band:
    """Write one band; 0 is no data."""
    rows, cols = numbers.shape
    shape: Any = {"count": 1, "height": rows, "width": cols, "dtype": numbers.dtype}
    place: Any = {"crs": "EPSG:3035", "transform": from_origin(4_321_000, 3_210_000, 10, 10)}
    file = path / f"{name}.tif"
    with rasterio.open(file, "w", driver="GTiff", **shape, **place) as out:
        out.write(numbers, 1)
    box = GeoBox(numbers.shape, place["transform"], "EPSG:3035")
    return Band(
        name=name,
        path=str(file),
        stamp=stamp_of(str(file)),
        index=1,
        geobox=box,
        dtype=str(numbers.dtype),
        block=(1, cols),
        scaling=how.get("scaling", PLAIN),
        validity=Validity().instead([0], numbers.dtype, "nodata="),
    )


@given(st.integers(1, 20_000), st.sampled_from([1, 16, 128, 256, 512, 1024, 10_980]))
def test_the_middle_begins_where_a_block_does(size: int, block: int) -> None:
    grid = GeoBox((size, 3), from_origin(0, 0, 10, 10), "EPSG:3035")
    rows, cols = middle_window(
        Band(name="red", path="", stamp=0, index=1, geobox=grid, dtype="u2", block=(block, 1))
    )
    assert 0 <= rows.start < rows.stop <= size
    assert rows.start % block == 0
    assert rows.stop - rows.start == min(512, size - rows.start)
    if block <= 256:
        assert rows.start <= size // 2 < rows.stop
    assert cols == slice(0, 3)


def test_what_was_read_and_is_no_data_is_said(tmp_path: Path) -> None:
    numbers = LAND.copy()
    numbers[:16] = 0
    bands = [band(tmp_path, "red", LAND), band(tmp_path, "nir", numbers)]
    told = look_at_bands(bands, scaled=False, settled=False)
    assert told == "25 % of 4,096 pixels in the middle of nir"  # bright enough: red is not read


def test_a_band_that_is_dark_sends_the_look_to_the_next(tmp_path: Path) -> None:
    bands = [band(tmp_path, "nir", LAND // 10 + 1), band(tmp_path, "red", LAND)]
    told = look_at_bands(bands, scaled=False, settled=False)
    assert told == "0 % of 8,192 pixels in the middle of nir, red"


@pytest.mark.parametrize(
    ("divisor", "message"),
    [(20, "in all bands, like a display image.*reflectance x10000"), (4, "x1000, or x10000")],
)
def test_small_integers_in_every_band_are_refused_unless_the_scale_is_known(
    tmp_path: Path, divisor: int, message: str
) -> None:
    bands = [band(tmp_path, name, LAND // divisor) for name in ("red", "nir")]
    with pytest.raises(InputError, match=message):
        look_at_bands(bands, scaled=False, settled=False)
    assert look_at_bands(bands, scaled=True, settled=False).endswith("in the middle of nir")


def test_a_stated_offset_makes_a_warning_of_a_finding(tmp_path: Path) -> None:
    low = [band(tmp_path, "nir", LAND, scaling=Scaling(1e-4, -0.5))]
    with pytest.raises(InputError, match=r"nir\.tif \(nir\): .* below -0.2"):
        look_at_bands(low, scaled=True, settled=False)
    with pytest.warns(InputWarning, match="below -0.2"):
        told = look_at_bands(low, scaled=True, settled=True)
    assert told == "0 % of 4,096 pixels in the middle of nir"


def test_what_cannot_be_read_or_is_empty_is_not_judged(tmp_path: Path) -> None:
    damaged = band(tmp_path, "nir", LAND)
    whole = Path(damaged.path).read_bytes()
    Path(damaged.path).write_bytes(whole[:600])
    assert middle_numbers(damaged).size == 0
    assert not look_at_bands([damaged], scaled=False, settled=False)
    empty = band(tmp_path, "red", np.zeros_like(LAND))
    told = look_at_bands([empty], scaled=False, settled=False)
    assert told == "100 % of 4,096 pixels in the middle of red"


def test_the_darkest_is_the_least_twentieth_of_the_bands(tmp_path: Path) -> None:
    bands = [band(tmp_path, "red", LAND + 2000), band(tmp_path, "nir", LAND + 3000)]
    expected = min(float(np.percentile(LAND + up, 5)) for up in (2000, 3000))
    assert darkest(bands) == pytest.approx(expected)
    assert darkest([band(tmp_path, "blue", np.zeros_like(LAND))]) is None
