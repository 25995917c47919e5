"""Class maps of tiles → one map of a country, clipped to its boundary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import geopandas as gpd
import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import (
    crs_name,
    geobox_of,
    georeference,
    held_number,
    nodata_of,
    same_grid,
    same_pixels,
    zero_nodata,
)
from osm4eo_xr.geometry.known_classes import class_ids_of, with_known_classes
from osm4eo_xr.legend import NO_DATA, PROBABILITY_NO_DATA, Legend, default_legend
from osm4eo_xr.maps.boundary import read_boundary
from osm4eo_xr.maps.mosaic_blocks import Merging, assemble, window_in
from osm4eo_xr.places.outlines import country_boundary

Rule = Literal["majority", "confidence", "blend", "first"]
Tiles = Sequence[xr.DataArray] | Mapping[str, xr.DataArray]

_WIDE = 10**9  # pixels of a grid around tiles that is looked at
_LEAST_FILLED = 1e-3  # the Azores, Madeira and Portugal fill some per cent of theirs


def mosaic(
    class_maps: Tiles,
    boundary: str | Path | gpd.GeoDataFrame | BaseGeometry | None = None,
    geobox: GeoBox | None = None,
    *,
    country: str | None = None,
    confidence: Tiles | None = None,
    probabilities: Tiles | None = None,
    rule: Rule | str | None = None,
    chunks: int = 2048,
    legend: Legend | None = None,
) -> xr.DataArray:
    """Join class maps that share a grid into one map; lazy.

    Where tiles overlap, the result does not depend on their order: ``"confidence"`` takes the
    class of the highest confidence, ``"majority"`` the class that most tiles give; what is equal
    goes to the lowest tile id. ``"blend"`` averages the tiles' probabilities, each weighed by the
    distance to its tile's edge and by the greatest of them; what is equal goes to the lowest class.
    ``"first"`` takes the first tile given that has data.

    Parameters
    ----------
    class_maps : sequence or mapping of DataArray, dims (y, x), uint8
        No data is what each states in ``attrs["nodata"]``, 0 by default. A tile's id is its key in
        a mapping, else ``attrs["tile"]``, else its place (from north to south, then west to east).
    boundary : path, GeoDataFrame or geometry, optional
        Polygons in any CRS (a bare geometry in the tiles' CRS); pixels whose center lies outside
        become no data.
    geobox : GeoBox, optional
        Extent of the result, on the tiles' grid; by default the smallest that covers all tiles.
    country : str, optional
        A name or code as ``find_country`` takes: only this country's rows of the vector file that
        ``boundary`` names, or without one Natural Earth's outline at 1:50 million.
    confidence : sequence or mapping of DataArray, dims (y, x), optional
        In the same order or with the same keys, each on its map's grid; higher is surer. NaN, what
        each states as no data and, in uint8, 255 count as none.
    probabilities : sequence or mapping of DataArray, dims (class, y, x), optional
        For ``"blend"``, each on its map's grid: uint8 (0-250, 255 = no data) or float (0-1, NaN =
        no data); ``class`` holds ids, slugs or names, the same in all tiles.
    rule : {"majority", "confidence", "blend", "first"}, optional
        By default ``"confidence"`` where confidence is given, else ``"majority"``.
    chunks : int
        Edge of the result's chunks in pixels.
    legend : Legend, optional
        Whose slugs ``probabilities`` are named by; OSMlanduse's by default. If it is given, tiles
        may hold its classes alone; else any.

    Returns
    -------
    DataArray (y, x), uint8
        No data is that of the tiles, or 0 where they differ; attrs are those of the first tile,
        and the legend that any states. Only chunks that a tile touches inside the boundary depend
        on pixels.

    Raises
    ------
    InputError
        If no tile is given, tiles do not share a grid or fill less than a thousandth of a wide one,
        confidence or probabilities are not on their map's grid, two tiles have one id or state
        different legends, or the boundary holds no polygon or no such country, or does not meet
        the grid; when pixels are computed, if a tile holds a class that ``legend`` lacks.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> west = oxr.target_geobox((4321000, 3210000, 4321020, 3210010))
    >>> east = oxr.target_geobox((4321010, 3210000, 4321030, 3210010))
    >>> tiles = {
    ...     "b": georeference(np.array([[8, 8]], dtype="uint8"), west),
    ...     "a": georeference(np.array([[12, 12]], dtype="uint8"), east),
    ... }
    >>> oxr.mosaic(tiles).values.tolist()  # a draw goes to the lowest id
    [[8, 12, 12]]
    """
    if country is not None:
        if not isinstance(boundary, str | Path | None):
            raise InputError(
                f"country {country!r} with a boundary that is no file",
                advice="give {boundary} the path of a boundaries file, or leave it out",
            )
        boundary = country_boundary(country, boundary)
    if rule not in (None, *get_args(Rule)):
        raise InputError(f"rule={rule!r}", advice=f"choose one of {', '.join(get_args(Rule))}")
    given = {"confidence": confidence, "probabilities": probabilities}
    name = "probabilities" if rule == "blend" else "confidence"
    maps, weighed = _in_order(class_maps, given[name], name, ordered=rule != "first")
    rule = rule or ("majority" if weighed is None else "confidence")
    if rule in ("confidence", "blend") and weighed is None:
        raise InputError(f"rule {rule!r} needs {name} of each tile", advice=f"give {{{name}}}")
    weighed = weighed if rule in ("confidence", "blend") else None
    for m, w in zip(maps, weighed or [], strict=False):
        _check_weight(w, m, name)
    if rule == "confidence":
        weighed = [_sureness(w) for w in weighed or []]
    named = _one_legend(maps)
    boxes = [geobox_of(m) for m in maps]
    maps, nodata = _one_nodata([with_known_classes(m, legend) for m in maps])
    target = _target(boxes, geobox)
    clip = None if boundary is None else read_boundary(boundary, target)
    how = Merging(rule, nodata, _class_ids(weighed, legend) if rule == "blend" else ())
    data = assemble(maps, weighed, boxes, target, clip, how, chunks)
    attrs = {**maps[0].attrs, **named, "nodata": nodata}
    attrs.pop("tile", None)
    return georeference(data, target, attrs=attrs, name="class_map")


def _one_legend(maps: list[xr.DataArray]) -> dict[str, str]:
    """Return the legend that tiles state, if any does; they may not be of several."""
    stated = list(dict.fromkeys(str(m.attrs["legend"]) for m in maps if m.attrs.get("legend")))
    if len(stated) > 1:
        raise InputError(
            f"tiles were made with legends {' and '.join(map(repr, stated))}",
            expected="those of one legend, whose ids mean the same",
        )
    return {"legend": stated[0]} if stated else {}


def _check_weight(weight: xr.DataArray, class_map: xr.DataArray, name: str) -> None:
    """Refuse what a tile is weighed by if it is not on the tile's grid."""
    dims = ("class", "y", "x") if name == "probabilities" else ("y", "x")
    if weight.dims != dims:
        raise InputError(f"{name} with dims {weight.dims}", expected=f"({', '.join(dims)})")
    a, b = geobox_of(class_map), geobox_of(weight)
    if not same_pixels(a, b):
        raise InputError(
            f"the {name} {tuple(b.boundingbox)} of {crs_name(b.crs)}, {tuple(b.shape)} pixels, is "
            f"not on the grid of its tile {tuple(a.boundingbox)} of {crs_name(a.crs)}, "
            f"{tuple(a.shape)} pixels",
            advice="cut it as the tile was cut",
        )


def _sureness(confidence: xr.DataArray) -> xr.DataArray:
    """Return confidence as floats, NaN where there is none; lazy as its input."""
    none = {held_number(nodata_of(confidence), confidence.dtype)}
    if confidence.dtype == np.uint8:
        none.add(PROBABILITY_NO_DATA)  # as ``classify`` writes it
    values = [v for v in none if v is not None and np.isfinite(v)]
    if not values:
        return confidence
    if confidence.chunks is None:
        return confidence.copy(data=_without(confidence.to_numpy(), values))
    # One task per block: what xarray is asked for step by step takes seconds of many tiles' plans.
    meta = np.empty((0, 0), np.float32)
    data = confidence.data.map_blocks(_without, values, dtype=np.float32, meta=meta)
    return confidence.copy(data=data)


def _without(block: np.ndarray, values: list[float]) -> np.ndarray:
    """Return numbers as floats, NaN in the place of some."""
    return np.where(np.isin(block, values), np.float32(np.nan), block.astype(np.float32))


def _class_ids(shares: list[xr.DataArray] | None, legend: Legend | None) -> tuple[int, ...]:
    """Return the classes of probabilities, which are the same in all tiles."""
    found = [tuple(class_ids_of(s, legend or default_legend())) for s in shares or []]
    if len({*found}) != 1:
        raise InputError(
            "the tiles' probabilities are of different classes", advice="classify with one model"
        )
    return found[0]


def _in_order(
    class_maps: Tiles, weighed: Tiles | None, name: str, *, ordered: bool
) -> tuple[list[xr.DataArray], list[xr.DataArray] | None]:
    """Return tiles, and what they are weighed by, in order of their ids, or as given."""
    given = _keyed(class_maps)
    if not given:
        raise InputError("no class map to join", advice="give at least one")
    for key, m in given:
        if m.dims != ("y", "x") or m.dtype != np.uint8:
            raise InputError(
                f"tile {key} has dims {m.dims} of {m.dtype}", expected="(y, x) of uint8"
            )
    sure = None if weighed is None else dict(_keyed(weighed, like=given))
    if sure is not None and set(sure) != {k for k, _ in given}:
        raise InputError(f"{name} and class maps name different tiles", advice="give one each")
    if ordered:
        _refuse_twice(given)
        given = sorted(given, key=lambda item: item[0])
    return [m for _, m in given], None if sure is None else [sure[k] for k, _ in given]


def _refuse_twice(tiles: list[tuple[str, xr.DataArray]]) -> None:
    """Refuse tiles that no id orders where they differ."""
    name, times = Counter(k for k, _ in tiles).most_common(1)[0]
    if times == 1:
        return
    alike = [str(n) for n, (key, _) in enumerate(tiles, start=1) if key == name]
    placed = name == _place(tiles[int(alike[0]) - 1][1])
    called = "have one grid" if placed else f"are called {name}"
    raise InputError(
        f"tiles {' and '.join(alike[:2])} of {len(tiles)} {called}, so that nothing orders them",
        advice="pass {rule=first} to prefer them as they are given, or in Python a mapping of ids",
    )


def _one_nodata(maps: list[xr.DataArray]) -> tuple[list[xr.DataArray], int]:
    """Return class maps that share a no-data value, and the value."""
    stated = {int(nodata_of(m, NO_DATA)) for m in maps}
    if len(stated) == 1:
        return maps, stated.pop()
    return [zero_nodata(m) for m in maps], NO_DATA


def _keyed(
    tiles: Tiles, like: list[tuple[str, xr.DataArray]] | None = None
) -> list[tuple[str, xr.DataArray]]:
    """Pair each tile with an id that does not depend on the order in which tiles are given."""
    if isinstance(tiles, Mapping):
        return [(str(k), v) for k, v in tiles.items()]
    if like is not None:
        if len(tiles) != len(like):
            raise InputError(
                f"{len(tiles)} confidences for {len(like)} tiles", advice="give one each"
            )
        return [(key, v) for (key, _), v in zip(like, tiles, strict=True)]
    return [(str(m.attrs["tile"]) if "tile" in m.attrs else _place(m), m) for m in tiles]


def _place(raster: xr.DataArray) -> str:
    """Name a tile after its upper left corner, so that names sort north to south, west to east."""
    box = geobox_of(raster).boundingbox
    return f"top {1e9 - box.top:014.3f} left {1e9 + box.left:014.3f} {raster.shape}"


def _target(boxes: list[GeoBox], geobox: GeoBox | None) -> GeoBox:
    """Return the smallest grid around all tiles, or check the one given."""
    first = boxes[0] if geobox is None else geobox
    for k, box in enumerate(boxes):
        if not same_grid(first, box):
            raise InputError(
                f"tile {k + 1} lies on {crs_name(box.crs)} with pixels of {box.resolution.xy}, "
                f"shifted or unlike {crs_name(first.crs)} with {first.resolution.xy}",
                advice="bring tiles onto one grid first",
            )
    return grid_around(boxes) if geobox is None else geobox


def grid_around(boxes: Sequence[GeoBox]) -> GeoBox:
    """Return the smallest grid around tiles that share pixel edges.

    Raises
    ------
    InputError
        If they fill less than a thousandth of a wide grid.
    """
    first = boxes[0]
    windows = [window_in(first, box) for box in boxes]
    top, left = (min(w[axis][0] for w in windows) for axis in (0, 1))
    bottom, right = (max(w[axis][1] for w in windows) for axis in (0, 1))
    affine = first.affine @ first.affine.translation(left, top)
    grid = GeoBox((bottom - top, right - left), affine, first.crs)
    _check_near(boxes, grid)
    return grid


def _check_near(boxes: Sequence[GeoBox], grid: GeoBox) -> None:
    """Refuse tiles that lie so far apart that one of them must be misplaced."""
    height, width = grid.shape
    filled = sum(rows * cols for rows, cols in (box.shape for box in boxes))
    if height * width > _WIDE and filled < _LEAST_FILLED * height * width:
        places = [tuple(round(v) for v in box.boundingbox) for box in boxes]
        far = sorted(range(len(places)), key=lambda k: places[k])
        raise InputError(
            f"the tiles cover {filled / (height * width):.4%} of the {width:,} x {height:,} pixels "
            f"around them: tile {far[0] + 1} lies at {places[far[0]]}, tile {far[-1] + 1} at "
            f"{places[far[-1]]}",
            expected="tiles of one country",
            advice="correct the place of the one that is off, or join those that lie together",
        )
