"""The offset of digital numbers: one table for files, SAFE products, STAC items and stores.

Digital numbers carry an offset of 1000 from processing baseline 04.00 on (2022-01-25, and all
reprocessed products); some providers have taken it out of the pixels again. The first row that
applies decides:

====  ======================================================================  ================
row   what is known                                                           offset
====  ======================================================================  ================
1     the caller gives ``offset=``                                            the caller's
2     the provider took it out: ``earthsearch:boa_offset_applied`` (or        0, whatever
      ``sentinel:``) is true, and the asset is not one of the original        ``raster:bands``
      files (key ending in ``-jp2``)                                          says
3     it is stated: ``BOA_ADD_OFFSET`` or ``RADIO_ADD_OFFSET`` of the         that offset
      product's metadata, ``raster:bands`` (or ``raster:offset``, or
      ``bands`` of STAC 1.1), a file's offset tag, ``add_offset``
4     the processing baseline is known: from the product's metadata, a        -0.1 from 04.00
      property, ``_Nxxyy_`` in the name of a product; 99.99 and 00.00 are     on, else 0
      placeholders and tell nothing
5     it was processed before 2022-01-25                                      0
6     5 % of the valid numbers of a band lie below 800: with the offset       0
      they would be reflectances below -0.02
7     anything else                                                           refused; of files
                                                                              that are not ESA's
                                                                              0 and a warning
====  ======================================================================  ================

The day of acquisition tells nothing: ESA's archive of 2015 to 2021 was processed again in
baselines 05.00 and later. Row 2 stands before row 3 because Earth Search's v1 ``sentinel-2-l2a``
items state -0.1 in ``raster:bands`` for pixels from which it was removed already; using it makes
everything darker by 0.1 (https://github.com/gjoseph92/stackstac/issues/241). The scale is the
caller's, or what is stated, or 1e-4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.reflectance import DN_SCALE, Scaling

OFFSET = -0.1
"""BOA_ADD_OFFSET and RADIO_ADD_OFFSET of -1000 digital numbers, in reflectance."""

DARK = 800.0
"""Digital number that few pixels lie below where they carry the offset."""

Look = Callable[[], float | None]
"""Looks at pixels: the least 5 % quantile of valid numbers of the bands, None without any."""

_FIRST_BASELINE = (4, 0)
_FIRST_DAY = "2022-01-25"
_PLACEHOLDERS = ((99, 99), (0, 0))
_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_BASELINE = ("s2:processing_baseline", "processing:version", "sentinel2:processing_baseline")
_PRODUCT = ("s2:product_uri", "sentinel:product_id", "s2:product_id")
_PROCESSED = ("s2:generation_time", "processing:datetime")
_NUMBER = re.compile(r"S2[A-D]_[^/\\\s]*?_N(\d{2})\.?(\d{2})(?!\d)")
_GENERATED = re.compile(r"S2[A-D]_MSIL[^/\\\s]*_T\d{2}[A-Z]{3}_(\d{4})(\d{2})(\d{2})T\d{6}")


@dataclass(frozen=True)
class Evidence:
    """What is known of a band's digital numbers, for the table.

    Attributes
    ----------
    where : str
        What a message calls the band.
    removed : bool
        Whether the provider says that the offset was taken out of the pixels.
    stated : float or None
        The offset that metadata state, in reflectance.
    baseline : (int, int) or None
        Processing baseline, major and minor; None for placeholders.
    processed : str
        Day of processing, ISO 8601.
    """

    where: str
    removed: bool = False
    stated: float | None = None
    baseline: tuple[int, int] | None = None
    processed: str = ""


def settle_offset(known: Evidence, look: Look | None = None) -> float:
    """Return the offset in reflectance by rows 2 to 7 of the table.

    Parameters
    ----------
    known : Evidence
        What metadata say.
    look : callable, optional
        Reads pixels for row 6; called only where metadata leave it open.

    Raises
    ------
    InputError
        If nothing tells whether the pixels carry the offset.
    """
    if known.removed:
        return 0.0
    if known.stated is not None:
        return known.stated
    if known.baseline is not None:
        return OFFSET if known.baseline >= _FIRST_BASELINE else 0.0
    if known.processed and known.processed[:10] < _FIRST_DAY:
        return 0.0
    dark = look() if look is not None else None
    if dark is not None and dark < DARK:
        return 0.0
    seen = "" if dark is None else f", and 5 % of its numbers reach {dark:g}, so pixels do not tell"
    raise InputError(
        f"{known.where}: nothing tells whether digital numbers carry the offset of processing "
        f"baseline 04.00{seen}",
        expected="a boa_offset_applied, raster:bands offset, processing baseline or metadata file",
        advice=ADVICE,
    )


ADVICE = "pass {offset=-0.1}, or {offset=0} if it was removed; the SAFE folder states it itself"
"""How the offset is given."""


def baseline_in(texts: Iterable[str]) -> tuple[int, int] | None:
    """Return the baseline that names of products in texts state, the first that is none's place."""
    for text in texts:
        for major, minor in _NUMBER.findall(text):
            if (found := (int(major), int(minor))) not in _PLACEHOLDERS:
                return found
    return None


def baseline_of(text: str) -> tuple[int, int] | None:
    """Return a baseline written as "05.09"; None for placeholders and other texts."""
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", text.strip())
    found = (int(match[1]), int(match[2])) if match else None
    return None if found in _PLACEHOLDERS else found


def processed_in(texts: Iterable[str]) -> str:
    """Return the day of processing that the name of a product in texts ends with, or nothing."""
    found = (_GENERATED.search(text) for text in texts)
    return next(("-".join(match.groups()) for match in found if match), "")


def item_scaling(
    item: Mapping[str, Any],
    key: str,
    *,
    scale: float | None = None,
    offset: float | None = None,
    look: Look | None = None,
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
    look : callable, optional
        Reads pixels where the item leaves the offset open (row 6).

    Raises
    ------
    InputError
        If nothing tells whether the pixels carry the offset.
    """
    stated = _stated(item["assets"][key])
    if scale is None:
        scale = float(stated.get("scale") or DN_SCALE)
    if offset is None:
        offset = settle_offset(_item_evidence(item, key, stated), look)
    return Scaling(scale, offset)


def item_baseline(item: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return an item's processing baseline, or None if no property tells."""
    properties = item.get("properties", {})
    own = (baseline_of(str(properties.get(name, ""))) for name in _BASELINE)
    return next((found for found in own if found), None) or baseline_in(_names(item))


def _item_evidence(item: Mapping[str, Any], key: str, stated: Mapping[str, Any]) -> Evidence:
    properties = item.get("properties", {})
    applied = any(properties.get(name) is True for name in _APPLIED)
    offset = stated.get("offset")
    said = next((str(properties[n]) for n in _PROCESSED if properties.get(n)), "")
    return Evidence(
        where=f"item {item.get('id')}, asset {key}",
        removed=applied and not key.endswith("-jp2"),
        stated=None if offset is None else float(offset),
        baseline=item_baseline(item),
        processed=said or processed_in(_names(item)),
    )


def _names(item: Mapping[str, Any]) -> list[str]:
    """Return what may hold the name of an item's product."""
    properties = item.get("properties", {})
    return [*(str(properties.get(name, "")) for name in _PRODUCT), str(item.get("id", ""))]


def _stated(asset: Mapping[str, Any]) -> dict[str, Any]:
    """Return scale and offset of an asset's first band, from any version of STAC."""
    out: dict[str, Any] = {}
    for place in (*asset.get("raster:bands", [])[:1], *asset.get("bands", [])[:1], asset):
        for name in ("scale", "offset"):
            value = place.get(f"raster:{name}", place.get(name))
            if value is not None:
                out.setdefault(name, value)
    return out
