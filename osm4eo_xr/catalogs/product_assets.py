"""Assets that are EOPF stores, or groups or arrays of one: the bands in them as assets.

STAC APIs of EOPF products have an asset for the whole store, for each resolution's group and
sometimes for each array. Scale, offset and no data are the store's own, whatever the item says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.bands import common_name
from osm4eo_xr.imagery.offsets import AssetNumbers, item_numbers
from osm4eo_xr.imagery.products.eopf import array_paths, eopf_bands, is_eopf, read_eopf
from osm4eo_xr.imagery.reflectance import Scaling
from osm4eo_xr.names import OWN_WORDS
from osm4eo_xr.rasters.store_paths import split_store

if TYPE_CHECKING:
    from osm4eo_xr.imagery.reader import Band


STAGED = f"{OWN_WORDS}staged"
"""The member of an asset that names its staged copy (``catalogs.staging``)."""


def place_of(asset: Mapping[str, Any]) -> str:
    """Return what is opened to read an asset: its staged copy, if there is one, or its href."""
    return asset.get(STAGED, asset["href"])


def with_arrays(assets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return assets and, as assets of their own, the arrays of those that are stores or groups.

    Local stores are looked into; of addresses the bands count that the asset lists, each below its
    href. The new keys are the asset's key, a slash and the array's name.
    """
    found = {key: dict(asset) for key, asset in assets.items()}
    for key, asset in assets.items():
        if is_product(asset["href"]):
            for path in _arrays_of(asset):
                name = path.rpartition("/")[2]
                found.setdefault(f"{key}/{name}", {"href": path, "roles": ["data"]})
    return found


def is_product(href: str) -> bool:
    """Whether an href leads to an EOPF product or reflectances of it."""
    return ".zarr" in href and is_eopf(href)


def _arrays_of(asset: Mapping[str, Any]) -> Iterable[str]:
    where = split_store(asset["href"])
    if where is None or common_name(where.inside.rpartition("/")[2]):  # an array itself
        return []
    if not where.remote:
        return array_paths(where)
    listed = [b.get("name") for b in asset.get("bands") or asset.get("eo:bands") or ()]
    return [where.within(where.inside, name) for name in listed if name and common_name(name)]


def product_band(href: str, name: str, resampling: str, **numbers: float | None) -> Band:
    """Describe one reflectance array of a product, with the scaling that ``numbers`` or it state.

    Raises
    ------
    InputError
        As ``read_eopf`` and ``eopf_bands``, or if the href leads to other bands.
    """
    given: dict[str, Any] = {"scale": None, "offset": None, **numbers}
    for band in eopf_bands(read_eopf(href), tile=None, resampling=resampling, **given):
        if band.name == name:
            return band
    raise InputError(f"{href} is no array of {name}")


def asset_numbers(
    item: Mapping[str, Any],
    key: str,
    name: str,
    *,
    scale: float | None = None,
    offset: float | None = None,
) -> AssetNumbers:
    """Return what is known of an asset's numbers: all by its store, else ``item_numbers``."""
    place = place_of(item["assets"][key])
    if is_product(place):
        own = product_band(place, name, "nearest", scale=scale, offset=offset).scaling
        return AssetNumbers(own.scale, own.offset)
    return item_numbers(item, key, scale=scale, offset=offset)


def digital_band(href: str, name: str, resampling: str) -> Band:
    """Describe one array of a product as it is stored, unscaled."""
    # Which numbers are none hangs on no scale; one that nothing tells is asked for with the scale.
    return replace(
        product_band(href, name, resampling, scale=1.0, offset=0.0), scaling=Scaling(1.0)
    )
