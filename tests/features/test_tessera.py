"""TESSERA's zones and tiles: windows as they are stored, versions apart, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osm4eo_xr.errors import InputError
from osm4eo_xr.features.tessera import (
    TileInput,
    ZoneInput,
    is_tessera,
    tessera_input,
)
from osm4eo_xr.geometry.grid import same_grid
from tests.features.test_open_features import COLS, GRID, ROWS, tessera_zone, write

BANDS, PLACES = (6, 0, 3), (0, 1, 2, 3)


def tile_of(folder: Path, numbers: np.ndarray, scales: np.ndarray) -> Path:
    """Write a tile of (band, y, x) numbers as three files."""
    tile = folder / "grid_15.25_46.05.npy"
    np.save(tile, np.moveaxis(numbers, 0, -1))
    np.save(tile.with_name(f"{tile.stem}_scales.npy"), scales)
    write(tile.with_suffix(".tiff"), np.ones((1, ROWS, COLS), np.uint8))
    return tile


@pytest.fixture(scope="module")
def stored(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[ZoneInput | TileInput], np.ndarray]:
    """The same year of a zone and of a tile, and what both hold: bands, and the scale last."""
    folder = tmp_path_factory.mktemp("tessera")
    zone, numbers, scales = tessera_zone(folder / "t.zarr")
    tile = tile_of(folder, numbers[0], scales[0])
    inputs = [tessera_input(path, "1.1", "2023", BANDS, PLACES) for path in (zone, str(tile))]
    return inputs, np.concatenate([numbers[0, list(BANDS)].astype(np.float32), scales[:1]])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_windows_are_the_numbers_as_stored_and_their_scales(
    stored: tuple[list[ZoneInput | TileInput], np.ndarray], data: st.DataObject
) -> None:
    top, left = data.draw(st.integers(0, ROWS - 1)), data.draw(st.integers(0, COLS - 1))
    rows = slice(top, data.draw(st.integers(top + 1, ROWS)))
    cols = slice(left, data.draw(st.integers(left + 1, COLS)))
    inputs, whole = stored
    for part in inputs:
        found = part.read(rows, cols)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, whole[:, rows, cols])


def test_zones_and_tiles_lie_where_their_metadata_say(
    stored: tuple[list[ZoneInput | TileInput], np.ndarray],
) -> None:
    for part in stored[0]:
        assert tuple(part.geobox.shape) == (ROWS, COLS)
        assert same_grid(part.geobox, GRID)
        assert part.geobox.boundingbox == GRID.boundingbox
        assert part.places == PLACES


def test_only_the_layout_makes_a_path_tessera(tmp_path: Path) -> None:
    zone = Path(tessera_zone(tmp_path / "t.zarr")[0])
    assert is_tessera(str(zone))
    assert is_tessera("grid_15.25_46.05.npy")
    assert not is_tessera(write(tmp_path / "x.tif", np.ones((1, ROWS, COLS), np.int8)))
    shutil.rmtree(zone / "scales")
    assert not is_tessera(str(zone))


@pytest.mark.parametrize("stated", ["v1.1", "1.1/", "model/v1.1/"])
def test_versions_are_found_in_however_a_store_states_them(tmp_path: Path, stated: str) -> None:
    zone, *_ = tessera_zone(tmp_path / "t.zarr", stated)
    assert isinstance(tessera_input(zone, "1.1", "2024", BANDS, PLACES), ZoneInput)
    with pytest.raises(InputError, match="is of TESSERA 1.1; expected 1.2, as the source") as other:
        tessera_input(zone, "1.2", "2024", BANDS, PLACES)
    assert "name the source tessera-VERSION" in other.value.advice


def test_a_store_without_a_version_and_a_year_that_nobody_asked_for_are_refused(
    tmp_path: Path,
) -> None:
    zone, *_ = tessera_zone(tmp_path / "t.zarr")
    with pytest.raises(InputError, match=r"no year \(none asked\); expected one of 2023, 2024"):
        tessera_input(zone, "1.1", "", BANDS, PLACES)
    with pytest.raises(InputError, match="has 8 bands; expected T127 among them"):
        tessera_input(zone, "1.1", "2024", (0, 127), (0, 1, 2))
    zarr.open_group(tmp_path / "t.zarr").attrs.clear()
    with pytest.raises(InputError, match="no version stated"):
        tessera_input(zone, "1.1", "2024", BANDS, PLACES)


def test_zones_of_other_dims_or_types_and_paths_of_no_store_are_refused(tmp_path: Path) -> None:
    zone, numbers, _ = tessera_zone(tmp_path / "t.zarr")
    group = zarr.open_group(zone)
    names = ("time", "band", "y", "x")
    group.create_array(
        "embeddings", data=numbers.astype(np.int16), dimension_names=names, overwrite=True
    )
    with pytest.raises(InputError, match="holds int16; expected int8"):
        tessera_input(zone, "1.1", "2024", BANDS, PLACES)
    group.create_array(
        "embeddings", data=numbers, dimension_names=("time", "depth", "y", "x"), overwrite=True
    )
    with pytest.raises(InputError, match=r"expected embeddings \(time, band, y, x\)"):
        tessera_input(zone, "1.1", "2024", BANDS, PLACES)
    with pytest.raises(InputError, match=r"is no Zarr store; expected a zone's group, or a tile's"):
        tessera_input(str(tmp_path), "1.1", "2024", BANDS, PLACES)


def test_a_damaged_chunk_is_told_when_it_is_read_and_no_other(tmp_path: Path) -> None:
    zone, _, scales = tessera_zone(tmp_path / "t.zarr")
    part = tessera_input(zone, "1.1", "2024", BANDS, PLACES)
    assert np.nanmax(part.read(slice(0, 9), slice(0, 9))[-1]) == np.nanmax(scales[1, :9, :9])
    chunks = [file for file in Path(zone, "scales", "c").rglob("*") if file.is_file()]
    for file in chunks:
        file.write_bytes(b"x")
    with pytest.raises(InputError, match=r"utm33 is damaged"):
        part.read(slice(0, 9), slice(0, 9))


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:300])


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no scales": (
        lambda tile: tile.with_name(f"{tile.stem}_scales.npy").unlink(),
        "has no scales .*_scales.npy; fetch it too",
    ),
    "no place": (
        lambda tile: tile.with_suffix(".tiff").unlink(),
        "has no GeoTIFF of its place .*tiff; fetch it too",
    ),
    "no tile": (Path.unlink, "has no tile"),
    "other sizes": (
        lambda tile: np.save(tile, np.zeros((ROWS, COLS - 1, 8), np.int8)),
        r"is \(40, 49, 8\), its scales \(40, 50\) and its GeoTIFF \(40, 50\); expected",
    ),
    "values": (lambda tile: np.save(tile, np.zeros((ROWS, COLS, 8))), "float64; expected int8"),
    "few bands": (
        lambda tile: np.save(tile, np.zeros((ROWS, COLS, 6), np.int8)),
        "has 6 bands; expected T006 among them",
    ),
    "cut short": (cut_short, r"05\.npy is damaged: "),
    "cut scales": (
        lambda tile: cut_short(tile.with_name(f"{tile.stem}_scales.npy")),
        r"_scales\.npy is damaged: ",
    ),
    "empty": (lambda tile: tile.write_bytes(b""), "is damaged: "),
    "other file": (lambda tile: tile.write_bytes(b"<!DOCTYPE html><html>"), "is damaged: "),
    "objects": (lambda tile: np.save(tile, np.array([{}] * 3)), "is damaged: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_tiles_that_are_incomplete_or_damaged_are_refused_in_one_line(
    tmp_path: Path, case: str
) -> None:
    numbers, scales = np.zeros((8, ROWS, COLS), np.int8), np.ones((ROWS, COLS), np.float32)
    tile = tile_of(tmp_path, numbers, scales)
    assert isinstance(tessera_input(str(tile), "1.1", "", BANDS, PLACES), TileInput)
    spoil, message = WRONG[case]
    spoil(tile)
    with pytest.raises(InputError, match=message) as refused:
        tessera_input(str(tile), "1.1", "", BANDS, PLACES)
    assert "\n" not in str(refused.value)
