"""The grid of a scene, from the headers of its files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from odc.geo.geobox import GeoBox

from osm4eo_xr.geometry.geodesy import project_bounds
from osm4eo_xr.geometry.grid import TARGET_CRS, check_grid, target_geobox
from osm4eo_xr.rasters.files import PathLike, is_store, list_files, open_image


def read_grid(path: PathLike | Sequence[PathLike]) -> GeoBox:
    """Return the grid that ``open_scene`` gives these files; band names do not matter.

    Raises
    ------
    InputError
        If a file cannot be read or has no CRS.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import demo_scene_paths
    >>> grid = oxr.read_grid(demo_scene_paths())
    >>> str(grid.crs), grid.shape.yx
    ('EPSG:3035', (873, 1586))
    """
    return grid_over(grid for file in list_files(path) for grid in _grids_of_file(file))


def grid_over(grids: Iterable[GeoBox]) -> GeoBox:
    """Return the target grid (EPSG:3035, 10 m, snapped) that covers some grids."""
    places = {(grid.boundingbox.bbox, grid.crs) for grid in grids}  # bands mostly share theirs
    boxes = [project_bounds(box, crs, TARGET_CRS) for box, crs in places]
    left, bottom, right, top = zip(*boxes, strict=True)
    return target_geobox((min(left), min(bottom), max(right), max(top)))


def _grids_of_file(path: str) -> list[GeoBox]:
    """Return the grid of a raster, or those of all bands of a store."""
    if is_store(path):
        from osm4eo_xr.imagery.products.band_files import bands_of_file

        return [b.geobox for b in bands_of_file(path, resampling="nearest", nodata=None)]
    with open_image(path) as source:
        return [check_grid(GeoBox(source.shape, source.transform, source.crs), path)]
