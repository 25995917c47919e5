"""The tiles of a country run, and the files that show them."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from osm4eo_xr.errors import InputError
from osm4eo_xr.names import check_name

if TYPE_CHECKING:
    from osm4eo_xr.country.scenes.settings import SceneFiles
    from osm4eo_xr.country.settings import CountrySettings


@dataclass(frozen=True)
class Tile:
    """One tile: its id, the files of its scene, their day, and the table that names them."""

    id: str
    files: tuple[Path, ...]
    date: str
    source: SceneFiles


def find_tiles(settings: CountrySettings, base: Path) -> list[Tile]:
    """List the tiles in order of their ids."""
    from osm4eo_xr.imagery.products.band_files import check_whole_scenes

    tiles: list[Tile] = []
    for scene in settings.scenes:
        day = scene.date or settings.date
        if scene.stac:
            composite = base / settings.out / "scenes" / f"{scene.tile}.tif"
            tiles.append(Tile(scene.tile, (composite,), day, scene))
            continue
        files = [p for pattern in scene.files for p in files_of(base, pattern)]
        if scene.tile:
            tiles.append(Tile(scene.tile, tuple(files), day, scene))
        else:
            check_whole_scenes(files)
            tiles += [Tile(f.stem, (f,), day, scene) for f in files]
    ids = [check_name(t.id, "tile id") for t in tiles]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise InputError(
            f"two tiles are called {twice[0]!r}", advice="give each [[scenes]] its own tile id"
        )
    return sorted(tiles, key=lambda t: t.id)


def files_of(base: Path, pattern: str) -> list[Path]:
    """Return the files that a path or glob names, in order."""
    if (base / pattern).exists():  # whatever brackets its name has
        return [base / pattern]
    # As root, so that brackets in the folder's own name are none of the pattern.
    names = glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 - absolute patterns too
    found = sorted(base / name for name in names)
    if not found:
        raise InputError(
            f"no file {base / pattern}", advice="check the path or glob in the country file"
        )
    return found
