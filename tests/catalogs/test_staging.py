"""Copies of what a composite reads: the original's pixels and grid, a record, and doubts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.transform import from_origin
from rasterio.windows import Window

from osm4eo_xr.catalogs.product_assets import STAGED
from osm4eo_xr.catalogs.staging import (
    Wanted,
    _profile,
    _strips,
    is_staged_whole,
    stage_item,
    with_copies,
)
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import target_geobox
from osm4eo_xr.rasters.remote import attempts
from osm4eo_xr.rasters.remote.failures import RemoteError
from tests.cases.asset_server import Store, serving_files

LEFT, TOP, EDGE = 600_000, 5_500_000, 1024
GRID = target_geobox(
    (LEFT + 2000, TOP - 3000, LEFT + 2600, TOP - 2500), bounds_crs="EPSG:32633", crs="EPSG:32633"
)
WANTED = Wanted(GRID, ("red",), classes=False)
PIXELS = (np.arange(EDGE * EDGE, dtype=np.uint32).reshape(EDGE, EDGE) % 9973 + 1).astype(np.uint16)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(attempts, "pause", 0.0)
    (tmp_path / "far").mkdir()
    place: Any = {"crs": "EPSG:32633", "transform": from_origin(LEFT, TOP, 10, 10)}
    shape: Any = {"count": 1, "height": EDGE, "width": EDGE, "dtype": "uint16", "nodata": 0}
    tiles: Any = {"tiled": True, "blockxsize": 128, "blockysize": 128}
    with rasterio.open(tmp_path / "far" / "red.tif", "w", "GTiff", **shape, **place, **tiles) as f:
        f.write(PIXELS, 1)
        f.scales, f.offsets, f.descriptions = (1e-4,), (-0.1,), ("B04",)
    with serving_files(Store(tmp_path / "far")) as server:
        yield server


def item(href: str, name: str = "S2_a") -> dict[str, Any]:
    properties = {"datetime": "2023-08-15T10:00:00Z", "platform": "sentinel-2a"}
    return {
        "id": name,
        "properties": properties | {"s2:processing_baseline": "05.09"},
        "assets": {"red": {"href": href}},
    }


def read(path: Path, window: Window | None = None) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1, window=window)


def test_a_copy_has_grid_blocks_tags_and_the_pixels_that_are_read(
    store: Store, tmp_path: Path
) -> None:
    there = item(f"{store.url}/red.tif")
    stage_item(there, WANTED, tmp_path / "copies")
    [path] = (tmp_path / "copies" / "S2_a").glob("*.tif")
    ground = Window(200 - 16, 250 - 16, 60 + 32, 50 + 32)  # type: ignore[call-arg]
    with rasterio.open(path) as copy, rasterio.open(store.folder / "red.tif") as original:
        for name in ("crs", "transform", "shape", "nodata", "dtypes", "scales", "offsets"):
            assert getattr(copy, name) == getattr(original, name)
        assert copy.block_shapes == original.block_shapes
        assert copy.descriptions == ("B04",)
    np.testing.assert_array_equal(read(path, ground), read(store.folder / "red.tif", ground))
    assert path.stat().st_size < (store.folder / "red.tif").stat().st_size
    assert is_staged_whole(there, WANTED, tmp_path / "copies")


def test_what_is_whole_is_not_asked_for_again(store: Store, tmp_path: Path) -> None:
    there = item(f"{store.url}/red.tif")
    assert not is_staged_whole(there, WANTED, tmp_path)
    stage_item(there, WANTED, tmp_path)
    asked = len(store.requests)
    stage_item(there, WANTED, tmp_path)
    assert len(store.requests) == asked
    [copied] = with_copies([there], WANTED, tmp_path)
    assert Path(copied["assets"]["red"][STAGED]).is_file()
    assert copied["assets"]["red"]["href"] == there["assets"]["red"]["href"]
    assert STAGED not in there["assets"]["red"]  # the item itself stays as it was


@pytest.mark.parametrize("other", ["grid", "bands", "corners", "link"])
def test_copies_for_something_else_do_not_serve(store: Store, tmp_path: Path, other: str) -> None:
    there = item(f"{store.url}/red.tif")
    stage_item(there, WANTED, tmp_path)
    wanted = {
        "grid": Wanted(GRID.pad(3), ("red",), classes=False),
        "bands": Wanted(GRID, ("red", "nir"), classes=False),
        "corners": Wanted(GRID, ("red",), classes=False, corners=True),
        "link": WANTED,
    }[other]
    if other == "link":
        there = item(f"{store.url}/red.tif?version=2")
    [copied] = with_copies([there], wanted, tmp_path)
    assert STAGED not in copied["assets"]["red"]
    if other != "bands":
        assert not is_staged_whole(there, wanted, tmp_path)


def test_a_copy_that_was_changed_is_told_and_not_used(store: Store, tmp_path: Path) -> None:
    there = item(f"{store.url}/red.tif")
    stage_item(there, WANTED, tmp_path)
    [path] = (tmp_path / "S2_a").glob("*.tif")
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.warns(InputWarning, match="not as fetched; the original is read instead"):
        [copied] = with_copies([there], WANTED, tmp_path)
    assert STAGED not in copied["assets"]["red"]
    assert not is_staged_whole(there, WANTED, tmp_path)


def test_local_files_are_not_copied(store: Store, tmp_path: Path) -> None:
    near = item(str(store.folder / "red.tif"))
    stage_item(near, WANTED, tmp_path / "copies")
    assert is_staged_whole(near, WANTED, tmp_path / "copies")
    assert not list((tmp_path / "copies").rglob("*.tif"))
    assert store.requests == []


def test_what_is_gone_is_recorded_where_it_is_left_out(store: Store, tmp_path: Path) -> None:
    (store.folder / "red.tif").unlink()
    there = item(f"{store.url}/red.tif")
    with pytest.raises((InputError, RasterioIOError), match="HTTP 404"):
        stage_item(there, WANTED, tmp_path)
    assert not is_staged_whole(there, WANTED, tmp_path)
    looks = Wanted(GRID, ("red",), classes=False, corners=True)
    stage_item(there, looks, tmp_path)
    record = json.loads((tmp_path / "S2_a.json").read_text())
    assert "HTTP 404" in record["unreadable"]
    assert is_staged_whole(there, looks, tmp_path)


def test_what_a_server_gives_instead_of_a_raster_is_never_left_out(
    store: Store, tmp_path: Path
) -> None:
    (store.folder / "red.tif").write_bytes(b"<html>busy</html>")  # with status 200
    there = item(f"{store.url}/red.tif")
    looks = Wanted(GRID, ("red",), classes=False, corners=True)
    with pytest.raises(RemoteError, match="5 attempts failed .* run again later"):
        stage_item(there, looks, tmp_path)
    assert not is_staged_whole(there, looks, tmp_path)
    assert not (tmp_path / "S2_a.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"grid": 3}'])
def test_a_damaged_record_is_none(store: Store, tmp_path: Path, text: str) -> None:
    there = item(f"{store.url}/red.tif")
    stage_item(there, WANTED, tmp_path)
    (tmp_path / "S2_a.json").write_text(text)
    assert not is_staged_whole(there, WANTED, tmp_path)
    assert STAGED not in with_copies([there], WANTED, tmp_path)[0]["assets"]["red"]


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".."])
def test_items_whose_names_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        stage_item(item("https://x.org/red.tif", name), WANTED, tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize(
    ("rectangle", "rows", "size"),
    [((0, 1024, 0, 1024), 128, 2), ((256, 300, 128, 256), 128, 8), ((0, 5, 0, 10**7), 1, 2)],
)
def test_strips_cover_a_rectangle_once_in_whole_rows_of_blocks(
    rectangle: tuple[int, int, int, int], rows: int, size: int
) -> None:
    top, bottom, left, right = rectangle
    at = top
    for window in _strips(rectangle, rows, size):
        (start, stop), cols = window.toranges()
        assert start == at
        assert cols == (left, right)
        assert (start - top) % rows == 0
        at = stop
    assert at == bottom


@pytest.mark.parametrize(
    ("block", "tiled"),
    [((128, 128), True), ((512, 256), True), ((1, 1024), False), ((100, 96), False)],
)
def test_copies_are_tiled_where_tiff_can_be(
    store: Store, block: tuple[int, int], tiled: bool
) -> None:
    with rasterio.open(store.folder / "red.tif") as source:
        profile = _profile(source, block)
    assert profile["tiled"] is tiled
    assert profile["blockysize"] == block[0]
    assert profile.get("blockxsize") == (block[1] if tiled else None)
