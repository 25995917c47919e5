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
everything darker by 0.1 (https://github.com/gjoseph92/stackstac/issues/241). What an item states
comes before its file's tags. Scale 1 and offset 0 of integers, which GDAL says where neither is
stated and catalogs copy, state nothing. The scale is the caller's, or what is stated, or 1e-4 of
integers and 1 of floats, which are reflectance.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.reflectance import UNTAGGED, Scaling, default_scaling

OFFSET = -0.1
"""BOA_ADD_OFFSET and RADIO_ADD_OFFSET of -1000 digital numbers, in reflectance."""

DARK = 800.0
"""Digital number that few pixels lie below where they carry the offset."""

Look = Callable[[], float | None]
"""Looks at pixels: the least 5 % quantile of valid numbers of the bands, None without any."""

_ALIKE = 1e-6  # relative; scales in float32 and float64 are
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
    told = _by_metadata(known)
    if told is not None:
        return told
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


def _by_metadata(known: Evidence) -> float | None:
    """Return the offset by rows 2 to 5 of the table, or None if they leave it open."""
    if known.removed:
        return 0.0
    if known.stated is not None:
        return known.stated
    if known.baseline is not None:
        return OFFSET if known.baseline >= _FIRST_BASELINE else 0.0
    return 0.0 if known.processed and known.processed[:10] < _FIRST_DAY else None


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


@dataclass(frozen=True)
class AssetNumbers:
    """What the caller and an item say of an asset's numbers; its file says the rest.

    So nothing is opened to learn it: ``of_file`` takes what the header says, once that is read.

    Attributes
    ----------
    scale, offset : float or None
        The caller's words, before anything else (reflectance per digital number, reflectance).
    said_scale, said_offset : float or None
        What the item states.
    known : Evidence
        What else the item says, for the table.
    """

    scale: float | None = None
    offset: float | None = None
    said_scale: float | None = None
    said_offset: float | None = None
    known: Evidence = Evidence("the asset")

    @property
    def is_open(self) -> bool:
        """Whether the item leaves the offset to the file's header or its pixels."""
        said = self.said_offset is not None and not self._are_defaults
        return self.offset is None and not said and _by_metadata(self.known) is None

    def of_file(self, dtype: str, tags: tuple[float, float], look: Look | None = None) -> Scaling:
        """Return how the numbers become reflectance.

        Parameters
        ----------
        dtype : str
            Type of the file's numbers.
        tags : tuple of float
            Its scale and offset; (1, 0) where it states none.
        look : callable, optional
            Reads pixels where all of these leave the offset open (row 6).

        Raises
        ------
        InputError
            If nothing tells whether the pixels carry the offset, or what scale they have.
        """
        integer = np.issubdtype(np.dtype(dtype), np.integer)
        none_said = integer and self._are_defaults
        said_scale, said_offset = (None, None) if none_said else (self.said_scale, self.said_offset)
        scale = said_scale if self.scale is None else self.scale
        if scale is None:
            scale = default_scaling(np.dtype(dtype), tags, where=self.known.where)[0]
        if self.offset is not None:
            return Scaling(scale, self.offset)
        known = replace(self.known, stated=said_offset)
        if not known.removed and said_offset is None and tags[1] != 0:
            known = replace(known, stated=tagged_offset(scale, tags, known.where))
        if not integer and scale == 1.0:  # reflectance, which no baseline is about
            return Scaling(scale, 0.0 if known.removed else known.stated or 0.0)
        if tags != UNTAGGED and _by_metadata(known) is None:
            return Scaling(scale, 0.0)  # as their scale alone is tagged
        return Scaling(scale, settle_offset(known, look))

    @property
    def _are_defaults(self) -> bool:
        """Whether the item copies what GDAL says of numbers that state neither."""
        return self.said_scale == 1.0 and not self.said_offset


def item_numbers(
    item: Mapping[str, Any], key: str, *, scale: float | None = None, offset: float | None = None
) -> AssetNumbers:
    """Return what the caller and a STAC item, plain JSON, say of the numbers of one asset."""
    stated = _stated(item["assets"][key])
    return AssetNumbers(
        scale, offset, stated.get("scale") or None, stated.get("offset"), _item_evidence(item, key)
    )


def tagged_offset(scale: float, tags: tuple[float, float], where: str) -> float:
    """Return the offset that a file's tags state, which counts beside their scale alone.

    Raises
    ------
    InputError
        If numbers are to be read with another scale than the file's.
    """
    if tags[1] != 0 and not math.isclose(scale, tags[0], rel_tol=_ALIKE):
        raise InputError(
            f"{where} is tagged with scale {tags[0]:g} and offset {tags[1]:g}, and is to be read "
            f"with scale {scale:g}",
            advice="pass {offset} too, or leave {scale} out",
        )
    return tags[1]


def item_baseline(item: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return an item's processing baseline, or None if no property tells."""
    properties = item.get("properties", {})
    own = (baseline_of(str(properties.get(name, ""))) for name in _BASELINE)
    return next((found for found in own if found), None) or baseline_in(_names(item))


def _item_evidence(item: Mapping[str, Any], key: str) -> Evidence:
    properties = item.get("properties", {})
    applied = any(properties.get(name) is True for name in _APPLIED)
    said = next((str(properties[n]) for n in _PROCESSED if properties.get(n)), "")
    return Evidence(
        where=f"item {item.get('id')}, asset {key}",
        removed=applied and not key.endswith("-jp2"),
        baseline=item_baseline(item),
        processed=said or processed_in(_names(item)),
    )


def _names(item: Mapping[str, Any]) -> list[str]:
    """Return what may hold the name of an item's product."""
    properties = item.get("properties", {})
    return [*(str(properties.get(name, "")) for name in _PRODUCT), str(item.get("id", ""))]


def _stated(asset: Mapping[str, Any]) -> dict[str, float]:
    """Return scale and offset of an asset's first band, from any version of STAC."""
    out: dict[str, float] = {}
    for place in (*asset.get("raster:bands", [])[:1], *asset.get("bands", [])[:1], asset):
        for name in ("scale", "offset"):
            value = place.get(f"raster:{name}", place.get(name))
            if value is not None:
                out.setdefault(name, float(value))
    return out
