"""Sentinel-2 in its real forms to a lazy scene of reflectance on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.band_looks import look_at_bands
from osm4eo_xr.imagery.lazy_scene import name_files, scene_of_bands
from osm4eo_xr.imagery.lossy_nodata import with_witnesses
from osm4eo_xr.imagery.products.band_files import choose_bands, read_bands_of
from osm4eo_xr.imagery.products.opening import is_product, open_product
from osm4eo_xr.imagery.products.origins import is_original, level_of, settle_numbers
from osm4eo_xr.rasters.files import PathLike, list_files

__all__ = ["open_scene"]


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
        one or more bands, of any resolution), a folder of such files, or a SAFE or EOPF product
        (see ``open_product``). A Zarr store or NetCDF file holds (band, y, x) or a variable per
        band; a Zarr group is named by the path behind the store (``cube.zarr/year/2020``).
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
        Reflectance is ``DN * scale + offset``. By default the files' scale and offset tags (a
        tagged offset counts with the tagged scale alone; with another give both); without tags
        integers are scaled by 1e-4 and floats are reflectance already. Band files that are named
        as ESA's have the offset of their product's metadata, which is looked up in the folders
        around them (``imagery.products.origins``), else the offset that the table of
        ``imagery.offsets`` gives. Other files without tags have 0, with a warning where their
        pixels leave open whether they carry Sentinel-2's.
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
        ``attrs["validity"]`` says in words what told which pixels hold data, and
        ``attrs["no_data_seen"]``, unless ``scale`` is given, what share of the pixels that were
        looked at are none: a sample; ``check_scene`` returns one of places all over the scene.

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
    if isinstance(path, str | Path) and is_product(path):
        if names is not None or nodata is not None:
            raise InputError(
                f"{path} is a product, whose metadata name its bands and numbers",
                advice="leave {names} and {nodata} out",
            )
        how: Any = {"scale": scale, "offset": offset, "resampling": resampling}
        return open_product(path, bands=bands, geobox=geobox, chunks=chunks, **how)
    files = list_files(path)
    found = read_bands_of(files, names=names, resampling=resampling, nodata=nodata)
    chosen = choose_bands(found, bands, where=name_files(files))
    chosen = settle_numbers(chosen, found, scale, offset)
    told = {}
    if scale is None:
        known = all(is_original(b.path) for b in chosen)
        told["no_data_seen"] = look_at_bands(chosen, scaled=known, settled=offset is not None)
    levels = {level_of(b.path) for b in chosen}
    if len(levels) == 1 and any(levels):
        told["level"] = levels.pop()
    scene = scene_of_bands(with_witnesses(chosen, found), geobox, chunks)
    return scene.assign_attrs({name: text for name, text in told.items() if text})
