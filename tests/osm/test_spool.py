from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from osm4eo_xr.osm.areas import Areas
from osm4eo_xr.osm.spool import Spool, meeting


def some_areas(n: int, seed: int) -> Areas:
    """Boxes around the place where degrees change their signs."""
    draw = np.random.default_rng(seed)
    west, south = draw.uniform(-3, 3, (2, n))
    size = draw.uniform(0.001, 2, (2, n))
    return Areas(
        class_id=draw.integers(1, 13, n).astype(np.uint8),
        priority=draw.integers(0, 3, n).astype(np.int16),
        osm_id=draw.integers(1, 10**12, n),
        osm_kind=draw.choice(np.array(["node", "relation", "way"], dtype=object), n),
        tag=draw.choice(np.array(["landuse=forest", "natural=water"], dtype=object), n),
        area=draw.uniform(0, 100, n),
        geometry=shapely.box(west, south, west + size[0], south + size[1]),
    )


@contextmanager
def filled(batches: list[Areas], cell: float) -> Iterator[Spool]:
    with TemporaryDirectory() as folder, Spool(Path(folder), cell) as spool:
        for areas in batches:
            spool.add(areas)
        yield spool


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.sampled_from([0.1, 0.7, 1.0, 50.0]),
    st.floats(-4, 4),
    st.floats(-4, 4),
    st.floats(0, 3),
    st.floats(0, 100),
    st.integers(0, 9),
)
def test_what_is_near_a_box_is_what_meets_it_whatever_the_cells(
    sizes: list[int],
    cell: float,
    west: float,
    south: float,
    edge: float,
    min_area: float,
    seed: int,
) -> None:
    batches = [some_areas(n, seed + k) for k, n in enumerate(sizes)]
    box = west, south, west + edge, south + edge
    with filled(batches, cell) as spool:
        found = spool.near(box, min_area)
        got = spool.geometries(found)
    whole = np.concatenate([areas.geometry for areas in batches])
    large = np.concatenate([areas.area for areas in batches]) >= min_area
    meets = shapely.intersects(whole, shapely.box(*box))
    assert sorted(found.tolist()) == np.flatnonzero(meets & large).tolist()
    assert got == shapely.to_wkb(whole[found]).tolist()


def test_every_area_has_one_cell_and_lies_in_its_bounds() -> None:
    areas = some_areas(500, seed=1)
    with filled([areas], 0.5) as spool:
        members = np.concatenate([cell.members for cell in spool.cells])
        assert sorted(members.tolist()) == list(range(500))
        for cell in spool.cells:
            boxes = shapely.bounds(areas.geometry[cell.members])
            assert cell.bounds == (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
            centers = (boxes[:, :2] + boxes[:, 2:]) / 2 - (cell.west, cell.south)
            assert ((centers >= 0) & (centers < 0.5)).all()
        corners = [(cell.south, cell.west) for cell in spool.cells]
        assert corners == sorted(set(corners))
        assert spool.bounds == tuple(shapely.total_bounds(areas.geometry))


def test_tags_are_counted() -> None:
    batches = [some_areas(50, seed=2), some_areas(60, seed=3)]
    with filled(batches, 1.0) as spool:
        tallies = spool.tallies()
        assert len(spool) == 110
    for tag, tally in tallies.items():
        chosen = [areas.area[areas.tag == tag] for areas in batches]
        assert tally.count == sum(map(len, chosen))
        assert tally.area == pytest.approx(sum(map(np.sum, chosen)))
        assert tally.class_id == batches[0].class_id[batches[0].tag == tag][0]


def test_a_box_across_the_antimeridian_meets_what_lies_on_both_sides() -> None:
    boxes = [(179.7, -18.0, 179.9, -17.0), (-179.9, -18.0, -179.7, -17.0), (0.0, -18.0, 1.0, -17.0)]
    assert meeting(boxes, (179.8, -17.5, -179.8, -16.0)).tolist() == [0, 1]
    assert meeting(boxes, (179.8, -10.0, -179.8, -9.0)).tolist() == []
    assert meeting(boxes, (179.0, -17.5, 180.0, -16.0)).tolist() == [0]
