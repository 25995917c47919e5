"""A class map → one layer: its classes alone, as ids, CORINE codes or a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.grid import geobox_of, georeference
from osm4eo_xr.legend import NO_DATA, LandUseClass, Legend, default_legend

Codes = Literal["id", "clc", "mask"]

MASK_NO_DATA = 255
"""No-data value of masks, where 0 says: land of another class."""

_VALUES = 256


def extract_layer(
    class_map: xr.DataArray,
    layer: str | int | Sequence[str | int],
    *,
    codes: Codes = "id",
    legend: Legend | None = None,
) -> xr.DataArray:
    """Return one layer, or several, of a class map; lazy.

    Parameters
    ----------
    class_map : DataArray (y, x), uint8
        Class ids, 0 = no data.
    layer : str, int or a sequence of them
        Slug, name, id, or ``"clc:NN"`` for a CORINE code; each must be in the legend.
    codes : {"id", "clc", "mask"}
        What chosen pixels hold: class id, CORINE code (uint16 where one is above 255) or 1.
    legend : Legend, optional
        By default the twelve classes of OSMlanduse.

    Returns
    -------
    DataArray (y, x), uint8 or uint16
        ``"id"``, ``"clc"``: 0 everywhere else, which is no data. ``"mask"``: 0 is another class
        and 255 no data. The name is the layer's slug.

    Raises
    ------
    InputError
        If the legend has no such class, or the map is not uint8 with dims (y, x).
    """
    if class_map.dims != ("y", "x") or class_map.dtype != np.uint8:
        raise InputError(
            f"layers are taken from a class map (y, x) of uint8, not {class_map.dims} of "
            f"{class_map.dtype}"
        )
    legend = legend or default_legend()
    wanted = [layer] if isinstance(layer, str | int) else list(layer)
    if not wanted:
        raise InputError("no layer is named; give a class such as 'water'")
    classes = sorted({legend.find(name) for name in wanted}, key=lambda c: c.id)
    table = _table(classes, codes)
    data = class_map.data
    lazy = class_map.chunks is not None
    picked = data.map_blocks(_pick, table, dtype=table.dtype) if lazy else _pick(data, table)
    name = "-".join(c.slug for c in classes)
    attrs = _attrs(classes, codes, legend, class_map.attrs)
    return georeference(picked, geobox_of(class_map), attrs=attrs, name=name)


def _table(classes: list[LandUseClass], codes: Codes) -> np.ndarray:
    """Return the new value of each of the 256 old ones."""
    if codes == "mask":
        table = np.zeros(_VALUES, np.uint8)
        table[NO_DATA] = MASK_NO_DATA
        table[[c.id for c in classes]] = 1
        return table
    values = {c.id: c.id if codes == "id" else c.clc for c in classes}
    table = np.zeros(_VALUES, np.uint8 if max(values.values()) < _VALUES else np.uint16)
    table[list(values)] = list(values.values())
    return table


def _pick(block: np.ndarray, table: np.ndarray) -> np.ndarray:
    return table[block]


def _attrs(
    classes: list[LandUseClass], codes: Codes, legend: Legend, old: dict[Any, Any]
) -> dict[str, Any]:
    """Describe the values that are left."""
    kept = {k: v for k, v in old.items() if not str(k).startswith("flag_")}
    if codes == "mask":
        slug, color = "-".join(c.slug for c in classes), classes[0].hex_color
        flags = {
            "flag_values": [0, 1],
            "flag_meanings": f"other {slug}",
            "flag_colors": f"#ffffff {color}",
        }
        kept.pop("legend", None)
        return {**kept, **flags, "nodata": MASK_NO_DATA}
    return {
        **kept,
        "flag_values": [c.id if codes == "id" else c.clc for c in classes],
        "flag_meanings": " ".join(c.slug for c in classes),
        "flag_colors": " ".join(c.hex_color for c in classes),
        "legend": legend.name,
        "nodata": NO_DATA,
    }
