"""Spooled areas as GeoParquet: every area once, in one order, as pyarrow and geopandas read it."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from osm4eo_xr.osm.areas import Areas
from osm4eo_xr.osm.partition_writer import write_partitions
from osm4eo_xr.osm.partitions import Partition, read_areas
from tests.osm.test_spool import filled, some_areas


def written(areas: list[Areas], folder: Path, cell: float) -> list[Partition]:
    with filled(areas, cell) as spool:
        return list(write_partitions(spool, folder))


@pytest.mark.parametrize("cell", [0.1, 1.0, 50.0])
def test_every_area_is_in_one_file_and_whole(tmp_path: Path, cell: float) -> None:
    areas = some_areas(60, 3)
    parts = written([areas.take(np.arange(25)), areas.take(np.arange(25, 60))], tmp_path, cell)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.file for p in parts)
    found = [a for part in parts for a in read_areas([tmp_path / part.file])]
    assert [len(a) for a in found] == [part.areas for part in parts]
    rows = {int(i): k for k, i in enumerate(areas.osm_id)}
    assert sorted(int(i) for a in found for i in a.osm_id) == sorted(rows)
    for part in found:
        same = areas.take(np.array([rows[int(i)] for i in part.osm_id]))
        for name, column in part.columns().items():
            if name == "geometry":
                assert shapely.equals(column, same.geometry).all()
            else:
                np.testing.assert_array_equal(column, same.columns()[name])


@pytest.mark.parametrize(("cell", "west"), [(0.0005, 113.12), (0.00025, 12.345), (1 / 3, -179.9)])
def test_small_cells_far_from_greenwich_have_files_of_their_own(
    tmp_path: Path, cell: float, west: float
) -> None:
    """Six digits would call neighbors alike, and the later file would replace the earlier."""
    n = 8
    lefts = west + cell * np.arange(n)
    south = np.full(n, 47.1)
    boxes = shapely.box(lefts + 0.4 * cell, south, lefts + 0.6 * cell, south + 0.1 * cell)
    base = some_areas(n, 0)
    areas = Areas(**{**base.columns(), "osm_id": np.arange(n), "geometry": boxes})
    parts = written([areas], tmp_path, cell)
    assert len({part.file for part in parts}) == len(parts)
    found = np.concatenate([a.osm_id for a in read_areas([tmp_path / p.file for p in parts])])
    assert sorted(found.tolist()) == list(range(n))


def test_names_of_usual_cells_are_plain_numbers(tmp_path: Path) -> None:
    base = some_areas(1, 0)
    for left, cell, name in ((0.31, 0.1, "0.3_-0.2.parquet"), (12.3, 0.25, "12.25_-0.25.parquet")):
        box = np.array([shapely.box(left, -0.15, left + 0.01, -0.14)])
        [part] = written([Areas(**{**base.columns(), "geometry": box})], tmp_path, cell)
        assert part.file == name


def test_equals_lie_in_the_order_in_which_they_are_burnt(tmp_path: Path) -> None:
    """By kind, id and class, whatever the order of the extract."""
    base = some_areas(6, 1)
    areas = Areas(
        **{
            **base.columns(),
            "osm_kind": np.array(["way", "node", "way", "relation", "node", "way"], object),
            "osm_id": np.array([7, 9, 7, 1, 2, 3]),
            "class_id": np.array([8, 1, 5, 1, 1, 1], np.uint8),
            "geometry": np.full(6, shapely.box(0.0, 0.0, 0.5, 0.5)),
        }
    )
    [part] = written([areas], tmp_path, 1.0)
    table = pq.read_table(tmp_path / part.file)
    rows = zip(*(table[c].to_pylist() for c in ("osm_kind", "osm_id", "class_id")), strict=True)
    assert list(rows) == [
        ("node", 2, 1),
        ("node", 9, 1),
        ("relation", 1, 1),
        ("way", 3, 1),
        ("way", 7, 5),
        ("way", 7, 8),
    ]


def test_boxes_and_bounds_are_those_of_the_geometries(tmp_path: Path) -> None:
    parts = written([some_areas(40, 2)], tmp_path, 2.0)
    for part in parts:
        frame = gpd.read_parquet(tmp_path / part.file)
        assert part.bounds == pytest.approx(tuple(frame.total_bounds))
        boxes = [
            list(box.values()) for box in pq.read_table(tmp_path / part.file)["bbox"].to_pylist()
        ]
        np.testing.assert_allclose(boxes, frame.geometry.bounds.to_numpy())
    # What a reader asks for a place is what meets it, by the files' own boxes.
    path = tmp_path / parts[0].file
    whole, (west, south, east, north) = gpd.read_parquet(path), parts[0].bounds
    corner = (west, south, (west + east) / 2, (south + north) / 2)
    near = gpd.read_parquet(path, bbox=corner)
    expected = whole[shapely.intersects(shapely.box(*corner), whole.geometry.to_numpy())]
    assert sorted(near["osm_id"]) == sorted(expected["osm_id"])


def test_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    assert written([], tmp_path, 1.0) == []
    assert not list(tmp_path.iterdir())
