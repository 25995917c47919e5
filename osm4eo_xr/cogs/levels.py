"""Level files of a COG in the making, filled block by block, and the VRT that joins them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

if TYPE_CHECKING:
    from jaxtyping import Num
    from odc.geo.geobox import GeoBox

BLOCK = 512
"""Edge of a COG's tiles in pixels; blocks that are staged begin at multiples of it."""

DEEPEST = BLOCK
"""Largest scale of which a block holds whole cells."""

_COMPILED_SIDE = 16  # pixels of the blocks that kernels are compiled with

GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}
"""Data types that are written, by GDAL's names."""


@dataclass(frozen=True)
class Layout:
    """What the file will hold.

    Attributes
    ----------
    geobox : GeoBox
        Grid of the full resolution.
    dtype : str
        Data type of all bands.
    bands : tuple of str
        Descriptions of the bands, one each; may be empty strings.
    nodata : float or None
        No-data value.
    classes : bool
        Whether pixels are classes (overviews by mode) or quantities (by mean).
    colors : tuple of (int, (int, int, int))
        Color of each class value, red, green, blue 0-255.
    """

    geobox: GeoBox
    dtype: str
    bands: tuple[str, ...]
    nodata: float | None
    classes: bool
    colors: tuple[tuple[int, tuple[int, int, int]], ...] = ()

    @property
    def scales(self) -> tuple[int, ...]:
        """Powers of two by which overviews shrink, until one tile holds the whole raster."""
        scales, longest = [], max(self.geobox.shape)
        while longest > BLOCK * (scales[-1] if scales else 1):
            scales.append(2 ** (len(scales) + 1))
        return tuple(scales)


def shrink_block(
    block: Num[np.ndarray, "band y x"], layout: Layout
) -> list[Num[np.ndarray, "band h w"]]:
    """Return the block and its overviews, each made from the full resolution; none of no data.

    Scales above ``DEEPEST`` would reach beyond the block; they are made from a level file later.
    """
    if _is_empty(block, layout.nodata):
        return []
    scales = [s for s in layout.scales if s <= DEEPEST]
    return [block, *_shrunk(block, scales, layout)]


def _shrunk(
    block: Num[np.ndarray, "band y x"], scales: list[int], layout: Layout
) -> list[Num[np.ndarray, "band h w"]]:
    """Shrink a block by several factors."""
    from osm4eo_xr.cogs.overviews import shrink_all  # loads numba, which readers do without

    return shrink_all(block, scales, classes=layout.classes, nodata=layout.nodata)


def compile_overviews() -> None:
    """Compile the kernels for classes, few and many, and for quantities, or load them."""
    from osm4eo_xr.cogs.overviews import shrink_all

    few = np.ones((1, _COMPILED_SIDE, _COMPILED_SIDE), np.uint8)
    for block, classes in ((few, True), (few * 200, True), (few.astype(np.float32), False)):
        shrink_all(block, (2, 4, 8), classes=classes, nodata=0)


class LevelFiles:
    """One uncompressed, sparse GeoTIFF per level; ``write`` may be called from any thread."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder = folder
        self._layout = layout
        self._lock = threading.Lock()
        self._scales = (1, *layout.scales)
        self._files = [self._create(scale) for scale in self._scales]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Where one task failed, threads may still be writing: none may meet a file half closed.
        with self._lock:
            files, self._files = self._files, []
            for file in files:
                file.close()

    def _create(self, scale: int) -> Any:
        layout = self._layout
        height, width = (-(-n // scale) for n in layout.geobox.shape)
        return rasterio.open(
            self._folder / f"{scale}.tif",
            "w+",
            driver="GTiff",
            height=height,
            width=width,
            count=len(layout.bands),
            dtype=layout.dtype,
            nodata=layout.nodata,
            crs=layout.geobox.crs,
            transform=layout.geobox.affine @ rasterio.Affine.scale(scale),
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            interleave="band",
            sparse_ok=True,
            bigtiff="IF_SAFER",
        )

    def write(self, row: int, column: int, levels: list[Num[np.ndarray, "band h w"]]) -> None:
        """Write a block, whose upper left pixel is given, and its overviews, if there are any.

        What comes after the files are closed belongs to a raster that has failed and is dropped.
        """
        with self._lock:
            for file, scale, data in zip(self._files, self._scales, levels, strict=False):
                _, height, width = data.shape
                file.write(data, window=Window(column // scale, row // scale, width, height))  # pyright: ignore[reportCallIssue] - attrs class

    def fill_coarse(self) -> None:
        """Make the levels above scale ``DEEPEST`` from the one before, strip by strip."""
        for k, scale in enumerate(self._scales):
            if scale > DEEPEST:
                self._halve(self._files[k - 1], self._files[k])

    def _halve(self, source: Any, target: Any) -> None:
        layout = self._layout
        for row in range(0, target.height, BLOCK):
            n = min(BLOCK, target.height - row)
            strip = source.read(window=Window(0, 2 * row, source.width, 2 * n))  # pyright: ignore[reportCallIssue] - attrs class
            (half,) = _shrunk(strip, [2], layout)
            target.write(half[:, :n], window=Window(0, row, target.width, n))  # pyright: ignore[reportCallIssue] - attrs class

    def vrt(self, metadata: dict[str, str]) -> Path:
        """Write the VRT that presents the levels as one raster with overviews."""
        height, width = self._layout.geobox.shape
        root = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
        crs = self._layout.geobox.crs
        ET.SubElement(root, "SRS").text = "" if crs is None else crs.to_wkt()
        transform = self._layout.geobox.affine.to_gdal()
        ET.SubElement(root, "GeoTransform").text = ", ".join(repr(float(v)) for v in transform)
        tags = ET.SubElement(root, "Metadata")
        for key in sorted(metadata):
            ET.SubElement(tags, "MDI", key=key).text = metadata[key]
        for band in range(1, len(self._layout.bands) + 1):
            self._add_band(root, band)
        path = self._folder / "levels.vrt"
        ET.ElementTree(root).write(path, encoding="utf-8")
        return path

    def _add_band(self, root: ET.Element, band: int) -> None:
        layout = self._layout
        kind = GDAL_TYPES[layout.dtype]
        element = ET.SubElement(root, "VRTRasterBand", dataType=kind, band=str(band))
        if layout.bands[band - 1]:
            ET.SubElement(element, "Description").text = layout.bands[band - 1]
        if layout.nodata is not None:
            ET.SubElement(element, "NoDataValue").text = repr(layout.nodata)
        if layout.colors:
            ET.SubElement(element, "ColorInterp").text = ColorInterp.palette.name.capitalize()
            _add_color_table(element, layout)
        for scale in self._scales:
            parent = ET.SubElement(element, "SimpleSource" if scale == 1 else "Overview")
            ET.SubElement(parent, "SourceFilename", relativeToVRT="1").text = f"{scale}.tif"
            ET.SubElement(parent, "SourceBand").text = str(band)


def _add_color_table(element: ET.Element, layout: Layout) -> None:
    """Write 256 entries: the classes opaque, every other value transparent black."""
    table, colors = ET.SubElement(element, "ColorTable"), dict(layout.colors)
    for value in range(256):
        red, green, blue = colors.get(value, (0, 0, 0))
        alpha = 255 if value in colors else 0
        ET.SubElement(table, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4=str(alpha))


def _is_empty(block: Num[np.ndarray, "band y x"], nodata: float | None) -> bool:
    """Whether a block holds nothing but no data."""
    if nodata is None:
        return False
    return bool(np.isnan(block).all() if np.isnan(nodata) else (block == nodata).all())
