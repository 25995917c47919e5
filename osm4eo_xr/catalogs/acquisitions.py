"""When STAC items were acquired, and which of them are one acquisition processed twice."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.imagery.offsets import item_baseline

_TILE = re.compile(r"(?:^|[_T/-])(\d{2}[C-X][A-Z]{2})(?=$|[_/.-])")
_STRIP = re.compile(r"_S(\d{8}T\d{6})_")
_SAME = 10.0  # seconds by which starts of one data strip may differ between baselines
_TILE_FIELDS = ("grid:code", "s2:mgrs_tile", "s2:product_uri", "sentinel:product_id", "s2:tile_id")
_PROCESSED = ("s2:generation_time", "processing:datetime", "created", "updated")


def when(item: Mapping[str, Any]) -> str:
    """Return an item's date and time in UTC, ISO 8601 without a UTC offset; of a range its start.

    Raises
    ------
    InputError
        If it states none, what it states is none, or a range ends before it starts.
    """
    moment = _moment(item, "datetime")
    if moment is not None:
        return moment.isoformat()
    start, end = _moment(item, "start_datetime"), _moment(item, "end_datetime")
    if start is None:
        ends = "" if end is None else f", only the end_datetime {end.isoformat()}Z"
        raise InputError(
            f"item {item['id']} has no datetime and no start_datetime{ends}: nothing says when it "
            f"was acquired",
            expected="properties.datetime, or start_datetime and end_datetime where it is null",
            advice="add it to the item, or leave the item out",
        )
    if end is not None and end < start:
        raise InputError(
            f"item {item['id']}: end_datetime {end.isoformat()}Z lies before start_datetime "
            f"{start.isoformat()}Z",
            advice="correct the item",
        )
    return start.isoformat()


def _moment(item: Mapping[str, Any], name: str) -> datetime | None:
    """Return a date and time of an item in UTC, naive; None if it is not stated."""
    text = str(item["properties"].get(name) or "")
    if not text:
        return None
    try:
        stated = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise InputError(
            f"item {item['id']}: {name} {text!r} is no date and time",
            expected="ISO 8601, for example 2024-06-01T10:00:00Z",
        ) from None
    return stated if stated.tzinfo is None else stated.astimezone(UTC).replace(tzinfo=None)


def sun_of(item: Mapping[str, Any]) -> tuple[float, float]:
    """Return the sun's azimuth and zenith that an item states, in degrees; NaN where it does not.

    They stand in the extension view (``view:sun_elevation`` counts from the horizon), and in
    Planetary Computer's own fields.
    """
    told = item["properties"]
    height = told.get("view:sun_elevation")
    zenith = told.get("s2:mean_solar_zenith") if height is None else 90 - height
    azimuth = told.get("view:sun_azimuth", told.get("s2:mean_solar_azimuth"))
    if azimuth is None or zenith is None:
        return math.nan, math.nan
    return float(azimuth), float(zenith)


def newest(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items, of one acquisition processed several times only the newest.

    Items are one acquisition if platform, tile and time agree to the second, and so do the starts
    of their data strips as far as they state them. The highest processing baseline is the newest;
    of equals the one processed last. What is left out is said in a warning.
    """
    kept: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    dropped = []
    for item in sorted(items, key=_version, reverse=True):
        others = kept.setdefault(_acquisition(item), [])
        if any(_one_strip(item, other) for other in others):
            dropped.append(item["id"])
        else:
            others.append(item)
    if dropped:
        warnings.warn(
            f"{len(dropped)} of {len(items)} items (first: {dropped[0]}) are older processings of "
            f"an acquisition that is there again; each counts once, in its newest baseline",
            InputWarning,
            stacklevel=3,
        )
    chosen = {id(item) for group in kept.values() for item in group}
    return [item for item in items if id(item) in chosen]


def _acquisition(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what items of one acquisition have in common."""
    properties = item["properties"]
    platform = str(properties.get("platform", "")).casefold()
    grid = properties.get("proj:code") or properties.get("proj:epsg")
    place = _tile(item) or str(([round(v, 2) for v in item.get("bbox") or ()], grid))
    return platform, place, when(item)[:19]


def _tile(item: Mapping[str, Any]) -> str:
    """Return an item's MGRS tile, or nothing."""
    properties = item["properties"]
    for text in (*(str(properties.get(name, "")) for name in _TILE_FIELDS), str(item["id"])):
        match = _TILE.search(text)
        if match:
            return match[1]
    return ""


def _one_strip(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two items may be of one data strip."""
    found = [_STRIP.search(str(i["properties"].get("s2:datastrip_id", "")) + "_") for i in (a, b)]
    if not all(found):
        return True
    starts = [datetime.strptime(m[1], "%Y%m%dT%H%M%S") for m in found if m]  # noqa: DTZ007 -- all UTC
    return abs((starts[0] - starts[1]).total_seconds()) <= _SAME


def _version(item: Mapping[str, Any]) -> tuple[tuple[int, int], str, str]:
    """Return what is greatest of the newest processing."""
    properties = item["properties"]
    processed = next((str(properties[n]) for n in _PROCESSED if properties.get(n)), "")
    return item_baseline(item) or (0, 0), processed, str(item["id"])
