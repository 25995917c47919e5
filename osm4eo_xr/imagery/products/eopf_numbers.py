"""What the numbers in EOPF's arrays mean, and which of them are none.

Integers are digital numbers, whose ``scale_factor`` and ``add_offset`` count. GeoZarr conversions
hold floats that were scaled already; ``units`` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.imagery.offsets import ADVICE, Evidence, Look, baseline_of, settle_offset
from osm4eo_xr.imagery.reflectance import DN_SCALE, Scaling

if TYPE_CHECKING:
    from osm4eo_xr.imagery.products.eopf import EopfProduct
    from osm4eo_xr.imagery.reader import Band

_COUNTS, _REFLECTED = {"digital_counts"}, {"1", "reflectance", "dimensionless"}
_SPECIAL = (0.0, 65535.0)  # NODATA and SATURATED of every Sentinel-2 product
_SCALE_OPTIONS = (
    "pass {scale=1} and {offset=0} if they are reflectance already, {scale=1e-4} and {offset=-0.1} "
    "if they are digital numbers"
)


def settled_band(
    band: Band,
    said: Mapping[str, Any],
    product: EopfProduct,
    *,
    look: Look,
    scale: float | None,
    offset: float | None,
) -> Band:
    """Return a band with what its numbers mean and which of them are none.

    Parameters
    ----------
    band : Band
        As its array describes it.
    said : mapping
        The array's attributes.
    product : EopfProduct
        Whose it is.
    look : callable
        Reads how dark the product gets, where nothing else settles its offset.
    scale, offset : float, optional
        The caller's words.

    Raises
    ------
    InputError
        If nothing tells what the numbers mean, or the stated no data is another than Sentinel-2's.
    """
    scaling = _scaling(band, said, product, look=look, scale=scale, offset=offset)
    if not _is_counts(band, said):
        return replace(band, scaling=scaling)
    stated = (np.ravel(said.get(n, 0)) for n in ("_FillValue", "fill_value"))
    fill = np.concatenate(list(stated))
    if np.dtype(band.dtype).kind in "iu" and np.any(fill != 0):
        raise InputError(
            f"{band.path}: {band.name} states the no-data value {fill[fill != 0][0]}",
            expected="0, as in every Sentinel-2 product",
            advice="make the store again from its source",
        )
    # Ranges that arrays state are wrong here and there (valid_max 6553); the product's values hold.
    validity = band.validity.instead(_SPECIAL, np.dtype(band.dtype), "special value of the product")
    return replace(band, scaling=scaling, validity=validity)


def _is_counts(band: Band, said: Mapping[str, Any]) -> bool:
    """Whether an array holds digital numbers: integers, or floats that say so."""
    return np.dtype(band.dtype).kind in "iu" or _unit(said) in _COUNTS


def _unit(said: Mapping[str, Any]) -> str:
    return str(said.get("units", "")).casefold()


def _scaling(
    band: Band,
    said: Mapping[str, Any],
    product: EopfProduct,
    *,
    look: Look,
    scale: float | None,
    offset: float | None,
) -> Scaling:
    """Return what a band's numbers mean: the caller's words, else by type, units and attributes.

    Integers, and floats whose unit is digital counts, are digital numbers: ``scale_factor`` and
    ``add_offset`` count, and where there is none the table of ``imagery.offsets``. Floats of unit 1
    are reflectance, whatever attributes were left on them. Floats without a unit are reflectance if
    no attribute says otherwise, and refused if one does.
    """
    units, counts = _unit(said), _is_counts(band, said)
    where = f"{band.path}: {band.name}"
    tagged = [said[n] for n in ("scale_factor", "add_offset") if n in said]
    if not counts and units not in _REFLECTED and tagged and None in (scale, offset):
        raise InputError(
            f"{where} holds {band.dtype} numbers of unit {units or 'unknown'!r} with "
            f"{_in_words(said)}, so nothing tells whether they are scaled already",
            expected="integers, or floats of unit 1 or digital_counts",
            advice=_SCALE_OPTIONS,
        )
    if not counts:
        return Scaling(1.0 if scale is None else scale, offset or 0.0)
    if scale is None:
        scale = float(np.ravel(said.get("scale_factor", DN_SCALE))[0])
    if offset is None:
        offset = settle_offset(_evidence(said, product, where), look)
    return Scaling(scale, offset)


def _evidence(said: Mapping[str, Any], product: EopfProduct, where: str) -> Evidence:
    """Return what is known of a band's offset; arrays of baseline 04.00 and later must state it."""
    known = Evidence(
        where=f"{product.name} of baseline {product.baseline or 'unknown'}, {where}",
        stated=float(np.ravel(said["add_offset"])[0]) if "add_offset" in said else None,
        baseline=baseline_of(product.baseline),
        processed=product.processed,
    )
    if known.stated is None and known.baseline and settle_offset(known):
        raise InputError(
            f"{known.where}: digital numbers carry an offset from baseline 04.00 on, but the array "
            f"states no add_offset",
            advice=ADVICE,
        )
    return known


def _in_words(said: Mapping[str, Any]) -> str:
    names = [n for n in ("scale_factor", "add_offset") if n in said]
    return " and ".join(f"{n} {said[n]}" for n in names)
