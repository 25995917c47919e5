"""Fetching: what a run will read over the network, copied beside the country file before it runs.

Of each tile that is there it is counted how often its pixels were seen clear (``clear_looks``).
Copies lie in ``NAME.fetched/TILE/``. A run takes those that are whole, and needs no network then.
"""

from __future__ import annotations

import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.country.ledger import only_run
from osm4eo_xr.country.scenes.clear_looks import count_clear_looks
from osm4eo_xr.country.scenes.composites import fetched_folder, open_searched, wanted_of
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import sweep_below

if TYPE_CHECKING:
    from osm4eo_xr.catalogs.staging import Wanted
    from osm4eo_xr.country.context import CountryRun
    from osm4eo_xr.progress import Progress


_THREADS = 8  # they wait for servers
_NAMED = 3  # items in a message
_PIXEL = 2  # bytes of a band's pixel, before compression


@dataclass(frozen=True)
class TileFetch:
    """What is to be fetched for a tile.

    Attributes
    ----------
    tile : str
        Its id.
    items : int
        How many touch it.
    done : int
        Those of which all is there.
    gigabytes : float
        Of the others, uncompressed, estimated from what items state.
    """

    tile: str
    items: int
    done: int
    gigabytes: float


@dataclass(frozen=True)
class _Job:
    """An item of a tile."""

    tile: str
    item: dict[str, Any]
    wanted: Wanted
    folder: Path


def fetch_country(path: str | Path, *, progress: Progress | None = None) -> list[Path]:
    """Copy what a country's run reads over the network, as far as no copy is whole.

    Killed, it goes on where it was. Afterwards ``run_country`` reads the copies, with the same
    result; with the items frozen, it needs no network.

    Parameters
    ----------
    path : str or Path
        The country file.
    progress : callable, optional
        Called as ``progress(done, total)`` after each item, and for each tile when its clear
        looks are counted.

    Returns
    -------
    list of Path
        The folder of each tile's copies.

    Raises
    ------
    InputError
        If the country file cannot be used, or items could not be fetched; all others are there.
    """
    run, jobs = _open(path)
    folders = sorted({job.folder for job in jobs})
    if not folders:
        return []
    folders[0].parent.mkdir(exist_ok=True)
    tiles = [tile for tile in run.tiles if tile.source.stac]
    steps = count(1)

    def told() -> None:
        if progress is not None:
            progress(next(steps), len(jobs) + len(tiles))

    with only_run(folders[0].parent), ThreadPoolExecutor(_THREADS) as pool:
        sweep_below(folders[0].parent)
        bad: dict[str, list[str]] = defaultdict(list)
        for job, failure in zip(jobs, pool.map(_fetch, jobs), strict=True):
            bad[job.tile] += [failure] if failure else []
            told()
        for tile in tiles:
            if not bad[tile.id]:
                count_clear_looks(run, tile)
            told()
    _refuse([failure for failures in bad.values() for failure in failures], len(jobs))
    return folders


def _refuse(bad: list[str], total: int) -> None:
    """Say which items could not be fetched, if there are any."""
    if bad:
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise InputError(
            f"{len(bad)} of {total} items could not be fetched: {'; '.join(bad[:_NAMED])}{more}",
            advice="all others are there; run the same command again",
        )


def plan_fetch(path: str | Path) -> list[TileFetch]:
    """Work out what ``fetch_country`` would copy; no pixel and no header is read."""
    from osm4eo_xr.catalogs.staging import is_staged_whole

    run, jobs = _open(path)
    plan = []
    for tile in run.tiles:
        own = [job for job in jobs if job.tile == tile.id]
        left = [job for job in own if not is_staged_whole(job.item, job.wanted, job.folder)]
        if own:
            size = sum(_gigabytes(job) for job in left)
            plan.append(TileFetch(tile.id, len(own), len(own) - len(left), size))
    return plan


def _open(path: str | Path) -> tuple[CountryRun, list[_Job]]:
    """Read a country file and list the items that its composites read."""
    from osm4eo_xr.catalogs.footprints import touching
    from osm4eo_xr.catalogs.items import read_items

    run = open_searched(path)
    jobs = []
    for tile in run.tiles:
        if tile.source.stac:
            wanted, folder = wanted_of(run, tile), fetched_folder(run, tile)
            items = touching(read_items(run.base / tile.source.stac), wanted.geobox)
            jobs += [_Job(tile.id, item, wanted, folder) for item in items]
    return run, jobs


def _fetch(job: _Job) -> str:
    """Copy an item; return why it could not be, or nothing."""
    from osm4eo_xr.catalogs.staging import stage_item

    try:
        stage_item(job.item, job.wanted, job.folder)
    except (InputError, OSError) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, say full
            raise
        return f"{job.tile}, {job.item['id']} ({' '.join(str(error).split())})"
    return ""


def _gigabytes(job: _Job) -> float:
    """Estimate what is to be copied of an item from its footprint and its assets' pixel sizes."""
    from osm4eo_xr.catalogs.footprints import footprint
    from osm4eo_xr.catalogs.items import pixel_size

    box, ground = job.wanted.geobox, footprint(job.item)
    whole = box.geographic_extent.geom
    share = ground.intersection(whole).area / whole.area if ground is not None else 1.0
    area = abs(box.resolution.x * box.resolution.y) * box.shape[0] * box.shape[1] * share
    sizes = [
        (pixel_size(key, job.item["assets"][key]), 1 if name == "classes" else _PIXEL)
        for name, key in job.wanted.keys(job.item).items()
    ]
    usual = abs(box.resolution.x)  # where nothing states a pixel size
    return sum(area / (size if math.isfinite(size) else usual) ** 2 * n for size, n in sizes) / 1e9
