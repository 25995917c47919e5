"""Where the sun stood, as products state it: azimuth and zenith of the whole tile, in degrees.

SAFE has them in a granule's metadata (MTD_TL.xml; before December 2016 S2A_OPER_MTD_L1C_TL_….xml),
EOPF in the attributes of the root.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from osm4eo_xr.imagery.clouds.sun import is_sun

Sun = tuple[float, float]

_GRANULE = re.compile(
    r"(?:^|/)GRANULE/[^/]*_T(?P<tile>\d\d[A-Z]{3})_[^/]*/(?:MTD_TL|S2[A-D]_\w+_MTD_L[12][AC]_TL_[^/]*)\.xml$"
)
_MEAN = "mean_sun_{}_angle_in_deg_for_all_bands_all_detectors"


def safe_suns(names: Iterable[str], read: Callable[[str], bytes]) -> dict[str, Sun]:
    """Return the sun of each tile of a SAFE product whose metadata tell it.

    Parameters
    ----------
    names : iterable of str
        Files of the product.
    read : callable
        Returns the bytes of one.
    """
    found = ((match["tile"], name) for name in names if (match := _GRANULE.search(name)))
    suns = {tile: _sun_in(read(name)) for tile, name in found}
    return {tile: sun for tile, sun in suns.items() if sun is not None}


def eopf_sun(attributes: Mapping[str, Any]) -> Sun | None:
    """Return the sun that the attributes of a store's root tell."""
    other = attributes.get("other_metadata")
    if not isinstance(other, Mapping):
        return None
    return _sun(*(other.get(_MEAN.format(name)) for name in ("azimuth", "zenith")))


def _sun_in(xml: bytes) -> Sun | None:
    """Return the sun of a granule's metadata; None where they are damaged."""
    try:
        mean = ET.fromstring(xml).find(".//Mean_Sun_Angle")  # noqa: S314 - as in ``safe``
    except ET.ParseError:
        return None
    if mean is None:
        return None
    return _sun(mean.findtext("AZIMUTH_ANGLE"), mean.findtext("ZENITH_ANGLE"))


def _sun(azimuth: Any, zenith: Any) -> Sun | None:
    """Return two numbers in degrees, if they are some that a sun can have."""
    try:
        sun = float(azimuth), float(zenith)
    except (TypeError, ValueError):
        return None
    return sun if is_sun(*sun) else None
