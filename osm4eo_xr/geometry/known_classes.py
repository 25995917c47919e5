"""Class maps whose every class the legend has; others are refused where pixels are computed.

A legend says what ids mean. A map of another legend is full of ids that this one lacks, or gives
another name; to pass one on would put wrong names to its land. Maps that this package writes state
their legend's name, and each step refuses one of another name. It refuses as well what the legend
lacks, with values, share and what settles it. A lazy map cannot be looked at as a whole: its blocks
are checked as they are computed, so that nothing is written of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import nodata_of
from osm4eo_xr.legend import NO_DATA, Legend, default_legend, is_built_in, load_legend

if TYPE_CHECKING:
    from jaxtyping import Integer

OF_CORINE, OF_A_MASK = ", CORINE codes", ", mask"
"""Behind the name of a legend in what a layer states whose values are no ids of it."""

_NONE = "no legend"
AN_AGREEMENT, A_COMPARISON, A_PROVENANCE, CLAIMS, SET_SIZES = (
    f"{_NONE}, {kind}" for kind in ("agreement", "comparison", "provenance", "claims", "set sizes")
)
"""What rasters state in place of a legend's name whose values are those of no legend."""

MEANINGS: dict[str, tuple[str, ...]] = {
    AN_AGREEMENT: ("equal", "different", "predicted_only", "known_only"),
    A_COMPARISON: ("equal", "different", "undecided"),
    A_PROVENANCE: ("openstreetmap", "prediction", "overruled"),
}
"""What values 1, 2, … of such rasters mean; files do not say."""

_CODES = (OF_CORINE, OF_A_MASK, AN_AGREEMENT, A_COMPARISON, A_PROVENANCE, CLAIMS, SET_SIZES)
_ALL_DIGITS = 10  # per cent from which two digits are whole numbers
_NAMED = 5  # classes in a message
_OFTEN_NONE = 255  # no class of any legend, and often no data that a map does not state


def legend_of(*rasters: xr.DataArray, given: Legend | None = None, name: str = "") -> Legend:
    """Return the legend of rasters of classes: the given one, or else the one that they state.

    Parameters
    ----------
    *rasters : DataArray
        Class maps or labels; ``attrs["legend"]`` is the name of the legend they were made with.
    given : Legend, optional
        By default the legend of this package that the first states, or OSMlanduse's.
    name : str
        What messages call the raster; by default its own name.

    Raises
    ------
    InputError
        If one states another.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> map_of = lambda name: xr.DataArray(np.zeros((1, 1), "uint8"), attrs={"legend": name})
    >>> legend_of(map_of("osmlanduse-13")).name, legend_of(map_of("")).name
    ('osmlanduse-13', 'osmlanduse-12')
    """
    legend = given
    if legend is None:
        stated = [text for text in map(_stated, rasters) if text]
        known = stated and is_built_in(stated[0])
        legend = load_legend(stated[0]) if known else default_legend()
    for raster in rasters:
        refuse_other_legend(raster, legend, name)
    return legend


def class_ids_of(probabilities: xr.DataArray, legend: Legend) -> list[int]:
    """Return the class id of each layer of probabilities (class, y, x).

    Their names may be ids, slugs or names; 0 is a network's class of unlabeled ground, which no
    legend has and no pixel gets.

    Raises
    ------
    InputError
        If they name no classes, or one that the legend lacks.
    """
    names: Any = probabilities["class"].to_numpy() if "class" in probabilities.coords else ()
    if probabilities.dims != ("class", "y", "x") or not len(names):
        raise InputError(
            f"probabilities have dims {probabilities.dims}",
            expected="(class, y, x) with class ids, slugs or names as coordinate",
        )
    return [legend.find(str(n)).id if str(n) != str(NO_DATA) else NO_DATA for n in names]


def of_classes(probabilities: xr.DataArray, legend: Legend) -> tuple[list[int], xr.DataArray]:
    """Return class ids and their probabilities, without a network's class of unlabeled ground.

    Raises
    ------
    InputError
        As ``class_ids_of``.
    """
    ids = class_ids_of(probabilities, legend)
    kept = [k for k, class_id in enumerate(ids) if class_id != NO_DATA]
    return [ids[k] for k in kept], probabilities.isel({"class": kept})


def coded(raster: xr.DataArray) -> tuple[xr.DataArray, str]:
    """Return a raster that states its legend alone, and how its values are said to be coded.

    That is ``OF_CORINE`` or ``OF_A_MASK`` of a layer, or what a raster states whose values are
    those of no legend; else nothing.
    """
    stated = _stated(raster)
    how = next((kind for kind in _CODES if stated.endswith(kind)), "")
    return raster.assign_attrs(legend=stated.removesuffix(how)) if how else raster, how


def refuse_other_legend(raster: xr.DataArray, legend: Legend, name: str = "") -> None:
    """Refuse a raster that states another legend than this.

    Raises
    ------
    InputError
        Names both.
    """
    what = f"{name or raster.name or 'the class map'} was"
    refuse_other_name(_stated(raster), legend.name, what)


def refuse_other_name(stated: str, known: str, what: str) -> None:
    """Refuse what states the name of another legend than this; no name states nothing.

    Parameters
    ----------
    stated : str
        The name.
    known : str
        That of the legend in use.
    what : str
        What states it and its verb, for the message ("the class map was").

    Raises
    ------
    InputError
        Names both.
    """
    if stated.endswith(_CODES):
        name, _, kind = stated.rpartition(", ")
        raise InputError(
            f"{what} made as {kind}" + ("" if name == _NONE else f" of legend {name!r}"),
            expected="class ids",
            advice="give the class map, or a layer of ids",
        )
    if stated not in ("", known):
        raise InputError(
            f"{what} made with legend {stated!r}, this is {known!r}",
            advice="give the legend it was made with, {legend}",
        )


def _stated(raster: xr.DataArray) -> str:
    """Return the name of the legend that a raster states; empty if it states none."""
    stated = raster.attrs.get("legend", "")
    return stated if isinstance(stated, str) else ""


def with_known_classes(
    class_map: xr.DataArray, legend: Legend | None, name: str = ""
) -> xr.DataArray:
    """Return a class map whose pixels raise if they are of no class of a legend.

    Parameters
    ----------
    class_map : DataArray (y, x), integer
        Class ids; its no-data value, and 0, are none. Lazy, or checked at once.
    legend : Legend or None
        Without one every value is a class.
    name : str
        What messages call the map; by default its own name.

    Raises
    ------
    InputError
        If the map states another legend, or a pixel is of another class; of a lazy map when that
        pixel is computed.
    """
    if legend is None:
        return class_map
    refuse_other_legend(class_map, legend, name)
    name = name or str(class_map.name or "the class map")
    stated = nodata_of(class_map, NO_DATA)
    none = (NO_DATA, int(stated)) if np.isfinite(stated) else (NO_DATA,)
    if class_map.chunks is None:
        checked_block(class_map.to_numpy(), none, legend, name)
        return class_map
    meta = np.empty((0, 0), class_map.dtype)
    bare = replace(legend, rules=())  # dask looks at each of hundreds, for each map
    data = class_map.data.map_blocks(
        checked_block, none, bare, name, dtype=class_map.dtype, meta=meta
    )
    return class_map.copy(data=data)


def checked_block(
    block: Integer[np.ndarray, "..."], none: Sequence[int], legend: Legend, name: str
) -> Integer[np.ndarray, "..."]:
    """Return a block whose values are classes of a legend, or among ``none``.

    Raises
    ------
    InputError
        Names the others and their share of the block.
    """
    if not np.isin(block, np.array([*none, *legend.ids], np.int64)).all():
        found, counts = np.unique(block[~np.isin(block, none)], return_counts=True)
        counted = dict(zip(found.tolist(), counts.tolist(), strict=True))
        refuse_others(counted, legend, name, "a block's pixels")
    return block


def refuse_others(counts: Mapping[int, int], legend: Legend, name: str, of: str) -> None:
    """Refuse classes that are counted and that a legend lacks.

    Parameters
    ----------
    counts : mapping of int to int
        Of each class; no data is not among them.
    legend : Legend
        What is known.
    name, of : str
        What holds the classes, and what is counted, for the message.

    Raises
    ------
    InputError
        Names them and their share.
    """
    strange = sorted(code for code, n in counts.items() if n and code not in legend.by_id)
    if not strange:
        return
    several = "classes" if len(strange) > 1 else "class"
    more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
    share = 100 * sum(counts[code] for code in strange) / sum(counts.values())
    told = f"{share:.0f}" if share >= _ALL_DIGITS else f"{share:.2g}"
    advice = "give the legend it was made with, {legend}"
    if _OFTEN_NONE in strange:
        advice = f'state its no-data value (attrs["nodata"]) if that is {_OFTEN_NONE}, or {advice}'
    raise InputError(
        f"{name} holds {several} {', '.join(map(str, strange[:_NAMED]))}{more} in {told} % of "
        f"{of}, which legend {legend.name!r} does not have",
        advice=advice,
    )
