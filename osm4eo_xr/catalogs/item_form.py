"""What a STAC item may hold where we read it: kinds of values, checked before anything uses them.

Items come from anywhere, and JSON holds anything. What is listed here has to be of its kind or
null; the rest of an item is nobody's business. Source: STAC 1.0 and 1.1, with the extensions
projection (1, 2), raster (1) and Earth Search's own fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from osm4eo_xr.errors import InputError


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(*sizes: int) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        return isinstance(value, list) and len(value) in sizes and all(map(_number, value))

    return holds


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _no_data(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


Kind = tuple[Callable[[Any], bool], str]

_TEXT: Kind = (_text, "text")
_NUMBER: Kind = (_number, "a number")
_TABLE: Kind = (lambda v: isinstance(v, dict), "an object")
_TABLES: Kind = (_tables, "a list of objects")
_BOX: Kind = (_numbers(4, 6), "4 or 6 numbers")
_EPSG: Kind = (lambda v: _number(v) or _text(v), "a number")
_NODATA: Kind = (_no_data, "a number")

_PLACE: dict[str, Kind] = {
    "proj:epsg": _EPSG,
    "proj:code": _TEXT,
    "proj:bbox": _BOX,
    "proj:shape": (_numbers(2), "2 numbers"),
    "proj:transform": (_numbers(6, 9), "6 or 9 numbers"),
}
_PIXELS: dict[str, Kind] = {
    "gsd": _NUMBER,
    "raster:spatial_resolution": _NUMBER,
    "spatial_resolution": _NUMBER,
    "scale": _NUMBER,
    "offset": _NUMBER,
    "raster:scale": _NUMBER,
    "raster:offset": _NUMBER,
    "nodata": _NODATA,
    "raster:nodata": _NODATA,
}
_ITEM: dict[str, Kind] = {
    "bbox": _BOX,
    "geometry": _TABLE,
    "links": _TABLES,
    "collection": _TEXT,
    "properties": _TABLE,
}
_PROPERTIES: dict[str, Kind] = _PLACE | {
    "datetime": _TEXT,
    "start_datetime": _TEXT,
    "end_datetime": _TEXT,
    "nodata": _NODATA,
    "raster:nodata": _NODATA,
    "s2:processing_baseline": _TEXT,
    "processing:version": _TEXT,
    "platform": _TEXT,
    "constellation": _TEXT,
    "view:sun_azimuth": _NUMBER,
    "view:sun_elevation": _NUMBER,
    "s2:mean_solar_azimuth": _NUMBER,
    "s2:mean_solar_zenith": _NUMBER,
    "earthsearch:boa_offset_applied": (lambda v: isinstance(v, bool), "true or false"),
}
_ASSET: dict[str, Kind] = _PLACE | _PIXELS
_ASSET |= {"roles": (_texts, "a list of texts"), "raster:bands": _TABLES, "bands": _TABLES}


def check_item(tree: Any, where: str) -> None:
    """Refuse an item that holds something else than what it should.

    Parameters
    ----------
    tree : any JSON
        The item.
    where : str
        What messages call it, until its id is known.

    Raises
    ------
    InputError
        Names the item, the field, its value and what was expected.
    """
    _check({"item": tree}, {"item": _TABLE}, where, needed=True)
    _check(tree, {"id": _TEXT, "assets": _TABLE}, where, needed=True)
    name = f"item {tree['id']}"
    _check(tree, _ITEM, name)
    for link in tree.get("links") or ():
        _check(link, {"href": _TEXT, "rel": _TEXT}, f"{name}, link")
    _check(tree.get("properties") or {}, _PROPERTIES, f"{name}, properties")
    for key, asset in tree["assets"].items():
        _check({key: asset}, {key: _TABLE}, f"{name}, assets", needed=True)
        _check(asset, {"href": _TEXT}, f"{name}, asset {key}", needed=True)
        for place, fields, kinds in _parts(asset):
            _check(fields, kinds, f"{name}, asset {key}{place}")


def links_of(tree: Mapping[str, Any], where: str, *relations: str) -> list[str]:
    """Return where a catalog's links of some relations lead.

    Raises
    ------
    InputError
        If they are no links.
    """
    _check(tree, {"links": _TABLES}, where, needed=True)
    wanted = [link for link in tree["links"] if link.get("rel") in relations]
    for link in wanted:
        _check(link, {"href": _TEXT}, f"{where}, link", needed=True)
    return [link["href"] for link in wanted]


def items_of(tree: Mapping[str, Any], where: str) -> list[Any]:
    """Return the items of an item collection.

    Raises
    ------
    InputError
        If it holds no list of them.
    """
    _check(tree, {"features": _TABLES}, where, needed=True)
    return tree["features"]


def _parts(asset: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], dict[str, Kind]]]:
    """Yield the parts of an asset with the kinds of their fields."""
    yield "", asset, _ASSET
    for name in ("raster:bands", "bands"):
        for band in asset.get(name) or ():
            yield f", {name}", band, _PIXELS


def _check(
    fields: Mapping[str, Any], kinds: Mapping[str, Kind], where: str, *, needed: bool = False
) -> None:
    for name, (holds, expected) in kinds.items():
        value = fields.get(name)
        if (needed or value is not None) and not holds(value):
            raise InputError(f"{where}: {name} is {_short(value)}", expected=expected)


def _short(value: Any) -> str:
    """Write a value for people."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004
