"""Areas of single layers from points and the probabilities that a model gives all pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from osm4eo_xr.accuracy.designs.population import check_aligned
from osm4eo_xr.accuracy.estimators import Intervals, power_tuned
from osm4eo_xr.accuracy.figures import Figure, Figures, figures_with_intervals
from osm4eo_xr.accuracy.reference_pairs import values_at
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.known_classes import of_classes
from osm4eo_xr.legend import NO_DATA, Legend
from osm4eo_xr.rasters.shares import as_shares

if TYPE_CHECKING:
    from geopandas import GeoSeries

    from osm4eo_xr.accuracy.design_sample import DesignSample

__all__ = ["assisted_areas"]


def assisted_areas(
    points: DesignSample,
    places: GeoSeries,
    label: np.ndarray,
    figures: Figures,
    class_map: xr.DataArray,
    probabilities: xr.DataArray,
    legend: Legend,
    intervals: Intervals,
) -> dict[int, tuple[Figure, float, float]]:
    """Estimate the area of each class that has probabilities.

    Parameters
    ----------
    points : DesignSample
        The sample.
    places : GeoSeries
        All points of the design.
    label : ndarray (n)
        Their reference class ids.
    figures : Figures
        What the points alone say.
    class_map : DataArray (y, x), uint8
        0 = no data.
    probabilities : DataArray (class, y, x)
        uint8 scaled by 250 with 255 = no data, or floats from 0 to 1 with NaN; ``class`` holds
        ids, slugs or names. Lazy rasters are read chunk by chunk.
    legend : Legend
        The classes.
    intervals : {"wilson", "wald"}
        Kind of the intervals.

    Returns
    -------
    dict
        By class id: area (km²), λ, and how many times as many points ``figures`` would take for
        the same standard error.

    Raises
    ------
    InputError
        If a class is unknown, or pixels of the map have no probability.

    Source
    ------
    ``sampling.power_tuned``.
    """
    check_aligned(probabilities, class_map, "raster of probabilities")
    ids, probabilities = of_classes(probabilities, legend)
    layers = [legend.by_id[class_id] for class_id in ids]
    predicted, mean = _predictions(class_map, probabilities, places)
    inside = (values_at(class_map, places) > 0)[points.used, None].astype(float)
    y = (label[points.used, None] == np.array([c.id for c in layers])) * inside
    x = np.repeat(inside, len(layers), axis=1)
    value, error, tuned = power_tuned(points.sample, y, predicted[points.used] * x, x, mean)
    total, alone = float(figures.counted.sum()), dict(zip(legend.ids, figures.areas, strict=True))
    found = figures_with_intervals(points.sample, x, value, error, intervals)
    return {
        c.id: (area.times(total), float(t), _gain(alone[c.id], area.times(total)))
        for c, area, t in zip(layers, found, tuned, strict=True)
    }


def _gain(alone: Figure, assisted: Figure) -> float:
    """Return the ratio of variances, which is that of sample sizes."""
    return (alone.error / assisted.error) ** 2 if assisted.error > 0 else float("nan")


def _predictions(
    class_map: xr.DataArray, probabilities: xr.DataArray, places: GeoSeries
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities at the points (n, k), and their means over the map (k)."""
    # Grids that are the same may state their places with other last digits.
    on_map = (class_map != NO_DATA).assign_coords({d: probabilities[d] for d in ("y", "x")})
    shares = xr.apply_ufunc(
        as_shares, probabilities, dask="parallelized", output_dtypes=[np.float32]
    )
    known = shares.notnull()
    missing, size, total = (
        (on_map & ~known).sum(("y", "x")),
        on_map.sum(),
        shares.where(on_map, 0.0).sum(("y", "x"), dtype=np.float64),
    )
    found = xr.Dataset({"missing": missing, "size": size, "total": total}).compute()
    if int(found["missing"].max()):
        raise InputError(
            f"{int(found['missing'].max()):,} pixels of the map have no probability",
            advice="give the probabilities of this map",
        )
    at_points = [values_at(shares.isel({"class": k}), places) for k in range(len(shares))]
    means = found["total"].to_numpy() / float(found["size"])
    return np.nan_to_num(np.stack(at_points, axis=1).astype(np.float64)), means
