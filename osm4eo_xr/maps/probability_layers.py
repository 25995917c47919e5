"""Probabilities → where a layer is likely enough, and its likeliest class there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference
from osm4eo_xr.geometry.known_classes import class_ids_of
from osm4eo_xr.legend import NO_DATA, Legend
from osm4eo_xr.rasters.shares import as_shares

if TYPE_CHECKING:
    from jaxtyping import Num, UInt8

    from osm4eo_xr.legend_entries import LandUseClass

OTHER = 255
"""Land that is in no class of the layer; above every class id."""

_ROUNDING = 1e-6  # float32 probabilities that should add up to the threshold


def likeliest(
    probabilities: xr.DataArray,
    classes: Sequence[LandUseClass],
    threshold: float,
    legend: Legend,
) -> xr.DataArray:
    """Return the likeliest of some classes where together they reach a threshold; lazy.

    Parameters
    ----------
    probabilities : DataArray (class, y, x)
        uint8 (0-250, 255 = no data) or float (0-1, NaN = no data).
    classes : sequence of LandUseClass
        The layer.
    threshold : float
        Above 0 to 1.
    legend : Legend
        What the coordinate ``class`` is named after: ids, slugs or names.

    Returns
    -------
    DataArray (y, x), uint8
        Class ids, 255 = other land, 0 = no data.

    Raises
    ------
    InputError
        If a class has no probabilities.
    """
    if "class" not in probabilities.coords:
        raise InputError(
            "the probabilities name no classes", advice="assign a coordinate 'class' of ids"
        )
    names = class_ids_of(probabilities, legend)
    missing = [c.slug for c in classes if c.id not in names]
    if missing:
        raise InputError(
            f"there are no probabilities of {missing[0]}", advice="classify with a model of it"
        )
    ids = [c.id for c in classes]
    data = da.asarray(probabilities.data)
    data = data.rechunk({0: -1})
    chosen = data.map_blocks(
        _choose,
        [names.index(i) for i in ids],
        np.array(ids, np.uint8),
        threshold,
        dtype=np.uint8,
        drop_axis=0,
        meta=np.empty((0, 0), np.uint8),
    )
    attrs = {**probabilities.attrs, "nodata": NO_DATA}
    attrs.pop("scale_factor", None)
    return georeference(chosen, geobox_of(probabilities), attrs=attrs)


def _choose(
    block: Num[np.ndarray, "class y x"],
    index: list[int],
    ids: UInt8[np.ndarray, " layer"],
    threshold: float,
) -> UInt8[np.ndarray, "y x"]:
    shares = as_shares(block)
    valid = np.isfinite(shares).all(axis=0)
    shares = shares[index]
    likely = shares.sum(axis=0, dtype=np.float64) + _ROUNDING >= threshold
    out = np.where(likely, ids[shares.argmax(axis=0)], np.uint8(OTHER))
    out[~valid] = NO_DATA
    return out
