"""Land-use polygons → a lazy class raster, and label rasters that exist already."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal

import dask.array as da
import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from dask.array.core import normalize_chunks
from dask.delayed import delayed
from jaxtyping import Integer, UInt8
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize

from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import geobox_of, georeference
from osm4eo_xr.legend import NO_DATA, Legend, default_legend
from osm4eo_xr.scene import open_raster

_CHUNK = 2048  # pixels, where the grid comes without chunks


def rasterize_labels(
    polygons: gpd.GeoDataFrame,
    like: xr.DataArray | GeoBox,
    *,
    legend: Legend | None = None,
) -> xr.DataArray:
    """Burn land-use polygons into a class raster.

    A pixel takes the class of the polygon that holds its centre; where several do, the class with
    the lowest priority number of the legend wins. Equal, for any chunks, to one call of GDAL's
    rasteriser over the whole grid with the polygons in that order.

    Parameters
    ----------
    polygons : GeoDataFrame
        With class_id and geometry, on any CRS, as from ``read_landuse``.
    like : DataArray or GeoBox
        Dims (…, y, x); its grid and chunks are those of the labels. A bare grid is chunked.
    legend : Legend, optional
        Classes and priorities; OSMlanduse's by default.

    Returns
    -------
    DataArray
        (y, x), uint8, lazy; 0 = unlabelled.

    Raises
    ------
    InputError
        If the grid or the polygons have no CRS, a class is not in the legend, or no polygon meets
        the grid.
    """
    legend = legend or default_legend()
    geobox = like if isinstance(like, GeoBox) else geobox_of(like)
    ordered = _in_burn_order(polygons, legend, geobox)
    chunks = _chunks_of(like, geobox)
    blocks = _blocks(ordered, geobox, chunks)
    attrs = {**legend.attrs(), "nodata": NO_DATA}
    return georeference(blocks, geobox, attrs=attrs, name="labels")


def read_labels(
    path: str | Path,
    *,
    codes: Literal["id", "clc"] = "id",
    legend: Legend | None = None,
    chunks: int = _CHUNK,
) -> xr.DataArray:
    """Open a label raster that exists already.

    Parameters
    ----------
    path : str or Path
        Single-band raster of class ids or CORINE codes; 0 = unlabelled.
    codes : {"id", "clc"}
        What its values are. CORINE codes become ids.
    legend : Legend, optional
        OSMlanduse's by default.
    chunks : int
        Pixels per side of a chunk.

    Returns
    -------
    DataArray
        (y, x), uint8 class ids, lazy; 0 = unlabelled.

    Raises
    ------
    InputError
        If the file cannot be opened, or, when computed, holds a value that the legend lacks.
    """
    legend = legend or default_legend()
    raster = open_raster(path, chunks=chunks)
    if raster.dtype.kind not in "iu":
        raise InputError(f"{path} holds {raster.dtype}; labels are integers")
    known = {i: i for i in legend.ids} if codes == "id" else legend.clc_to_id
    empty = {NO_DATA, raster.attrs.get("nodata", NO_DATA)}
    data = raster.data.map_blocks(_to_ids, known=known, empty=empty, path=str(path), dtype=np.uint8)
    attrs = {**legend.attrs(), "nodata": NO_DATA}
    return raster.copy(data=data).assign_attrs(attrs).rename("labels")


def _to_ids(
    block: Integer[np.ndarray, "y x"], known: dict[int, int], empty: set[float], path: str
) -> UInt8[np.ndarray, "y x"]:
    """Map values through one look-up table, so no value is mapped twice."""
    values, inverse = np.unique(block, return_inverse=True)
    table = np.zeros(values.size, np.uint8)
    for k, value in enumerate(values.tolist()):
        if value in empty:
            continue
        if value not in known:
            raise InputError(
                f"{path} holds the value {value}, which is none of {sorted(known)}; name the "
                f'codes ("id" or "clc") and the legend it was made with'
            )
        table[k] = known[value]
    return table[inverse].reshape(block.shape)


def _in_burn_order(polygons: gpd.GeoDataFrame, legend: Legend, geobox: GeoBox) -> gpd.GeoDataFrame:
    """Return the polygons on the grid's CRS, those that win last."""
    if polygons.crs is None:
        raise InputError("the polygons have no CRS; assign one with polygons.set_crs")
    unknown = sorted(set(polygons["class_id"]) - set(legend.ids))
    if unknown:
        raise InputError(f"class {unknown[0]} of the polygons is not in legend {legend.name!r}")
    projected = polygons.to_crs(str(geobox.crs))
    if not projected.intersects(shapely.box(*geobox.boundingbox)).any():
        given = tuple(round(float(v)) for v in projected.total_bounds)
        wanted = tuple(round(v) for v in geobox.boundingbox)
        raise InputError(
            f"the polygons (bounds {given}) and the grid (bounds {wanted}, {geobox.crs}) do not "
            f"overlap; give an OpenStreetMap extract of the scene's place"
        )
    priority = {c.id: c.priority for c in legend.classes}
    rank = np.array([-priority[i] for i in polygons["class_id"]])
    return projected.iloc[np.argsort(rank, kind="stable")]


def _chunks_of(
    like: xr.DataArray | GeoBox, geobox: GeoBox
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes: dict[Hashable, Any] = {} if isinstance(like, GeoBox) else dict(like.chunksizes)
    if "y" in sizes and "x" in sizes:
        return sizes["y"], sizes["x"]
    y, x = normalize_chunks(_CHUNK, shape=tuple(geobox.shape))
    return y, x


def _blocks(
    ordered: gpd.GeoDataFrame, geobox: GeoBox, chunks: tuple[tuple[int, ...], tuple[int, ...]]
) -> da.Array:
    """Build one task per chunk that polygons meet, each with only those polygons."""
    tree = ordered.sindex
    geometry = ordered.geometry.to_numpy()
    classes = ordered["class_id"].to_numpy(np.uint8)
    rows, top = [], 0
    for height in chunks[0]:
        row, left = [], 0
        for width in chunks[1]:
            box = geobox[top : top + height, left : left + width]
            near = np.sort(tree.query(shapely.box(*box.boundingbox)))
            row.append(_block(geometry[near], classes[near], box))
            left += width
        rows.append(row)
        top += height
    return da.block(rows)


def _block(geometry: np.ndarray, classes: np.ndarray, box: GeoBox) -> da.Array:
    shape = tuple(box.shape)
    if geometry.size == 0:
        return da.zeros(shape, dtype=np.uint8, chunks=shape)
    burnt = delayed(_burn, pure=True)(shapely.to_wkb(geometry), classes, shape, box.affine)
    return da.from_delayed(burnt, shape=shape, dtype=np.uint8)


def _burn(
    wkb: np.ndarray, classes: np.ndarray, shape: tuple[int, int], transform: Any
) -> UInt8[np.ndarray, "y x"]:
    """Burn polygons in the order given; a later one overwrites an earlier one."""
    pairs = zip(shapely.from_wkb(wkb), classes.tolist(), strict=True)
    with warnings.catch_warnings():
        # rasterio looks for a transform on its in-memory target before it sets ours
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterize(pairs, out_shape=shape, transform=transform, fill=NO_DATA, dtype=np.uint8)
