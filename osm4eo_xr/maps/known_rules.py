"""Who wins where OpenStreetMap knows a class and the model predicts one: kernels, pixel by pixel.

The noise of labels is p(osm | true): how probable it is that OpenStreetMap says a class where the
ground is of another. With ``osm`` alone, and no class likelier than others beforehand, the ground
is of class c with p(c | osm) = p(osm | c) / sum over c of p(osm | c).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import NO_DATA, PROBABILITY_SCALE, Legend
from osm4eo_xr.rasters.shares import as_shares

if TYPE_CHECKING:
    from jaxtyping import Float32, Num, UInt8

_VALUES = 256
_ROUNDING = 1e-3  # by which the probabilities of a row may miss 1
_LEAST = np.float32(0.5 / PROBABILITY_SCALE)  # what an 8-bit probability of 0 may be: half a step


def noise_table(rows: Mapping[str, Mapping[str, float]], legend: Legend) -> xr.DataArray:
    """Return the noise of labels that settings state.

    Parameters
    ----------
    rows : mapping of mappings
        By true class, p(osm | true) by OpenStreetMap's class; ids, slugs or names. A class left out
        is always right.
    legend : Legend
        Whose classes they are.

    Returns
    -------
    DataArray (class, osm), float64
        p(osm | class); both coordinates hold all ids of the legend.
    """
    ids = list(legend.ids)
    table = np.eye(len(ids))
    for true, row in rows.items():
        at = ids.index(legend.find(true).id)
        table[at] = 0
        for said, probability in row.items():
            table[at, ids.index(legend.find(said).id)] = probability
    return xr.DataArray(table, coords={"class": ids, "osm": ids}, dims=("class", "osm"))


def look_up(noise: xr.DataArray, ids: list[int]) -> Float32[np.ndarray, "class value"]:
    """Return p(osm = value | class) for some classes and all 256 values of a label raster.

    Raises
    ------
    InputError
        If it is no table of probabilities of these classes, or a class is never said.
    """
    if set(noise.dims) != {"class", "osm"}:
        raise InputError(f"noise has dims {noise.dims}", expected="(class, osm)")
    missing = sorted({*ids} - {NO_DATA, *noise["class"].to_numpy().tolist()})
    if missing:
        raise InputError(
            f"the noise does not say how class {missing[0]} is labeled", advice="add its row"
        )
    rows = noise.transpose("class", "osm")
    values = rows.to_numpy().astype(np.float64)
    if not (values >= 0).all() or np.abs(values.sum(axis=1) - 1).max() > _ROUNDING:
        raise InputError("rows of the noise are no probabilities", expected="rows that sum to 1")
    never = rows["osm"].to_numpy()[values.sum(axis=0) == 0]
    if never.size:
        raise InputError(
            f"by the noise OpenStreetMap never says class {never[0]}",
            advice="let at least one class be labeled so",
        )
    table = np.zeros((len(ids), _VALUES), np.float32)
    for at, class_id in enumerate(ids):
        if class_id != NO_DATA:  # a network's class of unlabeled ground wins nowhere
            table[at, rows["osm"].to_numpy()] = rows.sel({"class": class_id}).to_numpy()
    return table


def sureness(noise: xr.DataArray) -> Float32[np.ndarray, " value"]:
    """Return p(class = value | osm = value) for all 256 values of a label raster; 0 = no class."""
    ids = noise["class"].to_numpy().tolist()
    table, out = look_up(noise, ids), np.zeros(_VALUES, np.float32)
    for at, value in enumerate(ids):
        total = table[:, value].sum()
        out[value] = table[at, value] / total if total else 0
    return out


def osm_wins(
    known: UInt8[np.ndarray, "y x"], predicted: UInt8[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    """Return OpenStreetMap's class, and the model's where it says nothing."""
    return np.where(known == NO_DATA, predicted, known)


def model_wins(
    known: UInt8[np.ndarray, "y x"], predicted: UInt8[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    """Return the model's class, and OpenStreetMap's where it has none."""
    return np.where(predicted == NO_DATA, known, predicted)


def surer_wins(
    known: UInt8[np.ndarray, "y x"],
    predicted: UInt8[np.ndarray, "y x"],
    confidence: Num[np.ndarray, "y x"],
    sure: Float32[np.ndarray, " value"],
) -> UInt8[np.ndarray, "y x"]:
    """Return the model's class where its confidence is above OpenStreetMap's, ``sure[known]``."""
    surer = as_shares(confidence) > sure[known]  # nothing is above NaN's
    return np.where(surer, model_wins(known, predicted), osm_wins(known, predicted))


def likelier_wins(
    known: UInt8[np.ndarray, "y x"],
    predicted: UInt8[np.ndarray, "y x"],
    probabilities: Num[np.ndarray, "class y x"],
    ids: UInt8[np.ndarray, " class"],
    noise: Float32[np.ndarray, "class value"],
) -> UInt8[np.ndarray, "y x"]:
    """Return the class of greatest p(osm | class) p(class | x); of equals the first of ``ids``.

    Where OpenStreetMap says nothing, or the model, the other's class stands.
    """
    best = np.zeros(known.shape, np.float32)
    out = osm_wins(known, predicted)
    both = (known != NO_DATA) & (predicted != NO_DATA)
    for layer, class_id, row in zip(probabilities, ids, noise, strict=True):
        shares = as_shares(layer)
        shares = np.maximum(shares, _LEAST) if layer.dtype == np.uint8 else shares
        score = shares * row[known]
        better = both & (score > best)
        out[better], best[better] = class_id, score[better]
    return out
