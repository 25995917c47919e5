"""Assets of STAC items as pixels on a grid: one reader for stackstac and for odc-stac.

Both libraries warp a file with at most one no-data value, so saturated pixels, a second no-data
value or a mask would be resampled like light before anyone can take them out; neither heeds a
no-data value that the item alone states where the file has a tag of its own. They decide which
assets there are, when and in which chunks; the pixels come from the reader of ``open_scene``, by
the same rule of validity, so that both engines and ``open_scene`` give the same numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.lossy_nodata import WITNESSES, with_witnesses
from osm4eo_xr.imagery.products.band_files import bands_of_file
from osm4eo_xr.imagery.reader import Band, SceneReader
from osm4eo_xr.imagery.reflectance import Scaling
from osm4eo_xr.rasters.validity import SATURATED, Validity, in_words
from osm4eo_xr.rasters.warp import plan_warp

_SENTINEL2 = re.compile(r"^S2[A-D]_|^sentinel-?2", re.IGNORECASE)
_KINDS = ("platform", "constellation", "s2:product_uri", "sentinel:product_id", "s2:product_id")


@dataclass(frozen=True)
class Asset:
    """What both libraries carry in the place of an asset's href.

    Attributes
    ----------
    name : str
        Common name of its band.
    href : str
        What GDAL opens; its first band that is no alpha band counts.
    nodata : tuple of float
        What the item states, beside what the file states.
    witnesses : tuple of Asset
        Bands of the same item that settle no data in lossy files.
    """

    name: str
    href: str
    nodata: tuple[float, ...] = ()
    witnesses: tuple[Asset, ...] = ()

    def band(self, resampling: str) -> Band:
        """Describe the file's band of digital numbers; headers are read."""
        band = _by_itself(self, resampling)
        if not band.lossy or self.name not in {w.name for w in self.witnesses}:
            return band
        (judged,) = with_witnesses([band], [_by_itself(w, resampling) for w in self.witnesses])
        return judged


def _by_itself(asset: Asset, resampling: str) -> Band:
    """Describe an asset's band by its own file and by the item."""
    found = bands_of_file(asset.href, resampling=resampling, nodata=None, stated=asset.nodata)
    return replace(found[0], name=asset.name, scaling=Scaling(1.0))


def asset_of(item: Mapping[str, Any], key: str, name: str, others: Mapping[str, str]) -> Asset:
    """Return an asset of an item.

    Parameters
    ----------
    item : mapping
        Plain JSON with absolute hrefs.
    key, name : str
        The asset's key and its band's common name.
    others : mapping of str to str
        Keys of the item's assets by common name, among which are the witnesses of lossy files.
    """
    near = tuple(
        Asset(n, item["assets"][k]["href"], item_nodata(item, k))
        for n, k in others.items()
        if n in WITNESSES
    )
    return Asset(name, item["assets"][key]["href"], item_nodata(item, key), near)


def item_nodata(item: Mapping[str, Any], key: str) -> tuple[float, ...]:
    """Return the no-data values that an item states for an asset, in any version of STAC.

    They stand in ``raster:bands`` (raster extension 1), in ``bands`` or the asset itself (STAC
    1.1), or in the item's properties. A Sentinel-2 product always has 0 and 65535 (SATURATED).
    """
    asset = item["assets"][key]
    places = (
        *asset.get("raster:bands", [])[:1],
        *asset.get("bands", [])[:1],
        asset,
        item.get("properties", {}),
    )
    stated = (place.get(name) for place in places for name in ("nodata", "raster:nodata"))
    values = [v for v in stated if isinstance(v, int | float) and not isinstance(v, bool)]
    if _is_sentinel2(item):
        values += [0, SATURATED]
    return tuple(dict.fromkeys(values))


def validity_in_words(assets: Sequence[Asset]) -> str:
    """Return what tells which pixels of assets hold data, as far as no file must be opened."""
    plain = Validity(sources=("what each file states",))
    stated = [
        Validity().excluding(value, np.dtype(np.float64), "STAC item:")
        for asset in assets
        for value in asset.nodata
    ]
    return in_words([plain, *stated])


def _is_sentinel2(item: Mapping[str, Any]) -> bool:
    """Whether an item says that it is a Sentinel-2 product."""
    properties = item.get("properties", {})
    said = [item.get("id"), item.get("collection"), *(properties.get(name) for name in _KINDS)]
    return any(_SENTINEL2.search(str(text)) for text in said if text)


class AssetReader:
    """One asset on a whole grid, read by windows; stackstac's protocol of a reader.

    Digital numbers as float32 with NaN. Headers are read when a window is.
    """

    def __init__(
        self,
        *,
        url: Asset,
        spec: Any,
        resampling: Any,
        errors_as_nodata: tuple[Exception, ...] = (),
        **_unused: Any,
    ) -> None:
        target = GeoBox(spec.shape, spec.transform, f"EPSG:{spec.epsg}")
        self._given = (url, target, resampling.name, bool(errors_as_nodata))
        self._reader: SceneReader | None = None

    def read(self, window: Any, **_unused: Any) -> np.ndarray:
        """Return (y, x) of a window of the grid."""
        asset, target, resampling, tolerant = self._given
        rows, cols = window.toslices()
        try:
            if self._reader is None:
                self._reader = read_asset(asset, target, resampling)
            return self._reader.read([0], rows, cols)[0]
        except (RasterioIOError, InputError):
            if not tolerant:
                raise
            return np.full((rows.stop - rows.start, cols.stop - cols.start), np.nan, np.float32)

    def close(self) -> None:
        """Do nothing: handles belong to the thread that reads."""

    def __getstate__(self) -> Any:
        return self._given

    def __setstate__(self, state: Any) -> None:
        self._given, self._reader = state, None


def read_asset(asset: Asset, target: GeoBox, resampling: str) -> SceneReader:
    """Return the reader of one asset on a grid."""
    band = asset.band(resampling)
    return SceneReader((band,), target, (plan_warp(band.geobox, target, resampling),))


class AssetDriver:
    """odc-stac's protocol of a driver: opens assets for a load on one grid."""

    md_parser = dask_reader = aux_reader = None

    def new_load(self, geobox: GeoBox, *, chunks: Any = None) -> GeoBox:  # noqa: ARG002 - theirs
        """Keep the whole grid: a window's pixels may not depend on the window."""
        return geobox

    def finalise_load(self, load_state: GeoBox) -> GeoBox:
        """Return what was kept."""
        return load_state

    def capture_env(self) -> dict[str, Any]:
        """Keep nothing: the reader sets GDAL's options itself."""
        return {}

    def restore_env(
        self,
        env: dict[str, Any],  # noqa: ARG002 - theirs
        load_state: GeoBox,
    ) -> AbstractContextManager[GeoBox]:
        """Hand the grid to ``open``."""
        return nullcontext(load_state)

    def open(self, src: Any, ctx: GeoBox) -> AssetWindows:
        """Return what reads windows of a source, whose place an ``Asset`` has taken."""
        return AssetWindows(src.uri, ctx)


class AssetWindows:
    """One asset on a whole grid, read by windows; odc-stac's protocol of a reader."""

    def __init__(self, asset: Asset, target: GeoBox) -> None:
        self._asset, self._target = asset, target
        self._reader: SceneReader | None = None

    def read(
        self, cfg: Any, dst_geobox: GeoBox, *, dst: Any = None, selection: Any = None
    ) -> tuple[tuple[slice, slice], np.ndarray]:
        """Return (y, x) of a part of the grid, and where it lies in it: all of it."""
        del selection
        left, top = ~self._target.affine @ (dst_geobox.affine.c, dst_geobox.affine.f)
        (height, width), row, col = tuple(dst_geobox.shape), round(top), round(left)
        try:
            if self._reader is None:
                self._reader = read_asset(self._asset, self._target, cfg.resampling)
            pixels = self._reader.read([0], slice(row, row + height), slice(col, col + width))[0]
        except (RasterioIOError, InputError):
            if cfg.fail_on_error:
                raise
            pixels = np.full((height, width), np.nan, np.float32)
        if dst is not None:
            dst[:] = pixels
        return (slice(0, height), slice(0, width)), pixels
