"""Bands of a raster as the file describes them, before anyone says what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field

from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import check_grid
from osm4eo_xr.rasters.files import is_store, open_image
from osm4eo_xr.rasters.staged import is_staged, record_of
from osm4eo_xr.rasters.stores import ArraySource
from osm4eo_xr.rasters.validity import Validity, alpha_band, image_validities
from osm4eo_xr.rasters.windows import stamp_of

_MOST_BANDS = 1000  # hyperspectral sensors have hundreds


@dataclass(frozen=True)
class RasterBand:
    """One band of a file or store.

    Attributes
    ----------
    labels : tuple of str
        What the file calls it, best first; empty where it is not described.
    path, stamp : str, int
        What GDAL opens, and its modification time in ns, so that a changed file is read anew.
    index : int
        Band of the file, from 1.
    geobox : GeoBox
        The file's grid.
    dtype : str
        The file's data type.
    block : tuple of int
        Rows and columns of the file's blocks.
    scale, offset : float
        The file's tags, by default 1 and 0.
    nodata : float or None
        The stated no-data value.
    lossy : bool
        Whether the file's compression changes numbers.
    validity : Validity
        All that the file states about which pixels hold data.
    alpha : bool
        Whether it is an alpha band, which says where the others hold data.
    legend : str
        Name of the legend that the file's classes are of; empty if it states none.
    """

    labels: tuple[str, ...]
    path: str
    stamp: int
    index: int
    geobox: GeoBox
    dtype: str
    block: tuple[int, int]
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    lossy: bool = False
    validity: Validity = field(default_factory=Validity)
    alpha: bool = False
    legend: str = ""


def describe_bands(path: str) -> list[RasterBand]:
    """Return all bands of a file or store; only headers are read.

    Raises
    ------
    InputError
        If it cannot be read or has no place on the ground.
    """
    return _bands_of_store(path) if is_store(path) else _bands_of_image(path)


def _bands_of_image(path: str) -> list[RasterBand]:
    """Describe the bands of a file that GDAL reads."""
    with open_image(path) as source:
        if source.count > _MOST_BANDS:
            raise InputError(
                f"{path} claims {source.count:,} bands", expected=f"at most {_MOST_BANDS:,}"
            )
        grid = check_grid(GeoBox(source.shape, source.transform, source.crs), path)
        kept = source.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION_REVERSIBILITY", "")
        alpha, legend = alpha_band(source), source.tags().get("legend", "")
        record = record_of(source) if is_staged(path) else {}
        per_band = zip(  # each asked for once: rasterio walks through all bands for each
            source.descriptions,
            source.dtypes,
            source.block_shapes,
            source.scales,
            source.offsets,
            source.nodatavals,
            image_validities(source),
            strict=True,
        )
        return [
            RasterBand(
                labels=(label,) if label else (),
                path=path,
                stamp=stamp_of(path),
                index=index,
                geobox=grid,
                dtype=dtype,
                block=tuple(record.get("block", block)),
                scale=scale or 1.0,
                offset=offset,
                nodata=nodata,
                lossy=record.get("lossy", kept == "LOSSY"),
                validity=validity,
                alpha=index == alpha,
                legend=legend,
            )
            for index, (label, dtype, block, scale, offset, nodata, validity) in enumerate(
                per_band, start=1
            )
        ]


def _bands_of_store(path: str) -> list[RasterBand]:
    """Describe the bands of a Zarr store or NetCDF file, whose tags are CF attributes."""
    source = ArraySource(path)
    try:
        return [
            RasterBand(
                labels=layer.labels,
                path=path,
                stamp=stamp_of(path),
                index=i,
                geobox=check_grid(layer.geobox, path),
                dtype=str(layer.dtype),
                block=layer.block,
                scale=layer.tag("scale_factor") or 1.0,
                offset=layer.tag("add_offset") or 0.0,
                nodata=layer.fill,
                validity=layer.validity,
                legend=str(layer.variable.attrs.get("legend", "")),
            )
            for i, layer in enumerate(source.layers, start=1)
        ]
    finally:
        source.close()
