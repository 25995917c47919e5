"""Polygons of a block, carried in the graph or read from partitions: the same either way."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import shapely
from odc.geo.crs import CRS

from osm4eo_xr.labels.burn import ranks
from osm4eo_xr.labels.sources import Carried, Stored
from osm4eo_xr.osm.areas import Areas, object_keys, split_keys
from osm4eo_xr.osm.partition_writer import write_partitions
from tests.osm.test_spool import filled, some_areas

PRIORITY = tuple((class_id, 100 - class_id) for class_id in range(1, 13))
EVERYWHERE = (-180.0, -90.0, 180.0, 90.0)


@pytest.fixture
def areas() -> Areas:
    found = some_areas(50, 5)
    return Areas(**{**found.columns(), "osm_id": np.arange(50) + 10**11})


@pytest.fixture
def files(areas: Areas, tmp_path: Path) -> tuple[tuple[str, int], ...]:
    with filled([areas], 1.0) as spool:
        parts = list(write_partitions(spool, tmp_path))
    paths = [tmp_path / part.file for part in parts]
    return tuple((str(path), path.stat().st_mtime_ns) for path in paths)


def stored(files: tuple, bounds: tuple = EVERYWHERE, *, least: float = 0.0) -> Stored:
    return Stored(files, bounds, "EPSG:4326", PRIORITY, least)


def ids(key: np.ndarray | None) -> list[int]:
    assert key is not None
    return sorted(split_keys(key)[1].tolist())


def test_both_sources_give_the_same_polygons(areas: Areas, files: tuple) -> None:
    rank = ranks(areas.class_id, areas.priority, dict(PRIORITY))
    key = object_keys(areas.osm_kind, areas.osm_id, areas.class_id)
    carried = Carried(shapely.to_wkb(areas.geometry), areas.class_id, rank, key).shapes()
    found = stored(files).shapes()
    assert found.key is not None
    assert carried.key is not None
    # Both are sorted as they are burnt: by rank, by class, larger first.
    np.testing.assert_array_equal(found.rank, carried.rank)
    np.testing.assert_array_equal(found.class_id, carried.class_id)
    np.testing.assert_array_equal(found.key, carried.key)
    assert (shapely.hausdorff_distance(found.geometry, carried.geometry) < 1e-9).all()


def test_ranks_are_minus_the_rules_priority_or_else_the_classs(areas: Areas, files: tuple) -> None:
    found = stored(files).shapes()
    assert found.key is not None
    row = {int(i): k for k, i in enumerate(areas.osm_id)}
    for rank, osm_id in zip(found.rank, split_keys(found.key)[1], strict=True):
        own = int(areas.priority[row[int(osm_id)]])
        of_class = 100 - int(areas.class_id[row[int(osm_id)]])
        assert rank == -(own or of_class)


@pytest.mark.parametrize("bounds", [(-1.0, -1.0, 0.5, 2.0), (0.0, 0.0, 0.0, 0.0), (9, 9, 10, 10)])
def test_polygons_whose_boxes_meet_the_block_are_decoded_and_no_others(
    areas: Areas, files: tuple, bounds: tuple[float, float, float, float]
) -> None:
    near = shapely.intersects(shapely.box(*bounds), areas.geometry)  # boxes, whose edges count
    assert ids(stored(files, bounds).shapes().key) == sorted(areas.osm_id[near].tolist())


def test_small_polygons_are_left_out_by_their_square_meters(areas: Areas, files: tuple) -> None:
    limit = float(np.sort(areas.area)[20])
    expected = sorted(areas.osm_id[areas.area >= limit].tolist())
    assert ids(stored(files, least=limit).shapes().key) == expected
    assert len(expected) == 30
    assert ids(stored(files, least=1e9).shapes().key) == []


def test_geometries_come_on_the_grids_crs(areas: Areas, files: tuple) -> None:
    found = Stored(files, EVERYWHERE, "EPSG:32631", PRIORITY, 0.0).shapes()
    assert found.key is not None
    osm_id = split_keys(found.key)[1].tolist()
    there = CRS("EPSG:4326").transformer_to_crs(CRS("EPSG:32631"))
    for geometry, number in zip(found.geometry, osm_id, strict=True):
        degrees = areas.geometry[areas.osm_id.tolist().index(number)]
        x, y = there(*shapely.get_coordinates(degrees).T)
        corners = shapely.points(x, y)
        assert (shapely.distance(corners, geometry) < 1e-3).all()


def test_a_file_that_was_replaced_is_read_anew(areas: Areas, files: tuple, tmp_path: Path) -> None:
    """The cache's key holds when a file was written: names are the same from run to run."""
    assert len(ids(stored(files).shapes().key)) == 50
    other = areas.take(np.arange(7))
    with filled([other], 1.0) as spool:
        parts = list(write_partitions(spool, tmp_path))
    paths = [tmp_path / part.file for part in parts]
    for path in paths:
        os.utime(path, ns=(1, 1))
    again = tuple((str(path), path.stat().st_mtime_ns) for path in paths)
    assert ids(stored(again).shapes().key) == sorted(other.osm_id.tolist())


def test_sources_travel_to_workers(areas: Areas, files: tuple) -> None:
    three = areas.class_id[:3]
    carried = Carried(shapely.to_wkb(areas.geometry[:3]), three, three, None)
    for source in (stored(files), carried):
        again = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
        found = again.shapes()
        assert len(found.geometry) == len(source.shapes().geometry)
        assert (found.key is None) == isinstance(source, Carried)
