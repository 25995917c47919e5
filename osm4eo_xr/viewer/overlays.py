"""What a viewer shows: class maps, quantities and scenes as rasters of bytes with their meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox

from osm4eo_xr.cogs.cog import write_cog
from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import geobox_of, nodata_of
from osm4eo_xr.geometry.known_classes import checked_block
from osm4eo_xr.legend import NO_DATA, PROBABILITY_NO_DATA, Legend
from osm4eo_xr.plot.tones import color_bands, tone_limits, toned
from osm4eo_xr.rasters.open import open_bands
from osm4eo_xr.rasters.shares import steps_of
from osm4eo_xr.viewer.web_mercator import Cells, bounds_in_degrees, cells_over

if TYPE_CHECKING:
    from jaxtyping import Num, UInt8, UInt16

Kind = Literal["classes", "quantity", "color"]

_STEPS = 10_000  # of a reflectance of 1
_LOOKED_AT = 1000  # pixels on the longest edge from which a scene's tones are settled


@dataclass(frozen=True)
class Entry:
    """One line of an overlay's legend.

    Attributes
    ----------
    value : int
        Pixel value.
    name : str
        What it means.
    color : str
        ``#rrggbb``.
    figures : str
        What else is known, for example the area with its interval.
    """

    value: int
    name: str
    color: str
    figures: str = ""


@dataclass(frozen=True)
class Overlay:
    """One thing that can be laid over the ground.

    Attributes
    ----------
    name : str
        Short and unique: its folder.
    title : str
        For people.
    kind : {"classes", "quantity", "color"}
        Classes and colors have 0 for no data; quantities are 0-250, 255 = no data.
    rasters : tuple of DataArray
        (y, x), or (band, y, x), whose windows are cheap to read: in memory or straight from a file.
        Where several overlap, the first that has data is shown.
    as_bytes : callable
        Returns what is shown, uint8 (y, x) or (3, y, x) of a color, of a window's numbers.
    entries : tuple of Entry
        The legend.
    shown : bool
        Whether it is on at first.
    """

    name: str
    title: str
    kind: Kind
    rasters: tuple[xr.DataArray, ...]
    as_bytes: Callable[[np.ndarray], np.ndarray]
    entries: tuple[Entry, ...] = ()
    shown: bool = True

    @property
    def nodata(self) -> int:
        """Value of pixels without data."""
        return PROBABILITY_NO_DATA if self.kind == "quantity" else NO_DATA

    @cached_property
    def grids(self) -> tuple[GeoBox, ...]:
        """The grid of each raster."""
        return tuple(geobox_of(raster) for raster in self.rasters)

    @cached_property
    def cells(self) -> Cells:
        """The web tiles over all rasters at the zoom that shows their pixels."""
        keep = self.kind != "color"
        zoom = max(cells_over(grid, keep=keep).zoom for grid in self.grids)
        each = [cells_over(grid, keep=keep, zoom=zoom) for grid in self.grids]
        columns = range(min(c.columns.start for c in each), max(c.columns.stop for c in each))
        rows = range(min(c.rows.start for c in each), max(c.rows.stop for c in each))
        return Cells(zoom, columns, rows)

    @property
    def bounds(self) -> tuple[float, ...]:
        """West, south, east, north of all rasters."""
        west, south, east, north = zip(*map(bounds_in_degrees, self.grids), strict=True)
        return min(west), min(south), max(east), max(north)


def class_overlay(
    name: str,
    title: str,
    rasters: Sequence[xr.DataArray],
    entries: Mapping[int, Entry],
    *,
    legend: Legend | None = None,
    shown: bool = True,
) -> Overlay:
    """Return class maps (y, x) of integers.

    Parameters
    ----------
    name, title, shown
        Of the overlay.
    rasters : sequence of DataArray
        Their values that are no key of ``entries`` are not shown.
    entries : mapping of int to Entry
        What a value of the rasters means; several may mean the same.
    legend : Legend, optional
        Whose classes alone the rasters may hold.

    Raises
    ------
    InputError
        If a raster is no class map; when it is read, if it holds a class that ``legend`` lacks.
    """
    for raster in rasters:
        if raster.ndim != 2 or raster.dtype not in (np.uint8, np.uint16):  # noqa: PLR2004
            raise InputError(
                f"the {title} is {raster.dims} of {raster.dtype}",
                expected="(y, x) of uint8 or uint16",
            )
    table = np.zeros(2**16, np.uint8)
    for value, entry in entries.items():
        table[value] = entry.value
    listed = {entry.value: entry for entry in entries.values()}
    none = {NO_DATA, *(int(nodata_of(raster, NO_DATA)) for raster in rasters)}
    read = partial(_entries_of, table, tuple(none), legend, f"the layer {title!r}")
    return Overlay(name, title, "classes", tuple(rasters), read, tuple(listed.values()), shown)


def _entries_of(
    table: np.ndarray, none: tuple[int, ...], legend: Legend | None, name: str, block: np.ndarray
) -> np.ndarray:
    """Return what the values of a block mean, those of other classes refused."""
    return table[block if legend is None else checked_block(block, none, legend, name)]


def legend_entries(legend: Legend, figures: Mapping[int, str] | None = None) -> dict[int, Entry]:
    """Return the entries of a legend's classes, with what else is known by class id."""
    told = figures or {}
    return {c.id: Entry(c.id, c.name, c.hex_color, told.get(c.id, "")) for c in legend.classes}


def confidence_overlay(
    name: str, title: str, rasters: Sequence[xr.DataArray], *, shown: bool = False
) -> Overlay:
    """Return the greatest probability of each pixel.

    Parameters
    ----------
    name, title, shown
        Of the overlay.
    rasters : sequence of DataArray
        Confidences (y, x) or probabilities (class, y, x): uint8 (0-250, 255 = no data) or float
        (0-1, NaN = no data).
    """
    return Overlay(name, title, "quantity", tuple(rasters), _sureness, shown=shown)


def scene_overlay(
    name: str, title: str, scenes: Sequence[xr.DataArray], scratch: Path, *, shown: bool = True
) -> Overlay:
    """Return scenes (band, y, x) of reflectance in true color, all in the same tones.

    Parameters
    ----------
    name, title, shown
        Of the overlay.
    scenes : sequence of DataArray
        Lazy ones are computed here, once.
    scratch : Path
        Folder for their colors as files, which have to stay until the tiles are made.

    Raises
    ------
    InputError
        If a scene lacks red, green or blue, or there is no pixel with data.
    """
    paths = []
    for k, scene in enumerate(scenes):
        steps = _in_steps(color_bands(scene))
        paths.append(write_cog(steps, scratch / f"{name}_{k}.tif", progress=_unseen))
    seen = np.concatenate([_thinned(path) for path in paths])
    pixels = seen[(seen > 0).all(axis=1)].astype(np.float32)
    if not len(pixels):
        raise InputError("the scene has no pixel with data", expected="reflectances to show")
    read = partial(_as_color, *tone_limits(pixels))
    return Overlay(name, title, "color", tuple(map(open_bands, paths)), read, shown=shown)


def settled(raster: xr.DataArray, path: Path) -> xr.DataArray:
    """Return a raster whose windows are cheap to read: a lazy one is computed once, to a file."""
    if raster.chunks is None:
        return raster
    write_cog(raster, path, progress=_unseen)
    return open_bands(path).assign_attrs(raster.attrs)


def _unseen(_done: int, _total: int) -> None:
    """Draw no bar of a scratch file; the tiles have one."""


def _in_steps(colors: xr.DataArray) -> xr.DataArray:
    """Return reflectances as 16-bit steps of 1/10,000 from 1 on; 0 = no data."""
    data = colors.data
    lazy = colors.chunks is not None
    made = data.map_blocks(_steps, dtype=np.uint16) if lazy else _steps(colors.to_numpy())
    return colors.copy(data=made).drop_attrs(deep=False).assign_attrs(nodata=0)


def _steps(block: Num[np.ndarray, "band y x"]) -> UInt16[np.ndarray, "band y x"]:
    steps = np.clip(np.rint(block * _STEPS) + 1, 1, 2**16 - 1)
    return np.where(np.isfinite(block), steps, 0).astype(np.uint16)


def _thinned(path: Path) -> UInt16[np.ndarray, "pixel band"]:
    """Return a file's pixels from its overviews."""
    with rasterio.open(path) as file:
        shrink = max(1.0, max(file.shape) / _LOOKED_AT)
        shape = (file.count, *(max(1, round(n / shrink)) for n in file.shape))
        return file.read(out_shape=shape).reshape(file.count, -1).T


def _as_color(
    low: np.ndarray, high: np.ndarray, block: Num[np.ndarray, "3 y x"]
) -> UInt8[np.ndarray, "3 y x"]:
    """Return tones 1-255, and 0 where a band has no data."""
    valid = (block > 0).all(axis=0)
    shown = np.zeros(block.shape, np.uint8)
    tones = toned(block[:, valid].T.astype(np.float32), low, high)
    shown[:, valid] = np.rint(1 + 254 * tones).astype(np.uint8).T
    return shown


def _sureness(block: Num[np.ndarray, "..."]) -> UInt8[np.ndarray, "y x"]:
    """Return the greatest probability as 0-250, and 255 for no data."""
    # No data is 255 in all classes at once, so that the greatest value is right there too.
    return steps_of(block if block.ndim == 2 else block.max(axis=0))  # noqa: PLR2004 - (y, x)
