"""Sentinel-2 in its real forms to a lazy scene of reflectance on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import geobox_of, georeference
from osm4eo_xr.imagery.clouds.masks import mask_clouds
from osm4eo_xr.imagery.lossy_nodata import with_witnesses
from osm4eo_xr.imagery.plausibility import look_at_bands, name_files
from osm4eo_xr.imagery.products.band_files import (
    choose_bands,
    read_bands_of,
)
from osm4eo_xr.imagery.products.origins import is_original, level_of, settle_numbers
from osm4eo_xr.imagery.products.safe import class_band, is_safe, read_product, safe_bands
from osm4eo_xr.imagery.reader import Band, SceneReader
from osm4eo_xr.imagery.scene_grid import grid_over
from osm4eo_xr.rasters.files import PathLike, list_files
from osm4eo_xr.rasters.validity import in_words
from osm4eo_xr.rasters.warp import plan_warp, refuse_apart
from osm4eo_xr.rasters.windows import lazy_array

__all__ = ["open_safe", "open_safe_classes", "open_scene", "scene_of_bands"]


def open_scene(
    path: PathLike | Sequence[PathLike],
    *,
    bands: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    geobox: GeoBox | Literal["native"] | None = None,
    chunks: int = 1024,
    scale: float | None = None,
    offset: float | None = None,
    nodata: float | None = None,
    resampling: str = "cubic",
) -> xr.DataArray:
    """Open files as a lazy scene.

    Reading happens window by window when the scene is computed; opening reads metadata and,
    unless ``scale`` is given, blocks of a few bands to see that the numbers can be reflectance.

    Parameters
    ----------
    path : path or sequence of paths
        One multi-band file (GeoTIFF, COG, VRT, JP2, Zarr, NetCDF-4 …), several files (each with
        one or more bands, of any resolution), a folder of such files, or a SAFE product (see
        ``open_safe``). A Zarr store or NetCDF file holds (band, y, x) or a variable per band.
    bands : sequence of str, optional
        Common names or Sentinel-2 ids of the bands to return, in this order. By default those of
        the method's ten bands that the input has, in the method's order.
    names : sequence of str, optional
        What the input's bands are, in the order of the files and of the bands in them. By default
        taken from band descriptions and, for single-band files, from file names.
    geobox : GeoBox or "native", optional
        Target grid. By default the snapped EPSG:3035 10 m grid that covers the data; "native" is
        the finest band's own grid.
    chunks : int
        Rows and columns per chunk, rounded up to whole blocks of a file that is on the grid.
    scale, offset : float, optional
        Reflectance is ``DN * scale + offset``. By default the files' scale and offset tags; without
        tags integers are scaled by 1e-4 and floats are reflectance already. Band files that are
        named as ESA's have the offset of their product's metadata, which is looked up in the
        folders around them (``imagery.products.origins``), else the offset that the table of
        ``imagery.offsets`` gives.
    nodata : float, optional
        The digital number that is no data, in the place of what the files state. By default the
        rule of ``rasters.validity``: tags, CF attributes, masks, ``.msk`` files and alpha bands;
        integers that state nothing have 0. 65535 in uint16, NaN, infinities and floats below -3e38
        always are no data. It is taken out before resampling. In lossy files (JPEG 2000) numbers
        within 20 of it are no data too, but only where blue, green, red and nir agree (the rule of
        ``imagery.lossy_nodata``), so that the ragged edge of the orbit goes and dark water stays.
    resampling : str
        GDAL's method for bands that are not on the grid: cubic, bilinear, nearest or average.

    Returns
    -------
    DataArray
        (band, y, x) float32 reflectance, NaN = no data; chunks of the full band axis. attrs:
        ``level`` ("1C" or "2A") where a name around the files tells it.
        ``attrs["validity"]`` says in words what told which pixels hold data.

    Raises
    ------
    InputError
        If a file cannot be read, has no CRS, bands are unnamed, missing or named twice, the
        numbers cannot be reflectance, nothing tells the offset of ESA's files, or the files and
        ``geobox`` have no ground in common.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_scene_paths
    >>> scene = oxr.open_scene(demo_scene_paths(), bands=["red", "nir"])
    >>> scene.dims, scene.band.values.tolist(), scene.rio.crs.to_epsg()
    (('band', 'y', 'x'), ['red', 'nir'], 3035)
    """
    if not isinstance(path, str | Path) and len(path) == 1:
        path = path[0]
    if isinstance(path, str | Path) and is_safe(path):
        if names is not None or scale is not None or nodata is not None:
            raise InputError(
                f"{path} is a SAFE product, whose metadata name its bands and numbers; leave out "
                f"names, scale and nodata"
            )
        return open_safe(
            path, bands=bands, geobox=geobox, chunks=chunks, offset=offset, resampling=resampling
        )
    files = list_files(path)
    found = read_bands_of(files, names=names, resampling=resampling, nodata=nodata)
    chosen = choose_bands(found, bands, where=name_files(files))
    chosen = settle_numbers(chosen, found, scale, offset)
    if scale is None:
        known = all(is_original(b.path) for b in chosen)
        look_at_bands(chosen, scaled=known, settled=offset is not None)
    scene = scene_of_bands(with_witnesses(chosen, found), geobox, chunks)
    levels = {level_of(b.path) for b in chosen}
    return scene.assign_attrs(level=levels.pop()) if len(levels) == 1 and any(levels) else scene


def open_safe(
    path: PathLike,
    *,
    bands: Sequence[str] | None = None,
    geobox: GeoBox | Literal["native"] | None = None,
    chunks: int = 1024,
    tile: str | None = None,
    offset: float | None = None,
    mask: Sequence[int] = (),
    dilation: int = 0,
    resampling: str = "cubic",
) -> xr.DataArray:
    """Open a Sentinel-2 product (level 1C or 2A) as ESA delivers it as a lazy scene.

    Quantification, offsets (processing baseline 04.00) and special values come from the product's
    own metadata: reflectance is ``(DN + ADD_OFFSET) / QUANTIFICATION_VALUE``.

    Parameters
    ----------
    path : path
        The .SAFE folder, its zip, or the metadata file inside a folder: MTD_MSIL1C.xml,
        MTD_MSIL2A.xml or, before December 2016, S2A_OPER_MTD_SAFL1C_….xml.
    bands, geobox, chunks, resampling
        As in ``open_scene``.
    tile : str, optional
        MGRS tile, for example "33UUU"; needed for products (before December 2016) with several.
    offset : float, optional
        Offset in reflectance in place of the metadata's.
    mask : sequence of int
        SCL classes to set to no data (level 2A), for example ``radiometry.CLOUD_CLASSES``.
    dilation : int
        Radius in pixels of the scene by which clouds grow (see ``mask_clouds``).

    Returns
    -------
    DataArray
        (band, y, x) float32 reflectance, NaN = no data; top of atmosphere for level 1C. attrs:
        ``product``, ``level``, ``baseline``, ``date`` (ISO 8601), ``footprint`` (WKT, lon/lat).

    Raises
    ------
    InputError
        If there is no whole product, a band or tile is missing, or a product of baseline 04.00 or
        later does not state its offsets.
    """
    product = read_product(path)
    found = safe_bands(product, tile=tile, offset=offset, resampling=resampling)
    chosen = choose_bands(found, bands, where=product.name)
    scene = scene_of_bands(with_witnesses(chosen, found), geobox, chunks)
    scene.attrs |= {
        "product": product.name,
        "level": product.level,
        "baseline": product.baseline,
        "date": product.date,
        "footprint": product.footprint,
    }
    if mask:
        classes = open_safe_classes(path, geobox=geobox_of(scene), chunks=chunks, tile=tile)
        return mask_clouds(scene, classes, classes=mask, dilation=dilation)
    return scene


def open_safe_classes(
    path: PathLike,
    *,
    geobox: GeoBox | Literal["native"] | None = None,
    chunks: int = 1024,
    tile: str | None = None,
) -> xr.DataArray:
    """Open the scene classification (SCL) of a level-2A product, lazily, by nearest neighbor.

    Parameters are those of ``open_safe``; "native" is the classification's own 20 m grid.

    Returns
    -------
    DataArray
        (y, x) uint8, 0 = no data.

    Raises
    ------
    InputError
        If the product has no scene classification, as level 1C.
    """
    band = class_band(read_product(path), tile=tile)
    codes = scene_of_bands([band], geobox, chunks).isel(band=0, drop=True).fillna(0)
    codes = codes.astype(np.uint8)
    codes.attrs = {"nodata": 0, "long_name": "scene classification"}
    return codes.rename("scl")


def scene_of_bands(
    bands: Sequence[Band], geobox: GeoBox | Literal["native"] | None, chunks: int
) -> xr.DataArray:
    """Return the lazy (band, y, x) scene of some bands on a grid (see ``open_scene``)."""
    if chunks < 1:
        raise InputError(f"chunks={chunks} is not a positive number of pixels; give e.g. 1024")
    target = _target_of(bands, geobox)
    warps = tuple(plan_warp(b.geobox, target, b.resampling) for b in bands)
    refuse_apart(warps, name_files([b.path for b in bands]))
    reader = SceneReader(tuple(bands), target, warps)
    rows, cols = _chunk_shape(bands, target, chunks)
    data = lazy_array(reader, (len(bands), rows, cols))
    return georeference(
        data,
        target,
        dims=("band", "y", "x"),
        coords={"band": [b.name for b in bands]},
        attrs={
            "units": "1",
            "long_name": "reflectance",
            "nodata": float("nan"),
            "validity": in_words(b.validity for b in bands),
        },
        name="reflectance",
    )


def _target_of(bands: Sequence[Band], geobox: GeoBox | Literal["native"] | None) -> GeoBox:
    """Return the grid that the caller asks for."""
    if isinstance(geobox, GeoBox):
        return geobox
    if geobox == "native":
        return min((b.geobox for b in bands), key=lambda g: abs(g.resolution.x * g.resolution.y))
    if geobox is not None:
        raise InputError(f"geobox={geobox!r} is not a grid; give a GeoBox, 'native' or nothing")
    return grid_over(b.geobox for b in bands)


def _chunk_shape(bands: Sequence[Band], target: GeoBox, chunks: int) -> tuple[int, int]:
    """Return rows and columns per chunk; whole blocks where a file's grid is the target."""
    own = next((b for b in bands if b.geobox == target), None)
    if own is None:
        return chunks, chunks
    rows, cols = (-(-chunks // block) * block for block in own.block)
    return min(rows, target.shape[0]), min(cols, target.shape[1])
