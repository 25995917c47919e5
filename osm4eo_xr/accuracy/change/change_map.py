"""A map of change: transitions in km² as counted, and a design for areas with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.base import compute
from dask.delayed import delayed

from osm4eo_xr.accuracy.change.decisions import CHANGE
from osm4eo_xr.accuracy.designs.points import design_points
from osm4eo_xr.files import replace_json
from osm4eo_xr.geometry.geodesy import pixel_area
from osm4eo_xr.geometry.grid import geobox_of
from osm4eo_xr.legend import change_legend

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float64, Int64, UInt8

    from osm4eo_xr.accuracy.designs.design import SamplingDesign
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.tables import Table

__all__ = ["ChangeMap"]

NOTE = (
    "Counted areas of change carry the errors of both maps, and where change is rare most of what "
    "is counted may be error. Draw points with a design, let interpreters say stable or change, "
    "and assess gives the area of change with an interval."
)

_CODES = 256


@dataclass(frozen=True, eq=False)
class ChangeMap:
    """What changed between two years.

    Attributes
    ----------
    happened : DataArray (y, x), uint8
        1 stable, 2 change, 3 unsure, 4 small (change below the mapping unit), 0 = no data in a
        year; lazy.
    before, after : DataArray (y, x), uint8
        The classes that the rule decided on.
    legend : Legend
        Their classes.
    how : mapping
        The rule and its numbers.

    Examples
    --------
    >>> import numpy as np, osm4eo_xr as oxr
    >>> from osm4eo_xr.geometry.grid import georeference
    >>> box = oxr.target_geobox((4_400_000, 2_700_000, 4_400_020, 2_700_010))
    >>> rows = np.array([[[8, 8]], [[8, 1]]], np.uint8)
    >>> before, after = (georeference(row, box) for row in rows)
    >>> sure = georeference(np.ones((1, 2), np.float32), box)
    >>> changed = oxr.detect_change(before, after, confidence=(sure, sure))
    >>> isinstance(changed, oxr.ChangeMap), changed.happened.values.tolist()
    (True, [[1, 2]])
    """

    happened: xr.DataArray
    before: xr.DataArray
    after: xr.DataArray
    legend: Legend
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def _rasters(self) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
        return self.happened, self.before, self.after

    @cached_property
    def _counted(self) -> tuple[np.ndarray, np.ndarray]:
        """Count what happened, and pairs of classes where change was."""
        chunks: Any = self.happened.chunks or self.happened.chunk().chunks
        arrays = (r.chunk(dict(zip("yx", chunks, strict=True))).data for r in self._rasters)
        blocks = zip(*(array.to_delayed().ravel() for array in arrays), strict=True)
        counted = compute(*(delayed(_count)(*parts) for parts in blocks))
        pairs = np.sum([part[1] for part in counted], axis=0)
        km2 = pixel_area(geobox_of(self.happened)) / 1e6
        return np.sum([part[0] for part in counted], axis=0) * km2, pairs * km2

    def areas(self) -> dict[str, float]:
        """Return the counted area (km²) of each class of the map of change, by slug."""
        return {c.slug: float(self._counted[0][c.id]) for c in change_legend().classes}

    def transitions(self) -> Float64[np.ndarray, "before after"]:
        """Return the counted area (km²) of change by class id before (rows) and after."""
        return self._counted[1]

    def design_points(self, n: int, **how: Any) -> SamplingDesign:
        """Draw points of which interpreters say whether they are stable or changed.

        Strata are the classes of the map of change. ``assess(happened, sheets, design=…,
        legend=load_legend("change"))`` then estimates the area of change with an interval.

        Parameters
        ----------
        n : int
            Points.
        **how
            As ``design_points`` takes it.

        Source
        ------
        Olofsson et al. 2014, "Good practices for estimating area and assessing accuracy of land
        change", sections 4 and 5.
        """
        return design_points(self.happened, n=n, legend=change_legend(), **how)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain JSON types."""
        table, ids = self.transitions(), list(self.legend.ids)
        pairs = [
            {
                "before": self.legend.by_id[i].slug,
                "after": self.legend.by_id[j].slug,
                "counted_km2": round(float(table[i, j]), 4),
            }
            for i in ids
            for j in ids
            if table[i, j]
        ]
        return {
            "how": dict(self.how),
            "legend": self.legend.name,
            "counted_km2": {name: round(area, 4) for name, area in self.areas().items()},
            "transitions": sorted(pairs, key=lambda p: -p["counted_km2"]),
            "note": NOTE,
        }

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict()`` as JSON; the file appears whole."""
        return replace_json(path, self.to_dict())

    def __repr__(self) -> str:
        """Say by which rule; nothing is computed."""
        return f"<ChangeMap {self.happened.shape}: {dict(self.how)}>"

    def __rich__(self) -> Table:
        """Show the transitions."""
        from osm4eo_xr.tables import Table

        report = self.to_dict()
        parts = [f"{name} {area:,.2f}" for name, area in report["counted_km2"].items()]
        table = Table(title="Change, km² as counted", caption=f"{', '.join(parts)}\n{NOTE}")
        table.add_column("before")
        table.add_column("after")
        table.add_column("km²", justify="right")
        for pair in report["transitions"]:
            table.add_row(pair["before"], pair["after"], f"{pair['counted_km2']:,.2f}")
        return table


def _count(
    happened: UInt8[np.ndarray, "y x"],
    before: UInt8[np.ndarray, "y x"],
    after: UInt8[np.ndarray, "y x"],
) -> tuple[Int64[np.ndarray, " code"], Int64[np.ndarray, "before after"]]:
    """Count one block: what happened, and pairs of classes where change was."""
    codes = np.bincount(happened.ravel(), minlength=_CODES)
    changed = happened == CHANGE
    pairs = before[changed].astype(np.int64) * _CODES + after[changed]
    table = np.bincount(pairs, minlength=_CODES**2).reshape(_CODES, _CODES)
    return codes, table
