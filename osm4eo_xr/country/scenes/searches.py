"""Scenes that are searched for: a country's tiles, and the frozen items of each.

What a search finds is kept beside the country file, in ``NAME.items/`` (an item collection per
tile): a run reads these, so it is repeatable although catalogs change.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osm4eo_xr.catalogs.acquisitions import newest, when
from osm4eo_xr.catalogs.items import read_items
from osm4eo_xr.catalogs.search import Query, cloud_cover, search_items
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_text
from osm4eo_xr.geometry.grid import TARGET_CRS, TARGET_RESOLUTION
from osm4eo_xr.names import OWN_WORDS

if TYPE_CHECKING:
    import geopandas as gpd
    from shapely.geometry.base import BaseGeometry

    from osm4eo_xr.country.scenes.settings import SceneFiles
    from osm4eo_xr.country.settings import CountrySettings
    from osm4eo_xr.progress import Progress


_ASKED = f"{OWN_WORDS}search"
"""The member of an item collection that says what was searched for."""

_DIGITS = 5  # behind the point of degrees that tell grounds apart: a meter
_BAND_BYTES = 2  # of a pixel of one band, before compression
_BANDS_READ = 5  # four of 10 m and the scene classification


@dataclass(frozen=True)
class TileItems:
    """What a search found for one tile.

    Attributes
    ----------
    tile : str
        Its id.
    path : Path
        The item collection.
    days : tuple of str
        Day of each item, in order.
    clouds : tuple of float or None
        Cloud cover of each in per cent, as the item states it.
    gigabytes : float
        What the run will read of them, uncompressed: four bands and the classification.
    clear_looks : tuple of int
        Pixels that were seen clear 0, 1, 2, … times; empty until they are fetched.
    few_looks : int or None
        Those with fewer clear looks than were asked for; None until they are fetched.
    """

    tile: str
    path: Path
    days: tuple[str, ...]
    clouds: tuple[float | None, ...]
    gigabytes: float
    clear_looks: tuple[int, ...] = ()
    few_looks: int | None = None


def items_folder(country_file: Path) -> Path:
    """Return where the items of a country file are kept."""
    return country_file.with_suffix(".items")


def search_scenes(
    settings: CountrySettings,
    country_file: Path,
    *,
    refresh: bool = False,
    progress: Progress | None = None,
) -> list[TileItems]:
    """Search the items of each tile that has none of this search yet, and freeze them.

    Parameters
    ----------
    settings : CountrySettings
        Of the country file; entries of ``scenes`` without ``search`` are passed over.
    country_file : path
        The items lie beside it.
    refresh : bool
        Whether tiles that have items are searched again.
    progress : callable, optional
        Called as ``progress(done, total)`` after each tile.

    Raises
    ------
    InputError
        If a catalog fails, or the boundary is missing or touches no tile. Tiles found before stay.
    """
    folder = items_folder(country_file)
    asked = list(_tiles(settings, country_file.parent))
    found = []
    for number, (source, row) in enumerate(asked):
        path = folder / f"{row['tile']}.json"
        ground = row["geometry"]
        if refresh or not _is_of(path, source, ground):
            items = newest(search_items(_query(source), ground))[: source.limit]
            folder.mkdir(exist_ok=True)
            asked_for = _asked(source, ground)
            tree = {"type": "FeatureCollection", "features": items, _ASKED: asked_for}
            replace_text(path, json.dumps(tree, indent=1, sort_keys=True) + "\n")
        found.append(_summary(path, row))
        if progress is not None:
            progress(number + 1, len(asked))
    return found


def with_found_scenes(settings: CountrySettings, country_file: Path) -> CountrySettings:
    """Return settings in which each search has become one composite per tile that has items.

    Tiles that have not been searched for yet, or by other settings or on other ground, are searched
    now.

    Raises
    ------
    InputError
        As ``search_scenes``, or if no tile has an item.
    """
    if not any(scene.search for scene in settings.scenes):
        return settings
    search_scenes(settings, country_file)
    folder = items_folder(country_file)
    pairs = list(_tiles(settings, country_file.parent))
    made = [_scene(source, row, folder) for source, row in pairs]
    kept = [scene for scene in settings.scenes if not scene.search]
    scenes = (*kept, *(scene for scene in made if scene is not None))
    if not scenes:
        raise InputError(
            f"the search found no item for any of {len(pairs)} tiles",
            advice="widen period or max_cloud in [[scenes]]",
        )
    return dataclasses.replace(settings, scenes=scenes)


def _is_of(path: Path, source: SceneFiles, ground: BaseGeometry) -> bool:
    """Whether a tile's items are there and were searched for as asked now.

    Files of earlier versions do not say on which ground: their items have to cover it.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    before = tree.get(_ASKED) if isinstance(tree, dict) else None
    if not isinstance(before, dict):
        return False
    now = _asked(source, ground)
    if "ground" in before:
        return before == now
    return before | {"ground": now["ground"]} == now and _footprint(tree).covers(ground)


def _footprint(tree: dict[str, Any]) -> BaseGeometry:
    """Return the ground of all items of a collection, as they state it."""
    import shapely

    stated = [item["geometry"] for item in tree["features"] if item.get("geometry")]
    return shapely.union_all([shapely.geometry.shape(geometry) for geometry in stated])


def _hash_of(ground: BaseGeometry) -> str:
    """Return a hash of a geometry that is the same wherever its last digits differ."""
    import shapely

    rounded = shapely.transform(ground, lambda degrees: degrees.round(_DIGITS) + 0.0)
    return hashlib.sha256(shapely.to_wkb(rounded.normalize(), byte_order=1)).hexdigest()


def _asked(source: SceneFiles, ground: BaseGeometry) -> dict[str, Any]:
    """Return what decides which items a search finds, as JSON has it."""
    return {
        "catalog": _query(source).url,
        "collections": _query(source).collections,
        "period": list(source.period),
        "months": list(source.months),
        "max_cloud": source.max_cloud,
        "limit": source.limit,
        "ground": _hash_of(ground),
    }


def _tiles(settings: CountrySettings, base: Path) -> Iterable[tuple[SceneFiles, Any]]:
    """Yield each search with each tile of its grid, its ground cut at the boundary."""
    from osm4eo_xr.places.tilings import country_tiles

    searches = [source for source in settings.scenes if source.search]
    if len(searches) > 1:
        raise InputError(
            f"{len(searches)} [[scenes]] have search", expected="one, which covers the boundary"
        )
    for source in searches:
        tiles = country_tiles(_outline(settings, base), source.grid, cut=True)
        for _, row in tiles.iterrows():
            yield source, row


def _outline(settings: CountrySettings, base: Path) -> gpd.GeoDataFrame:
    from osm4eo_xr.geometry.vectors import read_vector
    from osm4eo_xr.places.outlines import country_boundary

    boundary = settings.boundary
    if boundary.country:
        path = base / boundary.file if boundary.file else None
        return country_boundary(boundary.country, path, boundary.layer)
    if boundary.file:
        return read_vector(base / boundary.file, "boundary", layer=boundary.layer)
    raise InputError(
        "[[scenes]] has search, but there is no [boundary]",
        expected='a place to search in, such as country = "DE" in [boundary]',
    )


def _query(source: SceneFiles) -> Query:
    start, end = (date.fromisoformat(day) for day in source.period)
    return Query(
        source.search, start, end, source.collection, source.months, float(source.max_cloud)
    )


def _scene(source: SceneFiles, row: Any, folder: Path) -> SceneFiles | None:
    """Return the composite of a tile's items, on the tile's ground; None if it has none."""
    path = folder / f"{row['tile']}.json"
    if not _items(path):
        return None
    return dataclasses.replace(
        source,
        search="",
        collection="",
        period=(),
        months=(),
        stac=f"{folder.name}/{path.name}",  # from the country file, so that a run may be moved
        tile=row["tile"],
        bounds=_bounds(row),
        bounds_crs=TARGET_CRS,
    )


def _bounds(row: Any) -> tuple[float, ...]:
    """Return the box of a tile's ground on the product grid, in whole pixels."""
    import geopandas as gpd

    ground = gpd.GeoSeries([row["geometry"]], crs=4326).to_crs(TARGET_CRS).total_bounds
    west, south, east, north = ground
    if row["crs"] == TARGET_CRS:  # squares of one grid share their edges exactly
        west, south = max(west, row["left"]), max(south, row["bottom"])
        east, north = min(east, row["right"]), min(north, row["top"])
    size = TARGET_RESOLUTION
    return (
        float(west // size * size),
        float(south // size * size),
        float(-(-east // size) * size),
        float(-(-north // size) * size),
    )


def _items(path: Path) -> list[dict[str, Any]]:
    tree = json.loads(path.read_text(encoding="utf-8"))
    return read_items(tree) if tree["features"] else []


def _summary(path: Path, row: Any) -> TileItems:
    items = _items(path)
    west, south, east, north = _bounds(row)
    pixels = (east - west) * (north - south) / TARGET_RESOLUTION**2
    return TileItems(
        row["tile"],
        path,
        tuple(when(item)[:10] for item in items),
        tuple(cloud_cover(item) for item in items),
        len(items) * pixels * _BAND_BYTES * _BANDS_READ / 1e9,
    )
