"""What a forward pass can give: names, their order, their maps, and what these hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from osm4eo_xr.errors import InputError
from osm4eo_xr.geometry.grid import georeference
from osm4eo_xr.geometry.known_classes import SET_SIZES
from osm4eo_xr.legend import NO_DATA, PROBABILITY_NO_DATA, PROBABILITY_SCALE
from osm4eo_xr.models.applicability import INDEX_SCALE

if TYPE_CHECKING:
    import dask.array as da
    from odc.geo.geobox import GeoBox

    from osm4eo_xr.models.model import Model

OF_POINTS = ("dissimilarity", "density")
"""Outputs that compare with the points a model learned from."""

OF_SETS = ("set_size", "sets")
"""Outputs that tell which classes a pixel may have."""

OF_CLASSES = ("probabilities", "sets")
"""Outputs that have a map per class."""

OUTPUTS = ("classes", "confidence", "margin", *OF_POINTS, *OF_SETS, "probabilities")
"""What a forward pass can give, in the order of the maps."""


def check_outputs(outputs: str | Sequence[str], model: Model) -> tuple[str, ...]:
    """Return the outputs in their order.

    Raises
    ------
    InputError
        If one is unknown, or the model does not know where it applies.
    """
    asked = [outputs] if isinstance(outputs, str) else list(outputs)
    strange = [name for name in asked if name not in OUTPUTS]
    if strange or not asked:
        raise InputError(
            f"output {(strange or ['none'])[0]!r} is unknown",
            advice=f"give some of {', '.join(OUTPUTS)}",
        )
    if isinstance(outputs, str) and outputs != "classes":
        raise InputError(f"output {outputs!r} comes in a Dataset", advice=f"give [{outputs!r}]")
    wanting = [name for name in asked if name in (*OF_POINTS, *OF_SETS)]
    if wanting and model.applicability is None:
        raise InputError(
            f"output {wanting[0]!r}: model {model.name!r} does not say where it applies",
            advice="let fit_applicability look at its samples, and save it again",
        )
    if model.net.mode == "window" and set(asked) & set(OF_POINTS):
        raise InputError(
            f"output {(set(asked) & set(OF_POINTS)).pop()!r} is of dense models, this one is in "
            "window mode",
            advice="leave it out",
        )
    return tuple(name for name in OUTPUTS if name in asked)


def count_maps(outputs: Sequence[str], classes: int) -> int:
    """Return how many maps outputs have together."""
    return sum(classes if name in OF_CLASSES else 1 for name in outputs)


def empty_values(outputs: Sequence[str], classes: int) -> list[int]:
    """Return the no-data value of each map."""
    values = [NO_DATA if name == "classes" else PROBABILITY_NO_DATA for name in outputs]
    sizes = [count_maps([name], classes) for name in outputs]
    return [value for value, size in zip(values, sizes, strict=True) for _ in range(size)]


def label_maps(maps: da.Array, names: Sequence[str], model: Model, geobox: GeoBox) -> xr.Dataset:
    """Split the stacked maps into named, georeferenced variables."""
    variables, first = {}, 0
    ids = np.asarray(model.class_ids, np.uint8)
    for name in names:
        attrs = _attrs(name, model)
        if name in OF_CLASSES:
            part = maps[first : first + len(ids)]
            named: Any = {"dims": ("class", "y", "x"), "coords": {"class": ids}}
            variables[name] = georeference(part, geobox, attrs=attrs, name=name, **named)
        else:
            variables[name] = georeference(maps[first], geobox, attrs=attrs, name=name)
        first += count_maps([name], len(ids))
    return xr.Dataset(variables)


def _attrs(name: str, model: Model) -> Mapping[str, Any]:
    """Attributes of an output."""
    about = {"model": model.name, "digest": model.digest}
    if name == "classes":
        return {**model.legend.attrs(), "nodata": NO_DATA, **about}
    about = {"nodata": PROBABILITY_NO_DATA, "units": "1", **about}
    known = model.applicability
    if name == "dissimilarity" and known is not None:
        return {
            "long_name": "dissimilarity index over its threshold; above 1 the model does not apply",
            "scale_factor": 1 / INDEX_SCALE,
            "threshold": known.threshold,
            **about,
        }
    if name == "density" and known is not None:
        told = {"long_name": "share of the training points nearer than the threshold"}
        return {**told, "scale_factor": 1 / PROBABILITY_SCALE, "points": known.points, **about}
    if name in OF_SETS and known is not None:
        about = {"coverage": known.facts.get("coverage"), **about}
        if name == "set_size":
            return {"long_name": "classes that a pixel may have", "legend": SET_SIZES, **about}
        return {"long_name": "whether it may be", **about}
    return {"scale_factor": 1 / PROBABILITY_SCALE, **about}
