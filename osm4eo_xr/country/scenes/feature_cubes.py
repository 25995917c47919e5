"""What the model sees of a tile: its scene, and the other groups of the country file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.scenes.harmony import open_common
from osm4eo_xr.country.scenes.tiles import Tile, files_of
from osm4eo_xr.feature_ids.ids import parse_feature
from osm4eo_xr.features.settings import TILE, FeatureGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from osm4eo_xr.country.context import CountryRun

_BLOCK = 1024  # pixels; edge of the blocks that tiles are classified in
_NUMBER = 4  # bytes of a float32


@dataclasses.dataclass(frozen=True)
class FeatureLoad:
    """What features cost.

    Attributes
    ----------
    features : tuple of str
        Their ids.
    pixel_bytes : int
        Bytes per pixel, as float32.
    gigabytes : float
        Of all tiles.
    block_megabytes : float
        Memory of a block of 1024 x 1024 pixels as it is read, before the margin that the network
        needs around it; each thread that reads holds one, and the one that computes another.
    """

    features: tuple[str, ...]
    pixel_bytes: int
    gigabytes: float
    block_megabytes: float

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{len(self.features)} features, {self.pixel_bytes} bytes per pixel, "
            f"{self.gigabytes:.3g} GB in all, {self.block_megabytes:,.0f} MB per block of "
            f"{_BLOCK:,} x {_BLOCK:,} pixels"
        )


def open_seen(run: CountryRun, tile: Tile) -> xr.DataArray:
    """Open what the model sees of a tile: its scene alone, or a cube of features; lazy.

    Raises
    ------
    InputError
        As ``open_features``.
    """
    return _stacked(run, tile, open_common(run, tile))


def _stacked(run: CountryRun, tile: Tile, scene: xr.DataArray) -> xr.DataArray:
    """Return a tile's scene with the other groups of features, if the country file names some."""
    if not run.settings.features:
        return scene
    from osm4eo_xr.features.cube import open_features
    from osm4eo_xr.features.sources import FeatureSource

    sources: dict[str, Any] = {}
    for group in run.settings.features:
        how: dict[str, Any] = {k: v for k, v in _told(group).items() if v not in ((), "", None)}
        data: Any = [str(p) for p in group_files(run, tile, group)] if group.files else scene
        sources[group.group] = FeatureSource(data, **how)
    return open_features(sources, geobox=run.boxes[tile.id])


def _told(group: FeatureGroup) -> dict[str, Any]:
    """Return what a group says of how it is read."""
    told = dataclasses.asdict(group)
    return {k: v for k, v in told.items() if k not in ("group", "files", "optional")}


def group_files(run: CountryRun, tile: Tile, group: FeatureGroup) -> list[Path]:
    """Return the files of a group for a tile.

    Raises
    ------
    InputError
        If there is none of a name.
    """
    names = (pattern.replace(TILE, tile.id) for pattern in group.files)
    return [path for name in names for path in files_of(run.base, name)]


def features_hash(run: CountryRun, tile: Tile) -> Any:
    """Return what a tile's features come from beside its scene; nothing if it has none."""
    return [
        (dataclasses.asdict(group), _files_hash(run, group_files(run, tile, group)))
        for group in run.settings.features
    ]


def _files_hash(run: CountryRun, files: list[Path]) -> Any:
    """Return what files say, with their names: these tell polarizations, directions, years."""
    told = run.told_of(files), [file.name for file in files]
    return [run.hash_of(*files), *told] if files else run.hash_of()


def optional_groups(run: CountryRun) -> list[str]:
    """Return the groups that a pixel may lack."""
    return [group.group for group in run.settings.features if group.optional]


def feature_load(run: CountryRun) -> FeatureLoad | None:
    """Return what the features of a run cost, from headers; None if it has its scenes alone.

    Raises
    ------
    InputError
        As ``open_features``.
    """
    if not run.settings.features:
        return None
    ids = seen_ids(run)
    size = _NUMBER * len(ids)
    return FeatureLoad(ids, size, size * run.total() / 1e9, size * _BLOCK**2 / 1e6)


def seen_ids(run: CountryRun) -> tuple[str, ...]:
    """Return the ids of what the model sees, bands or features, from headers.

    Raises
    ------
    InputError
        As ``open_features``.
    """
    tile = run.tiles[0]
    return tuple(map(str, _stacked(run, tile, _stand_in(run, tile))["band"].to_numpy()))


def _stand_in(run: CountryRun, tile: Tile) -> xr.DataArray:
    """Return a tile's scene or, before its composite is made, an empty one of the same bands."""
    if all(file.exists() for file in tile.files):
        return run.open_scene(tile)
    import dask.array as da

    from osm4eo_xr.country.scenes.composites import bands_of
    from osm4eo_xr.geometry.grid import georeference

    box, bands = run.boxes[tile.id], list(bands_of(tile))
    empty = da.zeros((len(bands), *(int(n) for n in tuple(box.shape))), dtype="float32")
    return georeference(empty, box, dims=("band", "y", "x"), coords={"band": bands})


def of_own_scene(run: CountryRun, numbers: Mapping[str, float]) -> dict[str, float]:
    """Return numbers by feature as numbers by band of the tiles' own scenes."""
    own = next((g.group for g in run.settings.features if not g.files), "s2")
    found = {parse_feature(name): number for name, number in numbers.items()}
    return {feature.band: n for feature, n in found.items() if feature.group == own}
