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

_PHRASES = (
    (r"red ?e(?:dge)? ?1", "rededge1"),
    (r"red ?e(?:dge)? ?2", "rededge2"),
    (r"red ?e(?:dge)? ?3", "rededge3"),
    (r"red ?edge\w*", None),  # which of the three is not said
    (r"narrow ?nir|nir ?narrow|nir2", "nir08"),
    (r"swir ?1", "swir16"),
    (r"swir ?2", "swir22"),
    *((name, name) for name in SENTINEL2_BANDS.values()),
)
"""What bands are called, in lower-case words, and their common names; the first that fits."""

_ANY_PHRASE = re.compile(rf"\b(?:{'|'.join(f'({phrase})' for phrase, _ in _PHRASES)})\b")
_BAND_ID = re.compile(r"(?:^|[^0-9a-z])b(0?[1-9]|1[0-2]|8a)(?=$|[^0-9a-z])", re.IGNORECASE)


def common_name(label: str) -> str | None:
    """Return the common band name that a description or file name states, or None.

    Understands common names (``"red"``), band ids (``"B4"``, ``"b04"``, ``"B8A"``), what bands are
    called (``"Red Edge 1"``, ``"narrow-nir"``) and names that contain one of them between
    separators (``"T33UUU_20170216T102101_B04.jp2"``). Of several the last counts.
    """
    stem = re.sub(r"\.[a-z0-9]{1,5}$", "", label.strip().casefold())
    found = _BAND_ID.findall(stem)
    if found:
        return SENTINEL2_BANDS[f"B{found[-1].upper().zfill(2)}"]
    words = " ".join(re.findall(r"[a-z0-9]+", stem))
    spoken = _ANY_PHRASE.findall(words)
    if not spoken:
        return None
    return next(name for (_, name), said in zip(_PHRASES, spoken[-1], strict=True) if said)
