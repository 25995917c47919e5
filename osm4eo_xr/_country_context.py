"""A country file made concrete: tiles, paths, the piece of a run."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr._country_ledger import Ledger, key_of
from osm4eo_xr.cog import write_cog
from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import find_country, geobox_of
from osm4eo_xr.legend import Legend, default_legend, load_legend

if TYPE_CHECKING:
    from osm4eo_xr._country_settings import CountrySettings

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Tile:
    """One tile: its id, the files of its scene and their day."""

    id: str
    files: tuple[Path, ...]
    date: str


@dataclass(frozen=True)
class Piece:
    """One thing that is made as a whole and recorded in the ledger.

    Attributes
    ----------
    name : str
        Name in the ledger and the plan.
    key : str
        Hash over all it depends on.
    outputs : tuple of Path
        Files or folders it leaves.
    make : callable
        Makes it; takes a progress callback.
    pixels : int
        Pixels to work through, for the plan.
    read, written : int
        Bytes, estimated, for the plan.
    """

    name: str
    key: str
    outputs: tuple[Path, ...]
    make: Callable[[Progress | None], object] = field(repr=False)
    pixels: int = 0
    read: int = 0
    written: int = 0


class Country:
    """What every piece of a run shares: settings, tiles, legend, paths, hashes."""

    def __init__(self, settings: CountrySettings, base: Path, ledger: Ledger, out: Path) -> None:
        self.settings = settings
        self.base = base
        self.out = out
        self._ledger = ledger
        self.tiles = _find_tiles(settings, base)

    @cached_property
    def legend(self) -> Legend:
        """The run's legend."""
        path = self.settings.legend
        return load_legend(self.base / path) if path else default_legend()

    @cached_property
    def boxes(self) -> dict[str, GeoBox]:
        """Grid of each tile."""
        return {t.id: geobox_of(self.open_scene(t)) for t in self.tiles}

    def open_scene(self, tile: Tile) -> xr.DataArray:
        """Open a tile's scene on the product grid; lazy."""
        from osm4eo_xr.scene import open_scene

        return open_scene([str(f) for f in tile.files])

    @property
    def final_map(self) -> Path:
        """The map that layers and the report are taken from."""
        name = "sieved.tif" if self.settings.sieve.when == "after" else "mosaic.tif"
        return self.out / name

    @property
    def model_path(self) -> Path:
        """Folder of the model that classifies."""
        given = self.settings.classify.model
        return self.base / given if given else self.out / "model"

    def hash_of(self, *paths: str | Path) -> str:
        """Return one hash over input files."""
        return key_of([self._ledger.fingerprint(self.base / p) for p in paths])

    @cached_property
    def model_digest(self) -> str:
        """Hash of the model that classifies."""
        from osm4eo_xr.model import load_model

        return load_model(self.model_path).digest

    def pixels_of(self, tile: Tile) -> int:
        """Return the number of pixels of a tile on the product grid."""
        height, width = self.boxes[tile.id].shape
        return height * width

    def total(self) -> int:
        """Return the number of pixels of all tiles."""
        return sum(self.pixels_of(t) for t in self.tiles)

    def bytes_of(self, tile: Tile) -> int:
        """Return the size of a tile's files."""
        return sum(f.stat().st_size for f in tile.files)

    def label_paths(self) -> list[Path]:
        """Return the class raster of each tile that is learned from."""
        labels = self.settings.labels
        if labels is not None and labels.rasters:
            found = [p for r in labels.rasters for p in _expand(self.base, r)]
            if len(found) != len(self.tiles):
                raise InputError(
                    f"{len(found)} label rasters for {len(self.tiles)} tiles; give one per tile"
                )
            return found
        return [self.out / "labels" / f"{t.id}.tif" for t in self.tiles]

    def outline(self) -> gpd.GeoDataFrame | Path | None:
        """Return the boundary's file, or one country's rows of it."""
        from osm4eo_xr.mosaic import country_boundary

        settings = self.settings.boundary
        if not settings.file:
            return None
        path = self.base / settings.file
        if not settings.country:
            return path
        return country_boundary(find_country(settings.country).code, path)

    def write(
        self,
        raster: xr.DataArray,
        path: Path,
        day: str = "",
        progress: Progress | None = None,
        *,
        classes: bool = True,
    ) -> None:
        """Write a product with the legend, the model's hash and the day it shows."""
        path.parent.mkdir(exist_ok=True)
        day = day or self.settings.date
        if day:
            raster = raster.assign_attrs(datetime=f"{day}T00:00:00Z")
        if (self.model_path / "model.json").is_file():
            raster = raster.assign_attrs(model=self.model_digest)
        write_cog(raster, path, legend=self.legend if classes else None, progress=progress)


def _expand(base: Path, pattern: str) -> list[Path]:
    """Return the files that a path or glob names, in order."""
    found = sorted(Path(p) for p in glob.glob(str(base / pattern), recursive=True))  # noqa: PTH207 - absolute patterns too
    if not found:
        raise InputError(f"no file {base / pattern}; check the path or glob in the country file")
    return found


def _find_tiles(settings: CountrySettings, base: Path) -> list[Tile]:
    """List the tiles in order of their ids."""
    tiles: list[Tile] = []
    for scene in settings.scenes:
        files = [p for pattern in scene.files for p in _expand(base, pattern)]
        day = scene.date or settings.date
        if scene.tile:
            tiles.append(Tile(scene.tile, tuple(files), day))
        else:
            tiles += [Tile(f.stem, (f,), day) for f in files]
    ids = [t.id for t in tiles]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise InputError(f"two tiles are called {twice[0]!r}; give each [[scenes]] its own tile id")
    return sorted(tiles, key=lambda t: t.id)
