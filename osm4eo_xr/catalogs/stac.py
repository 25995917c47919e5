"""STAC items to a lazy cube (time, band, y, x) on one grid, through stackstac or odc-stac."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError

from osm4eo_xr.catalogs.acquisitions import when
from osm4eo_xr.catalogs.asset_looks import look_at_assets
from osm4eo_xr.catalogs.assets import (
    Asset,
    AssetDriver,
    AssetReader,
    asset_of,
    validity_in_words,
)
from osm4eo_xr.catalogs.footprints import touching
from osm4eo_xr.catalogs.items import (
    Items,
    asked_band,
    asset_keys,
    class_key,
    read_items,
    slim,
)
from osm4eo_xr.errors import InputError, extra
from osm4eo_xr.grid import georeference
from osm4eo_xr.imagery.clouds import block_side, composite, mask_clouds
from osm4eo_xr.imagery.lossy_nodata import WITNESSES
from osm4eo_xr.imagery.offsets import item_scaling

Backend = Literal["stackstac", "odc"]


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
        Which library reads: "stackstac" or "odc" (odc-stac, of the extra ``odc``).
    chunks : int, optional
        Rows and columns per chunk. By default such that one chunk of the whole series stays
        below 128 MB.
    resampling : str
        GDAL's name: cubic, bilinear, nearest or average.
    scale, offset : float, optional
        Reflectance is ``DN * scale + offset``. By default decided per asset by the table of
        ``osm4eo_xr.imagery.offsets``; blocks are read only where an item leaves it open.
    allow_missing : bool
        Read assets that an item lacks, or files that cannot be opened, as no data instead of
        refusing them.

    Returns
    -------
    DataArray
        (time, band, y, x) float32 reflectance, NaN = no data; ordered by date and id, with the
        coordinate ``item`` (time) of ids. Coordinates are pixel centers.

    Raises
    ------
    InputError
        If there is no item, none touches the grid, an asset is missing, or nothing tells its
        offset.
    """
    names = [asked_band(b) for b in bands]
    chosen = touching(read_items(items), geobox)
    keys = [asset_keys(item, names, allow_missing=allow_missing) for item in chosen]
    assets = [_assets_of(item, key) for item, key in zip(chosen, keys, strict=True)]
    numbers = _load(
        [slim(item, found) for item, found in zip(chosen, assets, strict=True)],
        names,
        geobox,
        backend=backend,
        chunks=chunks or block_side(len(chosen), len(names)),
        resampling=resampling,
        allow_missing=allow_missing,
    )
    factors = np.ones((2, len(chosen), len(names), 1, 1), np.float32)
    for t, (item, key) in enumerate(zip(chosen, keys, strict=True)):
        look = look_at_assets(item, key)
        for b, name in enumerate(names):
            if name in key:
                scaling = item_scaling(item, key[name], scale=scale, offset=offset, look=look)
                factors[:, t, b, 0, 0] = scaling.scale, scaling.offset
    cube = numbers * factors[0] + factors[1]
    cube.attrs = {
        "units": "1",
        "long_name": "reflectance",
        "nodata": float("nan"),
        "validity": validity_in_words([a for found in assets for a in found.values()]),
    }
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
    """
    chosen = touching(read_items(items), geobox)
    keys = [class_key(item, asset, allow_missing=allow_missing) for item in chosen]
    classes = _load(
        [slim(item, _assets_of(item, key)) for item, key in zip(chosen, keys, strict=True)],
        ["classes"],
        geobox,
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
    backend: Backend = "stackstac",
    resampling: str = "cubic",
    scale: float | None = None,
    offset: float | None = None,
) -> xr.Dataset:
    """Make one cloudless scene of STAC items of level 2A, lazily.

    Stacks the items, takes out what their scene classification calls clouded, and composites.

    Parameters
    ----------
    items, geobox, bands, backend, resampling, scale, offset
        As in ``stack_items``.
    method : str
        As in ``composite``.
    dilation : int or None
        Radius in pixels of the grid by which clouds grow; None looks for no clouds.

    Returns
    -------
    Dataset
        ``reflectance`` (band, y, x) float32, NaN = nothing seen, and ``observations`` (y, x)
        uint16: how many were clear.

    Raises
    ------
    InputError
        As ``stack_items``, ``stack_classes``, ``mask_clouds`` and ``composite``.
    """
    found = read_items(items)
    cube = stack_items(
        found, geobox, bands, backend=backend, resampling=resampling, scale=scale, offset=offset
    )
    if dilation is not None:
        chunks = max(cube.data.chunksize[2:])
        classes = stack_classes(found, geobox, backend=backend, chunks=chunks)
        cube = mask_clouds(cube, classes, dilation=dilation)
    return composite(cube, method)


def _assets_of(item: dict[str, Any], keys: dict[str, str]) -> dict[str, Asset]:
    """Return the wanted assets of an item by band name."""
    others = asset_keys(item, WITNESSES, allow_missing=True)
    return {name: asset_of(item, key, name, others) for name, key in keys.items()}


def _load(
    items: list[dict[str, Any]],
    names: list[str],
    geobox: GeoBox,
    *,
    backend: str,
    chunks: int,
    resampling: str,
    allow_missing: bool,
) -> xr.DataArray:
    """Return digital numbers (time, band, y, x) float32 with NaN, lazily."""
    if resampling not in {"nearest", "bilinear", "cubic", "average"}:
        raise InputError(
            f"resampling {resampling!r} is unknown; use cubic, bilinear, nearest or average"
        )
    loaders = {"stackstac": _with_stackstac, "odc": _with_odc}
    if backend not in loaders:
        raise InputError(f"backend {backend!r} is unknown; use 'stackstac' or 'odc'")
    present = [n for n in names if any(n in i["assets"] for i in items)]
    if not present:
        raise InputError(f"no item has any of {', '.join(names)}; choose other bands")
    data = loaders[backend](items, present, geobox, chunks, resampling, allow_missing=allow_missing)
    times = [np.datetime64(when(i), "ns") for i in items]
    cube = georeference(
        data,
        geobox,
        dims=("time", "band", "y", "x"),
        coords={"time": times, "band": present, "item": ("time", [i["id"] for i in items])},
    )
    return cube if present == names else cube.reindex(band=names)


def _with_stackstac(
    items: list[dict[str, Any]],
    names: list[str],
    geobox: GeoBox,
    chunks: int,
    resampling: str,
    *,
    allow_missing: bool,
) -> Any:
    """Load with stackstac; each of its defaults that could change values is set."""
    import stackstac

    epsg = geobox.crs.epsg if geobox.crs is not None else None
    if epsg is None:
        raise InputError("stackstac needs a grid with an EPSG code", advice="pass {backend='odc'}")
    bounds = geobox.boundingbox
    options: dict[str, Any] = {  # its declared types are too narrow for what it takes
        "epsg": epsg,
        "resolution": (abs(geobox.resolution.x), abs(geobox.resolution.y)),
        "bounds": (bounds.left, bounds.bottom, bounds.right, bounds.top),
        "snap_bounds": False,
        "resampling": Resampling[resampling],
        "chunksize": chunks,
        "dtype": np.dtype("float32"),
        "fill_value": np.float32("nan"),  # a plain nan is refused
        "rescale": False,
        "sortby_date": False,
        "xy_coords": "center",
        "properties": False,
        "band_coords": False,
        "reader": AssetReader,
        "errors_as_nodata": (RasterioIOError(".*"),) if allow_missing else (),
    }
    plain: Any = items
    stack = stackstac.stack(plain, assets=names, **options)
    return stack.sel(band=names).data


def _with_odc(
    items: list[dict[str, Any]],
    names: list[str],
    geobox: GeoBox,
    chunks: int,
    resampling: str,
    *,
    allow_missing: bool,
) -> Any:
    """Load with odc-stac, every item as its own time step."""
    with extra("odc", "backend='odc'"):
        import odc.stac
        import pystac

    given = {a["href"].href: a["href"] for i in items for a in i["assets"].values()}
    stack = odc.stac.load(
        [pystac.Item.from_dict(_with_plain_hrefs(i)) for i in items],
        bands=names,
        geobox=geobox,
        chunks={"y": chunks, "x": chunks},
        groupby="id",
        preserve_original_order=True,
        resampling=resampling,
        dtype="float32",
        nodata=float("nan"),
        fail_on_error=not allow_missing,
        patch_url=given.__getitem__,
        driver=AssetDriver(),
    )
    return stack[names].to_dataarray("band").transpose("time", "band", ...).data


def _with_plain_hrefs(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item whose hrefs are text, as pystac wants them."""
    assets = {k: {**a, "href": a["href"].href} for k, a in item["assets"].items()}
    return {**item, "assets": assets}
