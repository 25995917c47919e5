"""What commands write: never over what they read, nor over anything else unasked."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from osm4eo_xr.cli.outputs import (
    DESIGN,
    MODEL,
    PICTURE,
    RASTER,
    REPORT,
    Asked,
    Kind,
    check_outputs,
    outputs,
)
from osm4eo_xr.demo import demo_osm_path
from osm4eo_xr.errors import InputError
from tests.cases.commands import call, refused


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    values = np.random.default_rng(0).integers(1, 13, (1, 40, 50), dtype=np.uint8)
    place = rasterio.transform.from_origin(4_400_000, 3_280_000, 10, 10)  # pyright: ignore[reportAttributeAccessIssue] - a submodule
    shape = {"height": 40, "width": 50, "count": 1, "dtype": "uint8", "nodata": 0}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:3035", transform=place, **shape) as file:
        file.write(values)
    return path


@pytest.mark.parametrize("extra", [(), ("--overwrite",)])
def test_a_map_is_not_sieved_onto_itself(class_map: Path, extra: Sequence[str]) -> None:
    before = class_map.read_bytes()
    assert "would replace" in str(refused("sieve", class_map, "--out", class_map, *extra))
    assert class_map.read_bytes() == before


def test_an_extract_is_not_replaced_by_its_labels(class_map: Path, tmp_path: Path) -> None:
    extract = tmp_path / "p.pbf"
    extract.write_bytes(demo_osm_path().read_bytes())
    said = str(refused("labels", extract, "--like", class_map, "--out", extract, "--overwrite"))
    assert "p.pbf is to be a GeoTIFF; end it in .tif" in said
    assert extract.read_bytes() == demo_osm_path().read_bytes()


def test_points_are_not_replaced_by_scores(class_map: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.json"
    place = gpd.GeoSeries([shapely.Point(4_400_105, 3_279_895)], crs="EPSG:3035").to_crs(4326)
    gpd.GeoDataFrame({"class": [3]}, geometry=place).to_file(points, driver="GeoJSON")
    before = points.read_bytes()
    asked = ("assess", class_map, "--points", points, "--out", points, "--overwrite")
    assert "would replace" in str(refused(*asked))
    assert points.read_bytes() == before


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_an_input_is_known_by_other_names(class_map: Path, link: object) -> None:
    other = class_map.with_name("b.tif")
    assert callable(link)
    link(class_map, other)
    with pytest.raises(InputError, match="b.tif would replace .*a.tif, which this command reads"):
        check_outputs([(other, RASTER)], [class_map], overwrite=True)


def test_a_side_file_of_an_input_is_one_too(tmp_path: Path) -> None:
    source = tmp_path / "a.jp2"
    for name in ("a.jp2", "a.qml", "a.tif.aux.xml"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"a.tif would replace .*a.jp2 \(a.qml\)"):
        check_outputs([(tmp_path / "a.tif", RASTER)], [source], overwrite=True)


def test_what_a_catalog_and_a_mosaic_refer_to_is_read(tmp_path: Path) -> None:
    band, item = tmp_path / "b04.tif", tmp_path / "item.json"
    mosaic, catalog = tmp_path / "all.vrt", tmp_path / "catalog.json"
    band.touch()
    item.write_text(json.dumps({"assets": {"red": {"href": "./b04.tif"}}}))
    catalog.write_text(json.dumps({"links": [{"rel": "item", "href": "item.json"}]}))
    mosaic.write_text('<SourceFilename relativeToVRT="1">b04.tif</SourceFilename>')
    for source in (catalog, mosaic):
        with pytest.raises(InputError, match="would replace"):
            check_outputs([(band, RASTER)], [source], overwrite=True)


def test_a_folder_that_holds_an_input_is_kept(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("model.json", "samples.tif"):
        (model / name).touch()
    with pytest.raises(InputError, match="would replace"):
        check_outputs([(model, MODEL)], [model / "samples.tif"], overwrite=True)


@pytest.mark.parametrize("kind", [PICTURE, RASTER, DESIGN])
def test_a_folder_that_is_missing_is_told_before_the_work(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "charts" / f"a{(*kind.suffixes, '')[0]}"
    with pytest.raises(InputError, match=r"no folder .*charts to write a.* into; make it first"):
        check_outputs([(path, kind)], [], overwrite=True)


@pytest.mark.parametrize(("kind", "name"), [(REPORT, "b/r.json"), (MODEL, "b/m"), (MODEL, "m")])
def test_what_makes_its_folders_needs_one_to_make_them_in(
    tmp_path: Path, kind: Kind, name: str
) -> None:
    check_outputs([(tmp_path / name, kind)], [], overwrite=True)
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match="/a is no folder that may be written into"):
        check_outputs([(tmp_path / "a" / name, kind)], [], overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_only_overwrite_replaces_other_files(class_map: Path) -> None:
    out = class_map.with_name("b.tif")
    style = out.with_suffix(".qml")
    style.write_text("drawn by hand")
    asked = ("sieve", class_map, "--size", 4, "--out", out)
    said = str(refused(*asked))
    assert f"b.qml, a side file of {out}, exists already; give another name or" in said
    assert style.read_text() == "drawn by hand"
    style.unlink()
    assert str(out) in call(*asked)
    first = out.read_bytes()
    assert "b.tif exists already; give another name or --overwrite" in str(refused(*asked))
    call("sieve", class_map, "--size", 10_000, "--out", out, "--overwrite")
    assert out.read_bytes() != first


def test_a_symlink_stays_a_symlink(class_map: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "latest.tif"
    link.symlink_to(tmp_path / "far" / "2024.tif")
    call("sieve", class_map, "--size", 4, "--out", link)
    assert link.is_symlink()
    there = sorted(p.name for p in (tmp_path / "far").iterdir())
    assert there == ["2024.qml", "2024.tif", "2024.tif.aux.xml"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        (".", RASTER, "is a folder; expected a GeoTIFF"),
        ("a.png", RASTER, "end it in .tif"),
        ("a", RASTER, "end it in .tif"),
        ("a.tif", REPORT, "end it in .json"),
        ("a.gif", PICTURE, "end it in .png"),
        ("m.tif", MODEL, "give the name of a folder"),
        (".", MODEL, "is to be a model folder, which needs a name"),
        ("../.", DESIGN, "is to be a sampling design, which needs a name"),
        ("/dev/null.tif/..", RASTER, "end it in .tif"),
    ],
)
def test_a_name_that_is_not_of_the_kind_is_refused(
    name: str, kind: Kind, words: str, class_map: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(class_map.parent)
    with pytest.raises(InputError, match=words):
        check_outputs([(Path(name), kind)], [], overwrite=True)


def test_outputs_are_not_written_over_each_other(tmp_path: Path) -> None:
    same = [(tmp_path / "a.tif", RASTER), (tmp_path / "x" / ".." / "a.tif", RASTER)]
    beside = [(tmp_path / "a.tif", RASTER), (tmp_path / "a.stac.json", REPORT)]
    for asked in (same, beside):
        with pytest.raises(InputError, match="would replace each other"):
            check_outputs(asked, [], overwrite=True)


def test_all_outputs_appear_or_none(tmp_path: Path) -> None:
    one, two = tmp_path / "a.json", tmp_path / "b.json"
    one.write_text("old")
    asked = [(one, REPORT), (two, REPORT)]
    with pytest.raises(RuntimeError, match="broken off"):
        _break_off(asked, one)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert one.read_text() == "old"
    with outputs(asked, [], overwrite=True) as place:
        for path in (one, two):
            place(path).write_text("new")
        assert one.read_text() == "old"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.json": "new", "b.json": "new"}


def _break_off(asked: Asked, first: Path) -> None:
    with outputs(asked, [], overwrite=True) as place:
        place(first).write_text("new")
        raise RuntimeError("broken off")
