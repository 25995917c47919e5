"""The class rasters that a country file lists, each with the tile whose ground it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from odc.geo.geobox import GeoBox

from osm4eo_xr.country.scenes.tiles import files_of
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name, geobox_of, same_grid

if TYPE_CHECKING:
    from osm4eo_xr.country.context import CountryRun

_CALL = "call label rasters as their tiles, such as {}.tif"


def given_labels(run: CountryRun, patterns: Sequence[str]) -> list[Path]:
    """Return the class raster of each tile, by name or, if not all have one, in the order of ids.

    Raises
    ------
    InputError
        If there is not one per tile, or one that goes by order is of other ground.
    """
    found = [path for pattern in patterns for path in files_of(run.base, pattern)]
    if len(found) != len(run.tiles):
        raise InputError(
            f"{len(found)} label rasters for {len(run.tiles)} tiles", advice="give one per tile"
        )
    named = {path.stem: path for path in found}
    called = [named[t.id] for t in run.tiles if t.id in named]
    if len(called) == len(found):
        return called
    _check_order(run.boxes, {path: geobox_of(run.open_labels(path)) for path in found}, found)
    return found


def _check_order(
    tiles: Mapping[str, GeoBox], grids: Mapping[Path, GeoBox], order: Sequence[Path]
) -> None:
    """Refuse a raster on another grid than its tile, and one of which another shows more."""
    for (tile, box), path in zip(tiles.items(), order, strict=True):
        grid, advice = grids[path], _CALL.format(tile)
        if not same_grid(box, grid):
            raise InputError(
                f"label raster {path.name} and tile {tile}, to which it goes by order, are on "
                f"different grids ({crs_name(grid.crs)} and {crs_name(box.crs)})",
                expected="rasters on the grids of their tiles",
                advice=advice,
            )
        shown = {other: _shared(box, grids[other]) for other in order}
        best = max(order, key=shown.__getitem__)
        if shown[best] > shown[path]:
            raise InputError(
                f"label raster {path.name} goes to tile {tile} by order, of which {best.name} "
                "shows more",
                advice=advice,
            )
        if not shown[path]:
            raise InputError(f"no label raster shows ground of tile {tile}", advice=advice)


def _shared(a: GeoBox, b: GeoBox) -> float:
    """Return the ground that two grids of one CRS share, in its units; 0 of two CRS."""
    if a.crs != b.crs:
        return 0.0
    p, q = a.boundingbox, b.boundingbox
    width = min(p.right, q.right) - max(p.left, q.left)
    height = min(p.top, q.top) - max(p.bottom, q.bottom)
    return max(width, 0.0) * max(height, 0.0)
