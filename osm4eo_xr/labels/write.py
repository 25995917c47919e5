"""An extract → a label raster on disk, without partitions and without a task graph.

Threads of this process do here, block by block, what ``rasterize_labels`` and ``write_cog`` do; so
a command that wants one file from one extract need not load dask, xarray and Arrow first.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from osm4eo_xr.osm.passes import Progress

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from osm4eo_xr.osm.areas import Bounds
    from osm4eo_xr.osm.spool import Spool

Bar = AbstractContextManager[Progress | None]


def write_labels(
    osm: str | Path,
    path: str | Path,
    like: GeoBox,
    *,
    legend: Legend | None = None,
    edge: Edge = "center",
    min_area: float = 0.0,
    reading: Bar | None = None,
    writing: Bar | None = None,
) -> Path:
    """Write the labels of an OpenStreetMap extract as a Cloud-Optimized GeoTIFF.

    The same file, byte by byte, as from ``write_cog`` of ``rasterize_labels`` of ``write_landuse``.
    Areas wait in the system's temporary folder (``TMPDIR``), and so do node locations of an extract
    above 300 MB: together about three times its size.

    Parameters
    ----------
    osm : str or Path
        ``.osm.pbf``, ``.osm``, ``.osm.gz`` or ``.osm.bz2``.
    path : str or Path
        The GeoTIFF to write (uint8, 0 = unlabeled); an existing file is replaced.
    like : GeoBox
        Its grid, as from ``read_grid``.
    legend, edge, min_area
        As for ``rasterize_labels``.
    reading, writing : context manager, optional
        Entered while the extract is read and while blocks are written; each gives a function
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
    if like.crs is None:
        raise InputError(
            "the grid has no CRS", advice="give one that has, for example from read_grid"
        )
    categories = categories_of(legend)
    layout = Layout(
        geobox=like,
        dtype="uint8",
        bands=("labels",),
        nodata=NO_DATA,
        classes=True,
        colors=colors_of(categories),
    )
    contents = Contents(categories, {"legend": legend.name})
    with (
        new_cog(path, layout, contents) as levels,
        scratch_folder("osm4eo-areas-") as scratch,
    ):
        place: Any = {"crs": str(like.crs), "cell": CHUNK * max(map(abs, like.resolution.xy))}
        with reading or nullcontext() as tell:
            spool, _ = spool_landuse(Path(osm), scratch, legend, **place, progress=tell)
        with spool, writing or nullcontext() as tell:
            check_overlap(spool.bounds, spool.near(_around(like)).size > 0, like)
            priority = {c.id: c.priority for c in legend.classes}
            _fill(_Blocks(spool, levels, layout, priority, edge, min_area), tell)
    return path


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
    """Write all blocks on as many threads as this process has cores."""
    height, width = blocks.layout.geobox.shape
    corners = list(product(range(0, height, CHUNK), range(0, width, CHUNK)))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            futures = [pool.submit(blocks.write, *corner) for corner in corners]
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(done, len(corners))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
