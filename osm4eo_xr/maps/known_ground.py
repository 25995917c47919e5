"""What OpenStreetMap knows beside what a model predicts: where they agree, and both in one map."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name, geobox_of, same_pixels, zero_nodata
from osm4eo_xr.geometry.known_classes import (
    A_PROVENANCE,
    AN_AGREEMENT,
    MEANINGS,
    class_ids_of,
    with_known_classes,
)
from osm4eo_xr.legend import NO_DATA, Legend, default_legend
from osm4eo_xr.maps.known_rules import (
    likelier_wins,
    look_up,
    model_wins,
    osm_wins,
    sureness,
    surer_wins,
)
from osm4eo_xr.maps.settings import KnownRule

if TYPE_CHECKING:
    from jaxtyping import UInt8

AGREEMENT = MEANINGS[AN_AGREEMENT]
"""Meaning of the values 1, 2, … of ``agreement``."""

PROVENANCE = MEANINGS[A_PROVENANCE]
"""Meaning of the values 1, 2, 3 of ``provenance_of``."""

KNOWN = 1
"""Value of a provenance where the map shows what OpenStreetMap knows."""

COLORS = {
    "equal": "#1a9850",
    "different": "#d73027",
    "predicted_only": "#bdbdbd",
    "known_only": "#fee08b",
    "openstreetmap": "#2166ac",
    "prediction": "#bdbdbd",
    "overruled": "#d6604d",
}
"""Colors of these meanings."""


def agreement(
    labels: xr.DataArray, class_map: xr.DataArray, *, legend: Legend | None = None
) -> xr.DataArray:
    """Say for each pixel whether OpenStreetMap knows its class and the prediction is the same.

    Parameters
    ----------
    labels : DataArray (y, x), uint8
        What OpenStreetMap knows; its no data (0 if it states none) = nothing.
    class_map : DataArray (y, x), uint8
        What is predicted, on the same grid; no data as it states, by default 0.
    legend : Legend, optional
        If it is given, both may hold its classes alone; else any.

    Returns
    -------
    DataArray
        (y, x), uint8, lazy as its input: 1 = known and equal, 2 = known and different, 3 =
        predicted only, 4 = known only, 0 = no data. The meanings are in ``flag_meanings``.

    Raises
    ------
    InputError
        If the two are not uint8 on one grid; when pixels are computed, if one holds a class that
        ``legend`` lacks.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321030, 3210010))
    >>> labels = georeference(np.array([[8, 8, 0]], dtype="uint8"), box)
    >>> class_map = georeference(np.array([[8, 12, 5]], dtype="uint8"), box)
    >>> oxr.agreement(labels, class_map).values.tolist()
    [[1, 2, 3]]
    """
    labels, class_map = _known_pair(labels, class_map, legend)
    layer = _blockwise(_compare, labels, class_map)
    return (
        class_map.copy(data=layer).assign_attrs(_attrs(AGREEMENT, AN_AGREEMENT)).rename("agreement")
    )


def merge_known(
    labels: xr.DataArray,
    class_map: xr.DataArray,
    *,
    rule: KnownRule | str = "osm",
    confidence: xr.DataArray | None = None,
    probabilities: xr.DataArray | None = None,
    noise: xr.DataArray | None = None,
    legend: Legend | None = None,
) -> xr.Dataset:
    """Put OpenStreetMap's classes onto a predicted map, as OSMlanduse does for its final map.

    Parameters
    ----------
    labels : DataArray (y, x), uint8
        What OpenStreetMap knows; its no data (0 if it states none) = nothing.
    class_map : DataArray (y, x), uint8
        What is predicted, on the same grid; no data as it states, by default 0.
    rule : {"osm", "model", "confidence", "bayes"}
        Who wins where both have a class: OpenStreetMap; the model; the surer of the two, by the
        model's confidence and OpenStreetMap's p(class | osm); or the class c of greatest
        p(osm | c) p(c | x), of equals the one that ``probabilities`` name first. Where one of
        them has none, the other's class stands.
    confidence : DataArray (y, x), uint8 or float
        Of the prediction, for "confidence": 0-250 (255 = no data) or 0-1 (NaN = no data), as
        ``classify`` gives it. What has none is not sure.
    probabilities : DataArray (class, y, x), uint8 or float
        For "bayes", scaled alike; ``class`` holds ids, slugs or names. An 8-bit 0 counts as half
        a step, 0.002.
    noise : DataArray (class, osm), float
        For "confidence" and "bayes": p(osm | class), as ``estimate_label_noise`` returns it;
        coordinates hold class ids, and rows sum to 1.
    legend : Legend, optional
        Whose slugs ``probabilities`` are named by; by default the twelve classes of OSMlanduse.
        If it is given, both rasters may hold its classes alone; else any.

    Returns
    -------
    Dataset
        ``classes`` (y, x), uint8, with the attrs of the class map, 0 = no data; ``provenance``
        as ``provenance_of`` returns it. Lazy as the input.

    Raises
    ------
    InputError
        If rasters are not on one grid or of another type, the rule is unknown or lacks what it
        weighs, or the noise is no table of probabilities; when pixels are computed, if one holds a
        class that ``legend`` lacks.

    Source
    ------
    Schultz, Li et al. 2025, Scientific Data: the prediction fills what OpenStreetMap leaves open.
    "bayes" is Bayes' rule for a class that scene and label tell of independently.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321030, 3210010))
    >>> labels = georeference(np.array([[8, 8, 0]], dtype="uint8"), box)
    >>> class_map = georeference(np.array([[8, 12, 5]], dtype="uint8"), box)
    >>> merged = oxr.merge_known(labels, class_map)
    >>> merged["classes"].values.tolist(), merged["provenance"].values.tolist()
    ([[8, 8, 5]], [[1, 1, 2]])
    >>> merged = oxr.merge_known(labels, class_map, rule="model")
    >>> merged["classes"].values.tolist(), merged["provenance"].values.tolist()
    ([[8, 12, 5]], [[1, 3, 2]])
    """
    labels, class_map = _known_pair(labels, class_map, legend)
    weighed = _weighed(rule, confidence, probabilities, noise)
    if weighed is None:
        kernel = osm_wins if rule == "osm" else model_wins
        data = _blockwise(kernel, labels, class_map)
    elif rule == "confidence":
        _check_grids(class_map, "class map", weighed[0], "confidence")
        sure = sureness(weighed[1])
        data = _blockwise(partial(surer_wins, sure=sure), labels, class_map, weighed[0])
    else:
        _check_grids(class_map, "class map", weighed[0], "probabilities")
        ids = class_ids_of(weighed[0], legend or default_legend())
        how = {"ids": np.array(ids, np.uint8), "noise": look_up(weighed[1], ids)}
        data = _blockwise(partial(likelier_wins, **how), labels, class_map, weighed[0])
    classes = class_map.copy(data=data)
    return xr.Dataset({"classes": classes, "provenance": provenance_of(labels, classes)})


def provenance_of(labels: xr.DataArray, class_map: xr.DataArray) -> xr.DataArray:
    """Say for each pixel of a map whether it shows what OpenStreetMap knows.

    Parameters
    ----------
    labels : DataArray (y, x), uint8
        What OpenStreetMap knows; its no data (0 if it states none) = nothing.
    class_map : DataArray (y, x), uint8
        What the map shows, merged, sieved or both, on the same grid.

    Returns
    -------
    DataArray (y, x), uint8
        1 = OpenStreetMap's class is shown, 2 = predicted where it says nothing, 3 = its class is
        overruled by another, 0 = no data; the meanings are in ``flag_meanings``. Lazy as its
        input.

    Raises
    ------
    InputError
        If the two are not uint8 on one grid.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321030, 3210010))
    >>> labels = georeference(np.array([[8, 8, 0]], dtype="uint8"), box)
    >>> class_map = georeference(np.array([[8, 12, 5]], dtype="uint8"), box)
    >>> oxr.provenance_of(labels, class_map).values.tolist()
    [[1, 3, 2]]
    """
    _check_pair(labels, class_map)
    origin = _blockwise(_origin, zero_nodata(labels), zero_nodata(class_map))
    return (
        class_map.copy(data=origin)
        .assign_attrs(_attrs(PROVENANCE, A_PROVENANCE))
        .rename("provenance")
    )


def is_known(labels: xr.DataArray, class_map: xr.DataArray) -> xr.DataArray:
    """Return where a map shows the class that OpenStreetMap knows: (y, x), bool, lazy.

    Raises
    ------
    InputError
        If the two are not uint8 on one grid.
    """
    return provenance_of(labels, class_map) == KNOWN


def _weighed(
    rule: str,
    confidence: xr.DataArray | None,
    probabilities: xr.DataArray | None,
    noise: xr.DataArray | None,
) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Return what a rule weighs: the model's sureness and the noise; None if it weighs nothing."""
    if rule not in get_args(KnownRule):
        known = ", ".join(get_args(KnownRule))
        raise InputError(f"rule={rule!r}", advice=f"choose one of {known}")
    needed = {"confidence": confidence, "bayes": probabilities}
    if rule not in needed:
        return None
    given, name = needed[rule], "confidence" if rule == "confidence" else "probabilities"
    if given is None or noise is None:
        missing = name if given is None else "noise"
        raise InputError(f"rule {rule!r} weighs {name} and noise", advice=f"give {missing}=")
    if given.dtype != np.uint8 and given.dtype.kind != "f":
        raise InputError(f"the {name} is {given.dtype}", expected="uint8 (0-250) or floats (0-1)")
    return given, noise


def _compare(
    known: UInt8[np.ndarray, "y x"], predicted: UInt8[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    cases = [known == NO_DATA, predicted == NO_DATA, known == predicted]
    alone = np.where(predicted == NO_DATA, 0, 3)
    return np.select(cases, [alone, np.array(4), np.array(1)], 2).astype(np.uint8)


def _origin(
    known: UInt8[np.ndarray, "y x"], shown: UInt8[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    cases = [shown == NO_DATA, known == NO_DATA, known == shown]
    return np.select(cases, [np.array(0), np.array(2), np.array(1)], 3).astype(np.uint8)


def _blockwise(kernel: Callable[..., np.ndarray], *rasters: xr.DataArray) -> Any:
    """Apply a kernel pixel by pixel; lazy if one of the rasters is."""
    if not any(raster.chunks for raster in rasters):
        return kernel(*(raster.to_numpy() for raster in rasters))
    pairs: list[Any] = []
    for raster in rasters:
        whole = {0: -1} if raster.ndim > 2 else {}  # noqa: PLR2004 - all classes of a pixel
        pairs += [da.asarray(raster.data).rechunk(whole), "zyx"[-raster.ndim :]]
    meta = np.empty((0, 0), np.uint8)
    return da.blockwise(kernel, "yx", *pairs, dtype=np.uint8, meta=meta, concatenate=True)


def _check_pair(labels: xr.DataArray, class_map: xr.DataArray) -> None:
    for name, raster in (("labels", labels), ("class map", class_map)):
        if raster.dims != ("y", "x") or raster.dtype != np.uint8:
            raise InputError(
                f"the {name} is {raster.dims} of {raster.dtype}", advice="give (y, x) of uint8"
            )
    _check_grids(labels, "labels", class_map, "class map")


def _known_pair(
    labels: xr.DataArray, class_map: xr.DataArray, legend: Legend | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return labels and map, checked, with 0 for no data."""
    _check_pair(labels, class_map)
    return (
        with_known_classes(zero_nodata(labels), legend, "the label raster"),
        with_known_classes(zero_nodata(class_map), legend, "the class map"),
    )


def _check_grids(one: xr.DataArray, name: str, other: xr.DataArray, other_name: str) -> None:
    a, b = geobox_of(one), geobox_of(other)
    if not same_pixels(a, b):
        raise InputError(
            f"{name} ({a.shape}, {crs_name(a.crs)}) and {other_name} ({b.shape}, "
            f"{crs_name(b.crs)}) are not on one grid",
            advice=f"make the {name} with like= the {other_name}",
        )


def _attrs(meanings: tuple[str, ...], kind: str) -> dict[str, Any]:
    """Return CF attributes of a layer with values 1, 2, …; 0 = no data."""
    return {
        "flag_values": list(range(1, len(meanings) + 1)),
        "flag_meanings": " ".join(meanings),
        "flag_colors": " ".join(COLORS[m] for m in meanings),
        "legend": kind,
        "nodata": NO_DATA,
    }
