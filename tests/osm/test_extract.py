"""Extracts into spools, and what is said of files that cannot be read, with the way out."""

from pathlib import Path

import osmium
import pytest
import shapely

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.osm import extract
from osm4eo_xr.osm.extract import nothing_in, readable, spool_landuse
from tests.cases.osm_file import OsmFile, square

LEGEND = default_legend()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    osm = OsmFile()
    osm.way(square(0, 0, 10), {"landuse": "forest"})
    osm.way(square(40, 0, 10), {"natural": "water"})
    return osm.write(tmp_path / "a.osm")


def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return tmp_path / "scratch"


def test_areas_are_spooled_with_their_tags(path: Path, tmp_path: Path) -> None:
    spool, problems = spool_landuse(path, scratch(tmp_path), LEGEND, cell=1.0)
    with spool:
        assert len(spool) == 2
        assert spool.tags == ["landuse=forest", "natural=water"]
        assert spool.records["class_id"].tolist() == [8, 12]
        assert spool.bounds == pytest.approx((9.5, 47.1, 9.505, 47.101))
    assert (problems.broken, problems.repaired, problems.duplicates) == ([], [], [])


def test_another_crs_is_that_of_the_geometries_and_cells(path: Path, tmp_path: Path) -> None:
    spool, _ = spool_landuse(path, scratch(tmp_path), LEGEND, cell=200.0, crs="EPSG:32632")
    with spool:
        west, south, east, north = spool.bounds
        assert 500_000 < west < east < 600_000
        assert 5_200_000 < south < north < 5_250_000
        assert len(spool.cells) == 2  # the two lie 300 m apart
        shapes = shapely.from_wkb(spool.geometries(spool.cells[0].members))
        assert shapely.area(shapes).sum() == pytest.approx(111.2 * 75.8, rel=0.02)


def test_a_bbox_keeps_what_meets_it_and_says_so_if_nothing_does(path: Path, tmp_path: Path) -> None:
    spool, _ = spool_landuse(path, scratch(tmp_path), LEGEND, cell=1.0, bbox=(9.4, 47.0, 9.501, 48))
    with spool:
        assert spool.records["class_id"].tolist() == [8]
    with pytest.raises(InputError) as refused:
        spool_landuse(path, scratch(tmp_path), LEGEND, cell=1.0, bbox=(0, 0, 1, 1))
    told = f"{path} has no area that legend 'osmlanduse-12' names within the bbox"
    assert refused.value.given == told


def test_a_legend_without_rules_names_nothing(path: Path, tmp_path: Path) -> None:
    bare = Legend("bare", LEGEND.classes)
    with pytest.raises(InputError) as refused:
        spool_landuse(path, scratch(tmp_path), bare, cell=1.0)
    assert str(refused.value) == str(nothing_in(path, bare, None))
    assert refused.value.given == f"{path} has no area that legend 'bare' names"
    assert refused.value.advice == (
        "give an extract with land use, or a legend with rules for its tags"
    )


def test_progress_ends_at_the_whole(path: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    spool, _ = spool_landuse(
        path, scratch(tmp_path), LEGEND, cell=1.0, progress=lambda *at: seen.append(at)
    )
    with spool:
        pass
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.osm.pbf", tmp_path):
        with pytest.raises(InputError) as refused, readable(path):
            pytest.fail("it was opened")
        assert refused.value.given == f"no OpenStreetMap file {path}"
        assert refused.value.advice == "give the path of an .osm.pbf or .osm file"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RuntimeError("Way IDs out of order: 3, 2"), "osmium sort a.osm -o SORTED.osm.pbf"),
        (RuntimeError("id 7 is there twice"), "osmium merge A.osm.pbf B.osm.pbf"),
        (RuntimeError("id -7 is negative"), "renumber SORTED.osm.pbf -o NEW.osm.pbf"),
        (RuntimeError("PBF error: truncated data"), "download the extract again"),
        (SyntaxError("not well-formed"), "download the extract again"),
        (KeyError("lon"), "download the extract again"),
        (osmium.InvalidLocationError("invalid location"), "download the extract again"),
    ],
)
def test_each_fault_of_a_reader_has_its_way_out(path: Path, error: Exception, advice: str) -> None:
    with pytest.raises(InputError) as refused, readable(path):
        raise error
    assert refused.value.given == f"{path} cannot be read as OpenStreetMap data ({error})"
    assert advice in refused.value.advice
    assert "FILE" not in refused.value.advice


def test_errors_that_are_not_the_files_pass(path: Path) -> None:
    with pytest.raises(MemoryError), readable(path):
        raise MemoryError
    with pytest.raises(InputError, match="own words"), readable(path):
        raise InputError("own words")


def test_a_spool_of_a_file_that_breaks_off_is_closed(path: Path, tmp_path: Path) -> None:
    closed: list[bool] = []

    class Watched(extract.Spool):
        def __exit__(self, *error: object) -> None:
            closed.append(True)
            super().__exit__(*error)  # type: ignore[arg-type]

    path.write_bytes(path.read_bytes()[:-30])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extract, "Spool", Watched)
        with pytest.raises(InputError, match="cannot be read"):
            spool_landuse(path, scratch(tmp_path), LEGEND, cell=1.0)
    assert closed == [True]
