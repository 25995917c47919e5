"""OpenStreetMap extracts → land-use areas.

Areas are assembled by libosmium: closed ways and multipolygon or boundary relations, holes kept.
An object whose tags fall under several rules takes the class that wins on overlaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import osmium
import osmium.filter
import osmium.osm

from osm4eo_xr.errors import InputError
from osm4eo_xr.files import check_folder, replaced, scratch_folder, workplace
from osm4eo_xr.geometry.antimeridian import wrapped
from osm4eo_xr.legend import Legend, default_legend
from osm4eo_xr.osm.areas import OSM_CRS, Areas, Bounds, Problems, join, to_areas, within
from osm4eo_xr.osm.extract import nothing_in, readable, spool_landuse, warn_of_unmatched
from osm4eo_xr.osm.partition_writer import write_partitions
from osm4eo_xr.osm.partitions import INDEX, Landuse, open_landuse, read_areas, write_index
from osm4eo_xr.osm.scan import Scan
from osm4eo_xr.progress import with_bars

if TYPE_CHECKING:
    import geopandas as gpd

    from osm4eo_xr.progress import Progress

__all__ = ["read_landuse", "unclaimed_tags", "write_landuse"]

_CELL = 0.25  # degrees
_LAND_KEYS = ("landuse", "natural", "leisure", "wetland")


@with_bars("OpenStreetMap extract")
def read_landuse(
    path: str | Path,
    legend: Legend | None = None,
    bbox: Bounds | None = None,
    *,
    progress: Progress | None = None,
) -> gpd.GeoDataFrame:
    """Read the land-use areas of an OpenStreetMap extract into memory.

    Parameters
    ----------
    path : str or Path
        ``.osm.pbf``, ``.osm``, ``.osm.gz`` or ``.osm.bz2``, or a folder from ``write_landuse``.
        XML that an editor saved may hold negative ids in any order; what it deleted is left out.
    legend : Legend, optional
        Its rules say which tags lead to which class; OSMlanduse's by default. A folder keeps the
        classes it was written with.
    bbox : tuple of float, optional
        West, south, east, north in degrees; areas that meet it are kept whole. West exceeds east
        where it lies across the antimeridian, or one of them goes on beyond 180.
    progress : callable, optional
        Called as ``progress(done, total)`` with bytes read; the file is read several
        times.

    Returns
    -------
    GeoDataFrame
        EPSG:4326; class_id (uint8), priority (int16, of the rule; 0 = that of the class), osm_id
        (int64), osm_kind ("node", "way" or "relation"), tag ("landuse=forest"), area (m², on
        EPSG:3035) and geometry, in order of kind, id and class. Lines and points have the width
        that the legend gives them. ``attrs`` has the lists ``broken`` (objects with a tag of the
        legend and no area), ``repaired`` (areas mended, such as rings that crossed themselves) and
        ``duplicates`` (closed ways left out because a relation with the same tag has them as its
        outer ring), each of dicts with osm_kind, osm_id and reason; and the name of the legend.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, holds changes or a history, says that it is not
        whole (Overpass), is out of order, or holds no area that the legend names, or the box is
        none.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_osm_path
    >>> areas = oxr.read_landuse(demo_osm_path())
    >>> len(areas), areas["tag"].value_counts().index[0]
    (604, 'landuse=meadow')
    """
    path, legend = Path(path), legend or default_legend()
    bbox = None if bbox is None else wrapped(bbox)
    if path.is_dir():
        return _frame_of_folder(open_landuse(path), bbox)
    with readable(path) as file:
        if not legend.rules:
            raise nothing_in(path, legend, bbox)
        scan = Scan(file, legend, progress)
        parts = [to_areas(rows, bbox) for rows in scan.batches()]
    if not sum(map(len, parts)):
        raise nothing_in(path, legend, bbox, () if parts else scan.problems.broken)
    scan.progress.finish()
    frame = _frame(join(parts), scan.problems, legend.name)
    warn_of_unmatched(path, legend, set(frame["tag"]), bbox)
    return frame


@with_bars("OpenStreetMap extract")
def write_landuse(
    path: str | Path,
    folder: str | Path,
    legend: Legend | None = None,
    bbox: Bounds | None = None,
    *,
    cell: float = _CELL,
    progress: Progress | None = None,
) -> Landuse:
    """Stream the land-use areas of an extract into GeoParquet files, one per cell of a grid.

    Memory holds some thousand areas while the extract is read and those of one cell while cells are
    written, however large the extract; node locations of one above 300 MB are in a temporary file
    beside the folder. The folder appears when it is whole; one from an earlier run is replaced.

    Parameters
    ----------
    path, legend, bbox
        As for ``read_landuse``.
    folder : str or Path
        Takes a file per cell that has areas, and the index ``_landuse.json``. An area belongs to
        the cell that holds the center of its box.
    cell : float
        Edge of a cell, degrees.
    progress : callable, optional
        Called as ``progress(done, total)`` with bytes read; the file is read several
        times.

    Returns
    -------
    Landuse
        For ``rasterize_labels``; ``read_landuse(folder)`` reads all of it into memory. Neither
        depends on the cells.

    Raises
    ------
    InputError
        As ``read_landuse``, and if the cell is not between 0 and 90 degrees or the folder is
        there and holds something else.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_osm_path
    >>> written = oxr.write_landuse(demo_osm_path(), "landuse")
    >>> [partition.file for partition in written.partitions]
    ['12.25_52.25.parquet', '12.5_52.25.parquet', '12.25_52.5.parquet', '12.5_52.5.parquet']
    """
    path, folder, legend = Path(path), Path(folder), legend or default_legend()
    _check_target(folder, cell)
    bbox = None if bbox is None else wrapped(bbox)
    with workplace(folder) as scratch, replaced(folder) as whole:
        whole.mkdir()
        spool, problems = spool_landuse(
            path, scratch, legend, bbox=bbox, cell=cell, progress=progress
        )
        with spool:
            found = tuple(write_partitions(spool, whole))
            tags = spool.tallies()
        write_index(Landuse(whole, legend.name, cell, found, tags, problems))
    return open_landuse(folder)


@contextmanager
def partitions_of(
    path: Path,
    folder: Path | None,
    legend: Legend,
    progress: AbstractContextManager[Progress],
) -> Iterator[Landuse]:
    """Yield the land use of an extract, or of a folder of partitions, which then is ``path``.

    Partitions are written into ``folder`` if one is given, else into one that goes afterwards.
    """
    if path.is_dir():
        yield open_landuse(path)
        return
    with scratch_folder("osm4eo-areas-") as temporary:
        target = temporary / "areas" if folder is None else folder
        with progress as tell:
            made = write_landuse(path, target, legend, progress=tell)
        yield made


def unclaimed_tags(
    path: str | Path, legend: Legend | None = None, *, at_least: int = 2
) -> dict[str, int]:
    """Count the tags of land that closed ways and multipolygons carry and that no rule names.

    Parameters
    ----------
    path : str or Path
        An extract.
    legend : Legend, optional
        OSMlanduse's by default.
    at_least : int
        Rarer tags are left out.

    Returns
    -------
    dict
        Objects by tag, the most frequent first; keys landuse, natural, leisure and wetland.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_osm_path
    >>> no_rules = oxr.Legend("no rules", oxr.default_legend().classes)
    >>> list(oxr.unclaimed_tags(demo_osm_path(), no_rules))[:3]
    ['landuse=meadow', 'natural=wetland', 'landuse=farmland']
    """
    legend = legend or default_legend()
    named = {rule.tag for rule in legend.rules}
    counts: Counter[str] = Counter()
    with readable(Path(path)) as file:
        kinds = osmium.osm.WAY | osmium.osm.RELATION
        objects = osmium.FileProcessor(str(file), kinds)
        for thing in objects.with_filter(osmium.filter.KeyFilter(*_LAND_KEYS)):
            if isinstance(thing, osmium.osm.Way) and not thing.is_closed():
                continue
            found = (f"{k}={thing.tags[k]}" for k in _LAND_KEYS if k in thing.tags)
            counts.update(tag for tag in found if tag not in named)
    return {tag: count for tag, count in counts.most_common() if count >= at_least}


def _check_target(folder: Path, cell: float) -> None:
    if not 0 < cell <= 90:  # noqa: PLR2004
        raise InputError(f"cell is {cell} degrees", advice="give more than 0 and at most 90")
    check_folder(folder)
    if folder.exists() and not (folder / INDEX).is_file():
        raise InputError(f"{folder} is there and has no {INDEX}", advice="give a new folder")


def _frame_of_folder(landuse: Landuse, bbox: Bounds | None) -> gpd.GeoDataFrame:
    parts = read_areas(landuse.meeting(bbox or landuse.bounds))
    if bbox is not None:
        parts = [p.take(within(p.geometry, bbox)) for p in parts]
    if not sum(map(len, parts)):
        raise InputError(
            f"{landuse.folder} has no area within the bbox {bbox}",
            advice="give another bbox or folder",
        )
    return _frame(join(parts), landuse.problems, landuse.legend)


def _frame(areas: Areas, problems: Problems, legend: str) -> gpd.GeoDataFrame:
    import geopandas as gpd

    frame = gpd.GeoDataFrame(areas.in_order().columns(), geometry="geometry", crs=OSM_CRS)
    frame.attrs.update(asdict(problems), legend=legend)
    return frame
