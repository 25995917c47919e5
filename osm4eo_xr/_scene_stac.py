"""STAC items to a lazy cube (time, band, y, x) on one grid, through stackstac or odc-stac."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pystac
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from shapely.geometry import box

from osm4eo_xr._radiometry_clouds import block_side
from osm4eo_xr._scene_read import GDAL_OPTIONS
from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import georeference
from osm4eo_xr.radiometry import SENTINEL2_BANDS, common_name, item_scaling

Items = (
    str
    | Path
    | Mapping[str, Any]
    | pystac.Item
    | pystac.ItemCollection
    | Iterable[pystac.Item | Mapping[str, Any]]
)
Backend = Literal["stackstac", "odc"]

_REMOTE = ("http://", "https://", "s3://", "gs://", "az://", "/vsi")


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
        Which library reads: "stackstac" or "odc" (odc-stac).
    chunks : int, optional
        Rows and columns per chunk. By default such that one chunk of the whole series stays
        below 128 MB.
    resampling : str
        GDAL's name: cubic, bilinear, nearest or average.
    scale, offset : float, optional
        Reflectance is ``DN * scale + offset``. By default decided per asset by the table of
        ``osm4eo_xr._radiometry_items``.
    allow_missing : bool
        Read assets that an item lacks, or files that cannot be opened, as no data instead of
        refusing them.

    Returns
    -------
    DataArray
        (time, band, y, x) float32 reflectance, NaN = no data; ordered by date and id, with the
        coordinate ``item`` (time) of ids. Coordinates are pixel centres.

    Raises
    ------
    InputError
        If there is no item, none touches the grid, an asset is missing, or nothing tells its
        offset.
    """
    names = [_asked(b) for b in bands]
    chosen = _touching(read_items(items), geobox)
    keys = [_asset_keys(item, names, allow_missing=allow_missing) for item in chosen]
    numbers = _load(
        [_slim(item, key) for item, key in zip(chosen, keys, strict=True)],
        names,
        geobox,
        backend=backend,
        chunks=chunks or block_side(len(chosen), len(names)),
        resampling=resampling,
        allow_missing=allow_missing,
    )
    factors = np.ones((2, len(chosen), len(names), 1, 1), np.float32)
    for t, (item, key) in enumerate(zip(chosen, keys, strict=True)):
        for b, name in enumerate(names):
            if name in key:
                scaling = item_scaling(item, key[name], scale=scale, offset=offset)
                factors[:, t, b, 0, 0] = scaling.scale, scaling.offset
    valid = (numbers != 0) & (numbers != 65535)  # noqa: PLR2004 -- Sentinel-2: no data, saturated
    cube = numbers.where(valid) * factors[0] + factors[1]
    cube.attrs = {"units": "1", "long_name": "reflectance", "nodata": float("nan")}
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
    """Stack the items' scene classification (SCL) on a grid, lazily, by nearest neighbour.

    Parameters are those of ``stack_items``; ``asset`` is the classification's key in any case.

    Returns
    -------
    DataArray
        (time, y, x) uint8, 0 = no data; the same dates as ``stack_items`` of the same items.
    """
    chosen = _touching(read_items(items), geobox)
    keys = [_class_key(item, asset, allow_missing=allow_missing) for item in chosen]
    classes = _load(
        [_slim(item, key) for item, key in zip(chosen, keys, strict=True)],
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


def read_items(items: Items) -> list[dict[str, Any]]:
    """Return items as plain JSON with absolute hrefs, ordered by date and id.

    Raises
    ------
    InputError
        If the path holds no STAC, there is no item, or an href stays relative.
    """
    found = [_plain(item) for item in _each(items)]
    if not found:
        raise InputError("no STAC item given; give items or the path of a catalog that has some")
    return sorted(found, key=lambda item: (_when(item), item["id"]))


def _each(items: Any) -> Iterable[pystac.Item | Mapping[str, Any]]:
    """Return the single items of anything that holds items."""
    if isinstance(items, str | Path):
        return _items_of_file(Path(items))
    if isinstance(items, pystac.Item):
        return [items]
    if isinstance(items, Mapping):
        return items["features"] if items.get("type") == "FeatureCollection" else [items]
    return items


def _items_of_file(path: Path) -> Iterable[pystac.Item | Mapping[str, Any]]:
    """Read the items of a local STAC file of any kind."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"no STAC file {path}; give the path of a catalog or item") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}; give a STAC catalog or item") from None
    if isinstance(tree, list):
        return tree
    kind = tree.get("type")
    if kind in ("Catalog", "Collection"):
        return pystac.Catalog.from_file(str(path)).get_items(recursive=True)
    if kind == "FeatureCollection":
        return tree["features"]
    if kind == "Feature":
        return [pystac.Item.from_file(str(path))]
    raise InputError(f"{path} is {kind!r}; expected a STAC catalog, collection or item")


def _plain(item: pystac.Item | Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as JSON with absolute hrefs."""
    if isinstance(item, Mapping):
        item = pystac.Item.from_dict(dict(item), preserve_dict=True)
    tree = item.to_dict(include_self_link=False, transform_hrefs=False)
    for key, asset in item.assets.items():
        href = asset.get_absolute_href() or asset.href
        if not href.startswith(_REMOTE) and not Path(href).is_absolute():
            raise InputError(
                f"item {item.id}: asset {key} has the relative href {href}; give the catalog's "
                f"path or items with a self link"
            )
        tree["assets"][key]["href"] = href
    return tree


def _when(item: Mapping[str, Any]) -> str:
    """Return an item's date and time."""
    properties = item["properties"]
    return str(properties.get("datetime") or properties.get("start_datetime") or "")


def _touching(items: list[dict[str, Any]], geobox: GeoBox) -> list[dict[str, Any]]:
    """Return the items whose extent touches the grid."""
    if geobox.crs is None:
        raise InputError("the target grid has no CRS; build it with target_geobox")
    extent = geobox.geographic_extent.boundingbox
    ground = box(extent.left, extent.bottom, extent.right, extent.top)
    touching = [i for i in items if box(*i["bbox"][:2], *i["bbox"][-2:][:2]).intersects(ground)]
    if not touching:
        boxes = np.array([i["bbox"] for i in items])
        theirs = (*boxes[:, :2].min(axis=0), *boxes[:, -2:].max(axis=0))
        raise InputError(
            f"no item touches the grid: items cover lon/lat {_rounded(theirs)}, the grid "
            f"{_rounded(ground.bounds)}; choose items of that place"
        )
    return touching


def _rounded(bounds: Iterable[float]) -> str:
    """Write bounds for people."""
    return "(" + ", ".join(f"{v:.3f}" for v in bounds) + ")"


def _asked(band: str) -> str:
    """Return the common name of a band that the caller asks for."""
    name = common_name(band)
    if name is None:
        known = ", ".join(SENTINEL2_BANDS.values())
        raise InputError(f"band {band!r} is unknown; use {known} (SCL: stack_classes)")
    return name


def _asset_keys(
    item: Mapping[str, Any], names: Sequence[str], *, allow_missing: bool
) -> dict[str, str]:
    """Return the asset key of each band; originals (-jp2) only where nothing else has it."""
    keys: dict[str, str] = {}
    for key in sorted(item["assets"], key=lambda k: (k.endswith("-jp2"), len(k))):
        name = common_name(key.removesuffix("-jp2"))
        if name is not None and name in names and _is_data(item["assets"][key]):
            keys.setdefault(name, key)
    missing = [n for n in names if n not in keys]
    if missing and not allow_missing:
        raise InputError(
            f"item {item['id']} has no asset for {', '.join(missing)}; it has "
            f"{', '.join(item['assets'])}; choose other bands or pass allow_missing=True"
        )
    return keys


def _class_key(item: Mapping[str, Any], asset: str, *, allow_missing: bool) -> dict[str, str]:
    """Return the key of the classification."""
    for key in item["assets"]:
        if key.casefold() == asset.casefold():
            return {"classes": key}
    if not allow_missing:
        raise InputError(
            f"item {item['id']} has no asset {asset!r}; it has {', '.join(item['assets'])}; name "
            f"it with asset= or pass allow_missing=True"
        )
    return {}


def _is_data(asset: Mapping[str, Any]) -> bool:
    """Whether an asset holds pixels and not a picture for people."""
    roles = asset.get("roles") or ["data"]
    return not {"thumbnail", "overview", "visual", "metadata"} & set(roles)


def _slim(item: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return an item with the wanted assets alone, keyed by band name.

    Projection and raster fields stay behind: the files know better, and no library can apply a
    scale or offset a second time.
    """
    assets = {
        name: {"href": item["assets"][key]["href"], "type": "image/tiff", "roles": ["data"]}
        for name, key in keys.items()
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": item["id"],
        "geometry": item["geometry"],
        "bbox": item["bbox"],
        "properties": {"datetime": _when(item)},
        "links": [],
        "assets": assets,
    }


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
    times = [np.datetime64(_when(i).removesuffix("Z").split("+")[0], "ns") for i in items]
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
    from stackstac.rio_env import LayeredEnv

    epsg = geobox.crs.epsg if geobox.crs is not None else None
    if epsg is None:
        raise InputError("stackstac needs a grid with an EPSG code; use backend='odc'")
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
        "gdal_env": LayeredEnv(always=dict(GDAL_OPTIONS)),
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
    import odc.stac

    # odc-stac keeps the settings in force at this call; its own would hide .aux.xml sidecars
    with rasterio.Env(**GDAL_OPTIONS):
        stack = odc.stac.load(
            [pystac.Item.from_dict(i) for i in items],
            bands=names,
            geobox=geobox,
            chunks={"y": chunks, "x": chunks},
            groupby="id",
            preserve_original_order=True,
            resampling=resampling,
            dtype="float32",
            nodata=float("nan"),
            fail_on_error=not allow_missing,
        )
    return stack[names].to_dataarray("band").transpose("time", "band", ...).data
