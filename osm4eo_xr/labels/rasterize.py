"""Land-use areas → a lazy class raster."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from typing import Any

import dask.array as da
import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from dask.array.core import normalize_chunks
from dask.delayed import delayed
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError, check_number
from osm4eo_xr.geometry.geodesy import project_bounds, segmentized
from osm4eo_xr.geometry.grid import TARGET_CRS, geobox_of, georeference
from osm4eo_xr.geometry.known_classes import CLAIMS, refuse_other_name
from osm4eo_xr.labels.burn import (
    CHUNK,
    Edge,
    Shapes,
    burn,
    check_edge,
    check_overlap,
    count_classes,
    ranks,
    window_of,
)
from osm4eo_xr.labels.sources import Carried, Source, Stored
from osm4eo_xr.legend import BUILT_IN, NO_DATA, Legend, default_legend
from osm4eo_xr.osm.areas import OSM_CRS, Bounds, object_keys
from osm4eo_xr.osm.partitions import Landuse, open_landuse

_MARGIN = 0.01  # of a block's edge, for what bends between the corners of its box in degrees

Polygons = gpd.GeoDataFrame | Landuse | str | Path
Block = Callable[[GeoBox], Source | None]


def rasterize_labels(
    polygons: Polygons,
    like: xr.DataArray | GeoBox,
    *,
    legend: Legend | None = None,
    edge: Edge = "center",
    min_area: float = 0.0,
) -> xr.DataArray:
    """Burn land-use polygons into a class raster.

    A pixel takes the class of the polygon that holds its center; where several do, the class with
    the lowest priority number of the legend wins (or of the rule, where it has one of its own).
    Equal, for any chunks and partitions, to one call of GDAL's rasterizer over the whole grid with
    the polygons in that order; on grids whose edges are no short decimals, as in degrees, but for
    centers that lie on an outline to the last digit.

    Parameters
    ----------
    polygons : GeoDataFrame, Landuse or path
        With class_id and geometry, on any CRS, as from ``read_landuse``; or partitions that
        ``write_landuse`` wrote, or their folder, which each chunk reads its part of.
    like : DataArray or GeoBox
        Dims (…, y, x); its grid and chunks are those of the labels. A bare grid is chunked.
    legend : Legend, optional
        Classes and priorities; OSMlanduse's by default. The one that the polygons were read with,
        if they state it (``attrs["legend"]`` of a frame); "osmlanduse-13" takes those of
        "osmlanduse-12" too.
    edge : {"center", "ignore"}
        "ignore" leaves pixels unlabeled that the outline of their class, or of one that wins over
        it, goes through: their light is mixed. Areas of a rule with a priority of its own count as
        a class of their own there. Where an outline meets a corner of pixels to the last digit,
        which of them it goes through may hang on the chunks.
    min_area : float
        m²; smaller polygons are left out.

    Returns
    -------
    DataArray
        (y, x), uint8, lazy; 0 = unlabeled.

    Raises
    ------
    InputError
        If the grid or the polygons have no CRS, the polygons have no class_id or were read with
        another legend, a class is not in the legend, no polygon meets the grid, or an option is
        none of the above.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_osm_path
    >>> box = oxr.target_geobox((4498000, 3267000, 4498500, 3267500))
    >>> labels = oxr.rasterize_labels(oxr.read_landuse(demo_osm_path()), box)
    >>> labels.dtype, int((labels == 0).sum())
    (dtype('uint8'), 1653)
    """
    legend = legend or default_legend()
    check_edge(edge)
    return _named(map_grid(burn, polygons, like, legend, min_area, edge), like, legend)


def empty_labels(like: xr.DataArray | GeoBox, legend: Legend) -> xr.DataArray:
    """Return labels (y, x), uint8, lazy, of ground of which OpenStreetMap says nothing: all 0."""
    grid = _grid_of(like)
    zeros = da.zeros(tuple(grid.shape), dtype=np.uint8, chunks=_chunks_of(like, grid))
    return _named(zeros, like, legend)


def _named(blocks: da.Array, like: xr.DataArray | GeoBox, legend: Legend) -> xr.DataArray:
    attrs = {**legend.attrs(), "nodata": NO_DATA}
    return georeference(blocks, _grid_of(like), attrs=attrs, name="labels")


def count_claims(
    polygons: Polygons,
    like: xr.DataArray | GeoBox,
    *,
    legend: Legend | None = None,
    min_area: float = 0.0,
) -> xr.DataArray:
    """Count the classes that claim each pixel; above one, OpenStreetMap disagrees with itself.

    Parameters
    ----------
    polygons, like, legend, min_area
        As for ``rasterize_labels``.

    Returns
    -------
    DataArray
        (y, x), uint8, lazy: classes with a polygon that holds the pixel's center; 0 = none.

    Raises
    ------
    InputError
        As ``rasterize_labels``.

    Examples
    --------
    >>> import geopandas as gpd, shapely, osm4eo_xr as oxr
    >>> box = oxr.target_geobox((4321000, 3210000, 4321030, 3210010))
    >>> wood, lake = shapely.box(4321000, 3210000, 4321020, 3210010), box.extent.geom
    >>> rows = {"class_id": [8, 12], "geometry": [wood, lake]}
    >>> oxr.count_claims(gpd.GeoDataFrame(rows, crs=3035), box).values.tolist()
    [[2, 2, 1]]
    """
    blocks = map_grid(count_classes, polygons, like, legend or default_legend(), min_area)
    attrs = {"long_name": "classes that claim the pixel", "legend": CLAIMS}
    return georeference(blocks, _grid_of(like), attrs=attrs, name="claims")


def map_grid(
    kernel: Callable[..., np.ndarray],
    polygons: Polygons,
    like: xr.DataArray | GeoBox,
    legend: Legend,
    min_area: float,
    *options: Any,
    dtype: type = np.uint8,
) -> da.Array:
    """Build one task per chunk that polygons meet, each with only those polygons."""
    check_number("min_area", min_area)
    geobox = _grid_of(like)
    if isinstance(polygons, gpd.GeoDataFrame):
        source_of = _carried(polygons, legend, geobox, min_area)
    else:
        landuse = polygons if isinstance(polygons, Landuse) else open_landuse(polygons)
        source_of = _stored(landuse, legend, geobox, min_area)
    heights, widths = _chunks_of(like, geobox)
    work, rows, top = delayed(_burn_block, pure=True), [], 0
    empty = cache(lambda height, width: _empty(height, width, dtype))
    for height in heights:
        row, left = [], 0
        for width in widths:
            box = geobox[top : top + height, left : left + width]
            source = source_of(box)
            if source is None:
                row.append(empty(height, width))
            else:
                burnt = work(kernel, source, box, *options)
                row.append(da.from_delayed(burnt, (height, width), dtype))
            left += width
        rows.append(row)
        top += height
    return da.block(rows)


def _burn_block(
    kernel: Callable[..., np.ndarray], source: Source, box: GeoBox, *options: Any
) -> np.ndarray:
    return kernel(source.shapes(), box, *options)


def _empty(height: int, width: int, dtype: type) -> da.Array:
    """Return a block without labels."""
    return da.zeros((height, width), dtype=dtype, chunks=(height, width))


def _carried(polygons: gpd.GeoDataFrame, legend: Legend, geobox: GeoBox, min_area: float) -> Block:
    """Return what gives each block those polygons of a frame that meet it."""
    if polygons.crs is None:
        raise InputError("the polygons have no CRS", advice="assign one with polygons.set_crs")
    check_columns(polygons, "class_id")
    check_legend(polygons, legend)
    _check_classes(set(polygons["class_id"]), legend)
    projected = on_grid(polygons, geobox)
    check_overlap(projected.total_bounds, meet_grid(projected, geobox), geobox)
    if min_area > 0:
        area = polygons["area"] if "area" in polygons else polygons.to_crs(TARGET_CRS).area
        projected = projected.loc[area >= min_area]
    class_id = projected["class_id"].to_numpy(np.uint8)
    own = projected["priority"].to_numpy() if "priority" in projected else np.zeros(len(projected))
    rank = ranks(class_id, own, {c.id: c.priority for c in legend.classes})
    key = None
    if "osm_kind" in projected and "osm_id" in projected:
        kind, number = projected["osm_kind"].to_numpy(), projected["osm_id"].to_numpy()
        key = object_keys(kind, number, class_id)
    shapes = Shapes(projected.geometry.to_numpy(), class_id, rank, key)

    def source_of(box: GeoBox) -> Source | None:
        near = shapes.meeting(window_of(box, max(map(abs, box.resolution.xy))))
        if not near.geometry.size:
            return None
        return Carried(shapely.to_wkb(near.geometry), near.class_id, near.rank, near.key)

    return source_of


def on_grid(polygons: gpd.GeoDataFrame, geobox: GeoBox) -> gpd.GeoDataFrame:
    """Return polygons on a grid's CRS, where their long edges bend."""
    shapes = polygons.geometry.to_numpy()
    if polygons.crs != str(geobox.crs):
        shapes = segmentized(shapes, polygons.crs)
    return polygons.set_geometry(shapes, crs=polygons.crs).to_crs(str(geobox.crs))


def meet_grid(projected: gpd.GeoDataFrame, geobox: GeoBox) -> bool:
    """Whether polygons on a grid's CRS have ground in common with it."""
    return bool(projected.intersects(window_of(geobox)).any())


def _stored(landuse: Landuse, legend: Legend, geobox: GeoBox, min_area: float) -> Block:
    """Return what gives each block the files of the partitions that may meet it."""
    check_legend(landuse, legend)
    _check_classes(set(landuse.class_ids), legend)
    check_overlap(landuse.bounds, meets(landuse, geobox), geobox)
    priority = tuple((c.id, c.priority) for c in legend.classes)

    def source_of(box: GeoBox) -> Source | None:
        bounds = _degrees(box)
        files = landuse.meeting(bounds)
        written = tuple((str(file), file.stat().st_mtime_ns) for file in files)
        return Stored(written, bounds, str(geobox.crs), priority, min_area) if files else None

    return source_of


def meets(landuse: Landuse, geobox: GeoBox) -> bool:
    """Whether partitions have ground in common with a grid."""
    return bool(landuse.meeting(_degrees(geobox)))


def _degrees(box: GeoBox) -> Bounds:
    """Return west, south, east, north of a block, with a margin."""
    left, bottom, right, top = box.boundingbox
    margin = _MARGIN * max(right - left, top - bottom) + max(map(abs, box.resolution.xy))
    around = box.boundingbox.buffered(margin, margin).bbox
    west, south, east, north = project_bounds(around, box.crs, OSM_CRS)
    return west, south, east, north


def check_columns(polygons: gpd.GeoDataFrame, *names: str) -> None:
    """Refuse polygons that lack a column.

    Raises
    ------
    InputError
        Which names the first column that is missing.
    """
    missing = [name for name in names if name not in polygons]
    if missing:
        raise InputError(
            f"the polygons have no column {missing[0]}", advice="give those of read_landuse"
        )


def check_legend(polygons: gpd.GeoDataFrame | Landuse, legend: Legend) -> None:
    """Refuse land use that states another legend, whose ids have other names.

    Raises
    ------
    InputError
        Names both legends.
    """
    stated = polygons.legend if isinstance(polygons, Landuse) else polygons.attrs.get("legend", "")
    if (stated, legend.name) != BUILT_IN:  # the second has the first's classes and one more
        refuse_other_name(str(stated), legend.name, "the polygons were")


def _check_classes(class_ids: set[int], legend: Legend) -> None:
    unknown = sorted(class_ids - set(legend.ids))
    if unknown:
        raise InputError(
            f"class {unknown[0]} of the polygons is not in legend {legend.name!r}",
            advice="read them with the legend that the labels are to have",
        )


def _grid_of(like: xr.DataArray | GeoBox) -> GeoBox:
    return like if isinstance(like, GeoBox) else geobox_of(like)


def _chunks_of(
    like: xr.DataArray | GeoBox, geobox: GeoBox
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes: dict[Hashable, Any] = {} if isinstance(like, GeoBox) else dict(like.chunksizes)
    if "y" in sizes and "x" in sizes:
        return sizes["y"], sizes["x"]
    y, x = normalize_chunks(CHUNK, shape=tuple(geobox.shape))
    return y, x
