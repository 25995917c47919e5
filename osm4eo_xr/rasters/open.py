"""Rasters that are no scenes, opened lazily on their own grid and in their own type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import georeference
from osm4eo_xr.rasters.bands import describe_bands
from osm4eo_xr.rasters.windows import RasterReader, dataset, lazy_array

if TYPE_CHECKING:
    from osm4eo_xr.rasters.files import PathLike


def open_raster(path: PathLike, *, chunks: int = 2048) -> xr.DataArray:
    """Open a single-band raster, for example a class map, lazily on its own grid and in its type.

    Parameters
    ----------
    path : path
        Any raster that GDAL reads.
    chunks : int
        Rows and columns per chunk.

    Returns
    -------
    DataArray
        (y, x) in the file's dtype; ``attrs["nodata"]`` is the file's no-data value, by default 0
        for integers and NaN for floats.

    Raises
    ------
    InputError
        If the file cannot be read, has no CRS or more than one band.
    """
    where = str(path)
    bands = describe_bands(where)
    if len(bands) != 1:
        raise InputError(f"{where} has {len(bands)} bands, expected 1; open it with open_scene")
    band = bands[0]
    tag = dataset(where, band.stamp).nodata
    dtype = np.dtype(band.dtype)
    rows, cols = band.geobox.shape
    reader = RasterReader(where, band.stamp, 1, (rows, cols), dtype)
    data = lazy_array(reader, (min(chunks, rows), min(chunks, cols)))
    if np.issubdtype(dtype, np.integer):
        nodata: float = 0 if tag is None else int(tag)
    else:
        nodata = float("nan") if tag is None else float(tag)
    return georeference(data, band.geobox, attrs={"nodata": nodata}, name=Path(where).stem)


def open_probabilities(path: PathLike, *, chunks: int = 2048) -> xr.DataArray:
    """Open class probabilities, as a country run or ``classify --probabilities`` writes them.

    Parameters
    ----------
    path : path
        A raster with one band per class, each described by the class's id, slug or name.
    chunks : int
        Rows and columns per chunk.

    Returns
    -------
    DataArray
        (class, y, x) in the file's dtype; ``class`` holds the descriptions, ``attrs["nodata"]``
        the no-data value.

    Raises
    ------
    InputError
        If the file cannot be read, has no CRS, or a band is not described.
    """
    where = str(path)
    bands = describe_bands(where)
    source = dataset(where, bands[0].stamp)
    names, nodata = source.descriptions, source.nodata
    if not all(names):
        raise InputError(f"{where} does not say which class each band is; describe its bands")
    rows, cols = bands[0].geobox.shape
    dtype = np.dtype(bands[0].dtype)
    shape = (min(chunks, rows), min(chunks, cols))
    layers = [
        lazy_array(RasterReader(where, b.stamp, b.index, (rows, cols), dtype), shape) for b in bands
    ]
    return georeference(
        da.stack(layers),
        bands[0].geobox,
        dims=("class", "y", "x"),
        coords={"class": list(names)},
        attrs={"nodata": nodata},
        name=Path(where).stem,
    )
