"""How far held-out and mapped ground is from the samples that were learned from.

A cross-validation speaks for the map if its held-out samples are as far from the training samples
as the map's pixels are from all samples.

Source: Milà et al. 2022, "Nearest neighbour distance matching Leave-One-Out Cross-Validation for
map validation", Methods in Ecology and Evolution 13; Linnenbrink et al. 2024, "kNNDM CV: k-fold
nearest-neighbour distance matching cross-validation", Geoscientific Model Development 17.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.crs import CRS
from scipy.spatial import KDTree
from scipy.stats import wasserstein_distance

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import meters_per_unit
from osm4eo_xr.geometry.grid import geobox_of, zero_nodata
from osm4eo_xr.samples.spatial_split import SPLITS

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float64

    from osm4eo_xr.samples.folds import Fold

__all__ = ["distance_figures", "fold_distances", "map_places", "nearest", "sample_distances"]

SAMPLE, FOLD, MAP = "sample to sample", "held out to training", "map to sample"

_PLACES = 128  # of a map, along each side
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def nearest(
    places: Float64[np.ndarray, "n 2"], others: Float64[np.ndarray, "m 2"]
) -> Float64[np.ndarray, " n"]:
    """Return the distance of each place to the nearest of others, in the unit of both."""
    return np.asarray(KDTree(others).query(places)[0], np.float64)


def sample_distances(samples: xr.Dataset) -> Float64[np.ndarray, " n"]:
    """Return the meters from each sample to the nearest other one; same places count once."""
    places = np.unique(_places(samples), axis=0)
    if len(places) < 2:  # noqa: PLR2004 - one has no other
        return np.empty(0)
    return np.asarray(KDTree(places).query(places, k=2)[0][:, 1], np.float64)


def fold_distances(fold: Fold) -> Float64[np.ndarray, " n"]:
    """Return the meters from each held-out sample to the nearest training sample of its fold."""
    places, split = _places(fold.samples), fold.samples["split"].values
    held_out, learned = (places[split == SPLITS.index(name)] for name in ("test", "train"))
    return nearest(held_out, learned)


def map_places(class_map: xr.DataArray, crs: Any) -> Float64[np.ndarray, "n 2"]:
    """Return easting and northing of evenly spaced pixels of a map, in meters of ``crs``.

    Raises
    ------
    InputError
        If no such pixel has a class.
    """
    grid = geobox_of(class_map)
    rows, cols = (np.unique(np.linspace(0, n - 1, _PLACES).astype(int)) for n in grid.shape)
    thin = zero_nodata(class_map)[rows, cols].to_numpy()
    row, col = np.nonzero(thin)
    if not len(row):
        raise InputError("the map has no class anywhere", advice="give a map with classes")
    at = grid.affine
    east, south = cols[col] + 0.5, rows[row] + 0.5
    x, y = at.a * east + at.b * south + at.c, at.d * east + at.e * south + at.f
    x, y = CRS(str(grid.crs)).transformer_to_crs(CRS(crs))(x, y)
    return np.stack([x, y], axis=1) * meters_per_unit(crs)


def map_distances(
    places: Float64[np.ndarray, "n 2"], samples: xr.Dataset
) -> Float64[np.ndarray, " n"]:
    """Return the meters from each place of a map to the nearest sample."""
    return nearest(places, _places(samples))


def distance_figures(distances: Mapping[str, Sequence[float] | np.ndarray]) -> dict[str, Any]:
    """Return quantiles of each kind of distance, and Wasserstein's distance that kNNDM lowers."""
    found: dict[str, Any] = {
        name: {
            "count": len(values),
            **{f"q{q:g}": round(float(np.quantile(values, q)), 1) for q in _QUANTILES},
        }
        for name, values in distances.items()
        if len(values)
    }
    for name in (FOLD, SAMPLE):
        if MAP in found and name in found:
            gap = wasserstein_distance(np.asarray(distances[name]), np.asarray(distances[MAP]))
            found[name]["wasserstein_to_map_m"] = round(float(gap), 1)
    return found


def _places(samples: xr.Dataset) -> Float64[np.ndarray, "n 2"]:
    """Return easting and northing in meters."""
    unit = meters_per_unit(samples.attrs["crs"])
    return np.stack([samples["easting"].values, samples["northing"].values], axis=1) * unit
