"""Land-use areas of a country on disk: GeoParquet in spatial partitions, with an index."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from operator import index
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from odc.geo.crs import CRS

from osm4eo_xr.errors import InputError
from osm4eo_xr.names import check_name
from osm4eo_xr.osm.areas import OSM_CRS, Areas, Bounds, Problems, Tally
from osm4eo_xr.osm.spool import bounds_of, meeting

INDEX = "_landuse.json"
"""Name of the index in the folder; readers of Parquet folders leave out what begins with _."""

FORMAT = "osm4eo_xr land use 2"

BOX = ("xmin", "ymin", "xmax", "ymax")
"""Fields of the column ``bbox``, in GeoParquet's names."""


@dataclass(frozen=True)
class Partition:
    """One file of areas whose boxes have their centers in one cell.

    Attributes
    ----------
    file : str
        Name in the folder.
    areas : int
        Number of areas.
    bounds : tuple of float
        West, south, east, north of all of them, degrees.
    """

    file: str
    areas: int
    bounds: Bounds


@dataclass(frozen=True)
class Landuse:
    """Land-use areas in a folder, as ``write_landuse`` leaves them.

    Attributes
    ----------
    folder : Path
        Holds a GeoParquet file per partition and the index ``_landuse.json``.
    legend : str
        Name of the legend that chose the classes.
    cell : float
        Edge of a partition's cell, degrees.
    partitions : tuple of Partition
        In order of file name.
    tags : dict
        Class, number and square meters of the areas of each tag.
    problems : Problems
        What could not be used as it is.
    """

    folder: Path
    legend: str
    cell: float
    partitions: tuple[Partition, ...]
    tags: dict[str, Tally]
    problems: Problems

    def __len__(self) -> int:
        return sum(p.areas for p in self.partitions)

    @cached_property
    def class_ids(self) -> tuple[int, ...]:
        """Classes that the areas have, ascending."""
        return tuple(sorted({tally.class_id for tally in self.tags.values()}))

    @cached_property
    def bounds(self) -> Bounds:
        """West, south, east, north of all areas, degrees."""
        return bounds_of([p.bounds for p in self.partitions])

    def meeting(self, bbox: Bounds) -> list[Path]:
        """Return the files of the partitions whose areas may meet a box in degrees."""
        near = meeting([p.bounds for p in self.partitions], bbox)
        return [self.folder / self.partitions[k].file for k in near]


def open_landuse(folder: str | Path) -> Landuse:
    """Open a folder of land-use partitions; only its index is read.

    Raises
    ------
    InputError
        If the folder has no index of ours.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_osm_path
    >>> folder = oxr.write_landuse(demo_osm_path(), "landuse").folder
    >>> sum(partition.areas for partition in oxr.open_landuse(folder).partitions)
    604
    """
    folder = Path(folder)
    try:
        tree = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"no {INDEX} in {folder}",
            advice="give a folder that write_landuse or osm4eo-xr labels --polygons wrote; "
            "read_landuse reads an extract",
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{folder / INDEX} is damaged ({error})", advice="write it again"
        ) from None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        given = tree.get("format") if isinstance(tree, dict) else tree
        raise InputError(
            f"{folder / INDEX} is {given!r}, not {FORMAT!r}", advice="write the folder again"
        )
    try:
        return _landuse_of(folder, tree)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # whatever JSON may hold
        raise InputError(
            f"{folder / INDEX} is damaged ({type(error).__name__}: {error})",
            advice="write the folder again",
        ) from None


def _landuse_of(folder: Path, tree: dict[str, Any]) -> Landuse:
    """Return what an index says; whatever is of another type raises one of Python's errors."""
    parts = []
    for entry in tree["partitions"]:
        west, south, east, north = map(float, entry["bounds"])
        name = entry["file"]
        # Its file is called after a cell's west edge, and west of Greenwich that begins with -.
        check_name(name.removeprefix("-"), "partition file")
        parts.append(Partition(name, index(entry["areas"]), (west, south, east, north)))
    tags = {
        tag: Tally(index(t["class_id"]), index(t["count"]), float(t["area"]))
        for tag, t in tree["tags"].items()
    }
    problems = Problems(**{k: [dict(p) for p in found] for k, found in tree["problems"].items()})
    return Landuse(folder, str(tree["legend"]), float(tree["cell"]), tuple(parts), tags, problems)


def write_index(landuse: Landuse) -> None:
    """Write the index of a folder whose partitions are whole."""
    tree = {
        "format": FORMAT,
        "legend": landuse.legend,
        "cell": landuse.cell,
        "partitions": [asdict(p) for p in landuse.partitions],
        "tags": {tag: asdict(tally) for tag, tally in sorted(landuse.tags.items())},
        "problems": asdict(landuse.problems),
    }
    text = json.dumps(tree, indent=1, ensure_ascii=False) + "\n"
    (landuse.folder / INDEX).write_text(text, encoding="utf-8")


def geo_metadata(bounds: Bounds) -> dict[str, str]:
    """Return what makes a table with such columns and bounds GeoParquet 1.1 (EPSG:4326).

    Its column ``bbox`` holds the box of each area, by which readers choose areas of a place.
    """
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["MultiPolygon", "Polygon"],
                "crs": CRS(OSM_CRS).proj.to_json_dict(),
                "bbox": list(bounds),
                "covering": {"bbox": {side: ["bbox", side] for side in BOX}},
            }
        },
    }
    return {"geo": json.dumps(geo)}


def from_table(table: pa.Table) -> Areas:
    """Return the areas of a table."""
    columns = {n: table[n].to_numpy(zero_copy_only=False) for n in Areas.__dataclass_fields__}
    return Areas(**columns | {"geometry": shapely.from_wkb(columns["geometry"])})


def read_areas(files: Iterable[Path]) -> list[Areas]:
    """Read whole partitions."""
    return [from_table(pq.read_table(file)) for file in files]
