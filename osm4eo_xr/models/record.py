"""``model.json``: a model without its weights, as plain JSON types.

Keys that start with ``mlm:`` are fields of the STAC Machine Learning Model extension; the others
are what that extension has no word for.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import Legend, legend_from_dict
from osm4eo_xr.models.stac_mlm import mlm_fields
from osm4eo_xr.networks.settings import NetSettings

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model

FORMAT = 1
"""Version of the layout of ``model.json``."""

UNITS = ("reflectance", "digital number")
"""Units of scenes that models can take."""


@dataclass(frozen=True)
class Normalization:
    """From the scene's unit to the network's input: ``(value - offset) / scale`` per band.

    Attributes
    ----------
    offset, scale : tuple of float
        Per band, in the scene's unit; scale is above 0. Empty when ``kind`` is "scene range".
    kind : {"fixed", "scene range"}
        "scene range" maps the least and the greatest valid value of a whole scene, all bands
        together, to -1 and 1, as the original system did.
    """

    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    kind: Literal["fixed", "scene range"] = "fixed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", tuple(float(v) for v in self.offset))
        object.__setattr__(self, "scale", tuple(float(v) for v in self.scale))
        if self.kind not in ("fixed", "scene range"):
            raise InputError(
                f"normalization kind {self.kind!r} is unknown; give 'fixed' or 'scene range'"
            )
        if self.kind == "scene range" and (self.offset or self.scale):
            raise InputError("normalization by scene range takes no offset and no scale")
        if self.kind == "fixed" and not 0 < len(self.offset) == len(self.scale):
            raise InputError(
                f"normalization has {len(self.offset)} offsets and {len(self.scale)} scales; "
                f"give one of each per band"
            )
        if not np.isfinite((*self.offset, *self.scale)).all() or min(self.scale, default=1.0) <= 0:
            raise InputError("normalization needs finite offsets and finite scales above 0")


def to_json(model: Model) -> dict[str, Any]:
    """Return everything but the weights as plain JSON types."""
    return {
        "format": FORMAT,
        **mlm_fields(model),
        "bands": list(model.bands),
        "units": model.units,
        "normalization": dataclasses.asdict(model.normalization),
        "legend": model.legend.to_dict(),
        "class_ids": list(model.class_ids),
        "center": model.center,
        "receptive_field": model.receptive_field,
        "stride": model.stride,
        "training": dict(model.training),
        "versions": {name: version(name) for name in ("jax", "flax", "numpy", "safetensors")},
    }


def from_json(record: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a ``Model`` (all but the weights) from ``model.json``.

    Raises
    ------
    InputError
        If a field is missing or wrong; the message names it.
    """
    if record.get("format") != FORMAT:
        raise InputError(
            f"format is {record.get('format')!r}, expected {FORMAT}; save the model again with "
            f"this version of osm4eo_xr"
        )
    units = _field(record, "units", str)
    if units not in UNITS:
        raise InputError(f"units {units!r} are unknown; expected one of {', '.join(UNITS)}")
    return {
        "net": _settings(NetSettings, record, "mlm:hyperparameters"),
        "bands": _names(record, "bands"),
        "normalization": _settings(Normalization, record, "normalization"),
        "legend": _legend(record),
        "class_ids": _integers(record, "class_ids"),
        "units": units,
        "center": _field(record, "center", int),
        "training": _field(record, "training", dict),
        "name": _field(record, "mlm:name", str),
    }


def check_derived(model: Model, record: dict[str, Any]) -> None:
    """Refuse a record whose receptive field or stride are not those of the layers.

    Raises
    ------
    InputError
        Also if a field is missing, or the versions it was saved with.
    """
    for name in ("receptive_field", "stride"):
        stated, found = _field(record, name, int), getattr(model, name)
        if stated != found:
            raise InputError(
                f"{name} is {stated}, the layers give {found}; the record was changed or made by "
                f"another version, save the model again"
            )
    _field(record, "versions", dict)


def _field(record: dict[str, Any], name: str, kind: type) -> Any:
    """Return a field of the right type."""
    if name not in record:
        raise InputError(f"no field {name!r}; save the model again")
    value = record[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"field {name!r} holds a {type(value).__name__}, expected {kind.__name__}")
    return value


def _names(record: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of strings."""
    values = _field(record, name, list)
    if not all(isinstance(value, str) for value in values):
        raise InputError(f"field {name!r} holds {values}, expected a list of names")
    return tuple(values)


def _integers(record: dict[str, Any], name: str) -> tuple[int, ...]:
    """Return a list of integers."""
    values = _field(record, name, list)
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        raise InputError(f"field {name!r} holds {values}, expected a list of integers")
    return tuple(values)


def _settings(kind: type, record: dict[str, Any], name: str) -> Any:
    """Build a settings dataclass from an object of the same fields."""
    table = _field(record, name, dict)
    known = {f.name for f in dataclasses.fields(kind)}
    strange = sorted(known ^ table.keys())
    if strange:
        what = "lacks" if strange[0] in known else "has an unknown"
        raise InputError(
            f"field {name!r} {what} {strange[0]!r}; expected {', '.join(sorted(known))}"
        )
    try:
        return kind(**table)
    except TypeError as error:
        raise InputError(f"field {name!r} does not describe a {kind.__name__}: {error}") from None


def _legend(record: dict[str, Any]) -> Legend:
    """Read the legend."""
    return legend_from_dict(_field(record, "legend", dict), source="legend")
