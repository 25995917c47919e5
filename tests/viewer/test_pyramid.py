"""Web tiles hold what the maps hold, at the places where the maps hold it."""

import base64
import zlib
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from rasterio.io import MemoryFile
from rasterio.warp import transform

from osm4eo_xr.cogs.overviews import shrink
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.viewer.overlays import (
    Overlay,
    class_overlay,
    confidence_overlay,
    legend_entries,
    scene_overlay,
)
from osm4eo_xr.viewer.pyramid import Place, Pyramid
from osm4eo_xr.viewer.web_mercator import SIDE, WEB_MERCATOR, cells_over, pixel_size

LEFT, BOTTOM = 4_320_000, 3_210_000
BOX = target_geobox((LEFT, BOTTOM, LEFT + 9_000, BOTTOM + 6_000))  # 600 x 900 pixels
ENTRIES = legend_entries(default_legend())


def some_map(seed: int = 0) -> xr.DataArray:
    coarse = np.random.default_rng(seed).integers(0, 13, (60, 90), dtype=np.uint8)
    return georeference(coarse.repeat(10, 0).repeat(10, 1), BOX, attrs={"nodata": 0})


def cut(overlay: Overlay) -> dict[Place, np.ndarray]:
    texts: dict[Place, str] = {}
    steps: list[None] = []
    pyramid = Pyramid(overlay, texts.__setitem__, lambda: steps.append(None))
    pyramid.make()
    assert sorted(texts) == sorted(pyramid.made)
    assert len(steps) == overlay.cells.count
    return {place: decoded(text, overlay) for place, text in texts.items()}


def decoded(text: str, overlay: Overlay) -> np.ndarray:
    data = base64.b64decode(text)
    if overlay.kind != "color":
        return np.frombuffer(zlib.decompress(data), np.uint8).reshape(SIDE, SIDE)
    with MemoryFile(data) as memory, memory.open() as file:
        return file.read()


def centers(rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of pixel centers in the plane of web tiles."""
    xs, ys = LEFT + 10 * (cols + 0.5), BOTTOM + 6_000 - 10 * (rows + 0.5)
    x, y = transform("EPSG:3035", WEB_MERCATOR, xs.tolist(), ys.tolist())[:2]
    return np.array(x), np.array(y)


def values_at(tiles: dict[Place, np.ndarray], zoom: int, x: Any, y: Any) -> list[int]:
    half = pixel_size(0) * SIDE / 2
    col, row = (x + half) / pixel_size(zoom), (half - y) / pixel_size(zoom)
    places = zip((col // SIDE).astype(int), (row // SIDE).astype(int), strict=True)
    inside = zip((row % SIDE).astype(int), (col % SIDE).astype(int), strict=True)
    empty = np.zeros((SIDE, SIDE), np.uint8)
    found = zip(places, inside, strict=True)
    return [int(tiles.get((zoom, *place), empty)[at]) for place, at in found]


def test_finest_tiles_hold_the_class_of_every_pixel() -> None:
    class_map = some_map()
    overlay = class_overlay("map", "Map", [class_map], ENTRIES)
    rows, cols = np.mgrid[0:600, 0:900]
    x, y = centers(rows.ravel(), cols.ravel())
    found = values_at(cut(overlay), overlay.cells.zoom, x, y)
    assert found == class_map.values.ravel().tolist()


def test_pixels_of_classes_are_kept_and_those_of_scenes_nearly() -> None:
    keep, near = cells_over(BOX, keep=True), cells_over(BOX, keep=False)
    stretch = 1 / np.cos(np.radians(52))  # meters of the plane per meter on the ground
    assert pixel_size(keep.zoom) <= 10 * stretch < pixel_size(keep.zoom - 1)
    assert 2**-0.51 < pixel_size(near.zoom) / (10 * stretch) < 2**0.51


def test_tiles_reach_up_to_the_whole_world() -> None:
    """Below its first zoom MapLibre draws nothing of a raster, so small maps in scenes vanished."""
    overlay = class_overlay("map", "Map", [some_map()], ENTRIES)
    tiles = cut(overlay)
    assert {zoom for zoom, *_ in tiles} == set(range(overlay.cells.zoom + 1))
    assert (tiles[0, 0, 0] > 0).any()


def test_coarse_tiles_are_the_mode_of_their_children() -> None:
    overlay = class_overlay("map", "Map", [some_map()], ENTRIES)
    tiles, zoom = cut(overlay), overlay.cells.zoom
    tops = [place for place in tiles if place[0] == zoom - 1]
    assert tops
    for _, column, row in tops:
        four = np.zeros((2 * SIDE, 2 * SIDE), np.uint8)
        for i in (0, 1):
            for j in (0, 1):
                child = tiles.get((zoom, 2 * column + j, 2 * row + i))
                if child is not None:
                    four[i * SIDE : (i + 1) * SIDE, j * SIDE : (j + 1) * SIDE] = child
        expected = shrink(four[None], 2, classes=True, nodata=0)[0]
        assert np.array_equal(tiles[zoom - 1, column, row], expected)
    assert min(z for z, *_ in tiles) < zoom - 1 or len(tops) == 1


def test_chunks_and_files_do_not_matter() -> None:
    whole = some_map()
    lazy = whole.chunk(y=130, x=270)
    halves = [whole[:, :500], whole[:, 480:]]
    tiles = [cut(class_overlay("map", "Map", r, ENTRIES)) for r in ([whole], [lazy], halves)]
    assert [t.keys() for t in tiles] == [tiles[0].keys()] * 3
    assert all(np.array_equal(tiles[1][k], tiles[0][k]) for k in tiles[0])
    # Pixels on an edge, within GDAL's tolerance, may fall to either side in another file.
    finest = [k for k in tiles[0] if k[0] == max(tiles[0])[0]]
    differ = sum((tiles[2][k] != tiles[0][k]).sum() for k in finest)
    assert differ < 1e-3 * sum((tiles[0][k] > 0).sum() for k in finest)


def test_empty_tiles_are_left_out() -> None:
    class_map = some_map()
    class_map[:, 100:] = 0
    full, part = (cut(class_overlay("map", "Map", [m], ENTRIES)) for m in (some_map(), class_map))
    assert 0 < len(part) < len(full)


def test_confidence_is_the_greatest_probability() -> None:
    sure = np.zeros((3, 600, 900), np.float32)
    sure[1], sure[2] = 0.2, 0.8
    sure[:, :300] = np.nan
    raster = georeference(sure, BOX, dims=("class", "y", "x"))
    overlay = confidence_overlay("confidence", "Confidence", [raster])
    x, y = centers(np.array([100, 500]), np.array([450, 450]))
    assert values_at(cut(overlay), overlay.cells.zoom, x, y) == [255, 200]


def test_scenes_share_their_tones_and_are_clear_without_data(tmp_path: Path) -> None:
    pixels = np.full((3, 600, 900), 0.05, np.float32)
    pixels[:, :, 450:] = 0.25
    pixels[:, 300:] = np.nan
    names: Any = {"band": ["red", "green", "blue"]}
    scene = georeference(da.from_array(pixels), BOX, dims=("band", "y", "x"), coords=names)
    halves = [scene[:, :, :450], scene[:, :, 450:]]
    overlay = scene_overlay("scene", "Scene", halves, tmp_path)
    tiles = {p: t for p, t in cut(overlay).items() if p[0] == overlay.cells.zoom}
    x, y = centers(np.array([100, 100, 500]), np.array([100, 800, 450]))
    reds = values_at({p: t[0] for p, t in tiles.items()}, overlay.cells.zoom, x, y)
    alphas = values_at({p: t[3] for p, t in tiles.items()}, overlay.cells.zoom, x, y)
    assert reds[0] < 20
    assert reds[1] > 235
    assert alphas == [255, 255, 0]


def test_what_no_web_map_shows_is_refused() -> None:
    north = target_geobox(
        (-2e5, -2e5, 2e5, 2e5), bounds_crs="EPSG:3413", crs="EPSG:3413", resolution=1e3
    )
    pole = georeference(np.ones(tuple(north.shape), np.uint8), north)
    with pytest.raises(InputError, match="85 degrees"):
        _ = class_overlay("map", "Map", [pole], ENTRIES).cells
    with pytest.raises(InputError, match="expected"):
        class_overlay("map", "Map", [some_map().astype("float32")], ENTRIES)
