"""Where the samples of a set lie: pixels and spatial blocks of the ground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import geojson_of, meters_per_unit
from osm4eo_xr.geometry.grid import whole_pixels

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Int

_SHIFT = 32  # bits that hold a column
_HALF_WAY = 180.0  # degrees; a polygon that is wider was torn at the antimeridian


def has_places(samples: xr.Dataset) -> bool:
    """Whether a set says where its samples lie; patches of public benchmarks do not."""
    known = {"crs", "resolution", "block", "gap", "patch"} <= set(samples.attrs)
    return known and bool(np.isfinite(samples["easting"].values).all())


def check_places(samples: xr.Dataset) -> None:
    """Refuse a set whose samples have no place on the ground."""
    if not has_places(samples):
        raise InputError(
            "the sample set does not say where its samples lie", advice="give a set of draw_samples"
        )


def ground_pixels(samples: xr.Dataset) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return row and column of each drawn pixel, counted from the origin of the CRS."""
    step = float(samples.attrs["resolution"]) / meters_per_unit(samples.attrs["crs"])
    return (
        whole_pixels(-samples["northing"].values / step),
        whole_pixels(samples["easting"].values / step),
    )


def block_side(samples: xr.Dataset, block: float | None = None) -> int:
    """Return the edge in pixels of the set's blocks, or of blocks of ``block`` meters."""
    edge = float(samples.attrs["block"] if block is None else block)
    return round(edge / float(samples.attrs["resolution"]))


def ground_blocks(samples: xr.Dataset) -> Int[np.ndarray, " n"]:
    """Return one number per sample that names the spatial block of its drawn pixel."""
    row, col = (axis // block_side(samples) for axis in ground_pixels(samples))
    return (row << _SHIFT) + (col & (2**_SHIFT - 1))


def place_numbers(
    samples: xr.Dataset, positions: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], int]:
    """Return which place each of some samples lies in, from 0 on, and how many places there are.

    A place is a block; samples that do not say where they lie have each one of their own.
    """
    if not has_places(samples):
        return np.arange(len(positions)), len(positions)
    names, numbers = np.unique(ground_blocks(samples)[positions], return_inverse=True)
    return numbers, len(names)


def ground_outline(samples: xr.Dataset, chosen: np.ndarray) -> dict[str, Any] | None:
    """Return the ground that samples lie on, as GeoJSON in degrees (RFC 7946).

    It is the convex hull of their patches in each tile.

    Parameters
    ----------
    samples : Dataset
        As ``open_samples`` returns it.
    chosen : ndarray (sample), bool
        Which of them.

    Returns
    -------
    dict or None
        A polygon or several; None for samples without a place, and for hulls across the
        antimeridian, which no polygon in degrees shows.
    """
    if not has_places(samples) or not chosen.any():
        return None
    import geopandas as gpd
    import shapely

    reach = float(samples.attrs["patch"]) * float(samples.attrs["resolution"]) / 2
    reach /= meters_per_unit(samples.attrs["crs"])
    places = np.stack([samples["easting"].values, samples["northing"].values], axis=-1)[chosen]
    corners = places[:, None] + reach * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    tiles = samples["tile"].values[chosen]
    hulls = [
        shapely.MultiPoint(corners[tiles == tile].reshape(-1, 2)).convex_hull
        for tile in np.unique(tiles)
    ]
    whole = gpd.GeoSeries(hulls, crs=samples.attrs["crs"]).to_crs("EPSG:4326").union_all()
    west, _, east, _ = whole.bounds
    return None if east - west > _HALF_WAY else geojson_of(whole)
