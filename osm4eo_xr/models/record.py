"""``model.json``: a model without its weights, as plain JSON types.

Keys that start with ``mlm:`` are fields of the STAC Machine Learning Model extension; the others
are what that extension has no word for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from osm4eo_xr.errors import InputError
from osm4eo_xr.legend import legend_from_dict
from osm4eo_xr.models.stac_mlm import mlm_fields
from osm4eo_xr.networks.settings import UNSAID, NetSettings
from osm4eo_xr.settings_io import build

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model

FORMAT = 2
"""Version of the layout of ``model.json``."""

Units = Literal["reflectance", "digital number", "per feature"]
UNITS = get_args(Units)
"""Units of scenes that models can take; that of each feature is told by its id."""

_ADVICE = "save the model again with this version of osm4eo_xr"


@dataclass(frozen=True)
class Normalization:
    """From the scene's unit to the network's input: ``(value - center) / scale`` per band.

    Training takes the median as center, and as scale the quartile range over 1.349, which is the
    standard deviation where values are normal.

    Attributes
    ----------
    center, scale : tuple of float
        Per band, in the scene's unit; scale is above 0. Empty when ``kind`` is "scene range".
    kind : {"fixed", "scene range"}
        "scene range" maps the least and the greatest valid value of a whole scene, all bands
        together, to -1 and 1, as the original system did.

    Examples
    --------
    >>> import osm4eo_xr as oxr
    >>> oxr.Normalization(center=(0.08,), scale=(0.03,)).kind
    'fixed'
    """

    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    kind: Literal["fixed", "scene range"] = "fixed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "center", tuple(float(v) for v in self.center))
        object.__setattr__(self, "scale", tuple(float(v) for v in self.scale))
        if self.kind not in ("fixed", "scene range"):
            raise InputError(
                f"normalization kind {self.kind!r} is unknown",
                advice="give 'fixed' or 'scene range'",
            )
        if self.kind == "scene range" and (self.center or self.scale):
            raise InputError("normalization by scene range takes no center and no scale")
        if self.kind == "fixed" and not 0 < len(self.center) == len(self.scale):
            raise InputError(
                f"normalization has {len(self.center)} centers and {len(self.scale)} scales",
                advice="give one of each per band",
            )
        if not np.isfinite((*self.center, *self.scale)).all() or min(self.scale, default=1.0) <= 0:
            raise InputError("normalization needs finite centers and finite scales above 0")


def to_json(model: Model) -> dict[str, Any]:
    """Return everything but the weights as plain JSON types."""
    return {
        "format": FORMAT,
        **mlm_fields(model),
        "bands": list(model.bands),
        **({"optional": list(model.optional)} if model.optional else {}),
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


def digest_of(record: Mapping[str, Any], weights: bytes) -> str:
    """Return the SHA-256 over all that decides a model's maps.

    Parameters
    ----------
    record : mapping
        As ``to_json`` returns it: bands, scaling, legend and center decide.
    weights : bytes
        SHA-256 of the weights' file.
    """
    deciding = {key: record[key] for key in sorted(_DECIDING) if key in record}
    text = json.dumps(deciding, sort_keys=True).encode()
    return hashlib.sha256(weights + text).hexdigest()


_DECIDING = (
    "mlm:hyperparameters",
    "bands",
    "optional",
    "units",
    "normalization",
    "legend",
    "class_ids",
    "center",
)


def from_json(record: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the keyword arguments of a ``Model`` (all but the weights) from ``model.json``.

    Raises
    ------
    InputError
        If a key is missing or wrong; the message begins with ``source`` and names the key.
    """
    if record.get("format") != FORMAT:
        raise InputError(
            f"{source}: format is {record.get('format')!r}",
            expected=str(FORMAT),
            advice="train it again, or read it with the version of osm4eo_xr that wrote it",
        )
    stated = _read(record, source)
    return {
        "net": stated.net,
        "bands": stated.bands,
        "optional": stated.optional,
        "normalization": stated.normalization,
        "legend": legend_from_dict(stated.legend, source=f"{source}: legend"),
        "class_ids": stated.class_ids,
        "units": stated.units,
        "center": stated.center,
        "training": stated.training,
        "name": stated.name,
    }


def check_derived(model: Model, record: dict[str, Any], source: str) -> None:
    """Refuse a record whose receptive field or stride are not those of the layers.

    Raises
    ------
    InputError
        If they differ; the record was changed or made by another version.
    """
    stated = _read(record, source)
    for name in ("receptive_field", "stride"):
        if getattr(stated, name) != getattr(model, name):
            raise InputError(
                f"{source}: {name} is {getattr(stated, name)}",
                expected=f"{getattr(model, name)}, as the layers give it",
                advice=_ADVICE,
            )


@dataclass(frozen=True)
class _Record:
    """What is read of ``model.json``."""

    net: NetSettings = field(metadata={"key": "mlm:hyperparameters"})
    name: str = field(metadata={"key": "mlm:name"})
    bands: tuple[str, ...]
    optional: tuple[str, ...]  # models that need all their groups do not state it
    normalization: Normalization
    legend: dict[str, Any]
    class_ids: tuple[int, ...]
    units: Units
    center: int
    receptive_field: int
    stride: int
    training: dict[str, Any]
    versions: dict[str, str]


def _read(record: dict[str, Any], source: str) -> _Record:
    """Read the keys that matter; the extension's others say the same again."""
    keys = {f.metadata.get("key", f.name) for f in dataclasses.fields(_Record)}
    record = _complete(record)
    try:
        stated = {"optional": []} | {k: v for k, v in record.items() if k in keys}
        return build(_Record, stated, source, complete=True)
    except InputError as error:
        raise InputError(error.given, expected=error.expected, advice=_ADVICE) from None


def _complete(record: dict[str, Any]) -> dict[str, Any]:
    """Add the settings that a network without groups, or without members, does not state."""
    net = record.get("mlm:hyperparameters")
    if not isinstance(net, dict):
        return record
    names = UNSAID if "network" not in net else ("members",)
    unsaid = {f.name: f.default for f in dataclasses.fields(NetSettings) if f.name in names}
    return {**record, "mlm:hyperparameters": {**unsaid, **net}}
