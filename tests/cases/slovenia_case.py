"""A square kilometer of Slovenia: five dates of Sentinel-2, heights, and a land-use register."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.features.cube import open_features
from osm4eo_xr.features.sources import FeatureSource
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.legend import Legend
from osm4eo_xr.legend_entries import LandUseClass

_CLASSES = {  # those of the register that cover more than 11 pixels
    2: ("forest", (34, 139, 34)),
    3: ("grassland", (173, 255, 47)),
    4: ("shrubland", (154, 205, 50)),
    8: ("artificial", (220, 20, 60)),
}


def files_of(data: Path) -> dict[str, Path]:
    """Return the scenes' files by day."""
    files = sorted((data / "slovenia" / "derived").glob("S2_L1C_*.tif"))
    days = [file.stem.split("_")[2] for file in files]
    return {f"{d[:4]}-{d[4:6]}-{d[6:]}": file for d, file in zip(days, files, strict=True)}


def grid_of(data: Path) -> GeoBox:
    """Return the grid of all rasters."""
    with rasterio.open(next(iter(files_of(data).values()))) as file:
        return GeoBox(file.shape, file.transform, file.crs)


def heights_of(data: Path) -> np.ndarray:
    """Return (y, x) float32 heights in m."""
    return np.load(data / "slovenia" / "TestEOPatch" / "data_timeless" / "DEM.npy")[..., 0]


def features_of(
    data: Path, days: Sequence[str], bands: Sequence[str] | None = None, *, dem: bool
) -> xr.DataArray:
    """Return the lazy (band, y, x) features of some days, with heights and slopes if asked for."""
    files, grid = files_of(data), grid_of(data)
    how: Any = {"scale": 1e-4, "offset": 0.0, "bands": None if bands is None else list(bands)}
    given: dict[str, Any] = {f"s2@{day}": FeatureSource(files[day], **how) for day in days}
    if dem:
        given["dem"] = georeference(heights_of(data), grid)
    return open_features(given, geobox=grid)


def labels_of(data: Path) -> xr.DataArray:
    """Return (y, x) uint8 classes of the register, 0 = unlabeled."""
    with rasterio.open(data / "slovenia" / "derived" / "LULC.tif") as file:
        classes = file.read(1)
    known = np.where(np.isin(classes, list(_CLASSES)), classes, 0)
    return georeference(known.astype(np.uint8), grid_of(data))


def legend() -> Legend:
    """Return the register's classes."""
    classes = [
        LandUseClass(k, k, name, name.title(), color, k) for k, (name, color) in _CLASSES.items()
    ]
    return Legend("land-use register", tuple(classes))
