"""Where a run's tiles hold data, and what said so: for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da

from osm4eo_xr.legend import NO_DATA

if TYPE_CHECKING:
    from osm4eo_xr.country.context import Country


def tile_coverage(run: Country) -> dict[str, dict[str, Any]]:
    """Return for each tile what its scene went by, and how much of it has no class.

    Returns
    -------
    dict
        By tile id: ``validity``, the sources of ``rasters.validity`` in words, and ``no_data``,
        the share (0-1) of the classified map's pixels without a class, counted from the map.
    """
    return {
        tile.id: {
            "validity": run.open_scene(tile).attrs["validity"],
            "no_data": round(_share_without_data(run, tile.id), 6),
        }
        for tile in run.tiles
    }


def _share_without_data(run: Country, tile: str) -> float:
    """Count a tile's pixels without a class, chunk by chunk."""
    from osm4eo_xr.rasters.open import open_raster

    classified = open_raster(run.out / "classified" / f"{tile}.tif")
    return float((da.asarray(classified.data) == NO_DATA).mean().compute())
