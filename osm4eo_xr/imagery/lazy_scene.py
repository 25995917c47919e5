"""Described bands as one lazy (band, y, x) scene on one grid, and what files store behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.imagery.reader import NO_NUMBER, Band, SceneReader, StoredReader
from osm4eo_xr.imagery.reflectance import Scaling, to_reflectance
from osm4eo_xr.imagery.scene_grid import grid_over
from osm4eo_xr.rasters.validity import in_words
from osm4eo_xr.rasters.warp import plan_warp, refuse_apart
from osm4eo_xr.rasters.windows import lazy_array

if TYPE_CHECKING:
    from jaxtyping import Float32


def scene_of_bands(
    bands: Sequence[Band], geobox: GeoBox | Literal["native"] | None, chunks: int
) -> xr.DataArray:
    """Return the lazy (band, y, x) scene of some bands on a grid (see ``open_scene``)."""
    if chunks < 1:
        raise InputError(
            f"chunks={chunks} is not a positive number of pixels", advice="give e.g. 1024"
        )
    target = _target_of(bands, geobox)
    warps = tuple(plan_warp(b.geobox, target, b.resampling) for b in bands)
    refuse_apart(warps, name_files([b.path for b in bands]))
    reader = SceneReader(tuple(bands), target, warps)
    rows, cols = _chunk_shape(bands, target, chunks)
    data = lazy_array(reader, (len(bands), rows, cols))
    return georeference(
        data,
        target,
        dims=("band", "y", "x"),
        coords={"band": [b.name for b in bands]},
        attrs={
            "units": "1",
            "long_name": "reflectance",
            "nodata": float("nan"),
            "validity": in_words(b.validity for b in bands),
        },
        name="reflectance",
    )


def _target_of(bands: Sequence[Band], geobox: GeoBox | Literal["native"] | None) -> GeoBox:
    """Return the grid that the caller asks for."""
    if isinstance(geobox, GeoBox):
        return geobox
    if geobox == "native":
        return min((b.geobox for b in bands), key=lambda g: abs(g.resolution.x * g.resolution.y))
    if geobox is not None:
        raise InputError(
            f"geobox={geobox!r} is not a grid", advice="give a GeoBox, 'native' or nothing"
        )
    return grid_over(b.geobox for b in bands)


def _chunk_shape(bands: Sequence[Band], target: GeoBox, chunks: int) -> tuple[int, int]:
    """Return rows and columns per chunk; whole blocks where a file's grid is the target."""
    own = next((b for b in bands if b.geobox == target), None)
    if own is None:
        return chunks, chunks
    rows, cols = (-(-chunks // block) * block for block in own.block)
    return min(rows, target.shape[0]), min(cols, target.shape[1])


def name_files(files: Sequence[str]) -> str:
    """Name the input in a message."""
    return str(files[0]) if len(set(files)) == 1 else f"{files[0]} and {len(set(files)) - 1} more"


class StoredScene(NamedTuple):
    """Digital numbers (band, y, x) uint16, ``NO_NUMBER`` = no data, and each band's scaling."""

    numbers: da.Array
    scalings: tuple[Scaling, ...]


def stored_scene(data: da.Array) -> StoredScene | None:
    """Return the numbers behind a scene's reflectance (band, y, x); lazy.

    None if it is not as ``open_scene`` gave it, or its files hold other than plain uint16 on its
    own grid: lossy files, other types, and what is warped have to be floats before they are cut.
    """
    name = f"original-{data.name}"  # dask's, of what an array is read from
    reader = data.dask.layers.get(name, {}).get(name)
    reader = getattr(reader, "value", reader)
    if type(reader) is not SceneReader or not reader.keeps_numbers:
        return None
    stored = StoredReader(reader.bands, reader.geobox, reader.warps)
    chunks = tuple(sizes[0] for sizes in data.chunks)
    return StoredScene(lazy_array(stored, chunks), tuple(b.scaling for b in reader.bands))


def reflectance_tables(scalings: tuple[Scaling, ...]) -> Float32[np.ndarray, "b 65536"]:
    """Return each band's reflectance of every number, NaN of ``NO_NUMBER``, as in the scene."""
    tables = np.tile(np.arange(NO_NUMBER + 1, dtype=np.float32), (len(scalings), 1))
    for table, scaling in zip(tables, scalings, strict=True):
        to_reflectance(table, scaling)
    tables[:, NO_NUMBER] = np.nan
    return tables
