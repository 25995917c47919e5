import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import dask.array as da
import numpy as np
import pystac
import pytest
import shapely

from osm4eo_xr.cogs.cog import write_cog
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
