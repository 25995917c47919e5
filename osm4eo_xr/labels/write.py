"""Land use, whatever holds it → a label raster on disk: the one way that commands and runs take.

From an extract, threads of this process do, block by block, what ``rasterize_labels`` and
``write_cog`` do, without partitions and without a task graph; so a command that wants one file from
one extract need not load dask, xarray and Arrow first. Whatever else holds areas goes through those
two functions. Either way the bytes are the same.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import shapely

from osm4eo_xr.cogs.cog_file import Contents, colors_of, new_cog
from osm4eo_xr.cogs.levels import Layout, LevelFiles, shrink_block
from osm4eo_xr.cogs.sidecars import categories_of
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import scratch_folder
from osm4eo_xr.labels.burn import CHUNK, Edge, Shapes, burn, check_edge, check_overlap, ranks
from osm4eo_xr.legend import NO_DATA, Legend, default_legend
from osm4eo_xr.osm.extract import spool_landuse
from osm4eo_xr.process.threads import allowed_threads
from osm4eo_xr.progress import Progress

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from osm4eo_xr.labels.rasterize import Polygons
    from osm4eo_xr.osm.areas import Bounds
    from osm4eo_xr.osm.spool import Spool

Bar = AbstractContextManager[Progress | None]


def write_labels(
    osm: Polygons,
    path: str | Path,
    like: xr.DataArray | GeoBox,
    *,
    legend: Legend | None = None,
    edge: Edge = "center",
    min_area: float = 0.0,
    datetime: str = "",
    compression: Literal["zstd", "deflate"] = "zstd",
    reading: Bar | None = None,
    writing: Bar | None = None,
) -> Path:
    """Write the labels of OpenStreetMap's land use as a Cloud-Optimized GeoTIFF.

    The same file, byte by byte, from an extract, from the partitions that ``write_landuse`` makes
    of it and from the polygons that ``read_landuse`` reads. Areas of an extract wait in the
    system's temporary folder (``TMPDIR``), and so do node locations of one above 300 MB: together
    about three times its size.

    Parameters
    ----------
    osm : str, Path, Landuse or GeoDataFrame
        An extract (``.osm.pbf``, ``.osm``, ``.osm.gz`` or ``.osm.bz2``), or what
        ``rasterize_labels`` takes.
    path : str or Path
        The GeoTIFF to write (uint8, 0 = unlabeled); an existing file is replaced.
    like : DataArray or GeoBox
        Its grid, as from ``open_scene`` or ``read_grid``.
    legend, edge, min_area
        As for ``rasterize_labels``.
    datetime : str
        When the ground was as the labels say (RFC 3339), for a STAC item; none without it.
    compression : {"zstd", "deflate"}
        As for ``write_cog``.
    reading, writing : context manager, optional
        Entered while an extract is read and while blocks are written; each gives a function
        that is called as ``progress(done, total)``, with bytes read (the file is read several
        times) and with blocks.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        As ``read_landuse``, ``rasterize_labels`` and ``write_cog``.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_osm_path
    >>> box = oxr.target_geobox((4498000, 3267000, 4500000, 3269000))
    >>> oxr.write_labels(demo_osm_path(), "labels.tif", box).name
    'labels.tif'
    """
    path, legend = Path(path), legend or default_legend()
    check_edge(edge)
    how: Any = {"edge": edge, "min_area": min_area}
    if not isinstance(osm, str | Path) or Path(osm).is_dir():
        from osm4eo_xr.cogs.cog import write_cog
        from osm4eo_xr.labels.rasterize import rasterize_labels

        labels = rasterize_labels(osm, like, legend=legend, **how)
        about = {"datetime": datetime} if datetime else {}
        with writing or nullcontext() as tell:
            into: Any = {"legend": legend, "compression": compression, "progress": tell}
            return write_cog(labels.assign_attrs(about), path, **into)
    grid = _grid_of(like)
    layout = _layout(grid, legend)
    tags = {"legend": legend.name} | ({"datetime": datetime} if datetime else {})
    contents = Contents(categories_of(legend), tags, datetime)
    with (
        new_cog(path, layout, contents, compression) as levels,
        scratch_folder("osm4eo-areas-") as scratch,
    ):
        cells: Any = {"crs": str(grid.crs), "cell": CHUNK * max(map(abs, grid.resolution.xy))}
        with reading or nullcontext() as tell:
            spool, _ = spool_landuse(Path(osm), scratch, legend, **cells, progress=tell)
        with spool, writing or nullcontext() as tell:
            check_overlap(spool.bounds, spool.near(_around(grid)).size > 0, grid)
            priority = {c.id: c.priority for c in legend.classes}
            _fill(_Blocks(spool, levels, layout, priority, **how), tell)
    return path


def _grid_of(like: xr.DataArray | GeoBox) -> GeoBox:
    """Return a grid with a CRS, or that of a raster."""
    from odc.geo.geobox import GeoBox

    if not isinstance(like, GeoBox):
        from osm4eo_xr.geometry.grid import geobox_of

        return geobox_of(like)
    if like.crs is None:
        raise InputError(
            "the grid has no CRS", advice="give one that has, for example from read_grid"
        )
    return like


def _layout(grid: GeoBox, legend: Legend) -> Layout:
    """Return how a file of labels lies on disk."""
    colors = colors_of(categories_of(legend))
    about: Any = {"dtype": "uint8", "bands": ("labels",), "nodata": NO_DATA, "classes": True}
    return Layout(geobox=grid, colors=colors, **about)


@dataclass(frozen=True)
class _Blocks:
    """What makes a block: where its areas are, how they are burnt, where it goes."""

    spool: Spool
    levels: LevelFiles
    layout: Layout
    priority: dict[int, int]
    edge: Edge
    min_area: float

    def write(self, top: int, left: int) -> None:
        """Burn the block whose upper left pixel is given and write it, if it has areas."""
        grid = self.layout.geobox
        height, width = grid.shape
        box = grid[top : min(top + CHUNK, height), left : min(left + CHUNK, width)]
        near = self.spool.near(_around(box), self.min_area)
        if not near.size:
            return
        records = self.spool.records[near]
        geometry = np.asarray(shapely.from_wkb(self.spool.geometries(near)))
        classes = records["class_id"]
        shapes = Shapes(geometry, classes, ranks(classes, records["priority"], self.priority))
        burnt = burn(shapes, box, self.edge)
        self.levels.write(top, left, shrink_block(burnt[None], self.layout))


def _around(box: GeoBox) -> Bounds:
    """Return the bounds of a block and a pixel around it."""
    pixel = max(map(abs, box.resolution.xy))
    left, bottom, right, top = box.boundingbox.buffered(pixel, pixel)
    return left, bottom, right, top


def _fill(blocks: _Blocks, progress: Progress | None) -> None:
    """Write all blocks, on as many threads as may compute."""
    height, width = blocks.layout.geobox.shape
    corners = list(product(range(0, height, CHUNK), range(0, width, CHUNK)))
    with ThreadPoolExecutor(allowed_threads()) as pool:
        try:
            futures = [pool.submit(blocks.write, *corner) for corner in corners]
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(done, len(corners))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
