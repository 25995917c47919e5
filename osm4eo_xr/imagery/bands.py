"""Names of bands: Sentinel-2's ids, STAC's common names, and what files call them."""

from __future__ import annotations

import re

METHOD_BANDS = (
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir08",
    "swir16",
    "swir22",
)
"""The method's ten bands, in this order: B02 B03 B04 B05 B06 B07 B08 B8A B11 B12."""

SENTINEL2_BANDS = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
"""Common name (STAC eo extension) of each Sentinel-2 band."""

_ALIASES = {
    "b8": "nir",
    "rede1": "rededge1",
    "rede2": "rededge2",
    "rede3": "rededge3",
    "red_edge_1": "rededge1",
    "red_edge_2": "rededge2",
    "red_edge_3": "rededge3",
    "swir1": "swir16",
    "swir2": "swir22",
    "nir2": "nir08",
    "narrow_nir": "nir08",
}
_BAND_ID = re.compile(r"(?:^|[^0-9a-z])b(0?[1-9]|1[0-2]|8a)(?=$|[^0-9a-z])", re.IGNORECASE)


def common_name(label: str) -> str | None:
    """Return the common band name that a description or file name states, or None.

    Understands common names (``"red"``), band ids (``"B4"``, ``"b04"``, ``"B8A"``) and names that
    contain one of them between separators (``"T33UUU_20170216T102101_B04.jp2"``).
    """
    text = label.strip().casefold()
    stem = re.sub(r"\.[a-z0-9]{1,5}$", "", text)
    known = set(SENTINEL2_BANDS.values())
    for candidate in (text, stem):
        if candidate in known:
            return candidate
        if candidate in _ALIASES:
            return _ALIASES[candidate]
    found = _BAND_ID.findall(stem)
    if found:
        return SENTINEL2_BANDS[f"B{found[-1].upper().zfill(2)}"]
    words = [w for w in re.split(r"[^a-z0-9]+", stem) if w in known]
    return words[-1] if words else None
