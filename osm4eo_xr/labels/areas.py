"""The ground of each class in a file of labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox

from osm4eo_xr.geometry.geodesy import pixel_area

if TYPE_CHECKING:
    from jaxtyping import Float64

_VALUES = 256


def labeled_km2(labels: Path) -> Float64[np.ndarray, "256"]:
    """Count a file of labels (uint8) block by block, without a graph: km² of each value.

    Raises
    ------
    InputError
        If its pixels are not of one size on the ground.
    """
    with rasterio.open(labels) as file:
        pixel = pixel_area(GeoBox(file.shape, file.transform, file.crs)) / 1e6
        counts = np.zeros(_VALUES, np.int64)
        for _, window in file.block_windows(1):
            counts += np.bincount(file.read(1, window=window).ravel(), minlength=_VALUES)
    return counts * pixel
