"""Looks at the pixels of STAC assets: what offset they carry, whether they can be reflectance."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError

from osm4eo_xr.catalogs.assets import asset_of
from osm4eo_xr.catalogs.footprints import touching
from osm4eo_xr.catalogs.items import Items, asked_band, asset_keys, class_key, read_items
from osm4eo_xr.catalogs.product_assets import asset_numbers
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.imagery.band_looks import darkest, middle_numbers
from osm4eo_xr.imagery.plausibility import judge_band, report
from osm4eo_xr.imagery.reader import read_bands
from osm4eo_xr.names import OWN_WORDS
from osm4eo_xr.rasters.remote.waiting import at_once

if TYPE_CHECKING:
    from osm4eo_xr.imagery.offsets import AssetNumbers, Look
    from osm4eo_xr.imagery.reader import Band
    from osm4eo_xr.imagery.reflectance import Scaling

UNREADABLE = f"{OWN_WORDS}unreadable"
"""The member of an item that says why it could not be read when it was fetched."""

_NAMED = 5  # items in a message
_THREADS = 8  # reads of small blocks wait for the network


def look_at_assets(item: Mapping[str, Any], keys: Mapping[str, str]) -> Look:
    """Return what reads, once and if it is called, how dark an item's assets get."""
    return cache(
        lambda: darkest(band for name, key in keys.items() for band in _bands(item, name, key))
    )


def settled_numbers(
    items: Sequence[Mapping[str, Any]],
    keys: Sequence[Mapping[str, str]],
    *,
    scale: float | None = None,
    offset: float | None = None,
) -> list[dict[str, AssetNumbers]]:
    """Return what is known of the numbers of each item's assets, by band.

    Nothing is opened, but where an item leaves the offset open: there headers are read, those at
    addresses together, and pixels if a header says nothing either.

    Parameters
    ----------
    items : sequence of mapping
        Plain JSON.
    keys : sequence of mapping of str to str
        Of each item its assets' keys by band name.
    scale, offset : float, optional
        As in ``stack_items``.

    Raises
    ------
    InputError
        If nothing tells an offset or a scale.
    """
    found = [
        {
            name: asset_numbers(item, key, name, scale=scale, offset=offset)
            for name, key in of.items()
        }
        for item, of in zip(items, keys, strict=True)
    ]
    places = {
        (t, name): str(items[t]["assets"][keys[t][name]]["href"])
        for t, known in enumerate(found)
        for name, numbers in known.items()
        if numbers.is_open
    }
    opened = at_once(lambda at: _bands(items[at[0]], at[1], keys[at[0]][at[1]]), places)
    looks = {t: look_at_assets(items[t], keys[t]) for t, _ in places}
    for (t, name), bands in zip(places, opened, strict=True):
        for band in bands:  # of none that cannot be read, as its reader is told
            own = _scaling(found[t][name], band, looks[t])
            found[t][name] = replace(found[t][name], scale=own.scale, offset=own.offset)
    return found


def _scaling(numbers: AssetNumbers, band: Band, look: Look) -> Scaling:
    """Settle an asset's numbers by its band, whose scaling is as tagged."""
    return numbers.of_file(band.dtype, (band.scaling.scale, band.scaling.offset), look)


def check_items(
    items: Items,
    geobox: GeoBox,
    bands: Sequence[str] = ("blue", "green", "red", "nir"),
    *,
    scale: float | None = None,
    offset: float | None = None,
) -> None:
    """Look at the middle of each asset that ``stack_items`` would read.

    Assets that cannot be read or lie elsewhere are passed over: whoever reads them is told.

    Parameters
    ----------
    items, geobox, bands, scale, offset
        As in ``stack_items``; with scale or offset, findings are warnings.

    Raises
    ------
    InputError
        If a rule of ``imagery.plausibility`` is broken; the message names item and asset, the
        evidence and the option that settles it.
    """
    names = [asked_band(b) for b in bands]
    work = [
        (item, keys, name, scale, offset)
        for item in touching(read_items(items), geobox)
        if UNREADABLE not in item and (keys := asset_keys(item, names, allow_missing=True))
        for name in keys
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(_finding, work):
            if found is not None:
                report([("", found[1])], found[0], settled=not (scale is None and offset is None))


def leave_out_unreadable(
    items: list[dict[str, Any]], geobox: GeoBox, bands: Sequence[str], *, classes: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the items over a grid that can be read, and what is wrong with the others.

    Parameters
    ----------
    items, geobox, bands
        As in ``stack_items``, items as ``read_items`` returns them.
    classes : bool
        Whether the scene classification is read too.

    Raises
    ------
    InputError
        If none can be read.
    """
    near, names = touching(items, geobox), [asked_band(b) for b in bands]
    with ThreadPoolExecutor(_THREADS) as pool:
        faults = list(pool.map(partial(_fault, names=names, classes=classes), near))
    wrong = [fault for fault in faults if fault]
    if len(wrong) == len(near):
        raise InputError(f"none of {len(near)} items can be read: {'; '.join(wrong[:_NAMED])}")
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        text = f"{len(wrong)} of {len(near)} items cannot be read and are left out: "
        warnings.warn(text + "; ".join(wrong[:_NAMED]) + more, InputWarning, stacklevel=3)
    return [item for item, fault in zip(near, faults, strict=True) if not fault], wrong


def _fault(item: Mapping[str, Any], names: Sequence[str], *, classes: bool) -> str:
    """Return why an item cannot be read; nothing if it can."""
    if UNREADABLE in item:
        return str(item[UNREADABLE])
    key = ""
    try:
        keys = asset_keys(item, names, allow_missing=False)
        keys |= class_key(item, "scl", allow_missing=False) if classes else {}
        for name, key in keys.items():
            band = asset_of(item, key, name, {}).band("nearest")
            rows, cols = band.geobox.shape
            for row, col in ((0, 0), (rows - 1, cols - 1)):  # files that are cut off lack the end
                read_bands([band], slice(row, row + 1), slice(col, col + 1))
    except (RasterioIOError, InputError) as error:
        return f"{item['id']}, asset {key}: {error}" if key else str(error)
    return ""


def _finding(asked: tuple[Any, ...]) -> tuple[str, Any] | None:
    """Judge one asset; return its name and what is wrong with it."""
    item, keys, name, scale, offset = asked
    for band in _bands(item, name, keys[name]):
        numbers = asset_numbers(item, keys[name], name, scale=scale, offset=offset)
        scaling = _scaling(numbers, band, look_at_assets(item, keys))
        values = middle_numbers(band) * scaling.scale + scaling.offset
        found = judge_band(values, integer=np.dtype(band.dtype).kind in "iu")
        if found is not None:
            return f"item {item['id']}, asset {keys[name]}", found
    return None


def _bands(item: Mapping[str, Any], name: str, key: str) -> list[Band]:
    """Describe the band of an asset; none of one that cannot be read."""
    try:
        return [asset_of(item, key, name, {}).band("nearest")]
    except InputError:
        return []
