"""Overviews of small class maps by GDAL, which needs no compiled kernel to be loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rasterio import Affine
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

if TYPE_CHECKING:
    from jaxtyping import UInt


def modes(
    block: UInt[np.ndarray, "band y x"], scales: Sequence[int], nodata: int
) -> list[UInt[np.ndarray, "band h w"]]:
    """Shrink classes by several factors; equal to ``_overviews.shrink_all``, and slower.

    Parameters
    ----------
    block : ndarray (band, y, x)
        Classes, uint8 or uint16.
    scales : sequence of int
        Ascending powers of two.
    nodata : int
        Value that does not count; a cell of nothing else keeps it.
    """
    if not scales:
        return []
    bands, height, width = block.shape
    # GDAL's cells are of equal size only where the raster is a multiple of the scale.
    y, x = (-n % scales[-1] for n in (height, width))
    padded = np.pad(block, ((0, 0), (0, y), (0, x)), constant_values=nodata)
    shape = {"count": bands, "height": height + y, "width": width + x}
    profile = {"driver": "GTiff", "dtype": block.dtype, "nodata": nodata, "tiled": True, **shape}
    profile["transform"] = Affine.scale(2, -2)  # anywhere: rasterio warns where there is none
    found = []
    with MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(padded)
            for scale in scales:  # asked for several at once, GDAL makes one from another
                file.build_overviews([scale], Resampling.mode)
        for level, scale in enumerate(scales):
            with memory.open(overview_level=level) as file:
                found.append(file.read()[:, : -(-height // scale), : -(-width // scale)])
    return found
