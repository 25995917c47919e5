"""Rasters that are no scenes, opened lazily on their own grid and in their own type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference, held_number
from osm4eo_xr.legend import PROBABILITY_NO_DATA
from osm4eo_xr.rasters.bands import RasterBand, describe_bands
from osm4eo_xr.rasters.remote.addresses import text_of
from osm4eo_xr.rasters.validity import in_words
from osm4eo_xr.rasters.windows import OneBand, RasterReader, lazy_array

if TYPE_CHECKING:
    import dask.array as da

    from osm4eo_xr.rasters.files import PathLike


def open_raster(path: PathLike, *, chunks: int = 2048, fill: int = 0) -> xr.DataArray:
    """Open a single-band raster, for example a class map, lazily on its own grid and in its type.

    Parameters
    ----------
    path : path
        Any raster that GDAL reads.
    chunks : int
        Rows and columns per chunk.
    fill : int
        What pixels hold that a mask or an alpha band hides, in integers of a file that states no
        no-data value: a number that is no class where 0 is one.

    Returns
    -------
    DataArray
        (y, x) in the file's dtype. Pixels that the rule of ``rasters.validity`` calls no data hold
        ``attrs["nodata"]``: NaN in floats, in integers the file's no-data value or, if it states
        none, ``fill``. ``attrs["validity"]`` says in words what told which pixels hold data;
        ``attrs["legend"]`` names the legend of its classes, where the file does.

    Raises
    ------
    InputError
        If the file cannot be read, has no CRS or more than one band, or its integers cannot hold
        ``fill``.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321020, 3210010))
    >>> path = oxr.write_cog(georeference(np.array([[8, 12]], dtype="uint8"), box), "map.tif")
    >>> oxr.open_raster(path).values.tolist()
    [[8, 12]]
    """
    where = text_of(path)
    bands = [band for band in describe_bands(where) if not band.alpha]
    if len(bands) != 1:
        raise InputError(
            f"{where} has {len(bands)} bands, expected 1", advice="open it with open_scene"
        )
    nodata = _nodata_of(bands, fill if bands[0].validity.hides else 0)
    if nodata and held_number(nodata, np.dtype(bands[0].dtype)) is None:
        raise InputError(
            f"{where} holds {bands[0].dtype}, which has no {nodata}", advice="give another {fill}"
        )
    reader = _reader(bands, nodata)
    rows, cols = bands[0].geobox.shape
    data = lazy_array(OneBand(reader), (min(chunks, rows), min(chunks, cols)))
    return georeference(data, bands[0].geobox, attrs=_attrs(bands, nodata), name=Path(where).stem)


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
        (class, y, x) in the file's dtype; ``class`` holds the descriptions. No data and attrs as
        ``open_raster`` has them, but 255 for integers that state none.

    Raises
    ------
    InputError
        If the file cannot be read, has no CRS, or a band is not described; if integers state
        another value than 255.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321010, 3210010))
    >>> values = np.array([[[200]], [[50]]], dtype="uint8")
    >>> coords = {"class": ["forest", "water"]}
    >>> sure = georeference(values, box, dims=("class", "y", "x"), coords=coords)
    >>> path = oxr.write_cog(sure.assign_attrs(nodata=255), "sure.tif")
    >>> oxr.open_probabilities(path).sel({"class": "water"}).values.tolist()
    [[50]]
    """
    where = text_of(path)
    bands = [band for band in describe_bands(where) if not band.alpha]
    names = ["".join(band.labels[:1]) for band in bands]
    if not all(names):
        raise InputError(
            f"{where} does not say which class each band is", advice="describe its bands"
        )
    nodata = _nodata_of(bands, PROBABILITY_NO_DATA)
    if np.isfinite(nodata) and nodata != PROBABILITY_NO_DATA:
        raise InputError(
            f"{where} states the no-data value {nodata}, which may be a probability",
            expected=f"{PROBABILITY_NO_DATA} for bytes, NaN for floats",
            advice=f"write it so, for example with gdal_calc --NoDataValue={PROBABILITY_NO_DATA}",
        )
    return georeference(
        _lazy(bands, nodata, chunks),
        bands[0].geobox,
        dims=("class", "y", "x"),
        coords={"class": names},
        attrs=_attrs(bands, nodata),
        name=Path(where).stem,
    )


def open_bands(path: PathLike, *, chunks: int = 2048) -> xr.DataArray:
    """Open all bands of a raster, whatever they are, as (band, y, x); else as ``open_raster``.

    ``band`` holds the descriptions of the bands, or their numbers from 1. A single band is (y, x).
    """
    where = text_of(path)
    bands = [band for band in describe_bands(where) if not band.alpha]
    if len(bands) == 1:
        return open_raster(path, chunks=chunks)
    nodata = _nodata_of(bands, 0)
    names = ["".join(band.labels[:1]) or str(k) for k, band in enumerate(bands, start=1)]
    return georeference(
        _lazy(bands, nodata, chunks),
        bands[0].geobox,
        dims=("band", "y", "x"),
        coords={"band": names},
        attrs=_attrs(bands, nodata),
        name=Path(where).stem,
    )


def _nodata_of(bands: list[RasterBand], default: int) -> float:
    """Return what pixels without data hold: NaN, or a stated value, or what is usual."""
    if np.dtype(bands[0].dtype).kind == "f":
        return float("nan")
    return next((int(v) for band in bands for v in band.validity.values), default)


def _lazy(bands: list[RasterBand], nodata: float, chunks: int) -> da.Array:
    """Return (band, y, x) of bands of one file, which share a chunk."""
    rows, cols = bands[0].geobox.shape
    reader = _reader(bands, nodata)
    return lazy_array(reader, (len(bands), min(chunks, rows), min(chunks, cols)))


def _reader(bands: list[RasterBand], nodata: float) -> RasterReader:
    """Return what reads bands of one file."""
    first, (rows, cols) = bands[0], bands[0].geobox.shape
    return RasterReader(
        first.path,
        first.stamp,
        tuple(band.index for band in bands),
        (len(bands), rows, cols),
        np.dtype(first.dtype),
        nodata,
        tuple(band.validity.beside(nodata) for band in bands),
    )


def _attrs(bands: list[RasterBand], nodata: float) -> dict[str, Any]:
    """Return the no-data value, what said which pixels have data, and the legend's name if any."""
    attrs = {"nodata": nodata, "validity": in_words(band.validity for band in bands)}
    return attrs | ({"legend": bands[0].legend} if bands[0].legend else {})
