"""Where the model of a run applies to the country: its maps, and their shares in the report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from osm4eo_xr.country.context import CountryRun, Opener, Piece
from osm4eo_xr.country.counts import count_pairs
from osm4eo_xr.country.findings import page
from osm4eo_xr.country.pieces.map_files import write_map
from osm4eo_xr.country.pieces.map_pieces import beside, clipping
from osm4eo_xr.country.pieces.scores import TRUST_OUTPUTS
from osm4eo_xr.legend import PROBABILITY_NO_DATA

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

_NOTE = (
    "Shares of the final map's pixels that lie outside of what the model learned from, and how "
    "many classes it leaves open on the mean. Counted from dissimilarity.tif and set_size.tif, "
    "which show, where tiles overlap, the first of them that has data."
)


def trust_pieces(run: CountryRun, maps: list[Piece]) -> list[Piece]:
    """Return the pieces that join what tiles say of where the model applies, if they do.

    Parameters
    ----------
    run : CountryRun
        The run.
    maps : list of Piece
        Classified tiles among them.
    """
    if not run.settings.classify.applicability:
        return []
    tiles = [(p.of, p.key) for p in maps if p.kind == "classified"]
    where, total, pieces = (*clipping(run), run.settings.date), run.total(), []
    for name in TRUST_OUTPUTS:
        key, path = run.key_of("applicability", name, tiles, where), _path(run, name)
        lazy = partial(_join, run, name)
        work = partial(write_map, run, lazy, path, run.settings.date, classes=False)
        pieces.append(Piece("applicability", name, key, (path,), work, lazy, total, total, total))
    return pieces


def _path(run: CountryRun, name: str) -> Path:
    return run.out / f"{name}.tif"


def _join(run: CountryRun, name: str, opened: Opener) -> xr.DataArray:
    """Return what the tiles say in one map, clipped as the classes are; lazy."""
    from osm4eo_xr.maps.country_mosaic import mosaic

    tiles = {t.id: opened(beside(run, t, name)) for t in run.tiles}
    return mosaic(tiles, run.outline(), rule="first").rename(name)


def find_trust(run: CountryRun) -> dict[str, Any]:
    """Return shares of the final map that the model does not apply to, and sizes of sets.

    Returns
    -------
    dict
        ``outside`` (0-1) and ``set_size`` (mean) of all classified land, ``set_sizes`` (shares by
        size), and both figures by class; nothing if the run does not map them.
    """
    from osm4eo_xr.models.applicability import INDEX_SCALE
    from osm4eo_xr.rasters.open import open_raster

    if not run.settings.classify.applicability:
        return {}
    final = open_raster(run.final_map)
    index, sizes = (
        count_pairs(final, open_raster(_path(run, name))) for name in ("dissimilarity", "set_size")
    )
    rows = {c.slug: _shares(index[c.id], sizes[c.id], INDEX_SCALE) for c in run.legend.classes}
    ids = list(run.legend.ids)
    every, drawn = index[ids].sum(axis=0), sizes[ids].sum(axis=0)[:PROBABILITY_NO_DATA]
    shares = {
        str(k): round(float(drawn[k] / drawn.sum()), 6) for k in np.flatnonzero(drawn).tolist()
    }
    whole = _shares(every, sizes[ids].sum(axis=0), INDEX_SCALE)
    return {**whole, "set_sizes": shares, "classes": {k: v for k, v in rows.items() if v["pixels"]}}


def _shares(index: np.ndarray, sizes: np.ndarray, scale: int) -> dict[str, Any]:
    """Return pixels, the share of them outside, and the mean size of their sets."""
    index, sizes = index[:PROBABILITY_NO_DATA], sizes[:PROBABILITY_NO_DATA]
    pixels, drawn = int(index.sum()), max(int(sizes.sum()), 1)
    return {
        "pixels": pixels,
        "outside": round(float(index[scale + 1 :].sum()) / max(pixels, 1), 6),
        "set_size": round(float(sizes @ np.arange(len(sizes))) / drawn, 4),
    }


def trust_parts(trust: dict[str, Any]) -> list[str]:
    """Show in the page where the map is not to be trusted."""
    if not trust:
        return []
    rows = [("all classes", trust), *trust["classes"].items()]
    shown = [(n, f"{r['outside']:.1%} outside, {r['set_size']:.2f} classes") for n, r in rows]
    return [
        "<h2>Where not to trust the map</h2>",
        f"<p>{_NOTE}</p>",
        page.table(("class", "share outside, size of sets"), shown),
    ]
