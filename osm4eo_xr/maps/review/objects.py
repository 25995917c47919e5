"""Objects of OpenStreetMap whose class a sure model holds for another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import zero_nodata
from osm4eo_xr.geometry.known_classes import legend_of
from osm4eo_xr.labels.objects import rasterize_objects
from osm4eo_xr.labels.rasterize import check_columns
from osm4eo_xr.legend import (
    NO_DATA,
    PROBABILITY_NO_DATA,
    PROBABILITY_SCALE,
    Legend,
)
from osm4eo_xr.maps.review.tallies import check_grids, tally
from osm4eo_xr.osm.areas import OSM_CRS, object_keys, split_keys
from osm4eo_xr.osm.partitions import Landuse, open_landuse, read_areas
from osm4eo_xr.rasters.shares import steps_of

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Int64, Num, UInt8

    from osm4eo_xr.labels.rasterize import Polygons

_CLASS_BITS = 8


def review_objects(
    polygons: Polygons,
    class_map: xr.DataArray,
    confidence: xr.DataArray,
    *,
    n: int = 200,
    sure: float = 0.8,
    least_share: float = 0.5,
    least_pixels: int = 10,
    legend: Legend | None = None,
) -> gpd.GeoDataFrame:
    """List the objects whose class is most likely wrong, by a model that is sure.

    An object has the pixels that take their label from it, without those on outlines, whose light
    is mixed. The suggested class is that, of all others, which the model is sure of on most of
    them. Objects are in order of how much of them that is, weighed by the model's probability.

    Parameters
    ----------
    polygons : GeoDataFrame, Landuse or path
        As ``read_landuse`` returns them or ``write_landuse`` writes them.
    class_map : DataArray (y, x), uint8
        What is predicted, without known ground in it; no data as it states, by default 0.
    confidence : DataArray (y, x), uint8 or float
        Of the prediction: 0-250 (255 = no data) or 0-1 (NaN = no data), on the same grid.
    n : int
        Most objects to list.
    sure : float
        Probability (0-1) from which the model counts as sure of a pixel.
    least_share : float
        Least share (0-1) of an object that is surely of the suggested class.
    least_pixels : int
        Least number of pixels of an object.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.

    Returns
    -------
    GeoDataFrame
        EPSG:4326, the first is the most likely wrong: osm_kind, osm_id, tag, area (m²), pixels,
        share (0-1, surely of the suggested class), given and suggested (slugs), probability (mean
        of the model on these pixels), score (share x probability) and geometry.

    Raises
    ------
    InputError
        If rasters are not on one grid or of another type, a number is out of range, or polygons
        cannot be used.

    Examples
    --------
    >>> import geopandas as gpd, numpy as np, shapely, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321100, 3210100))
    >>> rows = {"osm_kind": ["way"], "osm_id": [7], "tag": ["landuse=meadow"], "area": [1e4]}
    >>> rows |= {"class_id": [7], "geometry": [shapely.box(*box.boundingbox)]}
    >>> meadow = gpd.GeoDataFrame(rows, crs=3035)
    >>> water = georeference(np.full((10, 10), 12, dtype="uint8"), box)
    >>> found = oxr.review_objects(meadow, water, (water * 0 + 225).astype("uint8"))
    >>> found[["osm_id", "given", "suggested", "share", "probability"]].values.tolist()
    [[7, 'pasture', 'water', 1.0, 0.9]]
    """
    legend = legend_of(class_map, given=legend)
    _check_numbers(n, sure, least_share, least_pixels)
    _check_rasters(class_map, confidence)
    if isinstance(polygons, str | Path):
        polygons = open_landuse(polygons)
    shown = zero_nodata(class_map).chunk()
    keys = rasterize_objects(polygons, shown, legend=legend)
    if isinstance(polygons, gpd.GeoDataFrame):
        check_columns(polygons, "tag", "area")
    least = int(np.ceil(sure * PROBABILITY_SCALE - 1e-9))
    counts = tally(partial(_count, least=least), keys, shown, confidence)
    rows = _ranked(counts, legend, least_share, least_pixels).head(n)
    return _with_geometry(rows, polygons)


def _count(
    keys: Int64[np.ndarray, "y x"],
    classes: UInt8[np.ndarray, "y x"],
    confidence: Num[np.ndarray, "y x"],
    _top: int,
    _left: int,
    *,
    least: int,
) -> Int64[np.ndarray, "row 4"]:
    """Count a chunk by object and predicted class: key, pixels, sure ones, their steps."""
    inside = (keys != 0) & (classes != NO_DATA)
    codes = (keys[inside] << _CLASS_BITS) | classes[inside]
    steps = steps_of(confidence)[inside].astype(np.int64)
    is_sure = (steps >= least) & (steps != PROBABILITY_NO_DATA)
    found, places = np.unique(codes, return_inverse=True)
    rows = np.zeros((len(found), 4), np.int64)
    rows[:, 0] = found
    np.add.at(rows[:, 1:], places, np.column_stack((np.ones_like(steps), is_sure, steps * is_sure)))
    return rows


def _ranked(
    counts: Int64[np.ndarray, "row 4"], legend: Legend, least_share: float, least_pixels: int
) -> pd.DataFrame:
    """Return a row per object that is surely of another class, the most likely wrong first."""
    key, predicted = counts[:, 0] >> _CLASS_BITS, counts[:, 0] & 0xFF
    kind, number, given = split_keys(key)
    table: Any = gpd.GeoDataFrame({"key": key, "osm_kind": kind, "osm_id": number})
    objects, place = np.unique(key, return_inverse=True)
    pixels = np.zeros(len(objects), np.int64)
    np.add.at(pixels, place, counts[:, 1])
    table["pixels"] = pixels[place]
    table["share"] = counts[:, 2] / table["pixels"]
    table["given"], table["suggested"] = given, predicted
    weight = counts[:, 3] / PROBABILITY_SCALE
    table["probability"] = weight / np.maximum(counts[:, 2], 1)
    table["score"] = weight / table["pixels"]
    other = (predicted != given) & (counts[:, 2] > 0)
    other &= (table["share"].to_numpy() >= least_share) & (
        table["pixels"].to_numpy() >= least_pixels
    )
    kept = table.loc[other]
    order = ["score", "pixels", "key", "suggested"]
    kept = kept.sort_values(order, ascending=[False, False, True, True]).drop_duplicates("key")
    names = np.array([str(value) for value in range(256)], object)
    names[[c.id for c in legend.classes]] = [c.slug for c in legend.classes]
    return kept.assign(given=names[kept["given"]], suggested=names[kept["suggested"]])


def _with_geometry(rows: pd.DataFrame, polygons: gpd.GeoDataFrame | Landuse) -> gpd.GeoDataFrame:
    """Add tags, areas and outlines to the rows, reading one partition after the other."""
    parts = [polygons] if isinstance(polygons, gpd.GeoDataFrame) else _frames(polygons)
    wanted = rows["key"].to_numpy()
    read = [_those(part, wanted) for part in parts]
    found: Any = gpd.GeoDataFrame(
        {name: np.concatenate([part[name].to_numpy() for part in read]) for name in read[0]}
    ).drop_duplicates("key")
    columns = ["osm_kind", "osm_id", "tag", "area", "pixels", "share", "given", "suggested"]
    joined = rows.round(4).merge(found, on="key", how="left")
    columns += ["probability", "score", "geometry"]
    return gpd.GeoDataFrame(joined[columns], geometry="geometry", crs=OSM_CRS)


def _frames(landuse: Landuse) -> Iterator[gpd.GeoDataFrame]:
    for partition in landuse.partitions:
        areas = read_areas([landuse.folder / partition.file])[0]
        yield gpd.GeoDataFrame(areas.columns(), geometry="geometry", crs=OSM_CRS)


def _those(part: gpd.GeoDataFrame, wanted: np.ndarray) -> pd.DataFrame:
    """Return key, tag, area and outline of the objects of a frame that are wanted."""
    columns = [part[name].to_numpy() for name in ("osm_kind", "osm_id", "class_id")]
    key = object_keys(*columns)
    here = np.isin(key, wanted)
    rows = part.loc[here, ["tag", "area"]].assign(key=key[here])
    return rows.assign(geometry=part.to_crs(OSM_CRS).geometry.to_numpy()[here])


def _check_numbers(n: int, sure: float, least_share: float, least_pixels: int) -> None:
    for name, share in (("sure", sure), ("least_share", least_share)):
        if not 0 <= share <= 1:
            raise InputError(f"{name} = {share}", expected="0 to 1")
    for name, count in (("n", n), ("least_pixels", least_pixels)):
        if count < 1:
            raise InputError(f"{name} = {count}", expected="1 or more")


def _check_rasters(class_map: xr.DataArray, confidence: xr.DataArray) -> None:
    if class_map.dims != ("y", "x") or class_map.dtype != np.uint8:
        raise InputError(
            f"the class map is {class_map.dims} of {class_map.dtype}", expected="(y, x) of uint8"
        )
    if confidence.dims != ("y", "x") or (
        confidence.dtype != np.uint8 and confidence.dtype.kind != "f"
    ):
        raise InputError(
            f"the confidence is {confidence.dims} of {confidence.dtype}",
            expected="(y, x) of uint8 (0-250) or floats (0-1)",
        )
    check_grids(class_map=class_map, confidence=confidence)
