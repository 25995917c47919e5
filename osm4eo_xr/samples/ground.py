"""Where the samples of a set lie: pixels and spatial blocks of the ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import meters_per_unit

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Int

_SHIFT = 32  # bits that hold a column


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
    row = np.floor(-samples["northing"].values / step).astype(np.int64)
    col = np.floor(samples["easting"].values / step).astype(np.int64)
    return row, col


def block_side(samples: xr.Dataset, block: float | None = None) -> int:
    """Return the edge in pixels of the set's blocks, or of blocks of ``block`` meters."""
    edge = float(samples.attrs["block"] if block is None else block)
    return round(edge / float(samples.attrs["resolution"]))


def ground_blocks(samples: xr.Dataset) -> Int[np.ndarray, " n"]:
    """Return one number per sample that names the spatial block of its drawn pixel."""
    row, col = (axis // block_side(samples) for axis in ground_pixels(samples))
    return (row << _SHIFT) + (col & (2**_SHIFT - 1))
