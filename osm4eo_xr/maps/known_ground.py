"""What OpenStreetMap knows beside what a model predicts: where they agree, and both in one map."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import crs_name, geobox_of, same_grid, zero_nodata
from osm4eo_xr.legend import NO_DATA

if TYPE_CHECKING:
    from jaxtyping import UInt8

AGREEMENT = ("equal", "different", "predicted_only", "known_only")
"""Meaning of the values 1, 2, … of ``agreement``."""

PROVENANCE = ("openstreetmap", "prediction")
"""Meaning of the values 1, 2 of the provenance of ``merge_known``."""

_COLORS = {
    "equal": "#1a9850",
    "different": "#d73027",
    "predicted_only": "#bdbdbd",
    "known_only": "#fee08b",
    "openstreetmap": "#2166ac",
    "prediction": "#bdbdbd",
}


def agreement(labels: xr.DataArray, class_map: xr.DataArray) -> xr.DataArray:
    """Say for each pixel whether OpenStreetMap knows its class and the prediction is the same.

    Parameters
    ----------
    labels : DataArray (y, x), uint8
        What OpenStreetMap knows; its no data (0 if it states none) = nothing.
    class_map : DataArray (y, x), uint8
        What is predicted, on the same grid; no data as it states, by default 0.

    Returns
    -------
    DataArray
        (y, x), uint8, lazy as its input: 1 = known and equal, 2 = known and different, 3 =
        predicted only, 4 = known only, 0 = no data. The meanings are in ``flag_meanings``.

    Raises
    ------
    InputError
        If the two are not uint8 on one grid.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321030, 3210010))
    >>> labels = georeference(np.array([[8, 8, 0]], dtype="uint8"), box)
    >>> class_map = georeference(np.array([[8, 12, 5]], dtype="uint8"), box)
    >>> oxr.agreement(labels, class_map).values.tolist()
    [[1, 2, 3]]
    """
    _check_pair(labels, class_map)
    labels, class_map = zero_nodata(labels), zero_nodata(class_map)
    layer = _blockwise(_compare, labels, class_map)
    return class_map.copy(data=layer).assign_attrs(_attrs(AGREEMENT)).rename("agreement")


def merge_known(labels: xr.DataArray, class_map: xr.DataArray) -> xr.Dataset:
    """Put OpenStreetMap's classes onto a predicted map, as OSMlanduse does for its final map.

    Parameters
    ----------
    labels : DataArray (y, x), uint8
        What OpenStreetMap knows; its no data (0 if it states none) = nothing. It wins where it
        knows.
    class_map : DataArray (y, x), uint8
        What is predicted, on the same grid; no data as it states, by default 0.

    Returns
    -------
    Dataset
        ``classes`` (y, x), uint8, with the attrs of the class map, 0 = no data; ``provenance``
        (y, x), uint8: 1 = OpenStreetMap, 2 = prediction, 0 = no data. Lazy as the input.

    Raises
    ------
    InputError
        If the two are not uint8 on one grid.

    Source
    ------
    Schultz, Li et al. 2025, Scientific Data: the prediction fills what OpenStreetMap leaves open.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321030, 3210010))
    >>> labels = georeference(np.array([[8, 8, 0]], dtype="uint8"), box)
    >>> class_map = georeference(np.array([[8, 12, 5]], dtype="uint8"), box)
    >>> merged = oxr.merge_known(labels, class_map)
    >>> merged["classes"].values.tolist(), merged["provenance"].values.tolist()
    ([[8, 8, 5]], [[1, 1, 2]])
    """
    _check_pair(labels, class_map)
    labels, class_map = zero_nodata(labels), zero_nodata(class_map)
    classes = class_map.copy(data=_blockwise(_prefer, labels, class_map))
    origin = class_map.copy(data=_blockwise(_origin, labels, class_map))
    origin = origin.assign_attrs(_attrs(PROVENANCE))
    return xr.Dataset({"classes": classes, "provenance": origin})


def _compare(
    known: UInt8[np.ndarray, "y x"], predicted: UInt8[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    cases = [known == NO_DATA, predicted == NO_DATA, known == predicted]
    alone = np.where(predicted == NO_DATA, 0, 3)
    return np.select(cases, [alone, np.array(4), np.array(1)], 2).astype(np.uint8)


def _prefer(
    known: UInt8[np.ndarray, "y x"], predicted: UInt8[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    return np.where(known == NO_DATA, predicted, known)


def _origin(
    known: UInt8[np.ndarray, "y x"], predicted: UInt8[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    return np.where(known != NO_DATA, 1, np.where(predicted != NO_DATA, 2, 0)).astype(np.uint8)


def _blockwise(kernel: Callable[..., np.ndarray], *rasters: xr.DataArray) -> Any:
    """Apply a kernel pixel by pixel; lazy if one of the rasters is."""
    if not any(raster.chunks for raster in rasters):
        return kernel(*(raster.to_numpy() for raster in rasters))
    pairs = (part for raster in rasters for part in (da.asarray(raster.data), "yx"))
    return da.blockwise(kernel, "yx", *pairs, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))


def _check_pair(labels: xr.DataArray, class_map: xr.DataArray) -> None:
    for name, raster in (("labels", labels), ("class map", class_map)):
        if raster.dims != ("y", "x") or raster.dtype != np.uint8:
            raise InputError(
                f"the {name} is {raster.dims} of {raster.dtype}", advice="give (y, x) of uint8"
            )
    a, b = geobox_of(labels), geobox_of(class_map)
    aligned = same_grid(a, b) and a.shape == b.shape
    if not aligned or not np.allclose(a.boundingbox.bbox, b.boundingbox.bbox, rtol=1e-9):
        raise InputError(
            f"labels ({a.shape}, {crs_name(a.crs)}) and class map ({b.shape}, "
            f"{crs_name(b.crs)}) are not on one grid",
            advice="make the labels with like=class_map",
        )


def _attrs(meanings: tuple[str, ...]) -> dict[str, Any]:
    """Return CF attributes of a layer with values 1, 2, …; 0 = no data."""
    return {
        "flag_values": list(range(1, len(meanings) + 1)),
        "flag_meanings": " ".join(meanings),
        "flag_colors": " ".join(_COLORS[m] for m in meanings),
        "legend": "",
        "nodata": NO_DATA,
    }
