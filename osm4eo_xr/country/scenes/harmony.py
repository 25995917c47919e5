"""One radiometry for all tiles of a run: the piece that finds it, and scenes brought to it."""

from __future__ import annotations

import itertools
import json
from functools import partial
from typing import TYPE_CHECKING

from osm4eo_xr.country.context import HARMONY_FILE, CountryRun, Piece
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from osm4eo_xr.country.scenes.tiles import Tile
    from osm4eo_xr.imagery.harmonization import Harmony
    from osm4eo_xr.progress import Progress


def harmony_pieces(run: CountryRun, hashes: Sequence[str]) -> list[Piece]:
    """Return the piece that finds a gain and an offset per tile and band, if the run wants it.

    Parameters
    ----------
    run : CountryRun
        The run.
    hashes : sequence of str
        What each tile's pixels come from, in the order of the tiles.

    Raises
    ------
    InputError
        If no two tiles overlap.
    """
    if not run.settings.harmonize:
        return []
    shared = _shared(run)
    if not shared:
        raise InputError(
            f"harmonize = true, and no two of {len(run.tiles)} tiles overlap",
            expected="tiles that share some ground, as Sentinel-2's do (grid = 'mgrs')",
            advice="leave harmonize out of the country file",
        )
    ids = [t.id for t in run.tiles]
    key = run.key_of("harmony", list(zip(ids, hashes, strict=True)))
    size = {t.id: (run.bytes_of(t), run.pixels_of(t)) for t in run.tiles}
    read = sum(size[t][0] * n / size[t][1] for pair, n in shared.items() for t in pair)
    pixels = 2 * sum(shared.values())
    work, path = partial(_make, run), run.out / HARMONY_FILE
    return [Piece("harmony", "", key, (path,), work, None, pixels, round(read))]


def _shared(run: CountryRun) -> dict[tuple[str, str], int]:
    """Return how many pixels each two tiles share, of those that share any."""
    shared = {}
    for (a, p), (b, q) in itertools.combinations(run.sides.items(), 2):
        wide = min(p.right, q.right) - max(p.left, q.left)
        high = min(p.top, q.top) - max(p.bottom, q.bottom)
        if min(wide, high) <= 0:
            continue
        step = run.boxes[a].resolution
        if pixels := round(wide * high / abs(step.x * step.y)):
            shared[a, b] = pixels
    return shared


def _make(run: CountryRun, _progress: Progress | None) -> None:
    from osm4eo_xr.imagery.harmonization import harmonize

    found = harmonize({t.id: run.open_scene(t) for t in run.tiles})
    replace_json(run.out / HARMONY_FILE, found.to_dict())


def read_harmony(run: CountryRun) -> Harmony:
    """Return what brings the tiles of a run to one radiometry, once it is found."""
    from osm4eo_xr.imagery.harmonization import Harmony

    return Harmony.from_dict(json.loads((run.out / HARMONY_FILE).read_text(encoding="utf-8")))


def open_common(run: CountryRun, tile: Tile) -> xr.DataArray:
    """Open a tile's scene on the common radiometry, if there is one; lazy."""
    scene = run.open_scene(tile)
    return read_harmony(run).apply(scene, tile.id) if run.settings.harmonize else scene
