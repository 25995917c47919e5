"""STAC items of any source as plain JSON: which there are, where, and which assets are bands."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urljoin, urlparse

from shapely.geometry import mapping

from osm4eo_xr.catalogs.acquisitions import newest, when
from osm4eo_xr.catalogs.footprints import footprint
from osm4eo_xr.catalogs.item_form import check_item, items_of, links_of
from osm4eo_xr.catalogs.product_assets import is_product, with_arrays
from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.bands import SENTINEL2_BANDS, common_name
from osm4eo_xr.imagery.lossy_nodata import WITNESSES
from osm4eo_xr.names import check_name
from osm4eo_xr.rasters.remote.addresses import SCHEMES, is_remote, text_of, without_query

if TYPE_CHECKING:
    import pystac

Item: TypeAlias = "pystac.Item | Mapping[str, Any]"
Items: TypeAlias = "str | Path | Item | pystac.ItemCollection | Iterable[Item]"

_LANDSAT = re.compile(r"landsat|HLS[._]?L30|^L[COTEM]0\d_", re.IGNORECASE)
_NUMBERED = re.compile(r"B\d+", re.IGNORECASE)
_METERS = re.compile(r"(?<![0-9])(\d{2})m(?![a-z])", re.IGNORECASE)
_LEVEL = re.compile(r"(?:MSI|_|-)L(1C|2A)(?=_|-|$)", re.IGNORECASE)
_REMOTE = (*SCHEMES, "/vsi")


def read_items(items: Items) -> list[dict[str, Any]]:
    """Return items as plain JSON with absolute hrefs, ordered by date (UTC) and id.

    An acquisition that is there in several processing baselines counts once, in the newest, with
    a warning.

    Raises
    ------
    InputError
        If the path holds no STAC, there is no item, an href stays relative or a date is none, or
        a field holds something else than it should.
    """
    found = [_plain(item) for item in _each(items)]
    if not found:
        raise InputError(
            "no STAC item given", advice="give items or the path of a catalog that has some"
        )
    return newest(sorted(found, key=lambda item: (when(item), item["id"])))


def levels_of(items: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the levels ("1C", "2A") that ids and collections of items tell, "" for none."""
    named = (f"{item.get('collection') or ''}-{item['id']}" for item in items)
    return {found[1].upper() if (found := _LEVEL.search(name)) else "" for name in named}


def _each(items: Any) -> Iterable[Item]:
    """Return the single items of anything that holds items."""
    if isinstance(items, str | Path):
        if is_remote(text_of(items)):
            raise InputError(
                f"{text_of(items)} is an address",
                expected="the path of a STAC file, or items",
                advice="search the catalog, or read it with pystac and give its items",
            )
        return _items_of_file(Path(items).absolute(), set())
    if isinstance(items, Mapping):
        whole = items.get("type") == "FeatureCollection"
        return items_of(items, "the item collection") if whole else [items]
    return items if isinstance(items, Iterable) else [items]


def _items_of_file(path: Path, visited: set[str]) -> list[Mapping[str, Any]]:
    """Read the items of a local STAC file of any kind, and of those that a catalog links to.

    Files in ``visited`` are passed over, as links may lead back to a catalog above.
    """
    try:
        place = os.path.realpath(path)
        if place in visited:
            return []
        visited.add(place)
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            f"no STAC file {path}", advice="give the path of a catalog or item"
        ) from None
    except ValueError as error:
        raise InputError(
            f"{path} is not JSON: {error}", advice="give a STAC catalog or item"
        ) from None
    if isinstance(tree, list):
        return tree
    kind = tree.get("type") if isinstance(tree, dict) else type(tree).__name__
    if kind in ("Catalog", "Collection"):
        below = links_of(tree, str(path), "child", "item")
        files = [Path(_absolute(href, str(path))) for href in below]
        return [item for file in files for item in _items_of_file(file, visited)]
    if kind == "FeatureCollection":
        return items_of(tree, str(path))
    if kind == "Feature":
        check_item(tree, str(path))
        others = [link for link in tree.get("links") or () if link.get("rel") != "self"]
        return [tree | {"links": [*others, {"rel": "self", "href": str(path)}]}]
    raise InputError(f"{path} is {kind!r}", expected="a STAC catalog, collection or item")


def _plain(item: Item) -> dict[str, Any]:
    """Return an item as JSON with absolute hrefs."""
    tree: dict[str, Any] = (
        dict(item) if isinstance(item, Mapping) else item.to_dict(transform_hrefs=False)
    )
    check_item(tree, "a STAC item")
    check_name(tree["id"], "STAC item id")
    tree["properties"] = _stated(tree.get("properties") or {})
    links = tree.get("links") or ()
    here = [
        _local(link["href"]) for link in links if link.get("rel") == "self" and link.get("href")
    ]
    tree["assets"] = {key: _stated(asset) for key, asset in tree["assets"].items()}
    for key, asset in tree["assets"].items():
        href = _absolute(asset["href"], here[0]) if here else _local(asset["href"])
        if not href.startswith(_REMOTE) and not Path(href).is_absolute():
            raise InputError(
                f"item {tree['id']}: asset {key} has the relative href {href}",
                advice="give the catalog's path or items with a self link",
            )
        asset["href"] = _unescaped(href)
    tree["assets"] = with_arrays(tree["assets"])
    return tree


def _stated(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are not null, which says no more than a field that is not there."""
    return {name: value for name, value in fields.items() if value is not None}


def _absolute(href: str, base: str) -> str:
    """Return where an href of the file or address ``base`` leads."""
    href = _local(href)
    if href.startswith(_REMOTE) or Path(href).is_absolute():
        return href
    if "://" in base:
        return urljoin(base, href)
    return os.path.normpath(Path(base).parent / href)


def _unescaped(href: str) -> str:
    """Return a local path without the escapes of addresses, where only that is there."""
    plain = unquote(href)
    local = plain != href and not href.startswith(_REMOTE)
    return plain if local and not Path(href).exists() and Path(plain).exists() else href


def _local(href: str) -> str:
    """Return the path that a ``file://`` address means; others stay as they are."""
    if not href.casefold().startswith("file://"):
        return href
    return unquote(urlparse(href).path)


def asked_band(band: str) -> str:
    """Return the common name of a band that the caller asks for."""
    name = common_name(band)
    if name is None:
        known = ", ".join(SENTINEL2_BANDS.values())
        raise InputError(f"band {band!r} is unknown", advice=f"use {known} (SCL: stack_classes)")
    return name


def asset_keys(
    item: Mapping[str, Any], names: Sequence[str], *, allow_missing: bool
) -> dict[str, str]:
    """Return the asset key of each band.

    Originals (-jp2) count only where nothing else has the band; of several assets the finest does.

    Raises
    ------
    InputError
        If a band is missing, or two lead to one file.
    """
    keys = _found_keys(item, names)
    missing = [n for n in names if n not in keys]
    if missing and not allow_missing:
        raise InputError(
            f"item {item['id']} has no asset for {', '.join(missing)}; it has "
            f"{', '.join(item['assets'])}",
            advice="choose other bands or pass {allow_missing=True}",
        )
    _refuse_shared(item, keys)
    return keys


def witness_keys(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the asset keys of the bands that settle no data in lossy files."""
    return _found_keys(item, WITNESSES)


def _found_keys(item: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Return the asset key of each band that an item has.

    Raises
    ------
    InputError
        If the item is Landsat's and its assets have numbers in place of names.
    """
    keys: dict[str, str] = {}
    assets = item["assets"]
    rank = {k: (k.endswith("-jp2"), pixel_size(k, assets[k]), len(k)) for k in assets}
    for key in sorted(assets, key=lambda k: rank[k]):
        name = common_name(key.removesuffix("-jp2"))
        if name is not None and name in names and _is_data(item["assets"][key]):
            keys.setdefault(name, key)
    _refuse_landsat(item, keys)
    return keys


def _refuse_landsat(item: Mapping[str, Any], keys: Mapping[str, str]) -> None:
    """Refuse Landsat's assets that are called by numbers, which mean other bands there."""
    told = (item["id"], item.get("collection"), item.get("properties", {}).get("platform"))
    numbered = [key for key in keys.values() if _NUMBERED.fullmatch(key)]
    if numbered and any(_LANDSAT.search(str(text)) for text in told):
        raise InputError(
            f"item {item['id']} is Landsat's, whose bands are numbered otherwise "
            f"({', '.join(sorted(numbered))})",
            expected="Sentinel-2",
            advice="open its files with open_scene and {names}",
        )


def _refuse_shared(item: Mapping[str, Any], keys: Mapping[str, str]) -> None:
    """Refuse bands that lead to one file, of which the first band would be read for each.

    An EOPF product holds them all by their names.
    """
    by_place: dict[str, str] = {}
    for name, key in keys.items():
        place = item["assets"][key]["href"]
        if (other := by_place.setdefault(place, name)) != name and not is_product(place):
            raise InputError(
                f"item {item['id']}: assets {keys[other]} ({other}) and {key} ({name}) lead to one "
                f"file, {without_query(place)}, whose first band would be read for both",
                expected="a file for each band",
                advice="correct the item's hrefs, or open the file with open_scene",
            )


def pixel_size(key: str, asset: Mapping[str, Any]) -> float:
    """Return an asset's pixel size in meters as it, its transform or its name state it."""
    bands = (*asset.get("raster:bands", [])[:1], *asset.get("bands", [])[:1])
    stated = [asset.get("gsd"), asset.get("raster:spatial_resolution")]
    stated += [b.get(n) for b in bands for n in ("spatial_resolution", "gsd")]
    stated.append(abs((asset.get("proj:transform") or [0])[0]))
    named = _METERS.search(key) or _METERS.search(str(asset["href"]))
    stated.append(named and float(named[1]))
    return next((float(value) for value in stated if value), math.inf)


def class_key(item: Mapping[str, Any], asset: str, *, allow_missing: bool) -> dict[str, str]:
    """Return the key of the classification."""
    wanted = asset.casefold()
    for key in item["assets"]:
        # EOPF's items call it SCL_20m; ``with_arrays`` finds product/scl
        if _METERS.sub("", key.casefold().rpartition("/")[2]).rstrip("_") == wanted:
            return {"classes": key}
    if not allow_missing:
        raise InputError(
            f"item {item['id']} has no asset {asset!r}; it has {', '.join(item['assets'])}",
            advice="name it with {asset} or pass {allow_missing=True}",
        )
    return {}


def _is_data(asset: Mapping[str, Any]) -> bool:
    """Whether an asset holds pixels and not a picture for people."""
    roles = asset.get("roles") or ["data"]
    return not {"thumbnail", "overview", "visual", "metadata"} & set(roles)


def slim(item: Mapping[str, Any], hrefs: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item with the wanted assets alone, keyed by band name.

    Projection and raster fields stay behind: the files know better, and no library can apply a
    scale or offset a second time.
    """
    ground = footprint(item)
    if ground is None:
        raise InputError(f"item {item['id']} does not say where it lies", advice="give it a bbox")
    assets = {
        name: {"href": href, "type": "image/tiff", "roles": ["data"]}
        for name, href in hrefs.items()
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": item["id"],
        "geometry": mapping(ground),
        "bbox": list(ground.bounds),
        "properties": {"datetime": f"{when(item)}Z"},
        "links": [],
        "assets": assets,
    }
