"""Files beside a COG: attribute table for GDAL, style for QGIS, item for STAC catalogs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import rasterio
import shapely
from rasterio.warp import transform_geom

from osm4eo_xr._version import __version__
from osm4eo_xr.geometry.geodesy import meters_per_unit, project_bounds

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend

# GDALRATFieldUsage and GDALRATFieldType of gdal_rat.h
_USAGE = {"Value": 5, "Class": 2, "Slug": 0, "Red": 6, "Green": 7, "Blue": 8, "Alpha": 9}
_INTEGER, _STRING = 0, 2


@dataclass(frozen=True)
class Category:
    """One value of a class raster.

    Attributes
    ----------
    value : int
        Pixel value.
    name, slug : str
        Full name, and short name for files.
    color : tuple of int
        Red, green, blue, each 0-255.
    """

    value: int
    name: str
    slug: str
    color: tuple[int, int, int]


def categories_of(legend: Legend) -> tuple[Category, ...]:
    """Return the classes of a legend, whose values are their ids."""
    return tuple(Category(c.id, c.name, c.slug, c.color) for c in legend.classes)


def write_aux(raster: Path, categories: tuple[Category, ...]) -> Path:
    """Write ``RASTER.aux.xml``: category names and a raster attribute table of band 1.

    Without categories the file is an empty dataset description, so that an older one does not
    outlive the raster it described.
    """
    root = ET.Element("PAMDataset")
    if categories:
        band = ET.SubElement(root, "PAMRasterBand", band="1")
        names = {c.value: c.name for c in categories}
        listed = ET.SubElement(band, "CategoryNames")
        for value in range(max(names) + 1):
            ET.SubElement(listed, "Category").text = names.get(value, "")
        band.append(_attribute_table(categories))
    ET.indent(root)
    path = raster.with_name(f"{raster.name}.aux.xml")
    ET.ElementTree(root).write(path, encoding="utf-8")
    return path


def _attribute_table(categories: tuple[Category, ...]) -> ET.Element:
    table = ET.Element("GDALRasterAttributeTable", tableType="thematic")
    for index, (name, usage) in enumerate(_USAGE.items()):
        column = ET.SubElement(table, "FieldDefn", index=str(index))
        ET.SubElement(column, "Name").text = name
        text = name in ("Class", "Slug")
        ET.SubElement(column, "Type").text = str(_STRING if text else _INTEGER)
        ET.SubElement(column, "Usage").text = str(usage)
    for index, c in enumerate(categories):
        row = ET.SubElement(table, "Row", index=str(index))
        for cell in (c.value, c.name, c.slug, *c.color, 255):
            ET.SubElement(row, "F").text = str(cell)
    return table


def sidecars_of(raster: Path) -> tuple[Path, ...]:
    """Return the places of all side-cars that a GeoTIFF may have; other files have none."""
    if raster.suffix.lower() not in (".tif", ".tiff"):
        return ()
    aux = raster.with_name(f"{raster.name}.aux.xml")
    return aux, raster.with_suffix(".qml"), item_of(raster)


def item_of(raster: Path) -> Path:
    """Return the place of a GeoTIFF's STAC item."""
    return raster.with_suffix(".stac.json")


def write_style(raster: Path, categories: tuple[Category, ...]) -> Path:
    """Write a QGIS style that colors and names the classes, as QGIS loads it beside a raster."""
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    pipe = ET.SubElement(root, "pipe")
    attributes = {"type": "paletted", "band": "1", "opacity": "1", "alphaBand": "-1"}
    renderer = ET.SubElement(pipe, "rasterrenderer", {**attributes, "nodataColor": ""})
    ET.SubElement(renderer, "rasterTransparency")
    palette = ET.SubElement(renderer, "colorPalette")
    for c in categories:
        color = "#{:02x}{:02x}{:02x}".format(*c.color)
        entry = {"value": str(c.value), "color": color, "alpha": "255", "label": c.name}
        ET.SubElement(palette, "paletteEntry", entry)
    ET.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    ET.SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0")
    ET.SubElement(pipe, "rasterresampler", maxOversampling="2")
    ET.SubElement(root, "blendMode").text = "0"
    ET.indent(root)
    path = raster.with_suffix(".qml")
    doctype = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    path.write_text(f"{doctype}\n{ET.tostring(root, encoding='unicode')}\n", encoding="utf-8")
    return path


_STAC_EXTENSIONS = {
    "projection": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "classification": "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
}


def write_item(
    raster: Path, categories: tuple[Category, ...], *, datetime: str, digest: str = ""
) -> Path:
    """Write a STAC 1.1 item of one asset.

    Parameters
    ----------
    raster : Path
        The COG.
    categories : tuple of Category
        Classes of its first band, if it holds classes.
    datetime : str
        When the ground was seen, RFC 3339 in UTC.
    digest : str
        Hash of the model that made the map, if any.
    """
    with rasterio.open(raster) as file:
        ring = transform_geom(file.crs, "EPSG:4326", _outline(file), precision=7)
        properties = {"datetime": datetime, **_stac_properties(file)}
        bands = [_stac_band(file, k, categories) for k in range(file.count)]
        bounds = shapely.geometry.shape(ring).bounds
        if ring["type"] != "Polygon":  # torn at the antimeridian, across which boxes go on
            bounds = project_bounds(tuple(file.bounds), file.crs, "EPSG:4326")
        size = _pixel_size(file)
    if digest:
        properties["processing:lineage"] = f"land use classified by the model with SHA-256 {digest}"
    used = [u for name, u in _STAC_EXTENSIONS.items() if categories or name != "classification"]
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": sorted(used),
        "id": raster.stem,
        "geometry": ring,
        "bbox": list(bounds),
        "properties": properties,
        "links": [],
        "assets": {
            "data": {
                "href": f"./{raster.name}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                **({"raster:spatial_resolution": size} if size else {}),
                "bands": bands,
            }
        },
    }
    path = item_of(raster)
    path.write_text(json.dumps(item, indent=1), encoding="utf-8")
    return path


def _stac_properties(file: Any) -> dict[str, Any]:
    """Return where the raster's pixels lie and what wrote them."""
    epsg = file.crs.to_epsg()
    stated = {
        "proj:code": f"EPSG:{epsg}" if epsg else None,
        "proj:shape": [file.height, file.width],
        "proj:transform": list(file.transform)[:6],
        "processing:software": {"osm4eo_xr": __version__},
    }
    return stated if epsg else {**stated, "proj:wkt2": file.crs.to_wkt(version="WKT2_2019")}


def _pixel_size(file: Any) -> float | None:
    """Return the width of a pixel in meters; of degrees it changes from row to row."""
    if not file.crs.is_projected:
        return None
    return abs(file.transform.a) * meters_per_unit(file.crs)


def _outline(file: Any) -> dict[str, Any]:
    """Return the raster's border with a vertex every 20th of a side, as sides bend in degrees."""
    box = shapely.box(*file.bounds)
    return shapely.geometry.mapping(shapely.segmentize(box, box.length / 80))


def _stac_band(file: Any, index: int, categories: tuple[Category, ...]) -> dict[str, Any]:
    band: dict[str, Any] = {
        "name": file.descriptions[index] or f"band{index + 1}",
        "data_type": file.dtypes[index],
    }
    if file.nodata is not None:
        band["nodata"] = "nan" if file.nodata != file.nodata else file.nodata
    if categories and index == 0:
        band["classification:classes"] = [
            {
                "value": c.value,
                "name": c.slug,
                "title": c.name,
                "description": c.name,
                "color_hint": "{:02X}{:02X}{:02X}".format(*c.color),
            }
            for c in categories
        ]
    return band
