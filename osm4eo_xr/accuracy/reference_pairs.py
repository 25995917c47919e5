"""Pairs of reference and map class, from points or from a label raster."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import xarray as xr
from dask.base import compute
from dask.delayed import delayed
from shapely import GeometryType

from osm4eo_xr.accuracy.confusion import confusion_counts
from osm4eo_xr.errors import InputError, InputWarning
from osm4eo_xr.geometry.grid import crs_name, geobox_of, same_grid, zero_nodata
from osm4eo_xr.geometry.known_classes import refuse_other_legend
from osm4eo_xr.geometry.vectors import read_vector
from osm4eo_xr.legend import NO_DATA

if TYPE_CHECKING:
    from geopandas import GeoDataFrame, GeoSeries
    from jaxtyping import UInt8

    from osm4eo_xr.legend import Legend

COLUMNS = ("class_id", "class", "label", "clc")
"""Where points may hold their class, in the order in which it is looked for."""

_RASTERS = {".tif", ".tiff", ".vrt"}


def count_pairs(
    class_map: xr.DataArray, reference: Any, legend: Legend, column: str | None, layer: str
) -> tuple[np.ndarray, int, int, str]:
    """Return counts (reference, map), pairs without map, points left out, the reference's name."""
    if class_map.dims != ("y", "x") or class_map.dtype != np.uint8:
        raise InputError(
            f"the class map is {class_map.dtype} with dims {class_map.dims}",
            advice="give uint8 (y, x)",
        )
    name = "reference"
    if isinstance(reference, str | Path):
        name = Path(reference).name
        reference = _open(Path(reference), layer)
    class_map = zero_nodata(class_map)
    if isinstance(reference, xr.DataArray):
        reference = zero_nodata(reference)
        return *_compare_rasters(class_map, reference, legend, name), 0, name
    return *_compare_points(class_map, reference, legend, column, name), name


def _open(path: Path, layer: str) -> Any:
    """Open a raster lazily, or read a vector file."""
    if path.suffix.lower() in _RASTERS and path.exists():
        from osm4eo_xr.rasters.open import open_raster

        return open_raster(path)
    return read_vector(path, "reference points", layer=layer, option="points.layer")


def _compare_rasters(
    class_map: xr.DataArray, labels: xr.DataArray, legend: Legend, name: str
) -> tuple[np.ndarray, int]:
    """Count over the ground that both cover, chunk by chunk."""
    if labels.ndim != 2 or labels.dtype != np.uint8:  # noqa: PLR2004 - y and x
        raise InputError(
            f"{name} is {labels.dtype} {labels.dims}", advice="give labels uint8 (y, x)"
        )
    refuse_other_legend(labels, legend, name)
    a, b = geobox_of(class_map), geobox_of(labels)
    if not same_grid(a, b):
        raise InputError(
            f"{name} and the class map are on different grids ({crs_name(b.crs)}, "
            f"{b.resolution.x:g} and {crs_name(a.crs)}, {a.resolution.x:g})",
            advice="rasterize the labels with like=the map",
        )
    row = round((b.affine.f - a.affine.f) / a.affine.e)
    col = round((b.affine.c - a.affine.c) / a.affine.a)
    on_map = class_map[_overlap(row, a.shape[0], b.shape[0]), _overlap(col, a.shape[1], b.shape[1])]
    on_labels = labels[
        _overlap(-row, b.shape[0], a.shape[0]), _overlap(-col, b.shape[1], a.shape[1])
    ]
    if not on_map.size:
        raise InputError(
            f"{name} and the class map do not overlap", advice="give labels of its ground"
        )
    return _sum_chunks(on_labels, on_map, legend)


def _overlap(start: int, size: int, other: int) -> slice:
    """Return the part of 0 … ``size`` that ``start`` … ``start + other`` covers."""
    return slice(min(max(start, 0), size), max(min(start + other, size), 0))


def _sum_chunks(
    reference: xr.DataArray, predicted: xr.DataArray, legend: Legend
) -> tuple[np.ndarray, int]:
    """Count per chunk and add up."""
    if predicted.chunks is None and reference.chunks is None:
        return confusion_counts(reference.values, predicted.values, legend)
    predicted = predicted.chunk() if predicted.chunks is None else predicted
    reference = reference.chunk(dict(zip(("y", "x"), predicted.chunks or (), strict=True)))
    blocks = zip(
        reference.data.to_delayed().ravel(), predicted.data.to_delayed().ravel(), strict=True
    )
    count = delayed(confusion_counts)
    parts = compute(*(count(of_reference, of_map, legend) for of_reference, of_map in blocks))
    return np.sum([p[0] for p in parts], axis=0), sum(p[1] for p in parts)


def _compare_points(
    class_map: xr.DataArray, points: GeoDataFrame, legend: Legend, column: str | None, name: str
) -> tuple[np.ndarray, int, int]:
    """Count points by the pixel that each lies in, and those without a class or a place."""
    if points.crs is None:
        raise InputError(
            f"{name} has no CRS", advice="assign one, for example points.set_crs(3035)"
        )
    import geopandas as gpd

    chosen = label_column(points, column, name)
    classes = class_ids(points[chosen], chosen, legend, name)
    places = _places_of(points, name)
    known = (classes > 0) & ~(shapely.is_missing(places) | shapely.is_empty(places))
    if not known.any():
        raise InputError(f"{name} has no point with both a class and a place", advice="give some")
    classes, where = classes[known], gpd.GeoSeries(places[known], crs=points.crs)
    found = values_at(class_map, where, name)
    _warn_of_repeats(places[known], classes, name)
    return *confusion_counts(classes, found, legend), int((~known).sum())


def _warn_of_repeats(places: np.ndarray, classes: np.ndarray, name: str) -> None:
    """Tell of points that stand twice in a table: each counts."""
    rows = np.column_stack([shapely.get_coordinates(places), classes])
    alone, different = len(np.unique(rows[:, :2], axis=0)), len(np.unique(rows, axis=0))
    if different < len(rows):
        text = (
            f"{len(rows) - different} of {len(rows)} points of {name} repeat another's place and "
            f"class, and each counts; drop them unless they were drawn twice"
        )
        warnings.warn(text, InputWarning, stacklevel=2)
    if alone < different:
        text = f"{different - alone} places of {name} bear a second class, and each class counts"
        warnings.warn(text, InputWarning, stacklevel=2)


def values_at(raster: xr.DataArray, places: GeoSeries, name: str = "the design") -> np.ndarray:
    """Return the pixel that each point lies in, 0 outside.

    Parameters
    ----------
    raster : DataArray (y, x)
        Lazy or not; only chunks that hold points are read.
    places : GeoSeries
        Points, on any CRS.
    name : str
        What they are, for messages.

    Raises
    ------
    InputError
        If none lies on the raster.
    """
    geobox = geobox_of(raster)
    placed = places.to_crs(str(geobox.crs))
    col, row = ~geobox.affine * np.stack([placed.x, placed.y])
    inside = (row >= 0) & (row < geobox.shape[0]) & (col >= 0) & (col < geobox.shape[1])
    if not inside.any():
        raise InputError(
            f"no point of {name} lies on the class map", advice="give points of its ground"
        )
    row, col = (np.floor(index[inside]).astype(np.int64) for index in (row, col))
    found = np.zeros(len(places), raster.dtype)
    at = {dim: xr.DataArray(index, dims="point") for dim, index in (("y", row), ("x", col))}
    found[inside] = raster.isel(at).to_numpy()
    return found


def _places_of(points: GeoDataFrame, name: str) -> np.ndarray:
    """Return the points; a MultiPoint of one is that one."""
    places: Any = np.array(points.geometry.array, dtype=object)
    kinds = shapely.get_type_id(places)
    ones = (kinds == GeometryType.MULTIPOINT) & (shapely.get_num_geometries(places) == 1)
    places[ones] = shapely.get_geometry(places[ones], 0)
    kinds = shapely.get_type_id(places)
    others = np.flatnonzero((kinds != GeometryType.POINT) & (kinds != GeometryType.MISSING))
    if others.size:
        raise InputError(
            f"{name} holds a {places[others[0]].geom_type} in row {others[0]}",
            advice=(
                "give points (those of a MultiPoint one by one), or rasterize polygons to labels"
            ),
        )
    return places


def label_column(points: Any, column: str | None, name: str) -> str:
    """Return the column of a frame that holds the class: the one that is named, or a usual one.

    Raises
    ------
    InputError
        If there is none.
    """
    wanted = (column,) if column else COLUMNS
    there = [c for c in wanted if c in points.columns]
    if not there:
        have = ", ".join(str(c) for c in points.columns if c != "geometry")
        raise InputError(
            f"{name} has no column {' or '.join(wanted)}",
            advice=f"it has {have or 'none'}: name the one that holds the class (column)",
        )
    return there[0]


def class_ids(given: Any, column: str, legend: Legend, name: str) -> UInt8[np.ndarray, " n"]:
    """Return the class id of each label of a column; 0 = none.

    Raises
    ------
    InputError
        If the legend does not have one of them.
    """
    if any(isinstance(v, list | dict | np.ndarray) for v in given):
        raise InputError(f"{name}, column {column} holds lists", expected="one class each")
    values = [v if known else None for v, known in zip(given, given.notna(), strict=True)]
    prefix = "clc:" if column == "clc" else ""
    ids = {}
    for value in set(values):
        if value is None or not str(value).strip():
            ids[value] = NO_DATA
            continue
        plain = int(value) if isinstance(value, float) and value.is_integer() else value
        try:
            ids[value] = legend.find(f"{prefix}{plain}").id
        except InputError as error:
            raise error.within(f"{name}, row {values.index(value)}, column {column}") from None
    return np.array([ids[value] for value in values], np.uint8)
