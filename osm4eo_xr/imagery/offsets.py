"""The scale and offset of a STAC item's asset: one table for all providers and baselines.

Digital numbers carry an offset of 1000 from processing baseline 04.00 on (2022-01-25, and all
reprocessed products); some providers have taken it out of the pixels again. The first rule that
applies decides:

====  ======================================================================  ================
row   what the item says                                                      offset
====  ======================================================================  ================
1     the caller gives ``offset=``                                            the caller's
2     ``earthsearch:boa_offset_applied`` (or ``sentinel:``) is true, and the  0, whatever
      asset is not one of the original files (key ending in ``-jp2``)         ``raster:bands``
                                                                              says
3     the asset's ``raster:bands`` (or ``raster:offset``, or ``bands`` of     that offset
      STAC 1.1) states an offset
4     the baseline is known: ``s2:processing_baseline``,                      -0.1 from 04.00
      ``processing:version``, or ``_Nxxyy_`` in a product name                on, else 0
5     acquired before 2022-01-25                                              0
6     anything else                                                           refused
====  ======================================================================  ================

Row 2 stands before row 3 because Earth Search's v1 ``sentinel-2-l2a`` items state -0.1 in
``raster:bands`` for pixels from which it was removed already; using it makes everything darker
by 0.1 (https://github.com/gjoseph92/stackstac/issues/241). The scale is the caller's, or that of
``raster:bands``, or 1e-4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.reflectance import DN_SCALE, Scaling

OFFSET = -0.1
"""BOA_ADD_OFFSET and RADIO_ADD_OFFSET of -1000 digital numbers, in reflectance."""

_FIRST_BASELINE = (4, 0)
_FIRST_DAY = "2022-01-25"
_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_BASELINE = ("s2:processing_baseline", "processing:version", "sentinel2:processing_baseline")
_PRODUCT = ("s2:product_uri", "sentinel:product_id", "s2:product_id")
_IN_NAME = re.compile(r"_N(\d{2})(\d{2})_")


def item_scaling(
    item: Mapping[str, Any],
    key: str,
    *,
    scale: float | None = None,
    offset: float | None = None,
) -> Scaling:
    """Return how an asset's digital numbers become reflectance.

    Parameters
    ----------
    item : mapping
        A STAC item as plain JSON.
    key : str
        Which of its assets.
    scale, offset : float, optional
        The caller's words, before anything that the item says (unit: reflectance per digital
        number, reflectance).

    Raises
    ------
    InputError
        If nothing tells whether the pixels carry the offset.
    """
    stated = _stated(item["assets"][key])
    if scale is None:
        scale = float(stated.get("scale") or DN_SCALE)
    return Scaling(scale, _offset(item, key, stated) if offset is None else offset)


def _offset(item: Mapping[str, Any], key: str, stated: Mapping[str, Any]) -> float:
    """Apply rows 2 to 6."""
    properties = item.get("properties", {})
    if any(properties.get(name) is True for name in _APPLIED) and not key.endswith("-jp2"):
        return 0.0
    if stated.get("offset") is not None:
        return float(stated["offset"])
    baseline = _baseline(item, properties)
    if baseline is not None:
        return OFFSET if baseline >= _FIRST_BASELINE else 0.0
    day = str(properties.get("datetime") or properties.get("start_datetime") or "")[:10]
    if day and day < _FIRST_DAY:
        return 0.0
    raise InputError(
        f"item {item.get('id')}: nothing tells whether asset {key} carries the offset of baseline "
        f"04.00 (no boa_offset_applied, raster:bands offset or processing baseline); pass "
        f"offset=-0.1 or offset=0"
    )


def _stated(asset: Mapping[str, Any]) -> dict[str, Any]:
    """Return scale and offset of an asset's first band, from any version of STAC."""
    out: dict[str, Any] = {}
    for place in (*asset.get("raster:bands", [])[:1], *asset.get("bands", [])[:1], asset):
        for name in ("scale", "offset"):
            value = place.get(f"raster:{name}", place.get(name))
            if value is not None:
                out.setdefault(name, value)
    return out


def _baseline(item: Mapping[str, Any], properties: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the processing baseline as (major, minor), or None if no property tells."""
    for name in _BASELINE:
        match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", str(properties.get(name, "")))
        if match:
            return int(match.group(1)), int(match.group(2))
    for text in (*(str(properties.get(name, "")) for name in _PRODUCT), str(item.get("id", ""))):
        match = _IN_NAME.search(text)
        if match:
            return int(match.group(1)), int(match.group(2))
    return None
