"""A click on a label names the object of OpenStreetMap that the label is of."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.warp import transform

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.viewer.objects import Objects
from osm4eo_xr.viewer.web_mercator import SIDE, WEB_MERCATOR, Cells, Place, cells_over

BOX = oxr.target_geobox((12.62, 52.46, 12.66, 52.49), bounds_crs="EPSG:4326")


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cells, dict[Place, str], Path]:
    folder = tmp_path_factory.mktemp("areas") / "landuse"
    landuse = oxr.write_landuse(demo_osm_path(), folder)
    cells, texts = cells_over(BOX, keep=True), {}
    steps: list[None] = []
    objects = Objects(landuse, oxr.default_legend())
    made = objects.cut(cells, texts.__setitem__, lambda: steps.append(None))
    assert sorted(made) == sorted(texts)
    assert len(steps) == cells.count
    return cells, texts, folder


def moved(affine: Any, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def decoded(text: str) -> tuple[np.ndarray, list[Any]]:
    numbers, _, told = text.partition("|")
    index = np.frombuffer(zlib.decompress(base64.b64decode(numbers)), "<u4")
    return index.reshape(SIDE, SIDE), json.loads(told)


def test_the_object_has_the_class_of_the_label(cut: tuple[Cells, dict[Place, str], Path]) -> None:
    cells, texts, folder = cut
    areas = oxr.read_landuse(folder)
    classes = dict(
        zip(zip(areas["osm_kind"], areas["osm_id"], strict=True), areas["class_id"], strict=True)
    )
    labels = oxr.rasterize_labels(areas, like=BOX).to_numpy()
    rng = np.random.default_rng(0)
    rows, cols = (rng.integers(0, n, 2000) for n in labels.shape)
    xs, ys = moved(BOX.affine, cols + 0.5, rows + 0.5)
    x, y = (np.array(v) for v in transform("EPSG:3035", WEB_MERCATOR, xs.tolist(), ys.tolist())[:2])
    across, down = moved(~cells.geobox.affine, x, y)
    tiles = {place: decoded(text) for place, text in texts.items()}
    equal = unlike = 0
    for label, i, j in zip(labels[rows, cols], down.astype(int), across.astype(int), strict=True):
        place = (cells.zoom, cells.columns.start + j // SIDE, cells.rows.start + i // SIDE)
        index, told = tiles[place]
        number = index[i % SIDE, j % SIDE]
        kind, osm_id, _ = told[number - 1] if number else ("", 0, "")
        same = classes.get((kind, osm_id), 0) == label
        equal, unlike = equal + same, unlike + (not same)
    # Pixels of web tiles are smaller: along outlines they fall to the other side.
    assert unlike < 0.03 * equal
