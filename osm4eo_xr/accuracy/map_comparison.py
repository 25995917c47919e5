"""Two maps of the same ground: areas in km², agreement, quantity and allocation difference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute
from dask.delayed import delayed

from osm4eo_xr.accuracy.crosswalk import Crosswalk, read_crosswalk
from osm4eo_xr.accuracy.designs.population import check_map
from osm4eo_xr.errors import InputError
from osm4eo_xr.files import replace_json
from osm4eo_xr.geometry.geodesy import pixel_area
from osm4eo_xr.geometry.grid import geobox_of, nodata_of, zero_nodata
from osm4eo_xr.geometry.known_classes import A_COMPARISON, MEANINGS, legend_of, refuse_others
from osm4eo_xr.legend import NO_DATA, Legend
from osm4eo_xr.rasters.warp import Warp, plan_warp, refuse_apart

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, UInt8

    from osm4eo_xr.tables import Table

__all__ = ["MapComparison", "compare"]

NOTE = (
    "All pixels of both maps are compared, so there is no sampling error and no interval. The "
    "agreement of two maps is not the accuracy of either."
)

_COLORS = ("#1a9850", "#d73027", "#bdbdbd")
_CODES = 256
_HIDES = re.compile(r"\b(mask|alpha band)\b")  # in what open_raster says of a file


@dataclass(frozen=True, eq=False)
class MapComparison:
    """A map beside another map.

    Attributes
    ----------
    km2 : ndarray (256, 256), float64
        Area of each code of the other map (rows) and each class of the map (columns) where both
        have one.
    crosswalk : Crosswalk
        What is compared with what.
    legend : Legend
        Classes of the map.
    agreement : DataArray (y, x), uint8
        Lazy, on the map's grid: 1 = equal, 2 = different, 3 = undecided by the crosswalk, 0 = one
        of them has no data.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4321000, 3210000, 4321020, 3210010))
    >>> old = georeference(np.array([[8, 8]], dtype="uint8"), box)
    >>> new = georeference(np.array([[8, 12]], dtype="uint8"), box)
    >>> oxr.compare(new, old).agreement.values.tolist()
    [[1, 2]]
    """

    km2: Float64[np.ndarray, "code class"]
    crosswalk: Crosswalk
    legend: Legend
    agreement: xr.DataArray

    @property
    def groups(self) -> Float64[np.ndarray, "g g"]:
        """Area (km²) per group on the other map (rows) and on the map (columns)."""
        groups = self.crosswalk.groups
        by_class = np.stack([self.km2[:, list(g.classes)].sum(axis=1) for g in groups], axis=1)
        return np.stack([by_class[list(g.codes)].sum(axis=0) for g in groups])

    def differences(self) -> dict[str, float | None]:
        """Return shares of the compared area: agreement, quantity and allocation difference.

        Source
        ------
        Pontius & Millones 2011, "Death to Kappa", eqs. 2 to 7; the three add up to 1.
        """
        table = self.groups
        total = table.sum()
        if not total:
            return dict.fromkeys(("agreement", "quantity_difference", "allocation_difference"))
        share = table / total
        rows, cols, same = share.sum(axis=1), share.sum(axis=0), np.diag(share)
        quantity = np.abs(rows - cols).sum() / 2
        allocation = np.minimum(rows - same, cols - same).sum()
        found = same.sum(), quantity, allocation
        names = ("agreement", "quantity_difference", "allocation_difference")
        return {name: round(float(v), 6) for name, v in zip(names, found, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types."""
        codes = np.flatnonzero(self.km2.any(axis=1))
        compared = float(self.groups.sum())
        return {
            "other": self.crosswalk.title,
            "legend": self.legend.name,
            **self.differences(),
            "compared_km2": round(compared, 4),
            "undecided_km2": round(float(self.km2.sum()) - compared, 4),
            "groups": self._groups(),
            "contingency_km2": {
                "rows": "code of the other map",
                "columns": [c.slug for c in self.legend.classes],
                "codes": codes.tolist(),
                "km2": np.round(self.km2[codes][:, list(self.legend.ids)], 4).tolist(),
            },
            "undecided": dict(self.crosswalk.undecided),
            "note": NOTE,
        }

    def _groups(self) -> list[dict[str, Any]]:
        table = self.groups
        return [
            {
                "name": group.name,
                "map_km2": round(float(table[:, k].sum()), 4),
                "other_km2": round(float(table[k].sum()), 4),
                "both_km2": round(float(table[k, k]), 4),
            }
            for k, group in enumerate(self.crosswalk.groups)
        ]

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict()`` as JSON; the file appears whole."""
        return replace_json(path, self.to_dict())

    def __repr__(self) -> str:
        """Give the differences."""
        return f"<MapComparison with {self.crosswalk.title}: {self._summary()}>"

    def _summary(self) -> str:
        found = self.differences()
        parts = [f"{k.replace('_', ' ')} {v:.1%}" for k, v in found.items() if v is not None]
        return ", ".join(parts) or "no ground that both decide"

    def __rich__(self) -> Table:
        """Show the groups."""
        from osm4eo_xr.tables import Table

        title = f"{self.legend.name} and {self.crosswalk.title}, km²"
        table = Table(title=title, caption=f"{self._summary()}\n{NOTE}")
        for heading, side in (("group", "left"), ("map", "right"), ("other", "right")):
            table.add_column(heading, justify=side)
        table.add_column("both", justify="right")
        for group in self._groups():
            areas = (group["map_km2"], group["other_km2"], group["both_km2"])
            table.add_row(group["name"], *(f"{area:,.2f}" for area in areas))
        return table


def compare(
    class_map: xr.DataArray,
    other: xr.DataArray,
    *,
    crosswalk: str | Path | None = None,
    legend: Legend | None = None,
) -> MapComparison:
    """Compare a class map with another product or with the map of another year.

    Parameters
    ----------
    class_map : DataArray (y, x), uint8
        0, or what it states, = no data; lazy maps are read chunk by chunk.
    other : DataArray (y, x), integer
        Codes from 0 to 255 on any grid; each pixel of the map is compared with the other's nearest
        pixel. No data is what it states, any number but 0, and what the crosswalk lists. Where 0
        is a code, open a file with a mask or an alpha band with a ``fill`` that is none.
    crosswalk : str or path, optional
        What is compared with what, see ``read_crosswalk``; by default both have the legend.
    legend : Legend, optional
        By default the package's that the map states, or the twelve classes of OSMlanduse.

    Returns
    -------
    MapComparison
        Its figures are counted; its ``agreement`` map is lazy.

    Raises
    ------
    InputError
        If the maps do not touch, are of other types, or hold classes that the legend lacks, or
        the other's file hid pixels, which hold 0, and 0 is a code.

    Examples
    --------
    >>> import numpy as np
    >>> from osm4eo_xr.geometry.grid import georeference, target_geobox
    >>> box = target_geobox((4_400_000, 2_700_000, 4_400_040, 2_700_010))
    >>> ours = georeference(np.array([[8, 8, 12, 5]], np.uint8), box)
    >>> theirs = georeference(np.array([[10, 40, 80, 0]], np.uint8), box)
    >>> compare(ours, theirs, crosswalk="worldcover").differences()["agreement"]
    0.666667
    """
    legend = legend_of(class_map, *([] if crosswalk else [other]), given=legend)
    check_map(class_map)
    walk = read_crosswalk(crosswalk, legend)
    if other.ndim != 2 or not np.issubdtype(other.dtype, np.integer):  # noqa: PLR2004 - y and x
        raise InputError(f"the other map is {other.dtype} {other.dims}", expected="integers (y, x)")
    lazy = zero_nodata(class_map if class_map.chunks else class_map.chunk())
    placed = _on_grid(other, lazy, (*walk.nodata, *_stated(other, walk)))
    pairs = compute(*_by_block(_count, lazy.data, placed))
    counts = np.sum(pairs, axis=0)
    counts[:, NO_DATA] = 0
    refuse_others(dict(enumerate(counts.sum(axis=0).tolist())), legend, "the map", "its pixels")
    if crosswalk is None:
        codes = dict(enumerate(counts[:_CODES].sum(axis=1).tolist()))
        refuse_others(codes, legend, "the other map", "its pixels")
    km2 = counts[:_CODES] * pixel_area(geobox_of(class_map)) / 1e6
    return MapComparison(km2, walk, legend, _agreement(lazy, placed, walk))


def _stated(other: xr.DataArray, walk: Crosswalk) -> tuple[int, ...]:
    """Return the other map's no-data value; 0, which files without one get, may be a class."""
    stated = nodata_of(other, NO_DATA)
    if np.isfinite(stated) and stated != NO_DATA:
        return (int(stated),)
    said = str(other.attrs.get("validity", ""))
    if any(NO_DATA in group.codes for group in walk.groups) and _HIDES.search(said):
        raise InputError(
            f"pixels of the other map that its file hides ({said}) hold 0, a code of {walk.title}",
            expected="a number there that is no code",
            advice=f"open the file with {{fill={walk.unused}}}",
        )
    return ()


def _on_grid(other: xr.DataArray, like: xr.DataArray, nodata: tuple[int, ...]) -> da.Array:
    """Return the other map's codes at the map's pixels, lazy, int16; 256 = none."""
    warp = plan_warp(geobox_of(other), geobox_of(like), "nearest")
    refuse_apart([warp], "the other map")
    chunks: Any = like.chunks
    tops, lefts = ([0, *np.cumsum(sizes).tolist()] for sizes in chunks)
    rows = [slice(a, b) for a, b in pairwise(tops)]
    cols = [slice(a, b) for a, b in pairwise(lefts)]
    return da.block([[_piece(other, warp, r, c, nodata) for c in cols] for r in rows])


def _piece(
    other: xr.DataArray, warp: Warp, rows: slice, cols: slice, nodata: tuple[int, ...]
) -> da.Array:
    """Return one block of the other map on the map's grid."""
    shape = rows.stop - rows.start, cols.stop - cols.start
    window = warp.source_window(rows, cols)
    if window is None:
        return da.full(shape, _CODES, dtype=np.int16, chunks=shape)
    made = delayed(_warped)(other[window].data, warp, window, rows, cols, nodata)
    return da.from_delayed(made, shape, dtype=np.int16)


def _warped(
    codes: np.ndarray,
    warp: Warp,
    window: tuple[slice, slice],
    rows: slice,
    cols: slice,
    nodata: tuple[int, ...],
) -> np.ndarray:
    """Take the nearest codes; none where there is no data."""
    numbers = np.where(np.isin(codes, nodata), np.nan, codes).astype(np.float32)
    placed = warp.apply(numbers[None], window, rows, cols)[0]
    far = placed[(placed < 0) | (placed >= _CODES)]
    if far.size:
        raise InputError(f"the other map holds code {far[0]:g}", expected="0 to 255, or no data")
    return np.where(np.isnan(placed), _CODES, placed).astype(np.int16)


def _by_block(kernel: Any, *arrays: Any) -> list[Any]:
    """Apply a kernel to the blocks of arrays of the same chunks, delayed."""
    blocks = zip(*(a.to_delayed().ravel() for a in arrays), strict=True)
    return [delayed(kernel)(*parts) for parts in blocks]


def _count(classes: UInt8[np.ndarray, "y x"], codes: np.ndarray) -> Int64[np.ndarray, "code class"]:
    """Count pairs of code and class."""
    pairs = codes.astype(np.int64) * _CODES + classes
    counts = np.bincount(pairs.ravel(), minlength=(_CODES + 1) * _CODES)
    return counts.reshape(_CODES + 1, _CODES)


def _agreement(class_map: xr.DataArray, placed: da.Array, walk: Crosswalk) -> xr.DataArray:
    """Return where both maps are in one group, lazily."""
    of_class, of_code = np.zeros(_CODES, np.int16), np.zeros(_CODES + 1, np.int16)
    for k, group in enumerate(walk.groups, 1):
        of_class[list(group.classes)] = k
        of_code[list(group.codes)] = k

    def judge(classes: np.ndarray, codes: np.ndarray) -> np.ndarray:
        a, b = of_class[classes], of_code[codes]
        cases = [(classes == NO_DATA) | (codes == _CODES), (a == 0) | (b == 0), a == b]
        return np.select(cases, [np.array(0), np.array(3), np.array(1)], 2).astype(np.uint8)

    meta = np.empty((0, 0), np.uint8)
    data = da.blockwise(judge, "yx", class_map.data, "yx", placed, "yx", dtype=np.uint8, meta=meta)
    attrs = {
        "flag_values": [1, 2, 3],
        "flag_meanings": " ".join(MEANINGS[A_COMPARISON]),
        "flag_colors": " ".join(_COLORS),
        "legend": A_COMPARISON,
        "nodata": 0,
    }
    return class_map.copy(data=data).assign_attrs(attrs).rename("agreement")
