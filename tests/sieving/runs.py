"""Runs of a chunk as pixels."""

from typing import Any

import numpy as np

from osm4eo_xr.sieving.kernels import paint_runs


def pixels_of(runs: Any, value: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """Return the pixels of runs: what their region is painted, or without one their value."""
    first, start, label = runs
    shape = first.size - 1, int(start[first[1] - 1])
    out = np.empty(shape, value.dtype)
    paint_runs(first, start, label, value, painted, shape[1], out.reshape(-1))
    return out
