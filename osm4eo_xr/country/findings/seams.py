"""Whether tiles and blocks show in a run's maps: figures and pictures of seams, for the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dask
import xarray as xr

from osm4eo_xr.country.findings import page
from osm4eo_xr.country.pieces.map_pieces import sees_around

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from osm4eo_xr.country.context import CountryRun
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.maps.seams import Seam
    from osm4eo_xr.models.model import Model

_WORST = 10  # edges that the page lists and shows
_NOTE = (
    "How much more often the class changes across the edges of tiles than across lines 2 to 16 "
    "pixels beside them, and how much more the shares of classes differ between both sides. Both "
    "are about 0 where tiles fit. Edges of the greatest excess come first."
)
_BLOCKS = (
    "Inside of tiles the same is measured across the edges of the blocks in which they were "
    "classified. Blocks are computed with all that the network sees around them, so that this is 0 "
    "but for chance; an interval far from 0 is a fault."
)

_LENGTH = 96  # pixels of an edge in its picture
_DEPTH = 24  # pixels on both sides of it


def find_seams(run: CountryRun) -> list[Seam]:
    """Return the seams of the final map, all together and one by one; none of a single tile."""
    from osm4eo_xr.maps.seams import seam_certificate
    from osm4eo_xr.rasters.open import open_raster

    if len(run.tiles) == 1:
        return []
    return seam_certificate(open_raster(run.final_map), run.boxes, seed=run.settings.seed)


def find_block_seam(run: CountryRun) -> Seam | None:
    """Return the seam of all edges of blocks in unsieved tiles; None without any."""
    from osm4eo_xr.maps.seams import block_seam
    from osm4eo_xr.models.model_folder import load_model

    model = load_model(run.model_path)
    found = block_seam(_cut_tiles(run, model), stride=model.stride, seed=run.settings.seed)
    return found if found.pairs else None


def _cut_tiles(
    run: CountryRun, model: Model
) -> Iterator[tuple[xr.DataArray, list[int], list[int]]]:
    """Yield the class map of each tile with the rows and columns on which blocks begin."""
    from osm4eo_xr.inference.blocks import block_edges
    from osm4eo_xr.rasters.open import open_raster

    for tile in run.tiles:
        how: Any = {"around": sees_around(model), "flips": run.settings.classify.flips}
        edges = block_edges(run.boxes[tile.id], model, **how)
        yield open_raster(run.out / "classified" / f"{tile.id}.tif"), *edges


def seam_parts(run: CountryRun, seams: list[Seam], inside: Seam | None) -> list[str]:
    """Show in the page how much more often the class changes across edges, and where most."""
    from osm4eo_xr.rasters.open import open_raster

    blocks = [] if inside is None else [f"<p>{_BLOCKS} Excess: {_excess(inside)}.</p>"]
    if not seams:
        return ["<h2>Seams</h2>", *blocks] if blocks else []
    rows = [("all edges", _excess(seams[0])), *((_place(s), _excess(s)) for s in _worst(seams))]
    parts = ["<h2>Seams</h2>", f"<p>{_NOTE}</p>"]
    parts.append(page.table(("edge, in pixels of the map", "excess"), rows))
    parts += blocks
    figure = _figure(open_raster(run.final_map), seams, run.legend)
    if figure is not None:
        parts.append(page.folded("Pictures of the worst", page.image(figure, "Map at tile edges")))
    return parts


def _figure(class_map: xr.DataArray, seams: list[Seam], legend: Legend) -> Figure | None:
    """Draw the map around the worst edges, each where its class changes most; None without any."""
    from osm4eo_xr.plot.maps import class_panels

    worst = _worst(seams)
    if not worst:
        return None
    parts: Any = dask.compute([_around(class_map, seam) for seam in worst])[0]  # pyright: ignore[reportPrivateImportUsage] - documented there
    panels = [
        (f"{_place(seam)}\n{seam.excess:+.2%}", part, seam.axis, _coordinate(class_map, seam))
        for seam, part in zip(worst, parts, strict=True)
    ]
    return class_panels(panels, legend=legend)


def _worst(seams: list[Seam]) -> list[Seam]:
    return [seam for seam in seams[1 : _WORST + 1] if seam.pairs]


def _coordinate(class_map: xr.DataArray, seam: Seam) -> float:
    """Return where an edge lies, in units of the map's CRS."""
    before, after = class_map[seam.axis].to_numpy()[seam.at - 1 : seam.at + 1]
    return float(before + after) / 2


def _around(class_map: xr.DataArray, seam: Seam) -> xr.DataArray:
    """Cut the map around the worst part of an edge; the edge lies in the middle."""
    begin = max(seam.worst - _LENGTH // 2, seam.start)
    along = slice(begin, min(begin + _LENGTH, seam.end))
    across = slice(max(seam.at - _DEPTH, 0), seam.at + _DEPTH)
    y, x = (across, along) if seam.axis == "y" else (along, across)
    return class_map.isel(y=y, x=x)


def _place(seam: Seam) -> str:
    along, line = ("rows", "column") if seam.axis == "x" else ("columns", "row")
    return f"{line} {seam.at}, {along} {seam.start} to {seam.end}"


def _excess(seam: Seam) -> str:
    if not seam.pairs:
        return "no pixel with a class on both sides"
    known = seam.low == seam.low
    interval = f" (95 %: {seam.low:+.2%} to {seam.high:+.2%})" if known else ""
    shares = "" if seam.shift != seam.shift else f"; shares shift by {seam.shift:+.1%}"
    return f"{seam.excess:+.2%}{interval} of {seam.pairs:,}{shares}"
