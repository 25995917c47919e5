"""Points for interpreters, drawn from the pixels of a lazy class map by a design.

A map is read once to count. Then points are drawn as ranks among the pixels of their stratum, in
the order of the map's rows, which no chunking changes; only chunks that hold one are read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import xarray as xr
from dask.base import compute

from osm4eo_xr.accuracy.designs.allocation import (
    FEWEST,
    Allocation,
    allocate,
    allocate_for,
    standard_error,
)
from osm4eo_xr.accuracy.designs.design import SamplingDesign, Scheme, Stratum
from osm4eo_xr.accuracy.designs.population import Population, check_codes, population_of
from osm4eo_xr.errors import InputError, check_number
from osm4eo_xr.geometry.geodesy import crs_text, pixel_area
from osm4eo_xr.geometry.known_classes import legend_of
from osm4eo_xr.legend import NO_DATA, Legend

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from jaxtyping import Float64, Int64

__all__ = ["design_points"]

_DRAWN = tuple(s for s in get_args(Scheme) if s != "weighted")  # surveys bring their weights

Pixels = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns, classes


def design_points(
    class_map: xr.DataArray,
    *,
    n: int | None = None,
    target: Mapping[str, float] | None = None,
    strata: xr.DataArray | None = None,
    cross: bool = False,
    min_per_stratum: int = 50,
    allocation: Allocation = "neyman",
    expected: float | Mapping[str, float] = 0.8,
    scheme: Scheme = "stratified",
    cluster_pixels: int = 500,
    per_cluster: int = 10,
    legend: Legend | None = None,
    seed: int = 0,
) -> SamplingDesign:
    """Draw points from a class map, whose labels then say how good the map is.

    Parameters
    ----------
    class_map : DataArray (y, x), uint8
        0 = no data; lazy maps are read chunk by chunk. Any chunking gives the same points.
    n : int, optional
        Points. A systematic grid has about as many.
    target : mapping, optional
        Instead of ``n``, standard errors that are wanted: ``overall`` of overall accuracy,
        ``users`` of each stratum's own accuracy (shares, for example 0.01 and 0.05). The fewest
        points that reach them with the floors of strata and as they are divided.
    strata : DataArray (y, x), uint8, optional
        Strata other than the map's classes (change, tiles, known and predicted), on its grid.
        Each pixel with a class needs one; 0 = none.
    cross : bool
        Divide the strata by class.
    min_per_stratum : int
        Points that each stratum gets at least, or all its pixels if it has fewer.
    allocation : {"neyman", "proportional", "equal"}
        How points are divided among strata.
    expected : float or mapping
        Share of a stratum in which the map is expected to be right; or per stratum, by name, and
        0.8 for the others.
    scheme : {"stratified", "systematic", "cluster"}
        Simple random samples in strata; a square grid with a random start; or two stages: a simple
        random sample of squares and of pixels in each.
    cluster_pixels, per_cluster : int
        Edge of a cluster in pixels, and points in each; for ``scheme="cluster"``.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.
    seed : int
        Another seed draws other points.

    Returns
    -------
    SamplingDesign
        Its ``points`` are the sample; ``write_design`` writes it for interpreters. Of strata,
        ``made["expected_error"]`` is the standard error of overall accuracy if ``expected`` holds.

    Raises
    ------
    InputError
        If neither or both of n and target are given, n is less than the floors ask for, pixels
        have no stratum or an unknown class, or differ by more than 1 % on the ground.

    Source
    ------
    Olofsson et al. 2014, "Good practices for estimating area and assessing accuracy of land
    change", section 5.1; Cochran 1977, sections 5.5 and 5.9 and chapters 8 and 11.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> from osm4eo_xr.demo import example_class_map
    >>> design = oxr.design_points(example_class_map(), n=200, min_per_stratum=60, seed=1)
    >>> [(s.name, s.pixels, s.points) for s in design.strata]
    [('forest', 9000, 140), ('water', 1000, 60)]
    """
    legend = legend_of(class_map, given=legend)
    check_number("seed", seed)
    _check(n, target, scheme, strata, min_per_stratum, cluster_pixels, per_cluster)
    population = population_of(class_map, strata, cross=cross)
    made = {"map": str(class_map.name or ""), "seed": seed, "scheme": scheme}
    if scheme == "stratified":
        made |= {"allocation": allocation, "target": dict(target or {}), "expected": expected}
        made |= {"min_per_stratum": min_per_stratum}
        rules = n, target, allocation, expected, min_per_stratum
        return _stratified(population, legend, rules, seed, made)
    counts = population.counts()
    check_codes(counts, legend)
    if n is None or not 1 <= n <= sum(counts.values()):
        raise InputError(
            f"n {n} points of {sum(counts.values()):,} pixels", advice="give 1 or more"
        )
    whole = (Stratum(0, "all", sum(counts.values()), n),)
    if scheme == "systematic":
        return _systematic(population, whole[0], seed, made)
    made |= {"cluster_pixels": cluster_pixels, "per_cluster": per_cluster}
    return _clustered(population, whole[0], cluster_pixels, per_cluster, seed, made)


def _check(
    n: int | None, target: Any, scheme: str, strata: Any, least: int, edge: int, each: int
) -> None:
    """Refuse settings that do not go together."""
    if scheme not in _DRAWN:
        raise InputError(
            f"points are not drawn by scheme {scheme!r}", advice=f"use one of {', '.join(_DRAWN)}"
        )
    if (n is None) == (target is None):
        raise InputError(
            f"n {n} and target {target}", expected="either n (points) or target (standard errors)"
        )
    if scheme != "stratified" and (target is not None or strata is not None):
        raise InputError(
            f"target and strata are for stratified designs, not {scheme}", advice="give n"
        )
    if least < FEWEST or edge < 1 or each < FEWEST:
        raise InputError(
            f"min_per_stratum {least}, cluster_pixels {edge} and per_cluster {each}",
            expected=f"{FEWEST} points or more per stratum and cluster, and an edge of 1 or more",
        )


def _stratified(
    population: Population, legend: Legend, rules: Any, seed: int, made: dict[str, Any]
) -> SamplingDesign:
    """Draw a simple random sample in each stratum."""
    counted = population.row_counts()
    counts = dict(sorted(counted.total.items()))
    check_codes(counts, legend, with_strata=population.strata is not None)
    names = {code: population.name_of(code, legend) for code in counts}
    points, error = _sizes(counts, names, *rules)
    made = {**made, "expected_error": round(error, 6)}
    rows, cols, classes, codes = [], [], [], []
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for code, wanted in points.items():
        rng = np.random.default_rng((seed, code))
        ranks = np.sort(rng.choice(counts[code], wanted, replace=False)).astype(np.int64)
        parts.append((*counted.find(code, ranks), np.full(wanted, code)))
    chunk, line, rank, code = (np.concatenate(column) for column in zip(*parts, strict=True))
    blocks = population.blocks()
    groups = [np.flatnonzero(chunk == k) for k in np.unique(chunk)]
    found = compute(
        *(population.locate(blocks[chunk[g[0]]][1], line[g], code[g], rank[g]) for g in groups)
    )
    for group, (col, class_id) in zip(groups, found, strict=True):
        top, left = blocks[chunk[group[0]]][0]
        rows.append(line[group] + top)
        cols.append(col + left)
        classes.append(class_id)
        codes.append(code[group])
    drawn: Any = (np.concatenate(column) for column in (rows, cols, classes, codes))
    row, col, class_id, code = drawn
    strata = tuple(Stratum(c, names[c], counts[c], points[c]) for c in counts)
    chance = np.array([points[c] / counts[c] for c in code.tolist()])
    frame = _frame(population, (row, col, class_id), code, chance, seed)
    frame["stratum"] = [names[c] for c in frame["stratum_code"]]
    by_class = population.strata is None
    area = pixel_area(population.geobox)
    return SamplingDesign("stratified", strata, frame, area, 0, by_class, made)


def _sizes(
    counts: dict[int, int],
    names: dict[int, str],
    n: int | None,
    target: Mapping[str, float] | None,
    allocation: Allocation,
    expected: float | Mapping[str, float],
    least: int,
) -> tuple[dict[int, int], float]:
    """Return the points of each stratum, and the standard error of overall accuracy to expect."""
    sizes = np.array(list(counts.values()), np.int64)
    shares = _expected(expected, [names[c] for c in counts])
    floor = np.full(len(sizes), least, np.int64)
    if n is not None and n < (asked := int(np.minimum(floor, sizes).sum())):
        raise InputError(
            f"n {n} is less than {len(sizes)} strata of {least} points ask for",
            advice=f"give {asked} or more, or a smaller {{min_per_stratum}}",
        )
    if target is not None:
        found = allocate_for(target, sizes, shares, allocation, floor)
    else:
        found = allocate(n or 0, sizes, shares, allocation, floor)
    error = standard_error(found, sizes, shares)
    return dict(zip(counts, found.tolist(), strict=True)), error


def _expected(expected: float | Mapping[str, float], names: list[str]) -> Float64[np.ndarray, " h"]:
    """Return the share of each stratum in which the map is expected to be right."""
    given = expected if isinstance(expected, Mapping) else dict.fromkeys(names, expected)
    strange = set(given) - set(names)
    if strange:
        raise InputError(
            f"expected names {min(strange)!r}, which is no stratum",
            advice=f"they are {', '.join(names)}",
        )
    shares = np.array([given.get(name, 0.8) for name in names], np.float64)
    if not ((shares >= 0) & (shares <= 1)).all():
        raise InputError(f"expected is {expected!r}", expected="shares from 0 to 1")
    return shares


def _systematic(
    population: Population, whole: Stratum, seed: int, made: dict[str, Any]
) -> SamplingDesign:
    """Take every s-th pixel of every s-th row, from a random one on."""
    step = max(1, int(np.sqrt(whole.pixels / whole.points)))
    top, left = np.random.default_rng(seed).integers(0, step, 2).tolist()
    grid = population.class_map.isel(y=slice(top, None, step), x=slice(left, None, step)).to_numpy()
    down, across = np.nonzero(grid != NO_DATA)
    if len(down) < FEWEST:
        raise InputError(
            f"a grid of {step} pixels meets {len(down)} pixels with data", advice="give more n"
        )
    pixels = top + step * down, left + step * across, grid[down, across]
    chance = np.full(len(down), 1 / step**2)
    frame = _frame(population, pixels, np.zeros(len(down), np.int64), chance, seed)
    frame["stratum"] = whole.name
    strata = (Stratum(0, whole.name, whole.pixels, len(frame)),)
    area = pixel_area(population.geobox)
    return SamplingDesign("systematic", strata, frame, area, made=made | {"step": step})


def _clustered(
    population: Population, whole: Stratum, edge: int, each: int, seed: int, made: dict[str, Any]
) -> SamplingDesign:
    """Draw squares of the map, and pixels in each."""
    classes = population.class_map
    valid = _cluster_sizes(classes, edge)
    there = np.flatnonzero(valid)
    wanted = max(FEWEST, round(whole.points / each))
    if wanted > len(there):
        raise InputError(
            f"n {whole.points} in clusters of {each} points needs {wanted} clusters, and "
            f"the map has {len(there)} of {edge} pixels",
            advice="give smaller clusters or fewer points",
        )
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(there, wanted, replace=False))
    down, across = np.divmod(drawn, valid.shape[1])
    windows = [
        classes[r * edge : (r + 1) * edge, c * edge : (c + 1) * edge].data
        for r, c in zip(down, across, strict=True)
    ]
    rows, cols, ids, clusters = [], [], [], []
    for k, window in enumerate(compute(*windows)):
        y, x = np.nonzero(window)
        at = np.sort(rng.choice(len(y), min(each, len(y)), replace=False))
        rows.append(down[k] * edge + y[at])
        cols.append(across[k] * edge + x[at])
        ids.append(window[y[at], x[at]])
        clusters.append(np.full(len(at), drawn[k]))
    cluster = np.concatenate(clusters)
    sizes = valid.ravel()[cluster]
    taken = np.minimum(each, sizes)
    chance = wanted / len(there) * taken / sizes
    pixels = np.concatenate(rows), np.concatenate(cols), np.concatenate(ids)
    extra = {"cluster": cluster, "cluster_pixels": sizes}
    frame = _frame(population, pixels, np.zeros(len(cluster), np.int64), chance, seed, extra)
    frame["stratum"] = whole.name
    strata = (Stratum(0, whole.name, whole.pixels, len(frame)),)
    area = pixel_area(population.geobox)
    return SamplingDesign("cluster", strata, frame, area, len(there), made=made)


def _cluster_sizes(classes: xr.DataArray, edge: int) -> Int64[np.ndarray, "down across"]:
    """Count the pixels with data in each square of the map."""
    valid = (classes != NO_DATA).astype(np.int64)
    return valid.coarsen(y=edge, x=edge, boundary="pad").sum().fillna(0).astype(np.int64).to_numpy()


def _frame(
    population: Population,
    pixels: Pixels,
    code: Int64[np.ndarray, " n"],
    chance: Float64[np.ndarray, " n"],
    seed: int,
    extra: Mapping[str, np.ndarray] | None = None,
) -> GeoDataFrame:
    """Return points at pixel centers, in the order of ids that tell nothing."""
    import geopandas as gpd

    row, col, class_id = pixels
    order = np.lexsort((col, row, code))
    shuffled = np.random.default_rng((seed, len(order))).permutation(order)
    affine: Any = population.geobox.affine
    x, y = affine * (col[shuffled] + 0.5, row[shuffled] + 0.5)
    columns = {
        "id": np.arange(1, len(order) + 1),
        "stratum": "",
        "stratum_code": code[shuffled].astype(np.int64),
        "inclusion_probability": chance[shuffled],
        "map_class": class_id[shuffled].astype(np.int64),
        **{name: values[shuffled].astype(np.int64) for name, values in (extra or {}).items()},
    }
    points = gpd.points_from_xy(x, y)
    return gpd.GeoDataFrame(columns, geometry=points, crs=crs_text(population.geobox.crs))
