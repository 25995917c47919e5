"""Scenes and their labels in pairs, cut to the ground that both cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name, first_pixel, geobox_of, same_grid, zero_nodata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odc.geo.geobox import GeoBox


@dataclass(frozen=True)
class LabeledTile:
    """A scene and its labels on one grid.

    Attributes
    ----------
    name : str
        Of the tile.
    scene : DataArray (band, y, x)
        Reflectance.
    labels : DataArray (y, x)
        Class ids, uint8; 0 = unlabeled.
    top, left : int
        Its first row and column, counted from the origin of the CRS.
    """

    name: str
    scene: xr.DataArray
    labels: xr.DataArray
    top: int
    left: int

    @property
    def geobox(self) -> GeoBox:
        """Grid of both."""
        return geobox_of(self.labels)


def labeled_tiles(scene: Any, labels: Any, names: Sequence[str] | None) -> list[LabeledTile]:
    """Pair one or several scenes with their labels, each pair cut to the ground that both cover.

    Raises
    ------
    InputError
        If there is not one of each per tile, a pair or two tiles lie on different grids, or a
        scene and its labels do not overlap.
    """
    scenes = [scene] if isinstance(scene, xr.DataArray) else list(scene)
    rasters = [labels] if isinstance(labels, xr.DataArray) else list(labels)
    rasters = [zero_nodata(raster) for raster in rasters]
    if not scenes or len(scenes) != len(rasters):
        raise InputError(
            f"{len(scenes)} scenes and {len(rasters)} label rasters",
            advice="give one of each per tile",
        )
    names = list(names) if names else [f"tile{i}" for i in range(len(scenes))]
    if len(names) != len(scenes):
        raise InputError(
            f"{len(names)} names for {len(scenes)} tiles", advice="name each tile once"
        )
    tiles = [_labeled_tile(*parts) for parts in zip(names, scenes, rasters, strict=True)]
    for tile in tiles[1:]:
        if not same_grid(tiles[0].geobox, tile.geobox):
            raise InputError(
                f"tiles {tiles[0].name} and {tile.name} are on different grids "
                f"({crs_name(tiles[0].geobox.crs)} and {crs_name(tile.geobox.crs)})",
                advice="open the scenes on one grid",
            )
    return tiles


def _labeled_tile(name: str, scene: xr.DataArray, labels: xr.DataArray) -> LabeledTile:
    """Cut a scene and its labels to the ground both cover."""
    a, b = geobox_of(scene), geobox_of(labels)
    if not same_grid(a, b):
        raise InputError(
            f"scene and labels of {name} are on different grids ({crs_name(a.crs)}, "
            f"{a.resolution.x} and {crs_name(b.crs)}, {b.resolution.x})",
            advice="rasterize the labels with like=scene",
        )
    (top_a, left_a), (top_b, left_b) = first_pixel(a), first_pixel(b)
    top, left = max(top_a, top_b), max(left_a, left_b)
    bottom = min(top_a + a.shape[0], top_b + b.shape[0])
    right = min(left_a + a.shape[1], left_b + b.shape[1])
    if top >= bottom or left >= right:
        raise InputError(
            f"scene and labels of {name} do not overlap: {tuple(a.boundingbox)} and "
            f"{tuple(b.boundingbox)}",
            advice="give labels of the scene's ground",
        )
    return LabeledTile(
        name,
        scene[..., top - top_a : bottom - top_a, left - left_a : right - left_a],
        labels[..., top - top_b : bottom - top_b, left - left_b : right - left_b],
        top,
        left,
    )


def holds_window(tile: LabeledTile, patch: int) -> xr.DataArray:
    """Return where the window around a pixel lies inside the tile: (y, x), bool."""
    inside = []
    for size in tile.labels.shape:
        index = np.arange(size)
        inside.append((index >= patch // 2) & (index + patch - patch // 2 <= size))
    rows, cols = (xr.DataArray(mask, dims=dim) for mask, dim in zip(inside, "yx", strict=True))
    return rows & cols


def tile_units(tiles: Sequence[LabeledTile]) -> str:
    """Return the unit of the scenes, which all tiles have.

    Raises
    ------
    InputError
        If a tile has another.
    """
    found = [str(tile.scene.attrs.get("units", "1")) for tile in tiles]
    for tile, units in zip(tiles, found, strict=True):
        if units != found[0]:
            raise InputError(
                f"tile {tile.name} is in units {units!r}, {tiles[0].name} in {found[0]!r}",
                advice="give scenes of one unit",
            )
    return found[0]
