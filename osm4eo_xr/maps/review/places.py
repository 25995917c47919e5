"""Unmapped land whose mapping would teach a model most.

Where the model is unsure, labels tell it something new; where the ground is like much other
unmapped ground, they tell it something about that, too. Places that lie together would say the same
twice, so that they keep a distance from each other.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import meters_per_unit
from osm4eo_xr.geometry.grid import geobox_of, zero_nodata
from osm4eo_xr.geometry.known_classes import legend_of
from osm4eo_xr.legend import NO_DATA, PROBABILITY_NO_DATA, PROBABILITY_SCALE, Legend
from osm4eo_xr.maps.review.tallies import check_grids, tally
from osm4eo_xr.osm.areas import OSM_CRS
from osm4eo_xr.rasters.shares import steps_of

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float64, Int64, Num, UInt8
    from odc.geo.geobox import GeoBox

_PIXELS, _STEPS, _CLASSES = 1, 2, 3  # columns of a cell's counts; classes are the last


def uncertainty(probabilities: xr.DataArray) -> xr.DataArray:
    """Return how unsure a model is of each pixel: the entropy of its probabilities.

    Parameters
    ----------
    probabilities : DataArray (class, y, x), uint8 or float
        0-250 (255 = no data) or 0-1 (NaN = no data).

    Returns
    -------
    DataArray (y, x), uint8
        0-250 for 0-1, where 1 is the entropy of classes that are all equally probable; 255 = no
        data. Lazy as its input.

    Examples
    --------
    >>> import xarray as xr, osm4eo_xr as oxr
    >>> shares = xr.DataArray([[[1.0, 0.5]], [[0.0, 0.5]]], dims=("class", "y", "x"))
    >>> oxr.uncertainty(shares).values.tolist()  # one class is certain; two are equally probable
    [[0, 250]]
    """
    return xr.apply_ufunc(
        _entropy,
        probabilities.chunk({"class": -1}) if probabilities.chunks else probabilities,
        input_core_dims=[["class"]],
        dask="parallelized",
        output_dtypes=[np.uint8],
    ).assign_attrs(nodata=PROBABILITY_NO_DATA)


def _entropy(shares: Num[np.ndarray, "y x class"]) -> UInt8[np.ndarray, "y x"]:
    eight = shares.dtype == np.uint8
    known = shares[..., 0] != PROBABILITY_NO_DATA if eight else np.isfinite(shares[..., 0])
    p = np.where(known[..., None], shares, 1).astype(np.float64)
    p /= np.maximum(p.sum(axis=-1, keepdims=True), 1e-12)
    bits = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1) / np.log(shares.shape[-1])
    return steps_of(np.where(known, bits, np.nan))


def review_places(
    labels: xr.DataArray,
    class_map: xr.DataArray,
    unsure: xr.DataArray,
    *,
    n: int = 50,
    cell: float = 500.0,
    apart: float = 5_000.0,
    legend: Legend | None = None,
) -> gpd.GeoDataFrame:
    """List cells of unmapped land that would teach the model most, spread in space.

    A cell's score is the mean uncertainty of its unmapped pixels x the share of the cell that they
    are x density: how like the cell's predicted classes are to those of all unmapped land (cosine,
    0-1). Of cells in order of their score, each is taken that is far enough from all taken ones.

    Parameters
    ----------
    labels : DataArray (y, x), uint8
        What OpenStreetMap knows; its no data (0 if it states none) = nothing.
    class_map : DataArray (y, x), uint8
        What is predicted; no data as it states, by default 0.
    unsure : DataArray (y, x), uint8 or float
        0-250 (255 = no data) or 0-1 (NaN = no data): as ``uncertainty`` returns it, or 1 less the
        model's confidence.
    n : int
        Most cells to list.
    cell : float
        Edge of a cell, in meters.
    apart : float
        Least distance of the centers of two cells, in meters.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.

    Returns
    -------
    GeoDataFrame
        EPSG:4326, the best first: unmapped (0-1, of the cell's land), uncertainty (0-1), density
        (0-1), predicted (slug of the most frequent class), score and geometry.

    Raises
    ------
    InputError
        If rasters are not on one grid or of another type, the grid counts in degrees, or a number
        is out of range.

    Source
    ------
    Settles and Craven 2008, EMNLP: uncertainty x information density, with the similarity of
    predicted classes in place of that of the inputs.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4322000, 3210500))
    >>> forest = georeference(np.full((50, 100), 8, dtype="uint8"), box)
    >>> labels = forest.where(forest["x"] > 4321500, 0)
    >>> unsure = georeference(np.full((50, 100), 125, dtype="uint8"), box)
    >>> found = oxr.review_places(labels, forest, unsure)
    >>> found[["unmapped", "uncertainty", "density", "score"]].values.tolist()
    [[1.0, 0.5, 1.0, 0.5]]
    """
    legend, box = legend_of(class_map, given=legend), geobox_of(class_map)
    unit = meters_per_unit(box.crs)
    pixel = abs(box.resolution.x) * unit
    edge = round(cell / pixel)
    if n < 1 or edge < 1 or apart < 0:
        raise InputError(
            f"n = {n}, cell = {cell:g}, apart = {apart:g}",
            expected=f"n of 1 or more, a cell of a pixel ({pixel:g}) or more",
        )
    check_grids(class_map=class_map, labels=labels, unsure=unsure)
    columns = -(-box.shape[1] // edge)
    kernel = partial(_count, edge=edge, columns=columns, classes=max(legend.ids) + 1)
    counts = tally(kernel, zero_nodata(class_map), zero_nodata(labels), unsure)
    table = _scored(counts, legend)
    centers = _centers(table["cell"].to_numpy(), edge, columns, box)
    kept = _spread(centers, apart / unit, n)
    chosen = table.iloc[kept].drop(columns="cell")
    half = edge / 2 * abs(box.resolution.x)
    shapes = [shapely.box(x - half, y - half, x + half, y + half) for x, y in centers[kept]]
    chosen = chosen.round(4).reset_index(drop=True)
    return gpd.GeoDataFrame(chosen, geometry=shapes, crs=str(box.crs)).to_crs(OSM_CRS)


def _count(
    predicted: UInt8[np.ndarray, "y x"],
    labels: UInt8[np.ndarray, "y x"],
    unsure: Num[np.ndarray, "y x"],
    top: int,
    left: int,
    *,
    edge: int,
    columns: int,
    classes: int,
) -> Int64[np.ndarray, "cell column"]:
    """Count a chunk by cell: key, land, steps of unmapped pixels, unmapped pixels by class."""
    rows = (np.arange(predicted.shape[0]) + top) // edge
    cells = rows[:, None] * columns + (np.arange(predicted.shape[1]) + left) // edge
    steps = steps_of(unsure)
    land = (predicted != NO_DATA) & (steps != PROBABILITY_NO_DATA)
    keys, places = np.unique(cells[land], return_inverse=True)
    out = np.zeros((len(keys), _CLASSES + classes), np.int64)
    out[:, 0] = keys
    np.add.at(out[:, _PIXELS], places, 1)
    bare = labels[land] == NO_DATA
    np.add.at(out[:, _STEPS], places[bare], steps[land][bare].astype(np.int64))
    np.add.at(out, (places[bare], _CLASSES + predicted[land][bare]), 1)
    return out


def _scored(counts: Int64[np.ndarray, "cell column"], legend: Legend) -> pd.DataFrame:
    """Return a row per cell with unmapped land, the highest score first."""
    by_class = counts[:, _CLASSES:].astype(np.float64)
    bare = by_class.sum(axis=1)
    counts, by_class, bare = counts[bare > 0], by_class[bare > 0], bare[bare > 0]
    all_land = by_class.sum(axis=0, keepdims=True)
    like = (by_class * all_land).sum(axis=1) / (_norm(by_class) * _norm(all_land))
    slugs = {c.id: c.slug for c in legend.classes}
    table: Any = gpd.GeoDataFrame(
        {
            "cell": counts[:, 0],
            "unmapped": bare / counts[:, _PIXELS],
            "uncertainty": counts[:, _STEPS] / bare / PROBABILITY_SCALE,
            "density": like,
            "predicted": [slugs.get(int(k), str(k)) for k in by_class.argmax(axis=1)],
        }
    )
    table["score"] = table["unmapped"] * table["uncertainty"] * table["density"]
    return table.sort_values(["score", "cell"], ascending=[False, True])


def _norm(rows: Float64[np.ndarray, "cell class"]) -> Float64[np.ndarray, " cell"]:
    return np.sqrt((rows**2).sum(axis=-1))


def _centers(
    cells: Int64[np.ndarray, " cell"], edge: int, columns: int, box: GeoBox
) -> Float64[np.ndarray, "cell 2"]:
    """Return the places of cells in the grid's CRS."""
    x, y = (cells % columns + 0.5) * edge, (cells // columns + 0.5) * edge
    a = box.affine
    return np.column_stack((a.a * x + a.b * y + a.c, a.d * x + a.e * y + a.f))


def _spread(centers: Float64[np.ndarray, "cell 2"], apart: float, n: int) -> list[int]:
    """Choose from the first on; what is nearer to a chosen one than ``apart`` is left out."""
    kept: list[int] = []
    left = np.ones(len(centers), bool)
    while len(kept) < n and left.any():
        kept.append(int(left.argmax()))
        left &= ((centers - centers[kept[-1]]) ** 2).sum(axis=1) >= max(apart, 1e-9) ** 2
    return kept
