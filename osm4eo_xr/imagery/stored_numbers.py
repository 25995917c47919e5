"""Scenes as their files store them: half the bytes of reflectance, the same pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import dask.array as da
import numpy as np

from osm4eo_xr.imagery.reader import NO_NUMBER, SceneReader, StoredReader
from osm4eo_xr.imagery.reflectance import Scaling, to_reflectance
from osm4eo_xr.rasters.windows import lazy_array

if TYPE_CHECKING:
    from jaxtyping import Float32


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
