import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import dask.array as da
import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.cogs.sidecars import (
    Category,
    item_of,
    sidecars_of,
    write_aux,
    write_item,
    write_style,
)
from osm4eo_xr.geometry.grid import georeference, target_geobox
from osm4eo_xr.legend import default_legend
from osm4eo_xr.maps.layers import extract_layer

BOX = target_geobox((4_320_000, 3_210_000, 4_330_000, 3_216_000))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A class map with a date and a model, written."""
    pixels = np.random.default_rng(0).integers(0, 13, BOX.shape).astype(np.uint8)
    attrs = {**default_legend().attrs(), "nodata": 0, "datetime": "2017-02-16T00:00:00Z"}
    raster = georeference(
        da.from_array(pixels), BOX, attrs={**attrs, "model": "Hesse", "digest": "ab12"}
    )
    write_cog(extract_layer(raster, ["urban", "water"], codes="clc"), tmp_path / "water.tif")
    return write_cog(raster, tmp_path / "map.tif")


def test_style_names_and_colors_every_class(written: Path) -> None:
    text = written.with_suffix(".qml").read_text()
    assert text.startswith("<!DOCTYPE qgis")
    entries = ET.fromstring(text).findall("pipe/rasterrenderer/colorPalette/paletteEntry")  # noqa: S314 - just written by us
    assert [(e.get("value"), e.get("color"), e.get("label")) for e in entries] == [
        (str(c.id), c.hex_color, c.name) for c in default_legend().classes
    ]


def test_layers_keep_names_and_colors_under_other_codes(written: Path) -> None:
    root = ET.parse(written.with_name("water.qml")).getroot()  # noqa: S314 - just written by us
    entries = root.findall("pipe/rasterrenderer/colorPalette/paletteEntry")
    found = [(e.get("value"), e.get("color")) for e in entries]
    assert found == [("11", "#e6004d"), ("5", "#00ccf2")]


def test_stac_item_says_grid_classes_and_model(written: Path) -> None:
    item = pystac.Item.from_file(str(written.with_suffix(".stac.json")))
    assert item.datetime is not None
    assert item.datetime.isoformat() == "2017-02-16T00:00:00+00:00"
    assert item.properties["proj:code"] == "EPSG:3035"
    assert item.properties["proj:shape"] == [600, 1000]
    assert item.properties["proj:transform"] == [10, 0, 4_320_000, 0, -10, 3_216_000]
    assert item.properties["processing:lineage"].endswith("model with SHA-256 ab12")
    band = item.to_dict()["assets"]["data"]["bands"][0]
    assert band["data_type"] == "uint8"
    assert band["nodata"] == 0
    assert band["classification:classes"][11] == {
        "value": 12,
        "name": "water",
        "title": "Water bodies",
        "description": "Water bodies",
        "color_hint": "00CCF2",
    }
    outline: Any = shapely.geometry.shape(item.to_dict()["geometry"])
    assert outline.is_valid
    assert outline.exterior.is_ccw
    assert tuple(item.bbox or ()) == outline.bounds


def test_old_side_cars_do_not_outlive_their_raster(written: Path) -> None:
    numbers = georeference(da.from_array(np.ones(BOX.shape, np.float32)), BOX)
    write_cog(numbers, written)
    beside = sorted(p.name for p in written.parent.iterdir() if p.name.startswith("map"))
    assert beside == ["map.tif", "map.tif.aux.xml"]
    assert "CategoryNames" not in (written.parent / "map.tif.aux.xml").read_text()


def test_items_are_plain_json(written: Path) -> None:
    tree = json.loads(written.with_suffix(".stac.json").read_text())
    assert tree["assets"]["data"]["href"] == "./map.tif"
    assert tree["stac_version"] == "1.1.0"


ODD = (
    Category(3, 'Forest & "wood" <old>', "forest", (1, 2, 3)),
    Category(1, "Éclairs", "eclairs", (255, 0, 16)),
)


def test_names_stand_at_their_values_with_gaps_between(tmp_path: Path) -> None:
    """GDAL's category names are a list from 0 on."""
    root = ET.parse(write_aux(tmp_path / "a.tif", ODD)).getroot()  # noqa: S314 - just written by us
    names = [c.text or "" for c in root.findall("PAMRasterBand/CategoryNames/Category")]
    assert names == ["", "Éclairs", "", 'Forest & "wood" <old>']
    rows = [[f.text for f in r] for r in root.findall("PAMRasterBand//Row")]
    assert rows == [
        ["3", 'Forest & "wood" <old>', "forest", "1", "2", "3", "255"],
        ["1", "Éclairs", "eclairs", "255", "0", "16", "255"],
    ]
    usages = [d.findtext("Usage") for d in root.findall("PAMRasterBand//FieldDefn")]
    assert usages == [
        "5",
        "2",
        "0",
        "6",
        "7",
        "8",
        "9",
    ]  # value, name, any, red, green, blue, alpha


def test_names_of_any_letters_are_text_in_a_style(tmp_path: Path) -> None:
    text = write_style(tmp_path / "a.tif", ODD).read_text(encoding="utf-8")
    entries = ET.fromstring(text).findall(".//paletteEntry")  # noqa: S314 - just written by us
    assert [(e.get("label"), e.get("color")) for e in entries] == [
        ('Forest & "wood" <old>', "#010203"),
        ("Éclairs", "#ff0010"),
    ]


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("a.tif", ["a.tif.aux.xml", "a.qml", "a.stac.json"]),
        ("a.TIFF", ["a.TIFF.aux.xml", "a.qml", "a.stac.json"]),
        ("a.b.tif", ["a.b.tif.aux.xml", "a.b.qml", "a.b.stac.json"]),
        ("a.zarr", []),
        ("a.gpkg", []),
    ],
)
def test_geotiffs_alone_have_files_beside_them(name: str, beside: list[str]) -> None:
    assert [p.name for p in sidecars_of(Path("folder") / name)] == beside
    assert item_of(Path("folder/a.tif")) == Path("folder/a.stac.json")


def item_of_raster(path: Path, crs: Any, *, nodata: float | None = None, left: float = 0) -> Any:
    shape = {"height": 3, "width": 4, "count": 2, "dtype": "float32", "nodata": nodata}
    place = {"crs": crs, "transform": from_origin(left, 6_000_000, 20, 20)}
    with rasterio.open(path, "w", "GTiff", **shape, **place) as file:
        file.descriptions = ("red", None)
    return json.loads(write_item(path, (), datetime="2021-06-01T00:00:00Z").read_text())


def test_a_crs_without_a_code_is_written_out(tmp_path: Path) -> None:
    own = "+proj=laea +lat_0=12 +lon_0=20 +datum=WGS84 +units=m"
    found = item_of_raster(tmp_path / "a.tif", own)["properties"]
    assert found["proj:code"] is None
    assert pyproj.CRS(found["proj:wkt2"]) == pyproj.CRS(own)
    known = item_of_raster(tmp_path / "b.tif", "EPSG:32633", left=500_000)["properties"]
    assert known["proj:code"] == "EPSG:32633"
    assert "proj:wkt2" not in known
    assert known["proj:shape"] == [3, 4]


@pytest.mark.parametrize(
    ("nodata", "stated"), [(float("nan"), "nan"), (-9999.0, -9999.0), (None, None)]
)
def test_no_data_is_what_stac_has_for_it(
    tmp_path: Path, nodata: float | None, stated: object
) -> None:
    item = item_of_raster(tmp_path / "a.tif", "EPSG:32633", nodata=nodata, left=500_000)
    first, second = item["assets"]["data"]["bands"]
    assert first.get("nodata") == stated
    assert (first["name"], second["name"]) == ("red", "band2")
    assert "classification" not in " ".join(item["stac_extensions"])
    assert item["assets"]["data"]["raster:spatial_resolution"] == 20


def test_boxes_go_on_across_the_antimeridian_and_pixels_are_measured_in_meters(
    tmp_path: Path,
) -> None:
    edge = 770_055  # of zone 60, at the latitude where item_of_raster has its pixels
    west, _, east, _ = item_of_raster(tmp_path / "a.tif", "EPSG:32760", left=edge - 40)["bbox"]
    assert 179 < west < 180
    assert -180 < east < -179
    feet = item_of_raster(tmp_path / "b.tif", "EPSG:2263", left=980_000)["assets"]["data"]
    assert feet["raster:spatial_resolution"] == pytest.approx(20 * 0.3048006)


def test_the_outline_bends_as_the_grid_does_on_the_globe(tmp_path: Path) -> None:
    """Straight edges of a projected raster are curves in degrees; corners alone would cut it."""
    path = tmp_path / "a.tif"
    shape = {"height": 50, "width": 50, "count": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:3035", "transform": from_origin(2_600_000, 5_400_000, 20_000, 20_000)}
    with rasterio.open(path, "w", "GTiff", **shape, **place):
        pass
    item = json.loads(write_item(path, (), datetime="2021-06-01T00:00:00Z").read_text())
    outline: Any = shapely.geometry.shape(item["geometry"])
    there = pyproj.Transformer.from_crs(3035, 4326, always_xy=True)
    along = np.linspace(2_600_000, 3_600_000, 201)
    edge = shapely.points(*there.transform(along, np.full_like(along, 5_400_000)))
    assert shapely.distance(edge, outline.exterior).max() < 0.02  # degrees, a tenth of a pixel
    corners = shapely.LineString([edge[0], edge[-1]])
    assert shapely.distance(edge, corners).max() > 0.3
