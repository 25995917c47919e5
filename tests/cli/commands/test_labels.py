"""Commands ``labels``, ``agree`` and ``composite``: what they write, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

import osm4eo_xr as oxr
from osm4eo_xr.cli.commands.labels import _save_report
from osm4eo_xr.geometry.grid import geobox_of, georeference, target_geobox
from tests.cases.commands import call, misused, refused
from tests.cases.osm_file import OsmFile, square

EAST, NORTH = 9.5, 47.1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a forest beside a lake, and an empty raster over both, in degrees' meters."""
    osm = OsmFile()
    osm.way(square(0, 0, 30), {"landuse": "forest"})
    osm.way(square(20, 0, 30), {"natural": "water"})
    osm.write(tmp_path / "a.osm")
    box = target_geobox(
        (EAST, NORTH, EAST + 0.006, NORTH + 0.003), bounds_crs="EPSG:4326", crs="EPSG:32632"
    )
    oxr.write_cog(georeference(np.ones(box.shape, np.uint8), box), tmp_path / "like.tif")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: str) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1)


LABELS = ("labels", "a.osm", "--like", "like.tif", "--out", "l.tif")


def test_labels_lie_on_the_rasters_grid_and_claims_count_both(folder: Path) -> None:
    call(*LABELS, "--claims", "c.tif", "--report", "r.json")
    labels, claims = read("l.tif"), read("c.tif")
    assert geobox_of(oxr.open_raster("l.tif")) == oxr.read_grid("like.tif")
    assert set(np.unique(labels)) == {0, 8, 12}
    assert (labels[claims == 2] == 12).all()  # water wins where both are
    assert (claims == 2).any()
    report = json.loads((folder / "r.json").read_text())
    assert report["conflicts"] == pytest.approx((claims > 1).mean(), abs=1e-4)
    assert report["labeled"] == pytest.approx((labels > 0).mean(), abs=1e-4)
    known = {rule.tag for rule in oxr.default_legend().rules}
    assert set(report["unmatched"]) == known - set(report["tags"])
    assert "landuse=vineyard" in report["unmatched"]
    assert len(report["unmatched"]) == len(set(report["unmatched"]))


def test_small_polygons_and_mixed_pixels_are_left_out_where_asked(folder: Path) -> None:
    call(*LABELS)
    whole = read("l.tif")
    call(*LABELS[:-1], "big.tif", "--min-area", 10**7)
    assert not read("big.tif").any()
    call(*LABELS[:-1], "pure.tif", "--edge", "ignore")
    pure = read("pure.tif")
    assert (whole[pure > 0] == pure[pure > 0]).all()
    assert 0 < (pure > 0).sum() < (whole > 0).sum()
    assert (folder / "pure.tif").exists()


def test_a_folder_of_polygons_serves_again(folder: Path) -> None:
    call(*LABELS, "--polygons", "areas")
    call("labels", "areas", "--like", "like.tif", "--out", "again.tif")
    assert (folder / "again.tif").read_bytes() == (folder / "l.tif").read_bytes()


def test_a_folder_of_polygons_is_not_kept_again(folder: Path) -> None:
    call(*LABELS, "--polygons", "areas")
    error = refused(
        *("labels", "areas", "--like", "like.tif", "--out", "again.tif", "--polygons", "keep")
    )
    assert error.given == "--polygons keep of areas, a folder"
    assert error.advice == "leave --polygons out; areas keeps the polygons already"
    assert not (folder / "again.tif").exists()
    assert not (folder / "keep").exists()


def test_polygons_west_of_greenwich_and_south_of_the_equator_are_kept(folder: Path) -> None:
    west, south = -70.6, -33.4
    osm = OsmFile()
    osm.way(square((west - EAST) * 1e4, (south - NORTH) * 1e4, 30), {"landuse": "forest"})
    osm.write(folder / "west.osm")
    around = (west, south, west + 0.006, south + 0.003)
    box = target_geobox(around, bounds_crs="EPSG:4326", crs="EPSG:32719")
    oxr.write_cog(georeference(np.ones(box.shape, np.uint8), box), folder / "west.tif")
    grid = ("--like", "west.tif", "--out")
    call("labels", "west.osm", *grid, "w.tif", "--polygons", "kept")
    call("labels", "west.osm", *grid, "plain.tif")
    call("labels", "kept", *grid, "again.tif")
    assert (read("w.tif") == 8).any()
    for other in ("plain.tif", "again.tif"):
        assert (folder / other).read_bytes() == (folder / "w.tif").read_bytes()


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("labels", "none.osm.pbf", "--like", "like.tif", "--out", "l.tif"), "no OpenStreetMap"),
        (("labels", "a.osm", "--like", "none.tif", "--out", "l.tif"), "no file none.tif"),
        (("labels", "a.osm", "--like", "like.tif", "--out", "l.json"), "l.json"),
        (("labels", "a.osm", "--like", "like.tif", "--out", "like.tif"), "like.tif"),
        (("agree", "like.tif", "none.tif", "--out", "x.tif"), "no file none.tif"),
    ],
)
def test_what_is_missing_or_would_be_eaten_is_named(
    folder: Path, words: tuple[str, ...], given: str
) -> None:
    before = {p: p.read_bytes() for p in folder.iterdir()}
    assert given in refused(*words).given
    assert {p: p.read_bytes() for p in folder.iterdir()} == before


def test_agreement_says_where_labels_and_map_differ(folder: Path) -> None:
    call(*LABELS)
    mapped = read("l.tif").copy()
    mapped[mapped == 8] = 5
    mapped[0] = 0
    source = oxr.open_raster("l.tif")
    oxr.write_cog(georeference(mapped, geobox_of(source)), folder / "map.tif")
    call(
        "agree", "l.tif", "map.tif", "--out", "a.tif", "--merged", "m.tif", "--provenance", "p.tif"
    )
    labels, found, merged = read("l.tif"), read("a.tif"), read("m.tif")
    expected = oxr.merge_known(source, oxr.open_raster("map.tif"))
    np.testing.assert_array_equal(merged, expected["classes"])
    np.testing.assert_array_equal(read("p.tif"), expected["provenance"])
    assert (merged[labels > 0] == labels[labels > 0]).all()  # OpenStreetMap wins
    assert len(set(np.unique(found[(labels == 8) & (mapped == 5)]))) == 1
    assert set(np.unique(found[(labels == 12) & (mapped == 12)])).isdisjoint(
        np.unique(found[(labels == 8) & (mapped == 5)])
    )


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ((), "no grid given"),
        (("--like", "like.tif", "--bbox", "9", "47", "10", "48"), "both --like and --bbox given"),
    ],
)
def test_a_composite_needs_one_grid(folder: Path, options: tuple[str, ...], given: str) -> None:
    error = refused("composite", "i.json", "--out", "c.tif", *options)
    assert error.given == given
    assert error.expected == "--like RASTER or --bbox WEST SOUTH EAST NORTH, one of them"
    assert not (folder / "c.tif").exists()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ((*LABELS, "--edge", "soft"), "--edge"),
        ((*LABELS, "--min-area", "-1"), "--min-area"),
        (("composite", "i.json", "--out", "c.tif", "--method", "mean"), "--method"),
        (("composite", "i.json", "--out", "c.tif", "--level", "3A"), "--level"),
    ],
)
def test_words_and_numbers_that_are_none_are_told(words: tuple[str, ...], option: str) -> None:
    assert f"Invalid value for '{option}'" in misused(*words)


def test_of_report_and_picture_only_what_is_asked_for_is_written(folder: Path) -> None:
    call(*LABELS)
    shares = [{"share": 0.1}] * 12
    found = {"classes": shares, "labeled": 0.5, "conflicts": 0.0}
    before = sorted(folder.iterdir())
    legend = oxr.default_legend()
    _save_report(found, folder / "l.tif", None, None, legend)
    assert sorted(folder.iterdir()) == before
    _save_report(found, folder / "l.tif", None, folder / "p.png", legend)
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "r.json").exists()
