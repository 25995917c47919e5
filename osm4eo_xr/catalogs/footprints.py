"""Where STAC items lie: from what each says, in degrees, also across the antimeridian."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.antimeridian import box_in_degrees
from osm4eo_xr.geometry.geodesy import project_bounds

_DEGREES = "EPSG:4326"
_NAMED = 5  # items in a message


def touching(items: list[dict[str, Any]], geobox: GeoBox) -> list[dict[str, Any]]:
    """Return the items whose footprint touches the grid.

    Items that do not say where they lie are left out, with a warning that names them.

    Raises
    ------
    InputError
        If the grid has no CRS, or no item touches it.
    """
    if geobox.crs is None:
        raise InputError("the target grid has no CRS", advice="build it with target_geobox")
    ground = box_in_degrees(project_bounds(geobox.boundingbox.bbox, geobox.crs, _DEGREES))
    places = [footprint(item) for item in items]
    _warn_of_placeless([i["id"] for i, p in zip(items, places, strict=True) if p is None])
    near = [i for i, p in zip(items, places, strict=True) if p is not None and p.intersects(ground)]
    if not near:
        known = shapely.union_all([p for p in places if p is not None])
        raise InputError(
            f"no item touches the grid: items cover lon/lat {_rounded(known.bounds)}, the "
            f"grid {_rounded(ground.bounds)}",
            advice="choose items of that place",
        )
    return near


def footprint(item: Mapping[str, Any]) -> BaseGeometry | None:
    """Return an item's footprint in degrees, or None if neither it nor its assets tell.

    The first counts that is there: ``bbox``, ``geometry``, ``proj:bbox`` or ``proj:transform``
    and ``proj:shape`` with a CRS, of the item or of an asset.
    """
    bounds = item.get("bbox")
    if bounds:
        half = len(bounds) // 2  # boxes may have a height
        flat = (*bounds[:2], *bounds[half : half + 2])
        return box_in_degrees(flat, f"item {item.get('id')}: bbox")
    if item.get("geometry"):
        return _shape(item["geometry"], item["id"])
    properties = item.get("properties", {})
    for place in (properties, *item.get("assets", {}).values()):
        own = _projected(properties | place)
        if own is not None:
            return own
    return None


def _shape(geometry: Any, name: str) -> BaseGeometry:
    """Return a GeoJSON geometry."""
    try:
        return shape(geometry)
    except (shapely.errors.ShapelyError, AttributeError, LookupError, TypeError, ValueError):
        raise InputError(
            f"item {name}: its geometry cannot be read", expected="GeoJSON, or null with a bbox"
        ) from None


def _projected(fields: Mapping[str, Any]) -> BaseGeometry | None:
    """Return the footprint that the projection extension's fields state."""
    crs = fields.get("proj:code") or fields.get("proj:epsg")
    if not crs:
        return None
    bounds = fields.get("proj:bbox")
    if not bounds and fields.get("proj:transform") and fields.get("proj:shape"):
        a, _, left, _, e, top = fields["proj:transform"][:6]
        rows, cols = fields["proj:shape"]
        bounds = [left, top + e * rows, left + a * cols, top]
    return box_in_degrees(project_bounds(bounds, crs, _DEGREES)) if bounds else None


def _warn_of_placeless(ids: list[str]) -> None:
    if ids:
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        warnings.warn(
            f"{', '.join(ids[:_NAMED])}{more}: no bbox, geometry or proj: fields say where they "
            f"lie; left out",
            InputWarning,
            stacklevel=4,
        )


def _rounded(bounds: Iterable[float]) -> str:
    """Write bounds for people."""
    return "(" + ", ".join(f"{v:.3f}" for v in bounds) + ")"
