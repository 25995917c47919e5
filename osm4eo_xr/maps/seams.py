"""Whether tiles or blocks show in a map: changes of class across their edges and beside them.

Where neighboring tiles fit, the class changes as often across the line on which a tile ends as it
does across lines beside it. The excess of the first rate over the mean of the others is the seam;
its interval comes from a bootstrap over blocks of the line, as changes along a line hang together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name, first_pixel, geobox_of, same_grid, zero_nodata
from osm4eo_xr.legend import NO_DATA

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, UInt8
    from odc.geo.geobox import GeoBox

BESIDE = (2, 4, 8, 16)
"""Distances, in pixels, of the parallel lines on both sides."""

_WIDTH = 8  # pixels of the strips whose shares of classes are compared
_BLOCK = 32  # pixels of a line that are drawn together
_DRAWS = 999
_INTERVAL = (2.5, 97.5)  # per cent


@dataclass(frozen=True)
class Seam:
    """What is found across one line, or across all.

    Attributes
    ----------
    axis : str
        "x" where tiles lie left and right of it, "y" where they lie above and below, "" of all.
    at, start, end : int
        Column (or row) after the line and the first and past-the-last row (or column) along it,
        in pixels of the map; 0 of all.
    worst : int
        Place along it, in pixels of the map, where a part of 32 begins that has the most changes
        across; 0 of all.
    pairs : int
        Pixels with a class on both sides of it.
    across, beside : float
        Rate (0-1) of class changes across it, and across the parallel lines.
    excess, low, high : float
        Their difference and its 95 % interval; NaN where no line has pairs.
    shift, shift_low, shift_high : float
        By how much more (0-1, half the sum of absolute differences) the shares of classes differ
        between the 8 pixels on both sides than between those and the next 8, and its interval.
    """

    axis: str
    at: int
    start: int
    end: int
    worst: int
    pairs: int
    across: float
    beside: float
    excess: float
    low: float
    high: float
    shift: float
    shift_low: float
    shift_high: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None for NaN."""
        row = {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {k: None if v != v else v for k, v in row.items()}  # noqa: PLR0124 - NaN


def seam_certificate(
    class_map: xr.DataArray, tiles: Mapping[str, GeoBox], *, seed: int = 0
) -> list[Seam]:
    """Measure the seams of a map that was joined from tiles.

    Parameters
    ----------
    class_map : DataArray (y, x), uint8
        The map; no data as it states, by default 0. May be lazy: strips along edges are read.
    tiles : mapping of str to GeoBox
        The tiles' grids, by id.
    seed : int
        Of the bootstrap.

    Returns
    -------
    list of Seam
        That of all lines together, then each line within the map on which a tile begins or ends,
        the greatest excess first.

    Raises
    ------
    InputError
        If the map is not (y, x) of uint8, or a tile lies on another grid.

    Source
    ------
    Blocks of the bootstrap: Künsch 1989, Annals of Statistics 17, without overlap.

    Examples
    --------
    >>> import numpy as np
    >>> from osm4eo_xr.geometry.grid import georeference, target_geobox
    >>> box = target_geobox((4321000, 3210000, 4321800, 3210400))
    >>> classes = np.repeat(np.array([[5, 8]], dtype="uint8"), 40, axis=1).repeat(40, axis=0)
    >>> tiles = {"west": box[:, :40], "east": box[:, 40:]}
    >>> whole = seam_certificate(georeference(classes, box), tiles)[0]
    >>> whole.across, whole.beside
    (1.0, 0.0)
    """
    if class_map.dims != ("y", "x") or class_map.dtype != np.uint8:
        raise InputError(
            f"the map is {class_map.dims} of {class_map.dtype}", advice="give (y, x) of uint8"
        )
    lines = _lines(geobox_of(class_map), tiles)
    counts = _count(zero_nodata(class_map), lines)
    seams = [_seam(line, c, seed) for line, c in zip(lines, counts, strict=True)]
    seams.sort(key=lambda s: -np.nan_to_num(s.excess, nan=-1.0))
    return [_together(counts, seed), *seams]


def block_seam(
    tiles: Iterable[tuple[xr.DataArray, Sequence[int], Sequence[int]]],
    *,
    stride: int = 1,
    seed: int = 0,
) -> Seam:
    """Measure the seams between the blocks in which tiles were computed, all together.

    A class map is the same however it is cut into blocks, so the excess has to be 0 but for chance.

    Parameters
    ----------
    tiles : iterable of (DataArray, sequence of int, sequence of int)
        Class maps (y, x), uint8, which may be lazy, each with the rows and the columns on which
        another block begins (``block_edges``).
    stride : int
        Pixels of a network's cells. Classes change oftener between cells than within them, and
        blocks begin between cells, so that the parallel lines are such lines too: 1, 2 and 4 cells
        away.
    seed : int
        Of the bootstrap.
    """
    counts: list[_Counts] = []
    beside = BESIDE if stride == 1 else tuple(stride * cells for cells in (1, 2, 4))
    for class_map, rows, columns in tiles:
        height, width = class_map.shape
        lines = [*(("y", at, 0, width) for at in rows), *(("x", at, 0, height) for at in columns)]
        counts += _count(zero_nodata(class_map), lines, beside)
    return _together(counts, seed)


def _together(counts: Sequence[_Counts], seed: int) -> Seam:
    """Return what is found across all lines."""
    every = [np.concatenate(parts) for parts in zip(_NONE, *counts, strict=True)]
    return _seam(("", 0, 0, 0), (every[0], every[1]), seed)


_Line = tuple[str, int, int, int]
_Counts = tuple[np.ndarray, np.ndarray]
"""By blocks of a line: changes and pairs; classes of the strips."""

_VALUES = 256
_NONE = np.zeros((0, 2, 2), np.int64), np.zeros((0, 4, _VALUES), np.int64)


def _lines(grid: GeoBox, tiles: Mapping[str, GeoBox]) -> list[_Line]:
    """Return the lines within a map on which tiles begin or end, each once, in order."""
    top, left = first_pixel(grid)
    spans: dict[tuple[str, int], set[tuple[int, int]]] = {}
    for name, box in tiles.items():
        if not same_grid(grid, box):
            raise InputError(f"tile {name} lies on another grid ({crs_name(box.crs)}) than the map")
        row, column = first_pixel(box)
        y = max(row - top, 0), min(row - top + box.shape[0], grid.shape[0])
        x = max(column - left, 0), min(column - left + box.shape[1], grid.shape[1])
        for axis, ends, along, size in (("y", y, x, grid.shape[0]), ("x", x, y, grid.shape[1])):
            for at in ends:
                if 0 < at < size:
                    spans.setdefault((axis, at), set()).add(along)
    return [(*key, *span) for key in sorted(spans) for span in _joined(sorted(spans[key]))]


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Unite spans that overlap; those that only touch stay apart."""
    out: list[tuple[int, int]] = []
    for start, end in spans:
        if out and start < out[-1][1]:
            out[-1] = out[-1][0], max(end, out[-1][1])
        else:
            out.append((start, end))
    return out


def _count(
    class_map: xr.DataArray, lines: Sequence[_Line], beside: Sequence[int] = BESIDE
) -> list[_Counts]:
    """Count along each line; the strips of all are read in one go."""
    far, strips = max(*beside, 2 * _WIDTH) + 1, []
    for axis, at, start, end in lines:
        strip = class_map.data if axis == "y" else class_map.data.T
        low = max(at - far, 0)
        strips.append((strip[low : at + far, start:end], at - low))
    read = dask.compute([strip for strip, _ in strips])[0]  # pyright: ignore[reportPrivateImportUsage] - documented there
    parts = [(np.asarray(strip), at) for strip, (_, at) in zip(read, strips, strict=True)]
    return [(changes_of(*part, beside), classes_of(*part)) for part in parts]


def changes_of(
    strip: UInt8[np.ndarray, "across along"], at: int, beside: Sequence[int] = BESIDE
) -> Int64[np.ndarray, "block 2 2"]:
    """Count changes of class by blocks of a line.

    Parameters
    ----------
    strip : ndarray (across, along)
        Classes on both sides of the line, 0 = no data.
    at : int
        The line runs between ``strip[at - 1]`` and ``strip[at]``.
    beside : sequence of int
        Distances, in pixels, of the parallel lines on both sides.

    Returns
    -------
    ndarray (block, 2, 2)
        Changes and pairs; of the line, and of all parallel lines within the strip.
    """
    before, after = strip[:-1], strip[1:]
    pairs = (before != NO_DATA) & (after != NO_DATA)
    both = np.stack([pairs & (before != after), pairs]).astype(np.int64)
    places = [at - 1 + side * d for d in beside for side in (-1, 1)]
    around = both[:, [p for p in places if 0 <= p < len(before)]].sum(axis=1)
    blocks = np.arange(0, strip.shape[1], _BLOCK)
    summed = [np.add.reduceat(rows, blocks, axis=1) for rows in (both[:, at - 1], around)]
    return np.stack(summed).transpose(2, 0, 1)


def classes_of(
    strip: UInt8[np.ndarray, "across along"], at: int
) -> Int64[np.ndarray, "block 4 256"]:
    """Count classes by blocks of a line, in two strips of 8 pixels before it and two after it.

    Parameters
    ----------
    strip : ndarray (across, along)
        Classes on both sides of the line, 0 = no data.
    at : int
        The line runs between ``strip[at - 1]`` and ``strip[at]``.
    """
    starts = [at + k * _WIDTH for k in (-2, -1, 0, 1)]
    blocks = np.arange(strip.shape[1]) // _BLOCK
    found = np.zeros((blocks[-1] + 1, len(starts), _VALUES), np.int64)
    for k, start in enumerate(starts):
        part = strip[max(start, 0) : max(start + _WIDTH, 0)]
        np.add.at(found[:, k], (np.broadcast_to(blocks, part.shape), part), 1)
    found[..., NO_DATA] = 0
    return found


def _seam(line: _Line, counts: _Counts, seed: int) -> Seam:
    """Return rates and intervals from the counts of blocks."""
    changes, classes = counts
    across, beside = _rates(changes.sum(axis=0)) if len(changes) else (np.nan, np.nan)
    shift = float(_shifts(classes.sum(axis=0)[None])[0]) if len(classes) else np.nan
    limits = _intervals(changes, classes, seed) if len(changes) > 1 else (np.nan,) * 4
    pairs = int(changes[:, 0, 1].sum())
    worst = line[2] + _BLOCK * int(changes[:, 0, 0].argmax()) if line[0] else 0
    rest = [float(v) for v in (across, beside, across - beside, *limits[:2], shift, *limits[2:])]
    return Seam(*line, worst, pairs, *rest)


def _intervals(
    changes: Int64[np.ndarray, "block 2 2"], classes: Int64[np.ndarray, "block 4 256"], seed: int
) -> tuple[float, ...]:
    """Return the bounds of excess and shift over draws of blocks."""
    n = len(changes)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), _DRAWS)
    rates = _rates(np.tensordot(drawn, changes, axes=1))
    here = classes.any(axis=(0, 1))  # few of the 256
    shifts = _shifts(np.tensordot(drawn, classes[:, :, here], axes=1))
    limits: list[float] = []
    for values in (rates[:, 0] - rates[:, 1], shifts):
        known = values[np.isfinite(values)]
        limits += np.percentile(known, _INTERVAL).tolist() if known.size else [np.nan, np.nan]
    return tuple(limits)


def _shifts(classes: Int64[np.ndarray, "draw 4 value"]) -> Float64[np.ndarray, " draw"]:
    """Return how much more shares differ across a line than beside it; NaN without classes."""
    total = classes.sum(axis=-1, keepdims=True)
    shares = np.divide(classes, total, out=np.full(classes.shape, np.nan), where=total > 0)
    differ = np.abs(np.diff(shares, axis=1)).sum(axis=-1) / 2
    beside = np.where(np.isfinite(differ[:, [0, 2]]), differ[:, [0, 2]], 0.0).sum(axis=1)
    sides = np.isfinite(differ[:, [0, 2]]).sum(axis=1)
    return differ[:, 1] - np.where(sides > 0, beside / np.maximum(sides, 1), np.nan)


def _rates(counts: Int64[np.ndarray, "*draw 2 2"]) -> Float64[np.ndarray, "*draw 2"]:
    """Return changes per pair; NaN without pairs."""
    changes, pairs = counts[..., 0], counts[..., 1]
    empty = np.full(changes.shape, np.nan)
    return np.divide(changes, pairs, out=empty, where=pairs > 0)
