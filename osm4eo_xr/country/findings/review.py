"""What mappers are asked to look at, from a run's folder: objects, and unmapped land."""

from __future__ import annotations

import dataclasses
import html
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.country.context import PROBABILITIES, TASKS_FILE, CountryRun, Piece
from osm4eo_xr.country.findings import page
from osm4eo_xr.country.pieces.map_pieces import outputs_of
from osm4eo_xr.country.product_names import landuse_in, product_name
from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import (
    NO_DATA,
    PROBABILITY_NO_DATA,
    PROBABILITY_SCALE,
    Legend,
    default_legend,
)
from osm4eo_xr.maps.settings import Review
from osm4eo_xr.names import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import geopandas as gpd
    from jaxtyping import UInt8

    from osm4eo_xr.country.settings import CountrySettings
    from osm4eo_xr.progress import Progress

_CONFIDENCE = "_confidence.tif"
_SHOWN = 10  # of each kind, in the page
_LABELS = ("labels.tif", "*_label.tif")
_JOINED = ("mosaic.tif", "*_classified.tif", "*_osmlanduse.tif", "*_sieved.tif")


def review_result(
    folder: str | Path, settings: Review | None = None, *, legend: Legend | None = None
) -> tuple[gpd.GeoDataFrame | None, gpd.GeoDataFrame | None]:
    """List what mappers should look at, from the folder of a country run.

    Parameters
    ----------
    folder : str or Path
        What ``run_country`` returns, of a run whose country file has a table ``[review]`` or else
        keeps each tile's confidence.
    settings : Review, optional
        How many, and from when on; by default as in a table ``[review]`` without keys.
    legend : Legend, optional
        The run's; OSMlanduse's by default.

    Returns
    -------
    tuple
        Objects as ``review_objects`` and cells as ``review_places`` return them; None for what is
        not asked for, and for objects where the labels were rasters.

    Raises
    ------
    InputError
        If the folder is none of a run, or lacks labels or confidences.

    Examples
    --------
    A folder as a run of one tile leaves it, in which the model is never sure:

    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_class_map
    >>> from pathlib import Path
    >>> Path("result/classified").mkdir(parents=True)
    >>> class_map = example_class_map()
    >>> unsure = class_map.copy(data=np.full(class_map.shape, 125, "uint8"))
    >>> unsure = unsure.assign_attrs(nodata=255)
    >>> for name, raster in (
    ...     ("labels", class_map * 0), ("mosaic", class_map), ("classified/a", class_map),
    ...     ("classified/a_confidence", unsure),
    ... ):
    ...     path = oxr.write_cog(raster.astype("uint8"), f"result/{name}.tif")
    >>> objects, places = oxr.review_result("result")
    >>> objects is None, len(places)  # labels are rasters here, which name no objects
    (True, 1)

    What they list as tasks for mappers::

        objects, places = review_result("result")
        write_tasks("tasks.geojson", objects, places)
    """
    return _review(_left_in(Path(folder)), settings or Review(), legend or default_legend())


@dataclass(frozen=True)
class _Made:
    """What a run made that is looked at: files by tile, maps of the country, areas of labels."""

    confidence: dict[str, Path]
    labels: Path
    joined: Path
    landuse: Path | None
    has_probabilities: bool


def _left_in(folder: Path) -> _Made:
    """Return what a run left in a folder: what its report states or, without one, what is there."""
    from osm4eo_xr.country.viewing import REPORT, stated_by

    if (folder / REPORT).is_file():
        settings, tiles = stated_by(folder)
        names = [product_name(settings, kind, "*") for kind in ("labels", "mosaic")]
        labels, joined = (_only(folder, (name,)) for name in names)
        return _made(folder, settings, tiles, labels, joined)
    labels, joined = (_only(folder, names) for names in (_LABELS, _JOINED))
    found = sorted((folder / "classified").glob(f"*{_CONFIDENCE}"))
    places = {path.name.removesuffix(_CONFIDENCE): path for path in found}
    shares = all(_shares_of(path).is_file() for path in found)
    landuse = folder / "landuse"
    return _Made(places, labels, joined, landuse if landuse.is_dir() else None, shares)


def _made(
    folder: Path, settings: CountrySettings, tiles: Iterable[str], labels: Path, joined: Path
) -> _Made:
    """Return what a run of these settings makes of its tiles; other files may lie beside them."""
    names = outputs_of(settings)
    kept = tiles if "confidence" in names else ()
    found = {tile: folder / "classified" / f"{tile}{_CONFIDENCE}" for tile in kept}
    landuse = landuse_in(folder, settings)
    return _Made(found, labels, joined, landuse, "probabilities" in names)


def _review(
    made: _Made, settings: Review, legend: Legend
) -> tuple[gpd.GeoDataFrame | None, gpd.GeoDataFrame | None]:
    """List objects and places of what a run made."""
    from osm4eo_xr.maps.review.objects import review_objects
    from osm4eo_xr.maps.review.places import review_places

    classes, confidence, unsure, labels = _opened(made)
    objects = places = None
    if settings.objects and made.landuse is not None:
        how: Any = {"sure": settings.sure, "least_share": settings.share}
        how |= {"least_pixels": settings.pixels, "n": settings.objects}
        objects = review_objects(made.landuse, classes, confidence, **how, legend=legend)
    if settings.places:
        where: Any = {"cell": settings.cell, "apart": settings.apart, "n": settings.places}
        places = review_places(labels, classes, unsure, **where, legend=legend)
    return objects, places


def _opened(made: _Made) -> tuple[xr.DataArray, ...]:
    """Open prediction, confidence, uncertainty and labels of a run on one grid; lazy."""
    from osm4eo_xr.maps.country_mosaic import mosaic
    from osm4eo_xr.rasters.open import open_raster

    tiles = made.confidence
    if not tiles or not all(path.is_file() for path in tiles.values()):
        raise InputError(
            f"no confidence of each tile in {made.joined.parent / 'classified'}",
            advice="put a table [review] into the country file and run again",
        )
    sure = mosaic({t: open_raster(path) for t, path in tiles.items()}, rule="first")
    paths = {t: path.with_name(f"{t}.tif") for t, path in tiles.items()}
    classes = mosaic({t: open_raster(path) for t, path in paths.items()}, rule="first")
    unsure = mosaic({t: _unsure(path, made) for t, path in tiles.items()}, rule="first")
    shown = open_raster(made.joined).chunk(classes.chunksizes) != NO_DATA  # within the boundary
    return classes.where(shown, NO_DATA), sure, unsure, open_raster(made.labels)


def _only(folder: Path, patterns: tuple[str, ...]) -> Path:
    """Return the first file of a folder that has one of some names."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    if not paths:
        raise InputError(
            f"no {patterns[0]} in {folder}", advice="give the folder of a run with [labels]"
        )
    return paths[0]


def _unsure(confidence: Path, made: _Made) -> xr.DataArray:
    """Return the entropy of a tile's probabilities or, without them, 1 less its confidence."""
    from osm4eo_xr.maps.review.places import uncertainty
    from osm4eo_xr.rasters.open import open_probabilities, open_raster

    if made.has_probabilities:
        return uncertainty(open_probabilities(_shares_of(confidence)))
    sure = open_raster(confidence)
    return sure.copy(data=sure.data.map_blocks(_rest, dtype=np.uint8))


def _shares_of(confidence: Path) -> Path:
    """Return the place of a tile's probabilities."""
    return confidence.with_name(confidence.name.replace(_CONFIDENCE, PROBABILITIES))


def _rest(steps: UInt8[np.ndarray, "y x"]) -> UInt8[np.ndarray, "y x"]:
    known = steps != PROBABILITY_NO_DATA
    return np.where(known, PROBABILITY_SCALE - np.minimum(steps, PROBABILITY_SCALE), steps).astype(
        np.uint8
    )


def review_pieces(run: CountryRun, before: list[Piece]) -> list[Piece]:
    """Return the piece that writes what mappers should look at, if the run is to."""
    if run.settings.review is None:
        return []
    seen = ("land use", "labels", "classified", "mosaic")
    keys = [piece.key for piece in before if piece.kind in seen]
    key, path = run.key_of("review", keys, dataclasses.asdict(run.settings.review)), _tasks(run)
    work, total = partial(_make, run), run.total()
    return [Piece("tasks", "", key, (path,), work, None, total, 3 * total)]


def _make(run: CountryRun, _progress: Progress | None) -> None:
    from osm4eo_xr.maps.review.tasks import write_tasks

    maps = run.product("labels"), run.product("mosaic")
    made = _made(run.out, run.settings, [tile.id for tile in run.tiles], *maps)
    found = _review(made, run.settings.review or Review(), run.legend)
    write_tasks(_tasks(run), *found)


def _tasks(run: CountryRun) -> Path:
    return run.out / TASKS_FILE


def review_parts(run: CountryRun) -> list[str]:
    """Show in the page the first of what mappers should look at."""
    if run.settings.review is None:
        return []
    features = json.loads(_tasks(run).read_text(encoding="utf-8"))["features"]
    rows: dict[str, list[Any]] = {"check": [], "map": []}
    for feature in features:
        rows[feature["properties"]["task"]].append(feature)
    objects, places = counted(len(rows["check"]), "object"), counted(len(rows["map"]), "place")
    told = f"{objects} to check and {places} to map"
    parts = ["<h2>Back to OpenStreetMap</h2>", f"<p>{told} in <code>{TASKS_FILE}</code>.</p>"]
    heads = {"check": "Objects whose class may be wrong", "map": "Unmapped land to begin with"}
    for task, found in rows.items():
        if found:
            lines = [(f["id"], f["properties"]["instruction"]) for f in found[:_SHOWN]]
            parts.append(page.folded(html.escape(heads[task]), page.table(("", ""), lines)))
    return parts
