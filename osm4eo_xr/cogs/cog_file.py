"""A COG in the making: what it says, where it is staged, and how it gets into its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rasterio
import rasterio.shutil

from osm4eo_xr.cogs.levels import BLOCK, Layout, LevelFiles
from osm4eo_xr.cogs.sidecars import Category, sidecars_of, write_aux, write_item, write_style
from osm4eo_xr.files import put, real_place, workplace
from osm4eo_xr.process.threads import allowed_threads

_CACHE = 16_000_000  # bytes, 64 tiles of bytes; GDAL would take 5 % of the machine's memory
_LEVEL = 6  # of either compression; zstd's 9, GDAL's default, takes 1.5 times as long for 3 % less
_MAX_COLORS = 256


@dataclass(frozen=True)
class Contents:
    """What the file and those beside it say of the pixels.

    Attributes
    ----------
    categories : tuple of Category
        Classes; none for quantities.
    tags : dict
        GDAL's metadata.
    datetime : str
        When the ground was seen (RFC 3339); empty where that is not known.
    digest : str
        Hash of the model that made the map, or empty.
    """

    categories: tuple[Category, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    datetime: str = ""
    digest: str = ""


def colors_of(categories: tuple[Category, ...]) -> tuple[tuple[int, tuple[int, int, int]], ...]:
    """Return the colors that a GeoTIFF's table of 256 has room for."""
    return tuple((c.value, c.color) for c in categories if c.value < _MAX_COLORS)


@contextmanager
def new_cog(
    path: Path, layout: Layout, contents: Contents, compression: str = "zstd"
) -> Iterator[LevelFiles]:
    """Give level files to fill; then the COG and what goes beside it are put in their place.

    Nothing is changed there when filling them fails.
    """
    path = real_place(path)
    with workplace(path) as folder, rasterio.Env(GDAL_CACHEMAX=_CACHE):
        apart = folder / "levels"  # whose files are named by scale, as "2.tif" may be the raster's
        apart.mkdir()
        with LevelFiles(apart, layout) as levels:
            yield levels
            levels.fill_coarse()
            source = levels.vrt(contents.tags)
        whole = _assemble(source, folder / path.name, layout, compression)
        beside = _sidecars(whole, contents)
        for old in set(sidecars_of(path)) - {path.with_name(p.name) for p in beside}:
            old.unlink(missing_ok=True)
        for file in (*beside, whole):
            put(file, path.with_name(file.name))


def _sidecars(whole: Path, contents: Contents) -> list[Path]:
    """Write the files that go beside the raster."""
    made = [write_aux(whole, contents.categories)]
    if contents.categories:
        made.append(write_style(whole, contents.categories))
    if contents.datetime:
        when, digest = contents.datetime, contents.digest
        made.append(write_item(whole, contents.categories, datetime=when, digest=digest))
    return made


def _assemble(source: Path, target: Path, layout: Layout, compression: str) -> Path:
    """Copy the levels into one COG and have GDAL look whether it is one."""
    rasterio.shutil.copy(
        source,
        target,
        driver="COG",
        blocksize=BLOCK,
        compress=compression.upper(),
        level=str(_LEVEL),
        predictor="NO" if layout.classes else "YES",
        bigtiff="IF_SAFER",
        overviews="FORCE_USE_EXISTING" if layout.scales else "NONE",
        num_threads=str(allowed_threads()),
        sparse_ok="YES",
        statistics="NO",
    )
    with rasterio.open(target) as file:
        if file.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") != "COG":
            raise RuntimeError(f"{target.name} came out as a GeoTIFF that is no COG")
    return target
