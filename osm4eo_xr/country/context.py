"""A country file made concrete: what all pieces of a run share, and what a piece is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import geopandas as gpd
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr._version import __version__
from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.country.ledger import Ledger, key_of
from osm4eo_xr.country.product_names import landuse_in, original_stem, product_name
from osm4eo_xr.country.scenes.label_rasters import given_labels
from osm4eo_xr.country.scenes.open_offsets import OpenOffsets
from osm4eo_xr.country.scenes.tiles import Tile, find_tiles
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, target_geobox
from osm4eo_xr.legend import Legend, default_legend, is_built_in, load_legend

if TYPE_CHECKING:
    from odc.geo.geom import BoundingBox

    from osm4eo_xr.country.settings import CountrySettings
    from osm4eo_xr.progress import Progress

Opener = Callable[[Path], xr.DataArray]

Kind = Literal[
    "scene",
    "harmony",
    "land use",
    "labels",
    "samples",
    "model",
    "classified",
    "sieved",
    "mosaic",
    "applicability",
    "noise",
    "provenance",
    "layer",
    "vector",
    "fractions",
    "tasks",
    "accuracy",
    "report",
    "viewer",
]
"""What a piece of a run may be."""

NOISE_FILE = "noise.json"
"""Where a run keeps the noise of labels that it estimated, in its folder."""

HARMONY_FILE = "harmony.json"
"""Where a run keeps what brings its tiles to one radiometry, in its folder."""

REPORTS = ("report.json", "report.html")
"""The report of a run, in its folder."""

VIEWER = "viewer"
"""The folder of the page that shows a run's maps, in the run's folder."""

TASKS_FILE = "tasks.geojson"
"""What mappers are asked to look at, in the run's folder."""

PROBABILITIES = "_probabilities.tif"
"""How files of class probabilities end, which have a band per class."""

_OF_TILES = ("scene", "labels", "classified", "sieved")


@dataclass(frozen=True)
class Piece:
    """One thing that is made as a whole and recorded in the ledger.

    Attributes
    ----------
    kind : str
        What is made.
    of : str
        Tile or layer that it is made of; nothing if it is one for the whole country.
    key : str
        Hash over all it depends on.
    outputs : tuple of Path
        Files or folders it leaves.
    make : callable
        Makes it; takes a progress callback.
    lazy : callable, optional
        Returns the lazy raster that ``make`` writes, given how maps are opened; for the plan.
    pixels : int
        Pixels to work through, for the plan.
    read, written : int
        Bytes, estimated, for the plan.
    """

    kind: Kind
    of: str
    key: str
    outputs: tuple[Path, ...]
    make: Callable[[Progress | None], object] = field(repr=False)
    lazy: Callable[[Opener], xr.DataArray] | None = field(default=None, repr=False)
    pixels: int = 0
    read: int = 0
    written: int = 0

    @property
    def name(self) -> str:
        """Name in the ledger and the plan."""
        return f"{self.kind} {self.of}".rstrip()

    @property
    def tile(self) -> str:
        """Id of the tile that it shows; nothing if it shows the whole country."""
        return self.of if self.kind in _OF_TILES else ""


class CountryRun:
    """What every piece of a run shares: settings, tiles, legend, paths, hashes."""

    def __init__(self, settings: CountrySettings, base: Path, ledger: Ledger, out: Path) -> None:
        self.settings = settings
        self.base = base
        self.out = out
        self._ledger = ledger
        self._offsets = OpenOffsets()
        self._told: dict[Path, list[Any]] = {}
        self.tiles = find_tiles(settings, base)

    @cached_property
    def legend(self) -> Legend:
        """The run's legend; its file, if it has one, is an input."""
        named = self.settings.legend
        if not named or is_built_in(named):
            return load_legend(named) if named else default_legend()
        legend = load_legend(self.base / named)
        self._ledger.fingerprint(self.base / named)
        return legend

    @cached_property
    def boxes(self) -> dict[str, GeoBox]:
        """Grid of each tile."""
        boxes = {t.id: self._box_of(t) for t in self.tiles}
        self._offsets.tell(len(boxes))
        return boxes

    @cached_property
    def sides(self) -> dict[str, BoundingBox]:
        """Left, bottom, right and top of each tile, in its CRS."""
        return {tile: box.boundingbox for tile, box in self.boxes.items()}

    def _box_of(self, tile: Tile) -> GeoBox:
        if tile.source.stac:
            west, south, east, north = tile.source.bounds
            return target_geobox((west, south, east, north), bounds_crs=tile.source.bounds_crs)
        return geobox_of(self.open_scene(tile))

    def open_scene(self, tile: Tile) -> xr.DataArray:
        """Open a tile's scene on the product grid; lazy."""
        with self._offsets.gathered(tile.id):
            return self._opened(tile)

    def _opened(self, tile: Tile) -> xr.DataArray:
        from osm4eo_xr.imagery.clouds.opening import open_clear_scene
        from osm4eo_xr.imagery.scenes import open_scene

        files, source = [str(f) for f in tile.files], tile.source
        if source.stac:  # a composite of our own: reflectance
            return open_scene(files, bands=source.bands or None)
        numbers: Any = {"scale": source.scale, "offset": source.offset, "nodata": source.nodata}
        bands, method = source.bands or None, source.mask_clouds
        if not method or source.clouds < 0:
            return open_scene(files, bands=bands, **numbers)
        how: Any = {"bands": bands, "dilation": source.clouds, "level": source.level}
        return open_clear_scene(files, method, **how, **numbers)

    @cached_property
    def grid(self) -> GeoBox:
        """The smallest grid around all tiles, on which the country's maps lie."""
        from osm4eo_xr.maps.country_mosaic import grid_around

        return grid_around(list(self.boxes.values()))

    def product(self, kind: Literal["mosaic", "sieved", "labels"]) -> Path:
        """Return the place of one of the country's maps, as ``[products]`` names them."""
        plain = self.settings.products.names == "plain"
        stem = "" if plain else original_stem(self.settings, next(iter(self.boxes.values())))
        return self.out / product_name(self.settings, kind, stem)

    @property
    def final_map(self) -> Path:
        """The map that layers and the report are taken from."""
        return self.product("sieved" if self.settings.sieve.when == "after" else "mosaic")

    @property
    def model_path(self) -> Path:
        """Folder of the model that classifies."""
        given = self.settings.classify.model
        return self.base / given if given else self.out / "model"

    def key_of(self, step: str, *parts: object) -> str:
        """Return the hash of a piece: its step, what it needs, and what every raster carries."""
        return key_of(step, __version__, self.legend.to_dict(), self.settings.compression, parts)

    def hash_of(self, *paths: str | Path) -> str:
        """Return one hash over input files."""
        return key_of([self._ledger.fingerprint(self.base / p) for p in paths])

    def told_of(self, paths: Sequence[Path]) -> list[Any]:
        """Return what names and metadata around scenes say of them (``told_around``)."""
        from osm4eo_xr.imagery.products.origins import told_around

        for path in paths:
            if path not in self._told:
                self._told[path] = told_around(path)
        return [self._told[path] for path in paths]

    def model_digest(self) -> str:
        """Return the hash of the model that classifies.

        Raises
        ------
        InputError
            If there is no model, or its classes are not those of the run's legend.
        """
        from osm4eo_xr.models.model_folder import read_saved

        model = read_saved(self.model_path)
        strange = sorted(set(model.class_ids) - {0, *self.legend.ids})
        if strange:
            raise InputError(
                f"model {self.model_path} knows class {strange[0]}, which legend "
                f"{self.legend.name!r} does not have",
                advice="set legend to the one it was trained with",
            )
        return model.digest

    def pixels_of(self, tile: Tile) -> int:
        """Return the number of pixels of a tile on the product grid."""
        height, width = self.boxes[tile.id].shape
        return height * width

    def total(self) -> int:
        """Return the number of pixels of all tiles."""
        return sum(self.pixels_of(t) for t in self.tiles)

    def bytes_of(self, tile: Tile) -> int:
        """Return the size of a tile's files; of a composite that is still to be made, 4 bands'."""
        if all(f.is_file() for f in tile.files):
            return sum(f.stat().st_size for f in tile.files)
        return 16 * self.pixels_of(tile)

    def label_paths(self) -> list[Path]:
        """Return the class raster of each tile that is learned from."""
        labels = self.settings.labels
        if labels is not None and labels.rasters:
            return self._given_labels
        return [self.out / "labels" / f"{t.id}.tif" for t in self.tiles]

    @cached_property
    def _given_labels(self) -> list[Path]:
        return given_labels(self, self.settings.labels.rasters if self.settings.labels else ())

    @property
    def landuse(self) -> Path | None:
        """The folder of the areas that labels are made of, if they are made of any."""
        return landuse_in(self.out, self.settings)

    @property
    def provenance(self) -> Path:
        """The place of the map that says what of the final map OpenStreetMap knows."""
        return self.out / "provenance.tif"

    def noise(self) -> xr.DataArray:
        """Return the noise of labels: the settings' or, if this run estimated it, that."""
        from osm4eo_xr.maps.known_rules import noise_table

        known, estimate = self.settings.known, self.out / NOISE_FILE
        rows = known.noise if known is not None else {}
        if not rows and estimate.is_file():  # a plan asks before there is one
            rows = json.loads(estimate.read_text(encoding="utf-8"))["noise"]
        return noise_table(rows, self.legend)

    def open_labels(self, path: Path) -> xr.DataArray:
        """Open one of these rasters as class ids; lazy."""
        from osm4eo_xr.labels.label_rasters import read_labels

        given = self.settings.labels
        codes = given.codes if given is not None and given.rasters else "id"
        return read_labels(path, codes=codes, legend=self.legend)

    def outline(self) -> gpd.GeoDataFrame | Path | None:
        """Return the boundary's file, or one layer or country's rows of it."""
        from osm4eo_xr.geometry.vectors import read_vector
        from osm4eo_xr.places.outlines import country_boundary

        settings = self.settings.boundary
        if not settings.file:
            return country_boundary(settings.country) if settings.country else None
        path = self.base / settings.file
        if settings.country:
            return country_boundary(settings.country, path, settings.layer)
        return read_vector(path, "boundary", layer=settings.layer) if settings.layer else path

    def skipped_of(self, tile: Tile) -> tuple[Path, ...]:
        """Return the file that lists the items left out of a tile, if any may be."""
        own = tile.source.stac and tile.source.skip_unreadable
        return (tile.files[0].with_suffix(".skipped.json"),) if own else ()

    def write(
        self,
        raster: xr.DataArray,
        path: Path,
        day: str = "",
        progress: Progress | None = None,
        *,
        digest: str = "",
        classes: bool = True,
    ) -> None:
        """Write a product with the legend, the model's hash and the day it shows."""
        path.parent.mkdir(exist_ok=True)
        about = {"datetime": instant(day or self.settings.date), "digest": digest}
        attrs = {k: v for k, v in raster.attrs.items() if k not in about}
        raster = raster.drop_attrs(deep=False).assign_attrs(attrs)
        write_cog(
            raster.assign_attrs({k: v for k, v in about.items() if v}),
            path,
            legend=self.legend if classes else None,
            compression=self.settings.compression,
            progress=progress,
        )


def instant(day: str) -> str:
    """Return a day as STAC states when the ground was seen; nothing for no day."""
    return f"{day}T00:00:00Z" if day else ""
