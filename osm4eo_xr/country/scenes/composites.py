"""The composite of a tile's STAC items: what it reads, where copies of that lie, how it is made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.context import CountryRun
from osm4eo_xr.country.ledger import Ledger
from osm4eo_xr.country.scenes.searches import with_found_scenes
from osm4eo_xr.country.settings_file import read_country

if TYPE_CHECKING:
    import xarray as xr

    from osm4eo_xr.catalogs.staging import Wanted
    from osm4eo_xr.country.scenes.tiles import Tile

BANDS = ("blue", "green", "red", "nir")
"""What composites of items hold where no one names bands."""


def open_searched(path: str | Path) -> CountryRun:
    """Open a country file whose searches are done first; nothing is made."""
    file = Path(os.path.realpath(path))  # which leaves links that lead nowhere to the reader
    settings, out = with_found_scenes(read_country(path), file), file.parent
    out = out / settings.out
    return CountryRun(settings, file.parent, Ledger(out, hashing=False), out)


def wanted_of(run: CountryRun, tile: Tile) -> Wanted:
    """Return what a tile's composite reads of each item."""
    from osm4eo_xr.catalogs.items import asked_band
    from osm4eo_xr.catalogs.staging import Wanted
    from osm4eo_xr.imagery.clouds.opening import bands_needed

    source, method = tile.source, tile.source.mask_clouds or "scl"
    masked, bands = source.clouds >= 0, bands_of(tile)
    looked = [b for b in bands_needed(method) if b not in map(asked_band, bands)] if masked else []
    return Wanted(
        run.boxes[tile.id],
        tuple(asked_band(b) for b in (*bands, *looked)),
        classes=masked and method == "scl",
        corners=source.skip_unreadable,
    )


def bands_of(tile: Tile) -> tuple[str, ...]:
    """Return the bands of a tile's composite."""
    return tuple(tile.source.bands or BANDS)


def fetched_folder(run: CountryRun, tile: Tile) -> Path:
    """Return where a tile's copies lie: beside the frozen items, or the country file."""
    frozen = (run.base / tile.source.stac).parent
    name = frozen.stem if frozen.suffix == ".items" else run.out.name
    return run.base / f"{name}.fetched" / tile.id


def copied_items(run: CountryRun, tile: Tile) -> list[dict[str, Any]]:
    """Return a tile's items, whose assets name their copies where these are whole."""
    from osm4eo_xr.catalogs.items import read_items
    from osm4eo_xr.catalogs.staging import with_copies

    items = read_items(run.base / tile.source.stac)
    return with_copies(items, wanted_of(run, tile), fetched_folder(run, tile))


def tile_composite(
    run: CountryRun,
    tile: Tile,
    items: list[dict[str, Any]],
    bands: Sequence[str],
    *,
    method: str | None = None,
) -> xr.Dataset:
    """Return ``composite_items`` of a tile by the settings of its table, or another method."""
    from osm4eo_xr.catalogs.stac import composite_items

    source = tile.source
    how: Any = method or source.composite
    level: Any = source.level or None
    return composite_items(
        items,
        run.boxes[tile.id],
        bands,
        method=how,
        clouds=source.mask_clouds or "scl",
        level=level,
        dilation=source.clouds if source.clouds >= 0 else None,
        scale=source.scale,
        offset=source.offset,
        skip_unreadable=source.skip_unreadable,
    )
