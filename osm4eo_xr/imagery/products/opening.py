"""Products of ESA's, SAFE or EOPF, to lazy scenes and the layers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.imagery.band_looks import look_at_bands
from osm4eo_xr.imagery.clouds.masks import mask_clouds
from osm4eo_xr.imagery.clouds.sun import SUN_NAMES
from osm4eo_xr.imagery.lazy_scene import scene_of_bands
from osm4eo_xr.imagery.lossy_nodata import with_witnesses
from osm4eo_xr.imagery.products.band_files import choose_bands
from osm4eo_xr.imagery.products.eopf import (
    EopfProduct,
    eopf_bands,
    is_eopf,
    layer_band,
    read_eopf,
)
from osm4eo_xr.imagery.products.safe import (
    SafeProduct,
    class_band,
    is_safe,
    probability_band,
    product_sun,
    read_product,
    safe_bands,
)
from osm4eo_xr.rasters.remote.addresses import text_of
from osm4eo_xr.rasters.store_paths import split_store
from osm4eo_xr.rasters.validity import Validity

if TYPE_CHECKING:
    from osm4eo_xr.imagery.reader import Band
    from osm4eo_xr.rasters.files import PathLike

__all__ = [
    "open_cloud_probability",
    "open_product",
    "open_product_classes",
    "open_safe",
    "open_safe_classes",
]

PROBABILITY_NO_DATA = 255
"""What pixels without a cloud probability hold."""


def is_product(path: PathLike) -> bool:
    """Whether a path is a product: a SAFE folder, zip or metadata file, or an EOPF store."""
    given = text_of(path)
    return is_eopf(given) or is_safe(given)


def product_level(path: PathLike) -> str | None:
    """Return the level of a product, "" if nothing tells it; None for what is no product."""
    return _read(path).level if is_product(path) else None


def open_product(
    path: PathLike,
    *,
    bands: Sequence[str] | None = None,
    geobox: GeoBox | Literal["native"] | None = None,
    chunks: int = 1024,
    tile: str | None = None,
    scale: float | None = None,
    offset: float | None = None,
    mask: Sequence[int] | np.ndarray = (),
    dilation: int = 0,
    resampling: str = "cubic",
) -> xr.DataArray:
    """Open a Sentinel-2 product (level 1C or 2A) as ESA delivers it as a lazy scene.

    ``open_safe`` is the same function. One product gives the same scene in either format:
    quantification, offsets (processing baseline 04.00) and special values come from its own
    metadata, so that reflectance is ``(DN + ADD_OFFSET) / QUANTIFICATION_VALUE``, in EOPF's words
    ``DN * scale_factor + add_offset``. GeoZarr conversions hold floats that are scaled already;
    they are left alone where their ``units`` say so.

    Parameters
    ----------
    path : path
        SAFE, on disk: the .SAFE folder, its zip, or the metadata file inside a folder:
        MTD_MSIL1C.xml, MTD_MSIL2A.xml or, before December 2016, S2A_OPER_MTD_SAFL1C_….xml. EOPF:
        the Zarr store (format 2 or 3), its .zarr.zip, or a group or array of its reflectances, as
        STAC assets name it (``….zarr/measurements/reflectance/r10m``).
    bands, geobox, chunks, resampling
        As in ``open_scene``.
    tile : str, optional
        MGRS tile, for example "33UUU"; needed for products (before December 2016) with several.
    scale, offset : float, optional
        Reflectance per digital number and offset in reflectance in place of the metadata's.
    mask : sequence or array of int
        SCL classes to set to no data (level 2A), for example ``CLOUD_CLASSES`` of
        ``imagery.clouds.masks``.
    dilation : int
        Radius in pixels of the scene by which clouds grow (see ``mask_clouds``).

    Returns
    -------
    DataArray
        (band, y, x) float32 reflectance, NaN = no data; top of atmosphere for level 1C. attrs:
        ``product``, ``level``, ``baseline``, ``date`` (ISO 8601), ``footprint`` (WKT, lon/lat);
        ``sun_azimuth`` and ``sun_zenith`` (degrees, means of the tile) where metadata state them.

    Raises
    ------
    InputError
        If there is no whole product, a band or tile is missing, nothing tells whether floats are
        scaled already, or a product of baseline 04.00 or later does not state its offsets.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.open_product("T32TQM.zarr")
    Traceback (most recent call last):
      ...
    osm4eo_xr.errors.InputError: no product T32TQM.zarr; give an EOPF store (.zarr, .zarr.zip)
    """
    product = _read(path)
    found = _bands_of(product, tile, scale, offset, resampling)
    chosen = choose_bands(found, bands, where=product.name)
    if isinstance(product, EopfProduct):
        counts = all(np.dtype(b.dtype).kind in "iu" for b in chosen)
        look_at_bands(chosen, scaled=counts, settled=not (scale is None and offset is None))
    scene = scene_of_bands(with_witnesses(chosen, found), geobox, chunks)
    for name in ("level", "baseline", "date", "footprint"):
        scene.attrs[name] = getattr(product, name)
    scene.attrs["product"] = product.name
    eopf = isinstance(product, EopfProduct)
    sun = product.sun if eopf else product_sun(product, tile=tile)
    scene.attrs |= dict(zip(SUN_NAMES, sun or (), strict=False))
    if len(mask):
        classes = open_product_classes(path, geobox=geobox_of(scene), chunks=chunks, tile=tile)
        return mask_clouds(scene, classes, classes=mask, dilation=dilation)
    return scene


def open_product_classes(
    path: PathLike,
    *,
    geobox: GeoBox | Literal["native"] | None = None,
    chunks: int = 1024,
    tile: str | None = None,
) -> xr.DataArray:
    """Open the scene classification (SCL) of a level-2A product, lazily, by nearest neighbor.

    ``open_safe_classes`` is the same function.

    Parameters
    ----------
    path, geobox, chunks, tile
        As in ``open_product``; "native" is the classification's own 20 m grid.

    Returns
    -------
    DataArray
        (y, x) uint8, 0 = no data.

    Raises
    ------
    InputError
        If the product has no scene classification, as level 1C.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.open_product_classes("T32TQM.zarr")
    Traceback (most recent call last):
      ...
    osm4eo_xr.errors.InputError: no product T32TQM.zarr; give an EOPF store (.zarr, .zarr.zip)
    """
    product = _read(path)
    if isinstance(product, EopfProduct):
        band = layer_band(product, "scl", tile=tile)
    else:
        band = class_band(product, tile=tile)
    return _layer_of(band, geobox, chunks, nodata=0, name="scl", words="scene classification")


def open_cloud_probability(
    path: PathLike,
    *,
    geobox: GeoBox | Literal["native"] | None = None,
    chunks: int = 1024,
    tile: str | None = None,
) -> xr.DataArray:
    """Open the cloud probability of a level-2A product, lazily, by nearest neighbor.

    SAFE products hold it in ``QI_DATA/MSK_CLDPRB_20m.jp2``, EOPF products in
    ``quality/probability/r20m/cld``.

    Parameters
    ----------
    path, geobox, chunks, tile
        As in ``open_product``; "native" is the probability's own 20 m grid.

    Returns
    -------
    DataArray
        (y, x) uint8 per cent, as ``mask_clouds`` takes it; 255 = no data. 0 also where the sensor
        saw nothing: the scene's bands say where.

    Raises
    ------
    InputError
        If the product has no cloud probability, as level 1C.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.open_cloud_probability("T32TQM.zarr")
    Traceback (most recent call last):
      ...
    osm4eo_xr.errors.InputError: no product T32TQM.zarr; give an EOPF store (.zarr, .zarr.zip)
    """
    product = _read(path)
    if isinstance(product, EopfProduct):
        band = layer_band(product, "cld", tile=tile)
    else:
        band = probability_band(product, tile=tile)
    per_cent = Validity(low=0, high=100, settled=True, sources=("probability 0 to 100",))
    band = replace(band, validity=per_cent)
    how = {"name": "cloud_probability", "words": "cloud probability"}
    return _layer_of(band, geobox, chunks, nodata=PROBABILITY_NO_DATA, **how)


open_safe = open_product
open_safe_classes = open_product_classes


def _read(path: PathLike) -> SafeProduct | EopfProduct:
    """Read the metadata of a product of either format."""
    given = text_of(path)
    return read_eopf(given) if split_store(given) is not None else read_product(given)


def _bands_of(
    product: SafeProduct | EopfProduct,
    tile: str | None,
    scale: float | None,
    offset: float | None,
    resampling: str,
) -> list[Band]:
    describe: Any = eopf_bands if isinstance(product, EopfProduct) else safe_bands
    return describe(product, tile=tile, scale=scale, offset=offset, resampling=resampling)


def _layer_of(
    band: Band,
    geobox: GeoBox | Literal["native"] | None,
    chunks: int,
    *,
    nodata: int,
    name: str,
    words: str,
) -> xr.DataArray:
    """Return a layer's (y, x) uint8 on a grid."""
    layer = scene_of_bands([band], geobox, chunks).isel(band=0, drop=True).fillna(nodata)
    layer = layer.astype(np.uint8)
    layer.attrs = {"nodata": nodata, "long_name": words}
    return layer.rename(name)
