"""Label rasters that exist already: their values → class ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import nodata_of
from osm4eo_xr.geometry.known_classes import OF_CORINE, coded, legend_of
from osm4eo_xr.labels.burn import CHUNK
from osm4eo_xr.legend import NO_DATA, Legend
from osm4eo_xr.rasters.open import open_raster

if TYPE_CHECKING:
    from jaxtyping import Integer, UInt8

_UNKNOWN = 255  # in look-up tables; class ids stay below


def read_labels(
    path: str | Path,
    *,
    codes: Literal["id", "clc"] = "id",
    legend: Legend | None = None,
    chunks: int = CHUNK,
) -> xr.DataArray:
    """Open a label raster that exists already.

    Parameters
    ----------
    path : str or Path
        Single-band raster of class ids or CORINE codes; 0 = unlabeled.
    codes : {"id", "clc"}
        What its values are. CORINE codes (those of the legend: 11 … 41 and 5) become ids.
    legend : Legend, optional
        By default the package's that the file states, or the twelve classes of OSMlanduse.
    chunks : int
        Pixels per side of a chunk.

    Returns
    -------
    DataArray
        (y, x), uint8 class ids, lazy; 0 = unlabeled.

    Raises
    ------
    InputError
        If the file cannot be opened or states another legend, or, when computed, holds a value
        that the legend lacks.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321030, 3210010))
    >>> clc = georeference(np.array([[31, 5, 0]], dtype="uint8"), box)
    >>> path = oxr.write_cog(clc, "clc.tif")
    >>> oxr.read_labels(path, codes="clc").values.tolist()
    [[8, 12, 0]]
    """
    raster = open_raster(path, chunks=chunks)
    plain, how = coded(raster)
    legend = legend_of(plain if codes == "clc" and how == OF_CORINE else raster, given=legend)
    if raster.dtype.kind not in "iu":
        raise InputError(f"{path} holds {raster.dtype}", expected="integers")
    known = {i: i for i in legend.ids} if codes == "id" else legend.clc_to_id
    empty = int(nodata_of(raster, NO_DATA))
    table = _look_up_table(known)
    data = raster.data.map_blocks(
        _to_ids,
        table=table,
        empty=empty,
        path=str(path),
        dtype=np.uint8,
        meta=np.empty(0, np.uint8),
    )
    attrs = {**legend.attrs(), "nodata": NO_DATA}
    return raster.copy(data=data).assign_attrs(attrs).rename("labels")


def _look_up_table(known: dict[int, int]) -> UInt8[np.ndarray, " value"]:
    """Return class ids by value; 0 for 0, 255 for what the legend lacks."""
    table = np.full(max(*known, NO_DATA) + 2, _UNKNOWN, np.uint8)
    table[list(known)] = list(known.values())
    table[NO_DATA] = NO_DATA
    return table


def _to_ids(
    block: Integer[np.ndarray, "y x"], table: UInt8[np.ndarray, " value"], empty: int, path: str
) -> UInt8[np.ndarray, "y x"]:
    """Map values through one look-up table, so no value is mapped twice."""
    last = len(table) - 1  # stands for all that the table is too short for
    ids = table[np.where((block < 0) | (block > last), last, block)]
    ids[block == empty] = NO_DATA
    if (ids == _UNKNOWN).any():
        value = block[ids == _UNKNOWN].flat[0]
        known = np.flatnonzero((table != _UNKNOWN) & (table != NO_DATA)).tolist()
        raise InputError(
            f"{path} holds the value {value}, which is none of {known}",
            advice='name the codes ("id" or "clc") and the legend it was made with',
        )
    return ids
