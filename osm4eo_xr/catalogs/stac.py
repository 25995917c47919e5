"""STAC items to a lazy cube (time, band, y, x) on one grid, through stackstac or odc-stac."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.catalogs.acquisitions import sun_of, when
from osm4eo_xr.catalogs.asset_looks import leave_out_unreadable, settled_numbers
from osm4eo_xr.catalogs.assets import Asset, CubeReader, asset_of, validity_in_words
from osm4eo_xr.catalogs.engines import found_by_odc, stacked_by_stackstac
from osm4eo_xr.catalogs.footprints import touching
from osm4eo_xr.catalogs.items import (
    Items,
    asked_band,
    asset_keys,
    class_key,
    levels_of,
    read_items,
    slim,
    witness_keys,
)
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.imagery.clouds.masks import mask_clouds
from osm4eo_xr.imagery.clouds.opening import OpenedMethod, bands_needed
from osm4eo_xr.imagery.clouds.sun import SUN_NAMES
from osm4eo_xr.imagery.compositing import block_side, composite
from osm4eo_xr.imagery.offsets import AssetNumbers
from osm4eo_xr.rasters.windows import lazy_array

if TYPE_CHECKING:
    from osm4eo_xr.imagery.clouds.rule import Level

Backend = Literal["stackstac", "odc"]

_AS_STORED = AssetNumbers(1.0, 0.0)


def stack_items(
    items: Items,
    geobox: GeoBox,
    bands: Sequence[str] = ("blue", "green", "red", "nir"),
    *,
    backend: Backend = "stackstac",
    chunks: int | None = None,
    resampling: str = "cubic",
    scale: float | None = None,
    offset: float | None = None,
    allow_missing: bool = False,
) -> xr.DataArray:
    """Stack STAC items as a lazy cube of reflectance.

    Parameters
    ----------
    items : path, dict, Item, ItemCollection or sequence of them
        Items, or the path of a local catalog, collection, item or item collection.
    geobox : GeoBox
        Target grid; the items may lie in any CRS. Items that do not touch it are left out.
    bands : sequence of str
        Common names or Sentinel-2 ids.
    backend : str
        "stackstac" lays out the stack and reads chunks whole, so name the bands that you want;
        "odc" (odc-stac, of the extra ``odc``) finds the assets, and just what is indexed of the
        stack is read. The numbers are the same.
    chunks : int, optional
        Rows and columns per chunk. By default such that one chunk of the whole series stays
        below 128 MB.
    resampling : str
        GDAL's name: cubic, bilinear, nearest or average.
    scale, offset : float, optional
        Reflectance is ``DN * scale + offset``. By default decided per asset by the table of
        ``osm4eo_xr.imagery.offsets``: by the item, else by the file's tags and type, which are
        read with its pixels; a header, and blocks if it says nothing, are read before only where
        an item leaves the offset open.
    allow_missing : bool
        Read assets that an item lacks, or files that cannot be opened, as no data instead of
        refusing them.

    Returns
    -------
    DataArray
        (time, band, y, x) float32 reflectance, NaN = no data; ordered by date and id, with the
        coordinate ``item`` (time) of ids, and ``sun_azimuth`` and ``sun_zenith`` (time) in degrees
        where items state them. Coordinates are pixel centers. attrs: ``level`` ("1C" or "2A") where
        ids or collections of all items tell it.

    Raises
    ------
    InputError
        If there is no item, none touches the grid, an asset is missing, or nothing tells its
        offset.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_item
    >>> box = oxr.target_geobox((4320000, 3210000, 4322000, 3212000))
    >>> item = example_item("nir", 2000)
    >>> cube = oxr.stack_items([item], box, ["nir"])
    >>> dict(cube.sizes), round(float(cube[0, 0, 0, 0]), 3)  # DN 2000 of baseline 05.09
    ({'time': 1, 'band': 1, 'y': 200, 'x': 200}, 0.1)
    """
    names = [asked_band(b) for b in bands]
    chosen = touching(read_items(items), geobox)
    keys = [asset_keys(item, names, allow_missing=allow_missing) for item in chosen]
    assets = [_assets_of(item, key) for item, key in zip(chosen, keys, strict=True)]
    told = settled_numbers(chosen, keys, scale=scale, offset=offset)
    cube = _load(
        [slim(item, found) for item, found in zip(chosen, assets, strict=True)],
        names,
        geobox,
        [[known.get(name, _AS_STORED) for name in names] for known in told],
        backend=backend,
        chunks=chunks or block_side(len(chosen), len(names)),
        resampling=resampling,
        allow_missing=allow_missing,
    )
    cube.attrs = {
        "units": "1",
        "long_name": "reflectance",
        "nodata": float("nan"),
        "validity": validity_in_words([a for found in assets for a in found.values()]),
    }
    suns = np.array([sun_of(item) for item in chosen])
    if not np.isnan(suns).all():
        cube = cube.assign_coords(
            {name: ("time", stated) for name, stated in zip(SUN_NAMES, suns.T, strict=True)}
        )
    levels = levels_of(chosen)
    if len(levels) == 1 and any(levels):
        cube.attrs["level"] = levels.pop()
    return cube.rename("reflectance")


def stack_classes(
    items: Items,
    geobox: GeoBox,
    *,
    asset: str = "scl",
    backend: Backend = "stackstac",
    chunks: int | None = None,
    allow_missing: bool = False,
) -> xr.DataArray:
    """Stack the items' scene classification (SCL) on a grid, lazily, by nearest neighbor.

    Parameters are those of ``stack_items``; ``asset`` is the classification's key in any case.

    Returns
    -------
    DataArray
        (time, y, x) uint8, 0 = no data; the same dates as ``stack_items`` of the same items.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_item
    >>> box = oxr.target_geobox((4320000, 3210000, 4322000, 3212000))
    >>> item = example_item("scl", 4)
    >>> scl = oxr.stack_classes([item], box)
    >>> dict(scl.sizes), scl[0, 0, :2].values.tolist()
    ({'time': 1, 'y': 200, 'x': 200}, [4, 4])
    """
    chosen = touching(read_items(items), geobox)
    keys = [class_key(item, asset, allow_missing=allow_missing) for item in chosen]
    classes = _load(
        [slim(item, _assets_of(item, key)) for item, key in zip(chosen, keys, strict=True)],
        ["classes"],
        geobox,
        [[_AS_STORED]] * len(chosen),
        backend=backend,
        chunks=chunks or block_side(len(chosen), 4),
        resampling="nearest",
        allow_missing=allow_missing,
    )
    codes = classes.isel(band=0, drop=True).fillna(0).astype(np.uint8)
    codes.attrs = {"nodata": 0, "long_name": "scene classification"}
    return codes.rename("scl")


def composite_items(
    items: Items,
    geobox: GeoBox,
    bands: Sequence[str] = ("blue", "green", "red", "nir"),
    *,
    method: Literal["medoid", "median", "best"] = "medoid",
    dilation: int | None = 2,
    clouds: OpenedMethod = "scl",
    level: Level | None = None,
    backend: Backend = "stackstac",
    resampling: str = "cubic",
    scale: float | None = None,
    offset: float | None = None,
    skip_unreadable: bool = False,
) -> xr.Dataset:
    """Make one cloudless scene of STAC items, lazily.

    Stacks the items, takes out what is clouded, and composites.

    Parameters
    ----------
    items, geobox, bands, backend, resampling, scale, offset
        As in ``stack_items``.
    method : str
        As in ``composite``.
    dilation : int or None
        Radius in pixels of the grid by which clouds grow; None looks for no clouds.
    clouds : str
        Method of ``mask_clouds``: "scl" (items of level 2A), "threshold" or "s2cloudless" (items
        of level 1C). Bands that it needs beyond ``bands`` are read, used and left out.
    level : {"1C", "2A"}, optional
        As in ``mask_clouds``; by default what ids and collections of the items tell.
    skip_unreadable : bool
        Leave out items with an asset that is missing or cannot be read, with a warning that names
        them. Header, first and last pixel of each asset are read to find them.

    Returns
    -------
    Dataset
        ``reflectance`` (band, y, x) float32, NaN = nothing seen, and ``observations`` (y, x)
        uint16: how many were clear. ``attrs["skipped"]`` says which items were left out and why.

    Raises
    ------
    InputError
        As ``stack_items``, ``stack_classes``, ``mask_clouds`` and ``composite``.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_item
    >>> box = oxr.target_geobox((4320000, 3210000, 4322000, 3212000))
    >>> item = example_item("nir", 2000)
    >>> made = oxr.composite_items([item], box, ["nir"], method="median", dilation=None)
    >>> made["observations"][0, :2].values.tolist()
    [1, 1]
    """
    found, skipped, looked = read_items(items), [], list(bands)
    if dilation is not None:
        names = {asked_band(b) for b in bands}
        looked += [b for b in bands_needed(clouds) if b not in names]
    if skip_unreadable:
        classes = dilation is not None and clouds == "scl"
        found, skipped = leave_out_unreadable(found, geobox, looked, classes=classes)
    cube = stack_items(
        found, geobox, looked, backend=backend, resampling=resampling, scale=scale, offset=offset
    )
    if dilation is not None and clouds == "scl":
        chunks = max(cube.data.chunksize[2:])
        marks = stack_classes(found, geobox, backend=backend, chunks=chunks)
        cube = mask_clouds(cube, marks, dilation=dilation)
    elif dilation is not None:
        cube = mask_clouds(cube, method=clouds, dilation=dilation, level=level)
    made = composite(cube.isel(band=slice(len(bands))), method)
    return made.assign_attrs(skipped=skipped)


def _assets_of(item: dict[str, Any], keys: dict[str, str]) -> dict[str, Asset]:
    """Return the wanted assets of an item by band name."""
    others = witness_keys(item)
    return {name: asset_of(item, key, name, others) for name, key in keys.items()}


def _load(
    items: list[dict[str, Any]],
    names: list[str],
    geobox: GeoBox,
    numbers: Sequence[Sequence[AssetNumbers]],
    *,
    backend: str,
    chunks: int,
    resampling: str,
    allow_missing: bool,
) -> xr.DataArray:
    """Return reflectance (time, band, y, x) float32 with NaN, lazily."""
    if resampling not in {"nearest", "bilinear", "cubic", "average"}:
        raise InputError(
            f"resampling {resampling!r} is unknown",
            advice="use cubic, bilinear, nearest or average",
        )
    if backend not in get_args(Backend):
        raise InputError(f"backend {backend!r} is unknown", advice="use 'stackstac' or 'odc'")
    present = [n for n in names if any(n in i["assets"] for i in items)]
    if not present:
        raise InputError(f"no item has any of {', '.join(names)}", advice="choose other bands")
    sides = (min(chunks, geobox.shape[0]), min(chunks, geobox.shape[1]))
    how: Any = {"geobox": geobox, "resampling": resampling, "tolerant": allow_missing}
    if backend == "odc":
        rows = [[row.get(n) for n in names] for row in found_by_odc(items, present)]
        data = lazy_array(CubeReader(rows, numbers, **how), (1, len(names), *sides))
    else:
        rows = [[i["assets"].get(n, {}).get("href") for n in names] for i in items]
        readers = [CubeReader([r], [n], **how) for r, n in zip(rows, numbers, strict=True)]
        data = stacked_by_stackstac(items, names, geobox, readers, sides)
    return georeference(
        data,
        geobox,
        dims=("time", "band", "y", "x"),
        coords={
            "time": [np.datetime64(when(i), "ns") for i in items],
            "band": names,
            "item": ("time", [i["id"] for i in items]),
        },
    )
