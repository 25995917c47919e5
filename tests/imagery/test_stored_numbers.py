"""Stored numbers are the scene's pixels, whatever the files state and wherever they are cut."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.imagery.lazy_scene import reflectance_tables, stored_scene
from osm4eo_xr.imagery.reader import NO_NUMBER
from osm4eo_xr.imagery.scenes import open_scene

SIZE = 60
BOX = (4_320_000, 3_200_000, 4_320_000 + 10 * SIZE, 3_200_000 + 10 * SIZE)
LARGER = target_geobox((BOX[0] - 130, BOX[1] - 70, BOX[2] + 90, BOX[3] + 210))


def write(path: Path, *, mask: bool = False, tags: bool = True, **profile: Any) -> Path:
    """Write two bands that hold each special number, with what the profile states of them."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 4000, (2, SIZE, SIZE)).astype(profile.get("dtype", "uint16"))
    pixels[0, 5:9], pixels[1, 20:25, 30:] = 0, 7
    if pixels.dtype == np.uint16:
        pixels[:, 40:43, :9], pixels[1, 50, :9] = 65535, 65534
    place: Any = {"crs": "EPSG:3035", "transform": from_origin(BOX[0], BOX[3], 10, 10)}
    shape: Any = {"height": SIZE, "width": SIZE, "count": 2, "driver": "GTiff", "dtype": "uint16"}
    with rasterio.open(path, "w", **{**shape, **place, **profile}) as file:
        file.write(pixels)
        file.descriptions = ("red", "nir")
        if tags:
            file.scales, file.offsets = (1e-4, 2e-4), (-0.1, 0.003)
        if mask:
            hidden = np.full((SIZE, SIZE), 255, np.uint8)
            hidden[10:15, 12:40] = 0
            file.write_mask(hidden)
    return path


def unpacked(stored: Any, numbers: np.ndarray) -> np.ndarray:
    tables = reflectance_tables(stored.scalings)
    return np.stack([table[band] for table, band in zip(tables, numbers, strict=True)])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stored")
    return {
        "nothing stated": write(folder / "plain.tif", tags=False),
        "its own no data": write(folder / "seven.tif", nodata=7),
        "a mask": write(folder / "mask.tif", mask=True),
        "greatest number": write(folder / "most.tif", nodata=65534),
    }


@settings(max_examples=40)
@given(
    name=st.sampled_from(["nothing stated", "its own no data", "a mask", "greatest number"]),
    chunks=st.integers(7, 90),
    larger=st.booleans(),
    rows=st.tuples(st.integers(0, 40), st.integers(41, 88)),
    scaled=st.booleans(),
)
def test_stored_numbers_are_the_scene_s_pixels(
    files: dict[str, Path],
    name: str,
    chunks: int,
    larger: bool,
    rows: tuple[int, int],
    scaled: bool,
) -> None:
    how: Any = {"scale": 1e-4, "offset": 0.02} if scaled or name == "nothing stated" else {}
    scene = open_scene(files[name], geobox=LARGER if larger else None, chunks=chunks, **how)
    stored = stored_scene(scene.data)
    assert stored is not None
    assert (stored.numbers.dtype, stored.numbers.chunks) == (np.uint16, scene.data.chunks)
    numbers = stored.numbers[:, slice(*rows)].compute(scheduler="synchronous")
    expected = scene.data[:, slice(*rows)].compute(scheduler="synchronous")
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(unpacked(stored, numbers), expected)
    np.testing.assert_array_equal(numbers == NO_NUMBER, np.isnan(expected))


@pytest.mark.usefixtures("no_compute")
def test_what_is_no_plain_uint16_on_its_own_grid_stays_floats(
    files: dict[str, Path], tmp_path: Path
) -> None:
    plain = open_scene(files["a mask"])
    assert stored_scene(plain.data) is not None
    shifted = target_geobox(BOX, resolution=20)
    others = {
        "changed": plain.data + 0,
        "cut": plain.data[:, :30],
        "warped": open_scene(files["a mask"], geobox=shifted).data,
        "signed": open_scene(write(tmp_path / "signed.tif", dtype="int16")).data,
        "floats": open_scene(write(tmp_path / "f.tif", dtype="float32")).data,
    }
    assert [name for name, data in others.items() if stored_scene(data) is not None] == []
