"""A made-up country whose truth is known by construction: what each sensor and period tells.

Three crops have one mean spectrum over the year and differ in when they are green. Two kinds of
roofs look alike from Sentinel-2 and differ in radar only. The slope tells nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from osm4eo_xr.feature_ids.ids import groups_of
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.samples.draw import draw_samples
from tests.cases.train_case import box

PERIODS = ("2024-04", "2024-07", "2024-10")
FEATURES = (
    *(f"s2:{band}@{period}" for period in PERIODS for band in ("red", "nir")),
    "s1:vv@2024",
    "dem:slope",
)
GROUPS = tuple(group.name for group in groups_of(FEATURES))
ROOFS, CROPS = (1, 2), (5, 6, 7)
CLASSES = (*ROOFS, *CROPS)
FIELD = 8  # pixels along an edge

_GREEN = {5: (0.8, 0.2, 0.2), 6: (0.2, 0.8, 0.2), 7: (0.2, 0.2, 0.8)}  # NDVI-like, per period
_VV = {1: -4.0, 2: -12.0}  # dB; fields lie between


def legend() -> Legend:
    """Return the five classes."""
    return Legend(name="many sensors", classes=tuple(default_legend().by_id[i] for i in CLASSES))


def country(
    rows: int = 120, cols: int = 150, *, noise: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return features (feature, y, x) float32 and labels (y, x) uint8 of square fields.

    Parameters
    ----------
    rows, cols : int
        Pixels.
    noise : float
        Factor on the noise of pixels; with 1 a pixel by itself is often taken for another class.
    seed : int
        Of fields and noise.
    """
    rng = np.random.default_rng(seed)
    shape = -(-rows // FIELD), -(-cols // FIELD)
    labels = np.kron(rng.choice(CLASSES, shape), np.ones((FIELD, FIELD), int))[:rows, :cols]
    found = []
    for k in range(len(PERIODS)):
        green = np.full(labels.shape, 0.1)
        for crop in CROPS:
            green[labels == crop] = _GREEN[crop][k]
        for low, high in ((0.15, 0.04), (0.2, 0.45)):  # red falls, nir rises where it is green
            pure = low + (high - low) * green
            found.append(pure + noise * 0.06 * rng.normal(size=labels.shape))
    radar = np.full(labels.shape, -8.0)
    for roof in ROOFS:
        radar[labels == roof] = _VV[roof]
    found.append(radar + noise * 3.0 * rng.normal(size=labels.shape))
    found.append(rng.gamma(2.0, 2.0, size=labels.shape))
    return np.stack(found).astype(np.float32), labels.astype(np.uint8)


def without(features: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Return the features with nothing of some groups."""
    left = features.copy()
    for group in groups_of(FEATURES):
        if group.name in groups:
            left[list(group.channels)] = np.nan
    return left


def clouded(features: np.ndarray, share: float, *, seed: int = 0) -> np.ndarray:
    """Return the features with round clouds over each period of Sentinel-2, others each time.

    ``share`` is about that of the pixels of a period which are hidden.
    """
    rng, left = np.random.default_rng(seed), features.copy()
    rows, cols = features.shape[1:]
    y, x = np.ogrid[:rows, :cols]
    for group in groups_of(FEATURES):
        hidden = np.zeros((rows, cols), bool)
        while group.source == "s2" and hidden.mean() < share:
            radius = rng.uniform(3, 15)
            hidden |= (y - rng.uniform(0, rows)) ** 2 + (x - rng.uniform(0, cols)) ** 2 < radius**2
        for channel in group.channels:
            left[channel][hidden] = np.nan
    return left


def scene_of(features: np.ndarray, *, left: int = 0) -> xr.DataArray:
    """Return features as a scene on the ground of the training case."""
    grid = box(*(int(n) for n in features.shape[1:]), left=left)
    names: Any = {"band": list(FEATURES)}
    return georeference(features, grid, dims=("band", "y", "x"), coords=names)


def samples_of(
    features: np.ndarray, labels: np.ndarray, *, per_class: int = 60, patch: int = 8, seed: int = 0
) -> xr.Dataset:
    """Return samples of the made-up country."""
    grid = box(*(int(n) for n in labels.shape))
    how = {"per_class": per_class, "patch": patch, "seed": seed, "block": 300.0}
    return draw_samples(scene_of(features), georeference(labels, grid), legend=legend(), **how)
