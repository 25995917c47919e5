"""Assets of STAC items as pixels on a grid: one reader for whatever read the items.

stackstac and odc-stac warp a file with at most one no-data value, so saturated pixels, a second
no-data value or a mask would be resampled like light before anyone can take them out; neither heeds
a no-data value that the item alone states where the file has a tag of its own. They find assets and
lay out stacks (``engines``); the pixels come from the reader of ``open_scene``, by the same rule of
validity, so that both engines and ``open_scene`` give the same numbers.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError

from osm4eo_xr.catalogs.product_assets import digital_band, is_product, place_of
from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.lossy_nodata import WITNESSES, with_witnesses
from osm4eo_xr.imagery.products.band_files import bands_of_file
from osm4eo_xr.imagery.reader import Band, SceneReader
from osm4eo_xr.rasters.remote.waiting import at_once
from osm4eo_xr.rasters.validity import SATURATED, Validity, in_words
from osm4eo_xr.rasters.warp import plan_warp
from osm4eo_xr.rasters.windows import pick, positions, span

if TYPE_CHECKING:
    from osm4eo_xr.imagery.offsets import AssetNumbers

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

    def band(self, resampling: str, headers: dict[Asset, Band] | None = None) -> Band:
        """Describe the file's band, its scaling as tagged; headers are read, or known already."""
        headers = {} if headers is None else headers
        read_headers([self], resampling, headers)
        band = headers[self.alone]
        if not _is_judged(self, band):
            return band
        (judged,) = with_witnesses([band], [headers[w.alone] for w in self.witnesses])
        return judged

    @property
    def alone(self) -> Asset:
        """The asset without its witnesses."""
        return replace(self, witnesses=())


def read_headers(assets: Sequence[Asset], resampling: str, headers: dict[Asset, Band]) -> None:
    """Read the headers that ``Asset.band`` needs and that are not known, into ``headers``."""
    _read_alone(assets, resampling, headers)
    _read_alone(
        [w for a in assets if _is_judged(a, headers[a.alone]) for w in a.witnesses],
        resampling,
        headers,
    )


def _read_alone(assets: Sequence[Asset], resampling: str, headers: dict[Asset, Band]) -> None:
    """Read headers of assets by themselves; those at addresses at once."""
    new = {a.alone: a.href for a in assets if a.alone not in headers}
    found = at_once(partial(_by_itself, resampling=resampling), new)
    headers.update(zip(new, found, strict=True))


def _is_judged(asset: Asset, band: Band) -> bool:
    """Whether witnesses settle the no data of an asset's band."""
    return band.lossy and asset.name in {w.name for w in asset.witnesses}


def _by_itself(asset: Asset, resampling: str) -> Band:
    """Describe an asset's band by its own file and by the item."""
    if is_product(asset.href):
        return digital_band(asset.href, asset.name, resampling)
    found = bands_of_file(asset.href, resampling=resampling, nodata=None, stated=asset.nodata)
    return replace(found[0], name=asset.name)


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
        Asset(n, place_of(item["assets"][k]), item_nodata(item, k))
        for n, k in others.items()
        if n in WITNESSES
    )
    return Asset(name, place_of(item["assets"][key]), item_nodata(item, key), near)


def item_nodata(item: Mapping[str, Any], key: str) -> tuple[float, ...]:
    """Return the no-data values that an item states for an asset, in any version of STAC.

    They stand in ``raster:bands`` (raster extension 1), in ``bands`` or the asset itself (STAC
    1.1), or in the item's properties. A Sentinel-2 product always has 0 and 65535 (SATURATED).
    EOPF stores say it themselves.
    """
    asset = item["assets"][key]
    if is_product(asset["href"]):
        return ()
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


class CubeReader:
    """Assets of items as an array-like (time, band, y, x) of reflectance on one grid.

    Headers are read when pixels are, once: other threads that want pixels of that item wait. Bands
    of an item that share a grid are warped together: most of the work of warping is to work out
    where each pixel comes from.

    Parameters
    ----------
    assets : sequence of sequences of Asset or None
        By time and band; None is no data.
    numbers : sequence of sequences of AssetNumbers
        What is known of their digital numbers, alike; headers say the rest.
    geobox : GeoBox
        Target grid.
    resampling : str
        GDAL's name.
    tolerant : bool
        Whether what cannot be read is no data.
    """

    ndim = 4
    dtype = np.dtype(np.float32)

    def __init__(
        self,
        assets: Sequence[Sequence[Asset | None]],
        numbers: Sequence[Sequence[AssetNumbers]],
        geobox: GeoBox,
        resampling: str,
        *,
        tolerant: bool = False,
    ) -> None:
        self._given = (assets, numbers, geobox, resampling, tolerant)
        self.shape = (len(assets), len(assets[0]), *tuple(geobox.shape))
        self._headers: dict[Asset, Band] = {}
        self._turns: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def __getitem__(self, key: Any) -> np.ndarray:
        (times, layers, rows, cols), dropped = positions(key, self.shape)
        row_span, col_span = span(rows), span(cols)
        shape = (times.size, layers.size, row_span.stop - row_span.start)
        data = np.empty((*shape, col_span.stop - col_span.start), np.float32)
        for place, time in zip(data, times.tolist(), strict=True):
            self._read(place, time, layers.tolist(), row_span, col_span)
        data = pick(data, rows - row_span.start, cols - col_span.start)
        return data.squeeze(axis=dropped) if dropped else data

    def _read(
        self, out: np.ndarray, time: int, layers: list[int], rows: slice, cols: slice
    ) -> None:
        """Fill ``out``, (layers, rows, cols), with an item's bands."""
        out[:] = np.nan
        assets, _, _, _, tolerant = self._given
        there = [k for k, layer in enumerate(layers) if assets[time][layer] is not None]
        if not there or not out.size:
            return
        try:
            scene = self._scene(time, [layers[k] for k in there])
            out[there] = scene.read([*range(len(there))], rows, cols)
        except _UnscaledError as error:
            raise error.told from None
        except (RasterioIOError, InputError) as error:
            if not tolerant:
                raise _with_way_out(error) from None
            for k in there if len(there) > 1 else ():  # one of them cannot be read
                self._read(out[k : k + 1], time, [layers[k]], rows, cols)

    def _scene(self, time: int, layers: list[int]) -> SceneReader:
        """Return the reader of an item's bands."""
        assets, numbers, geobox, resampling, _ = self._given
        chosen = [asset for layer in layers if (asset := assets[time][layer]) is not None]
        with self._turns[time]:
            read_headers(chosen, resampling, self._headers)
        bands = tuple(
            _scaled(asset.band(resampling, self._headers), numbers[time][layer])
            for asset, layer in zip(chosen, layers, strict=True)
        )
        plans = {b.geobox: plan_warp(b.geobox, geobox, resampling) for b in bands}
        return SceneReader(bands, geobox, tuple(plans[b.geobox] for b in bands))

    def __getstate__(self) -> Any:
        return self._given

    def __setstate__(self, given: Any) -> None:
        *four, tolerant = given
        CubeReader.__init__(self, *four, tolerant=tolerant)


class _UnscaledError(Exception):
    """What a file's numbers mean is told by nothing; not as if it could not be read."""

    def __init__(self, told: InputError) -> None:
        super().__init__(told)
        self.told = told


def _scaled(band: Band, numbers: AssetNumbers) -> Band:
    """Return a band, its scaling as tagged, with the scaling that its numbers have."""
    try:
        tags = (band.scaling.scale, band.scaling.offset)
        return replace(band, scaling=numbers.of_file(band.dtype, tags))
    except InputError as error:
        raise _UnscaledError(error) from None


def _with_way_out(error: RasterioIOError | InputError) -> InputError:
    """Return the error of an asset that cannot be read, with what to do."""
    told = error if isinstance(error, InputError) else InputError(str(error))
    way = "replace the file, or composite without its item: {skip_unreadable=True}"
    advice = "; ".join(part for part in (told.advice, way) if part)
    return InputError(told.given, expected=told.expected, advice=advice)
