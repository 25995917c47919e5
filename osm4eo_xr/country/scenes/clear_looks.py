"""How often the pixels of a tile were seen clear, counted once its imagery is there.

The counts lie beside the copies, for ``osm4eo-xr search`` to show.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.country.scenes.composites import (
    bands_of,
    copied_items,
    fetched_folder,
    open_searched,
    tile_composite,
)
from osm4eo_xr.files import replace_text

if TYPE_CHECKING:
    from osm4eo_xr.country.context import CountryRun
    from osm4eo_xr.country.scenes.searches import TileItems
    from osm4eo_xr.country.scenes.tiles import Tile

_NAME = "clear_looks.json"


def count_clear_looks(run: CountryRun, tile: Tile) -> tuple[int, ...]:
    """Return how many pixels of a tile's box were seen clear 0, 1, 2, … times.

    Counted as the run counts, by its cloud mask, in the first of its bands, and kept beside the
    copies.
    """
    kept = _kept(run, tile)
    if kept:
        return kept
    items = copied_items(run, tile)
    made = tile_composite(run, tile, items, bands_of(tile)[:1], method="median")
    counts = _histogram(made["observations"].data, len(items))
    told = {"of": _key(run, tile), "pixels": counts}
    folder = fetched_folder(run, tile)
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / _NAME, json.dumps(told) + "\n")
    return counts


def with_clear_looks(found: Sequence[TileItems], country_file: Path, least: int) -> list[TileItems]:
    """Return what a search found with the pixels that have few clear looks, where that was counted.

    Parameters
    ----------
    found : sequence of TileItems
        From ``search_scenes``.
    country_file : Path
        The country file.
    least : int
        Pixels with fewer clear looks are few.
    """
    if not any(tile.days for tile in found):
        return list(found)
    run = open_searched(country_file)
    counts = {tile.id: _kept(run, tile) for tile in run.tiles if tile.source.stac}
    known = ((tile, counts.get(tile.tile, ())) for tile in found)
    return [
        dataclasses.replace(
            tile, clear_looks=looks, few_looks=sum(looks[:least]) if looks else None
        )
        for tile, looks in known
    ]


def _histogram(observations: Any, most: int) -> tuple[int, ...]:
    """Count how often each of 0 … ``most`` occurs, chunk by chunk."""
    import dask.array as da

    edges: Any = np.arange(most + 2) - 0.5
    counts: Any = da.histogram(observations, bins=edges)[0]
    return tuple(int(n) for n in counts.compute())


def _kept(run: CountryRun, tile: Tile) -> tuple[int, ...]:
    """Return what was counted of just these items, settings and ground; nothing if nothing was."""
    try:
        told = json.loads((fetched_folder(run, tile) / _NAME).read_text(encoding="utf-8"))
        return tuple(map(int, told["pixels"])) if told["of"] == _key(run, tile) else ()
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _key(run: CountryRun, tile: Tile) -> str:
    from osm4eo_xr.catalogs.items import read_items

    items, box = read_items(run.base / tile.source.stac), run.boxes[tile.id]
    return run.key_of("looks", items, dataclasses.asdict(tile.source), box)
