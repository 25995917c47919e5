"""Two class maps of different years → a lazy map of change."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from osm4eo_xr.accuracy.change.change_map import ChangeMap
from osm4eo_xr.accuracy.change.decisions import (
    CHANGE,
    SMALL,
    STABLE,
    judge_filtered,
    judge_sure,
)
from osm4eo_xr.accuracy.designs.population import check_aligned, check_map
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, georeference, zero_nodata
from osm4eo_xr.geometry.known_classes import legend_of, of_classes, with_known_classes
from osm4eo_xr.legend import Legend, change_legend
from osm4eo_xr.rasters.shares import as_shares
from osm4eo_xr.sieving.lazy_sieve import sieve

__all__ = ["detect_change"]

Pair = tuple[xr.DataArray, xr.DataArray]


def detect_change(
    before: xr.DataArray,
    after: xr.DataArray,
    *,
    confidence: Pair | None = None,
    probabilities: Pair | None = None,
    threshold: float = 0.8,
    stay: float = 0.98,
    size: int = 1,
    connectivity: int = 8,
    legend: Legend | None = None,
) -> ChangeMap:
    """Say where the class changed between two years, only where both maps are sure.

    Parameters
    ----------
    before, after : DataArray (y, x), uint8
        Class maps of one legend on one grid, 0 = no data; may be lazy.
    confidence : pair of DataArray (y, x), optional
        The probability of each map's class, as ``classify(outputs=…)`` returns it beside the map:
        uint8 scaled by 250 with 255 = no data, or floats 0 to 1. A difference counts where both
        reach ``threshold``. Of a sieved map, or one with known ground, it is of other classes.
    probabilities : pair of DataArray (class, y, x), optional
        Instead: the probabilities of all classes in both years, in the same order of classes;
        gives a hidden Markov filter over the two years, and the maps' own classes do not count.
    threshold : float
        Above 0.5 and up to 1: least confidence of both years, or least probability of a change.
    stay : float
        With ``probabilities``: share of the ground that keeps its class, above 0 and below 1.
    size : int
        Minimum mapping unit: patches of change of fewer pixels are not counted as change.
    connectivity : int
        4, or 8 to connect pixels that meet at a corner.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.

    Returns
    -------
    ChangeMap
        Lazy. ``happened`` has the classes of the legend "change": 1 stable, 2 change, 3 unsure
        (the maps differ but not both are sure), 4 small; 0 = no data in one year.

    Raises
    ------
    InputError
        If the rasters are not on one grid, neither or both of ``confidence`` and
        ``probabilities`` are given, classes differ, or a number is out of range; when pixels are
        computed, if a map holds a class that the legend lacks.

    Examples
    --------
    >>> import numpy as np
    >>> from osm4eo_xr.geometry.grid import georeference, target_geobox
    >>> box = target_geobox((4_400_000, 2_700_000, 4_400_040, 2_700_010))
    >>> rows = np.array([[8, 8, 8, 5], [8, 1, 1, 0]], np.uint8)
    >>> sure = np.array([[1, 1, 1, 1], [1, 1, 0.5, 1]], np.float32)
    >>> before, after, *sure = (georeference(row[None], box) for row in (*rows, *sure))
    >>> found = detect_change(before, after, confidence=tuple(sure))
    >>> found.happened.values.tolist()
    [[1, 2, 3, 0]]
    >>> round(1e6 * found.transitions()[8, 1])  # forest to urban, m²
    100
    """
    legend = legend_of(before, after, given=legend)
    _check(before, after, confidence, probabilities, threshold, stay)
    first, second = (
        with_known_classes(_lazy(zero_nodata(m), before), legend, f"the map of the {name} year")
        for name, m in (("first", before), ("second", after))
    )
    if confidence is not None:
        judged = _by_confidence(first, second, confidence, threshold)
    else:
        judged = _by_filter(first, second, probabilities or (), stay, threshold, legend)
    codes = change_legend()
    attrs = {
        "flag_values": list(codes.ids),
        "flag_meanings": " ".join(c.slug for c in codes.classes),
        "flag_colors": " ".join(c.hex_color for c in codes.classes),
        "legend": codes.name,
        "nodata": 0,
    }
    grid = geobox_of(before)
    happened = georeference(judged[0], grid, attrs=attrs, name="change")
    years = (
        georeference(judged[1], grid, name="before"),
        georeference(judged[2], grid, name="after"),
    )
    how = {"threshold": threshold, "size": size, "connectivity": connectivity}
    how |= {"rule": "both years sure"} if confidence else {"rule": "two-year filter", "stay": stay}
    return ChangeMap(_sieved(happened, size, connectivity), *years, legend, how)


def _check(
    before: xr.DataArray,
    after: xr.DataArray,
    confidence: Pair | None,
    probabilities: Pair | None,
    threshold: float,
    stay: float,
) -> None:
    """Refuse what does not fit together."""
    if (confidence is None) == (probabilities is None):
        raise InputError(
            "a map of change needs to know how sure both maps are",
            advice="give either confidence or probabilities of both years",
        )
    if not 0.5 < threshold <= 1 or not 0 < stay < 1:  # noqa: PLR2004 - more than even
        raise InputError(
            f"threshold is {threshold}, stay {stay}",
            expected="threshold above 0.5 and up to 1, stay above 0 and below 1",
        )
    check_map(before)
    check_map(after)
    check_aligned(after, before, "map of the other year")
    for raster in confidence or probabilities or ():
        check_aligned(raster, before, "raster of confidence or probabilities")


def _lazy(raster: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Return a raster in the chunks of another; in one chunk if that is in memory."""
    chunks: Any = like.chunks or tuple((n,) for n in like.shape)
    planes = raster.ndim - like.ndim
    return raster.chunk(dict(zip(raster.dims, (*((-1,) * planes), *chunks), strict=True)))


def _by_confidence(
    before: xr.DataArray, after: xr.DataArray, confidence: Pair, threshold: float
) -> da.Array:
    a, b = (_lazy(c, before) for c in confidence)

    def judge(*blocks: np.ndarray) -> np.ndarray:
        sure = [as_shares(block) >= np.float32(threshold) for block in blocks[2:]]
        return judge_sure(blocks[0], blocks[1], sure[0] & sure[1])

    inputs = [part for raster in (before, after, a, b) for part in (raster.data, "yx")]
    return _blockwise(judge, inputs)


def _by_filter(
    before: xr.DataArray,
    after: xr.DataArray,
    probabilities: Any,
    stay: float,
    threshold: float,
    legend: Legend,
) -> da.Array:
    years = [of_classes(p, legend) for p in probabilities]
    names = [[legend.by_id[i].slug for i in ids] for ids, _ in years]
    if names[0] != names[1] or len(names[0]) < 2:  # noqa: PLR2004 - a change takes two
        raise InputError(
            f"the years have probabilities of {', '.join(names[0])} and of {', '.join(names[1])}",
            expected="two or more classes, the same in the same order",
        )
    ids = np.array(years[0][0], np.uint8)
    a, b = (_lazy(p, before) for _, p in years)

    def judge(one: np.ndarray, other: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        known = ((one > 0) & (other > 0)).astype(np.uint8)
        return judge_filtered(as_shares(p), as_shares(q), ids, stay, threshold) * known

    inputs = [before.data, "yx", after.data, "yx", a.data, "cyx", b.data, "cyx"]
    return _blockwise(judge, inputs)


def _blockwise(judge: Any, inputs: list[Any]) -> da.Array:
    """Apply a rule block by block."""
    meta = np.empty((0, 0, 0), np.uint8)
    return da.blockwise(
        judge, "kyx", *inputs, new_axes={"k": 3}, dtype=np.uint8, meta=meta, concatenate=True
    )


def _sieved(happened: xr.DataArray, size: int, connectivity: int) -> xr.DataArray:
    """Mark patches of change of fewer than ``size`` pixels as small."""
    if size <= 1:
        return happened
    changed = happened == CHANGE
    mask = xr.where(changed, np.uint8(CHANGE), np.uint8(STABLE))  # no data is stable ground, too
    kept = sieve(mask, size, connectivity, nodata=None, protected=(STABLE,)) == CHANGE
    large = kept & (happened.size >= size)  # nothing takes in a patch that fills the map
    return happened.where(~changed | large, np.uint8(SMALL))
