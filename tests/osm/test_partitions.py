"""Folders of land use: what their index says, and indexes that are none."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import osm4eo_xr as oxr
from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.errors import InputError
from osm4eo_xr.osm.partitions import INDEX, Landuse, open_landuse, read_areas, write_index
from tests.cases.osm_file import OsmFile, square


@pytest.fixture(scope="module")
def landuse(tmp_path_factory: pytest.TempPathFactory) -> Landuse:
    return oxr.write_landuse(demo_osm_path(), tmp_path_factory.mktemp("osm") / "areas")


def test_an_opened_folder_is_what_was_written(landuse: Landuse) -> None:
    opened = open_landuse(landuse.folder)
    assert opened == landuse
    files = [landuse.folder / part.file for part in opened.partitions]
    areas = read_areas(files)
    assert [len(a.geometry) for a in areas] == [part.areas for part in opened.partitions]
    geometry = np.concatenate([a.geometry for a in areas])
    assert len(opened) == len(geometry)
    assert opened.bounds == pytest.approx(tuple(shapely.total_bounds(geometry)))
    classes = np.unique(np.concatenate([a.class_id for a in areas]))
    assert opened.class_ids == tuple(classes.tolist())


def test_files_are_geoparquet_that_others_read(landuse: Landuse) -> None:
    for part in landuse.partitions:
        frame = gpd.read_parquet(landuse.folder / part.file)
        assert frame.crs == "EPSG:4326"
        assert len(frame) == part.areas
        assert tuple(frame.total_bounds) == pytest.approx(part.bounds)
        (areas,) = read_areas([landuse.folder / part.file])
        assert shapely.equals(np.asarray(frame.geometry), areas.geometry).all()


def test_only_partitions_that_a_box_may_meet_are_named(landuse: Landuse) -> None:
    everything = [landuse.folder / part.file for part in landuse.partitions]
    assert sorted(landuse.meeting(landuse.bounds)) == sorted(everything)
    west, south, *_ = landuse.bounds
    assert landuse.meeting((west - 2, south - 2, west - 1, south - 1)) == []
    for part in landuse.partitions:
        x, y = (part.bounds[0] + part.bounds[2]) / 2, (part.bounds[1] + part.bounds[3]) / 2
        assert landuse.folder / part.file in landuse.meeting((x, y, x, y))


@pytest.mark.parametrize("corner", [(-8.6, 41.1), (-70.6, -33.4), (31.0, -17.8)])
def test_land_use_of_any_hemisphere_is_written_and_burnt(
    tmp_path: Path, corner: tuple[float, float]
) -> None:
    """Files are called after their cell's corner, which may be negative."""
    west, south = corner
    osm = OsmFile()
    at = ((west - 9.5) * 1e4, (south - 47.1) * 1e4)
    way = osm.way(square(*at, 100), {"landuse": "forest"})
    path = osm.write(tmp_path / "a.osm")
    written = oxr.write_landuse(path, tmp_path / "areas")
    assert open_landuse(tmp_path / "areas") == written
    assert oxr.read_landuse(tmp_path / "areas")["osm_id"].tolist() == [way]
    around = (west - 0.002, south - 0.002, west + 0.012, south + 0.012)
    box = oxr.target_geobox(around, bounds_crs="EPSG:4326", crs="EPSG:6933", resolution=50)
    burnt = oxr.rasterize_labels(tmp_path / "areas", box)
    xr.testing.assert_identical(burnt, oxr.rasterize_labels(oxr.read_landuse(path), box))
    assert int((burnt == 8).sum()) * 2500 == pytest.approx(written.tags["landuse=forest"].area, 0.1)


def damaged(landuse: Landuse, folder: Path, change: Any) -> Path:
    tree = json.loads((landuse.folder / INDEX).read_text())
    change(tree)
    (folder / INDEX).write_text(json.dumps(tree))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.update(partitions=5),
        lambda t: t["partitions"][0].update(bounds=[1, 2, 3]),
        lambda t: t["partitions"][0].update(areas=1.5),
        lambda t: t["partitions"][0].update(file="../../etc/passwd"),
        lambda t: t["partitions"][0].update(file="-/../../etc/passwd"),
        lambda t: t["partitions"][0].update(file="--help"),
        lambda t: t["partitions"][0].update(file="-"),
        lambda t: t["partitions"][0].update(file=12),
        lambda t: t.pop("tags"),
        lambda t: t.update(tags={"landuse=forest": {}}),
        lambda t: t.update(problems={"furlongs": []}),
        lambda t: t.update(cell="wide"),
    ],
)
def test_an_index_that_was_changed_is_told(landuse: Landuse, tmp_path: Path, change: Any) -> None:
    with pytest.raises(InputError) as caught:
        open_landuse(damaged(landuse, tmp_path, change))
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["partitions", "tags", "problems", "cell", "legend"]), value=JSON)
def test_any_json_in_an_index_is_read_or_told(
    landuse: Landuse, tmp_path: Path, key: str, value: Any
) -> None:
    folder = damaged(landuse, tmp_path, lambda tree: tree.update({key: value}))
    try:
        write_index(open_landuse(folder))
    except InputError as error:
        assert INDEX in str(error) or "partition file" in str(error)  # noqa: PT017


def test_folders_that_hold_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no {INDEX} in .*read_landuse reads an extract"):
        open_landuse(tmp_path / "none")
    for content, said in (("{", "is damaged"), ("[]", "write the folder again")):
        (tmp_path / INDEX).write_text(content)
        with pytest.raises(InputError, match=said):
            open_landuse(tmp_path)
