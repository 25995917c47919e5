"""The population that points are drawn from: pixels of a lazy map by stratum, counted per chunk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from dask.base import compute
from dask.delayed import delayed

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.geodesy import pixel_area
from osm4eo_xr.geometry.grid import crs_name, geobox_of, same_pixels, zero_nodata
from osm4eo_xr.geometry.known_classes import MEANINGS, refuse_others
from osm4eo_xr.legend import NO_DATA, Legend

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8, UInt16
    from odc.geo.geobox import GeoBox

_NO_STRATUM = 255  # code of pixels with a class and no stratum; ids of classes are below
_CODES = 65536


@dataclass(frozen=True, eq=False)
class Population:
    """A class map, and perhaps a raster of strata on its grid, read in the map's own chunks.

    A pixel belongs to the population where the map has a class. Its code is the class, or 256
    times the raster's value, or both together.

    Attributes
    ----------
    class_map : DataArray (y, x), uint8
        0 = no data.
    strata : DataArray (y, x), uint8, optional
        0 = no stratum.
    cross : bool
        Whether strata of the raster are divided by class.
    """

    class_map: xr.DataArray
    strata: xr.DataArray | None = None
    cross: bool = False

    @property
    def geobox(self) -> GeoBox:
        """Grid of the map."""
        return geobox_of(self.class_map)

    def name_of(self, code: int, legend: Legend) -> str:
        """Return what to call a stratum."""
        raster, class_id = divmod(code, 256)
        names = [] if self.strata is None else [_meaning(self.strata, raster)]
        return ", ".join(names + ([legend.by_id[class_id].slug] if class_id else []))

    def counts(self) -> dict[int, int]:
        """Count the pixels of each code."""
        count = delayed(_totals)
        parts = compute(*(count(*block, cross=self.cross) for _, block in self.blocks()))
        total = np.sum(parts, axis=0)
        return {code: int(total[code]) for code in np.flatnonzero(total).tolist()}

    def row_counts(self) -> RowCounts:
        """Count the pixels of each code, row by row of each chunk."""
        places, blocks = zip(*self.blocks(), strict=True)
        return RowCounts(places, compute(*(self._count(block) for block in blocks)))

    def blocks(self) -> list[tuple[tuple[int, int], tuple[Any, Any]]]:
        """Return top and left of each chunk, and its classes and strata, delayed."""
        first = self.class_map if self.class_map.chunks else self.class_map.chunk()
        chunks: Any = first.chunks
        rasters = [first.data.to_delayed()]
        if self.strata is not None:
            second = self.strata.chunk(dict(zip(("y", "x"), chunks, strict=True)))
            rasters.append(second.data.to_delayed())
        tops, lefts = ([0, *np.cumsum(sizes)[:-1].tolist()] for sizes in chunks)
        return [
            ((top, left), (rasters[0][i, j], rasters[1][i, j] if len(rasters) > 1 else None))
            for i, top in enumerate(tops)
            for j, left in enumerate(lefts)
        ]

    def locate(
        self,
        block: tuple[Any, Any],
        rows: Int64[np.ndarray, " n"],
        codes: Int64[np.ndarray, " n"],
        ranks: Int64[np.ndarray, " n"],
    ) -> Any:
        """Return, delayed, columns and classes of the rank-th pixels of a code in some rows."""
        return delayed(_locate)(*block, rows, codes, ranks, cross=self.cross)

    def _count(self, block: tuple[Any, Any]) -> Any:
        return delayed(_count)(*block, cross=self.cross)


class RowCounts:
    """Pixels of each code per row of each chunk; turns ranks in row-major order into pixels."""

    def __init__(self, places: Any, counted: Any) -> None:
        self.places: list[tuple[int, int]] = list(places)
        self._counted = counted
        self.total = Counter[int]()
        for codes, numbers in counted:
            sums = numbers.sum(axis=0, dtype=np.int64).tolist()
            self.total.update(dict(zip(codes.tolist(), sums, strict=True)))

    def find(
        self, code: int, ranks: Int64[np.ndarray, " n"]
    ) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """Return chunk, row in the chunk, and rank in that row of pixels of a code.

        ``ranks`` are places in the order of the map's rows, and of the columns within them.
        """
        lefts = sorted({left for _, left in self.places})
        tops = sorted({top for top, _ in self.places})
        heights = {top: len(n) for (top, _), (_, n) in zip(self.places, self._counted, strict=True)}
        cells = np.zeros((sum(heights.values()), len(lefts)), np.int64)
        for (top, left), (codes, numbers) in zip(self.places, self._counted, strict=True):
            at = np.flatnonzero(codes == code)
            if at.size:
                cells[top : top + len(numbers), lefts.index(left)] = numbers[:, at[0]]
        ends = np.cumsum(cells.ravel())
        cell = np.searchsorted(ends, ranks, side="right")
        row, across = np.divmod(cell, len(lefts))
        band = np.searchsorted(tops, row, side="right") - 1
        rank = ranks - (ends[cell] - cells.ravel()[cell])
        return band * len(lefts) + across, row - np.asarray(tops)[band], rank


def check_map(class_map: xr.DataArray) -> None:
    """Refuse what is no class map, or has pixels whose areas differ from row to row.

    Raises
    ------
    InputError
        If it is not (y, x) of uint8, or its pixels differ by more than 1 % on the ground.
    """
    if class_map.dims != ("y", "x") or class_map.dtype != np.uint8:
        raise InputError(
            f"the class map is {class_map.dtype} with dims {class_map.dims}",
            advice="give uint8 (y, x)",
        )
    pixel_area(geobox_of(class_map))


def check_aligned(raster: xr.DataArray, class_map: xr.DataArray, what: str) -> None:
    """Refuse a raster that is not on the map's grid.

    Raises
    ------
    InputError
        If CRS, pixels or extent differ.
    """
    a, b = geobox_of(class_map), geobox_of(raster)
    if not same_pixels(a, b):
        raise InputError(
            f"the {what} ({tuple(b.shape)}, {crs_name(b.crs)}) is not on the grid of the "
            f"class map ({tuple(a.shape)}, {crs_name(a.crs)})",
            advice="make it on that grid",
        )


def population_of(
    class_map: xr.DataArray, strata: xr.DataArray | None = None, *, cross: bool = False
) -> Population:
    """Check a map and a raster of strata, and put them together.

    Pixels of either that hold its stated no-data value are 0 in there.

    Raises
    ------
    InputError
        If one of them is not (y, x) of uint8, their grids differ, or there is nothing to cross.
    """
    check_map(class_map)
    if strata is None:
        if cross:
            raise InputError("cross divides a raster of strata by class", advice="give strata")
        return Population(zero_nodata(class_map))
    if strata.ndim != 2 or strata.dtype != np.uint8:  # noqa: PLR2004 - y and x
        raise InputError(
            f"strata are {strata.dtype} {strata.dims}", advice="give uint8 (y, x), 0 = none"
        )
    check_aligned(strata, class_map, "raster of strata")
    return Population(zero_nodata(class_map), zero_nodata(strata), cross)


def check_codes(counts: dict[int, int], legend: Legend, *, with_strata: bool = False) -> None:
    """Refuse an empty population, pixels without a stratum and classes that the legend lacks.

    Parameters
    ----------
    counts : dict of int to int
        Pixels of each code.
    legend : Legend
        Classes of the map.
    with_strata : bool
        Whether a raster of strata was given; without one, codes are classes.

    Raises
    ------
    InputError
        If there is one of these.
    """
    if not counts:
        raise InputError("the class map has no data anywhere", advice="give a map with classes")
    if with_strata and _NO_STRATUM in counts:
        raise InputError(
            f"the raster of strata has no value on {counts[_NO_STRATUM]:,} pixels of the map",
            advice="give each pixel a stratum, or set the map to 0 there",
        )
    of_class: Counter[int] = Counter()
    for code, count in counts.items():
        of_class[code % 256] += count
    del of_class[0]
    refuse_others(of_class, legend, "the map", "its pixels")


def _meaning(raster: xr.DataArray, value: int) -> str:
    """Return what a raster says that a value means, or the value with the raster's name."""
    values = np.atleast_1d(raster.attrs.get("flag_values", [])).tolist()
    meanings = str(raster.attrs.get("flag_meanings", "")).split()
    own = enumerate(MEANINGS.get(str(raster.attrs.get("legend", "")), ()), 1)  # read from a file
    known = dict(zip(values, meanings, strict=False)) or dict(own)
    return known.get(value, f"{raster.name or 'stratum'} {value}")


def _codes(
    classes: UInt8[np.ndarray, "y x"], strata: UInt8[np.ndarray, "y x"] | None, *, cross: bool
) -> UInt16[np.ndarray, "y x"]:
    """Return the code of each pixel; 0 = not of the population."""
    if strata is None:
        return classes.astype(np.uint16)
    inside = classes if cross else np.uint16(0)
    codes = strata.astype(np.uint16) * np.uint16(256) + inside
    codes = np.where(strata == 0, np.uint16(_NO_STRATUM), codes)
    return np.where(classes == NO_DATA, np.uint16(0), codes)


def _totals(
    classes: UInt8[np.ndarray, "y x"], strata: UInt8[np.ndarray, "y x"] | None, *, cross: bool
) -> Int64[np.ndarray, " codes"]:
    """Return how often a chunk has each code of the population."""
    counts = np.bincount(_codes(classes, strata, cross=cross).ravel(), minlength=_CODES)
    counts[0] = 0
    return counts


def _count(
    classes: UInt8[np.ndarray, "y x"], strata: UInt8[np.ndarray, "y x"] | None, *, cross: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of a chunk and how often each row has them."""
    codes = _codes(classes, strata, cross=cross)
    rows, cols = codes.shape
    there = np.flatnonzero(np.bincount(codes.ravel(), minlength=_CODES))
    place = np.zeros(_CODES, np.int64)
    place[there] = np.arange(len(there))
    index = place[codes] + len(there) * np.arange(rows)[:, None]
    counts = np.bincount(index.ravel(), minlength=rows * len(there)).reshape(rows, len(there))
    counts = counts.astype(np.min_scalar_type(cols))
    return there[there > 0], counts[:, there > 0]


def _locate(
    classes: UInt8[np.ndarray, "y x"],
    strata: UInt8[np.ndarray, "y x"] | None,
    rows: Int64[np.ndarray, " n"],
    codes: Int64[np.ndarray, " n"],
    ranks: Int64[np.ndarray, " n"],
    *,
    cross: bool,
) -> tuple[Int64[np.ndarray, " n"], UInt8[np.ndarray, " n"]]:
    """Return columns and classes of pixels that are named by row, code and rank in the row."""
    lines = _codes(classes[rows], strata if strata is None else strata[rows], cross=cross)
    cols = [np.flatnonzero(line == c)[k] for line, c, k in zip(lines, codes, ranks, strict=True)]
    return np.array(cols, np.int64), classes[rows, cols]
