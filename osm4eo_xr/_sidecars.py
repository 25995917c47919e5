"""Files beside a COG that name and colour its classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

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
