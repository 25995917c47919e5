"""Where the arrays of a Zarr store lie: CF's grid mapping, else the attributes that are called so.

STAC's projection extension and the GeoZarr conventions name a CRS ``proj:code``, ``proj:epsg``,
``proj:wkt2`` or ``proj:projjson`` and a transform ``proj:transform`` or ``spatial:transform``. They
stand on an array, on a group above it, or in the STAC item of a product's root (EOPF). What stands
nearest counts. Coordinates count before a transform: arrays of another resolution keep the
transform of the array that they were made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.geobox import GeoBox

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import crs_name, geobox_of, odc_of
from osm4eo_xr.rasters.hierarchies import damage

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

_SIX = 6
_UNEVEN = 0.1  # pixels that a center may be off; float32 coordinates are by 0.03
_NOT_METERS = ("km", "kilomet", "degree", "rad")
_NOT_DEGREES = ("m", "km", "kilomet", "rad")


class Grids:
    """The grids of a group's arrays; arrays that state the same share one.

    Parameters
    ----------
    where : str
        What messages call the group.
    above : callable
        Reads the attributes of the group and of those above it, the nearest first.
    """

    def __init__(self, where: str, above: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self._where, self._read = where, above
        self._above: Sequence[Mapping[str, Any]] | None = None
        self._known: dict[str, GeoBox] = {}

    def of(self, variable: xr.DataArray) -> GeoBox:
        """Return the grid of a (…, y, x) variable.

        Raises
        ------
        InputError
            If nothing states its CRS or where its pixels lie.
        """
        own = {k: v for k, v in variable.attrs.items() if str(k).startswith(("proj:", "spatial:"))}
        mapping = variable.encoding.get("grid_mapping", variable.attrs.get("grid_mapping"))
        key = repr((variable.dims[-2:], variable.shape[-2:], mapping, own))
        if key not in self._known:
            with damage(self._where):
                grid = self._find(variable, own)
                for dim in variable.dims[-2:]:
                    if dim in variable.coords and variable.sizes[dim] > 1:
                        self._check_axis(variable[dim], grid)
            self._known[key] = grid
        return self._known[key]

    def _check_axis(self, axis: xr.DataArray, grid: GeoBox) -> None:
        """Refuse coordinates that the CRS counts in another unit, or that are no even steps."""
        unit = str(axis.attrs.get("units", "")).casefold()
        other = _NOT_METERS if grid.crs is not None and grid.crs.projected else _NOT_DEGREES
        if unit.startswith(other):
            raise InputError(
                f"{self._where}: {axis.name} counts {unit}, its CRS {crs_name(grid.crs)} does not",
                advice="write coordinates in the unit of the CRS",
            )
        values = axis.to_numpy().astype(np.float64)
        step = (values[-1] - values[0]) / (values.size - 1)
        off = np.abs(values - values[0] - step * np.arange(values.size)).max()
        if off > _UNEVEN * abs(step):
            raise InputError(
                f"{self._where}: {axis.name} goes in uneven steps, up to {off / abs(step):.2g} "
                f"pixels off",
                expected="a regular grid",
                advice="resample it, for example with gdalwarp",
            )

    def _find(self, variable: xr.DataArray, own: Mapping[str, Any]) -> GeoBox:
        lacks = [d for d in variable.dims[-2:] if d not in variable.coords]
        if not lacks and odc_of(variable).crs is not None:
            return geobox_of(variable)
        said = list(_mappings([own]))
        if lacks or _crs_of(said) is None:
            if self._above is None:
                self._above = self._read()
            said = list(_mappings([own, *self._above]))
        if lacks:
            variable = variable.assign_coords(_centers(variable, said) or {})
        crs = odc_of(variable).crs or _crs_of(said)
        if crs is None:
            return geobox_of(variable)  # which says that there is none
        try:
            return geobox_of(odc_of(variable).assign_crs(crs))
        except (ValueError, RuntimeError) as error:  # pyproj's error is a RuntimeError
            if isinstance(error, InputError):
                raise
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"{self._where}: {variable.name} states the CRS {str(crs)[:80]!r}, which is none "
                f"({reason})",
                expected="an EPSG code, for example in proj:epsg",
            ) from None


def _mappings(said: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Yield attributes, and behind them the properties of a STAC item that is among them."""
    for attributes in said:
        yield attributes
        item = attributes.get("stac_discovery")
        if isinstance(item, Mapping) and isinstance(item.get("properties"), Mapping):
            yield item["properties"]


def _crs_of(said: Iterable[Mapping[str, Any]]) -> Any:
    """Return the nearest stated CRS, or None."""
    for attributes in said:
        if (code := attributes.get("proj:epsg")) not in (None, ""):
            return f"EPSG:{code}"
        for name in ("proj:code", "proj:wkt2"):
            if attributes.get(name):
                return str(attributes[name])
        if isinstance(attributes.get("proj:projjson"), Mapping):
            return json.dumps(attributes["proj:projjson"])
    return None


def _centers(
    variable: xr.DataArray, said: Iterable[Mapping[str, Any]]
) -> dict[Any, np.ndarray] | None:
    """Return pixel centers by the nearest transform of just this shape, or None."""
    rows, cols = variable.shape[-2:]
    y, x = variable.dims[-2:]
    for attributes in said:
        for kind in ("proj", "spatial"):
            numbers = np.ravel(attributes.get(f"{kind}:transform", ()))
            shape = tuple(np.ravel(attributes.get(f"{kind}:shape", (rows, cols))).tolist())
            if numbers.size >= _SIX and shape == (rows, cols) and numbers[1] == numbers[3] == 0:
                return {
                    y: numbers[5] + numbers[4] * (np.arange(rows) + 0.5),
                    x: numbers[2] + numbers[0] * (np.arange(cols) + 0.5),
                }
    return None
