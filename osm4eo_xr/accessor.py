"""``raster.oxr``: the steps after classification, and a picture, as methods of a raster.

It is registered when the first public name of the package is used, or by
``import osm4eo_xr.accessor``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.maps.layers import extract_layer
from osm4eo_xr.sieving.lazy_sieve import sieve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from osm4eo_xr.legend import Legend


@xr.register_dataarray_accessor("oxr")
class RasterAccessor:
    """Steps of a land-use map as methods; each calls the public function of that name.

    Examples
    --------
    >>> import dask.array as da, osm4eo_xr as oxr, xarray as xr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321640, 3210640))
    >>> class_map = georeference(da.full((64, 64), 12, dtype="uint8"), box)
    >>> water = class_map.oxr.sieve(size=16).oxr.extract("water")
    >>> int((water > 0).sum())
    4096
    """

    def __init__(self, raster: xr.DataArray) -> None:
        self._raster = raster

    def sieve(self, size: int = 64, connectivity: int = 8, **options: Any) -> xr.DataArray:
        """Give regions below ``size`` pixels to their largest neighbor; see ``sieve``."""
        return sieve(self._raster, size, connectivity, **options)

    def extract(self, layer: str | int | Sequence[str | int], **options: Any) -> xr.DataArray:
        """Return one layer, or several; see ``extract_layer``."""
        return extract_layer(self._raster, layer, **options)

    def to_cog(self, path: str | Path, **options: Any) -> Path:
        """Write a Cloud-Optimized GeoTIFF; see ``write_cog``."""
        return write_cog(self._raster, path, **options)

    def quicklook(
        self, *, legend: Legend | None = None, title: str = "", pixels: int = 900
    ) -> Figure:
        """Draw a scene (band, y, x) in true color, or a class map (y, x) in the legend's colors.

        Rasters with a longer edge than ``pixels`` are thinned before they are computed.
        """
        from osm4eo_xr.plot.maps import plot_classes, quicklook

        draw = quicklook if "band" in self._raster.dims else plot_classes
        return draw(self._raster, legend=legend, title=title, pixels=pixels)
