"""A model in the words of the STAC Machine Learning Model extension, and as a STAC item."""

from __future__ import annotations

import dataclasses
import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from osm4eo_xr.errors import InputError
from osm4eo_xr.feature_ids.ids import PLAIN_SOURCE, groups_of, parse_feature
from osm4eo_xr.imagery.bands import SENTINEL2_BANDS
from osm4eo_xr.networks.settings import GROUPED

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.networks.settings import NetSettings

_EXTENSIONS = (
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/mlm/v1.5.2/schema.json",
)
_SINCE = "2015-06-23T00:00:00Z"  # launch of Sentinel-2A; no scene that a model takes is older
_UNTIL = "9999-12-31T23:59:59Z"
_SCENE_RANGE = (
    "2 * (x - min(scene)) / (max(scene) - min(scene)) - 1, over the valid pixels of all bands"
)


def mlm_fields(model: Model) -> dict[str, Any]:
    """Return the extension's fields (version 1.5.2) that describe a model.

    Value scaling is a z-score per band, in order; where a scene's own range decides, it is told
    as an expression.
    """
    dense = model.net.mode == "dense"
    task = "semantic-segmentation" if dense else "classification"
    return {
        "mlm:name": model.name,
        "mlm:architecture": architecture(model.net),
        "mlm:tasks": [task],
        "mlm:framework": "JAX",
        "mlm:framework_version": version("jax"),
        "mlm:total_parameters": _count(model.variables["params"]),
        "mlm:memory_size": 4 * (_count(model.variables)),
        "mlm:pretrained": True,
        "mlm:input": [_input(model, dense=dense)],
        "mlm:output": [_output(model, task, dense=dense)],
        "mlm:hyperparameters": _net_settings(model.net),
    }


def architecture(net: NetSettings) -> str:
    """Name the network."""
    plain = f"ResNet v2, depth {net.depth}, {net.mode}"
    if net.members > 1:
        return f"{net.members} x {plain}, probabilities averaged"
    if net.network == "coupled":
        return f"Coupled {plain}, {len(net.groups)} groups, fused by {net.fusion}"
    return f"L-TAE and {plain}" if net.network == "temporal" else plain


def _net_settings(net: NetSettings) -> dict[str, Any]:
    """Return the settings as JSON types; those of groups and members where there are any."""
    unsaid = {*(() if net.groups else GROUPED), *(() if net.members > 1 else ("members",))}
    return {k: v for k, v in dataclasses.asdict(net).items() if k not in unsaid}


def stac_item(model: Model) -> dict[str, Any]:
    """Return a valid STAC 1.1 item of a saved model, with links relative to its folder.

    The item has no place on the ground; its span of time is Sentinel-2's.

    Raises
    ------
    InputError
        If the model was not saved: an item points at files.
    """
    if model.path is None:
        raise InputError(
            f"model {model.name!r} is in memory only", advice="save it before describing it"
        )
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(_EXTENSIONS),
        "id": model.digest[:16],
        "geometry": None,
        "properties": {
            "title": model.name,
            "datetime": None,
            "start_datetime": _SINCE,
            "end_datetime": _UNTIL,
            **mlm_fields(model),
        },
        "links": [],
        "assets": {
            "weights": {
                "href": "./weights.safetensors",
                "title": "Weights and running statistics, float32",
                "type": "application/octet-stream; application=safetensors",
                "roles": ["mlm:model", "mlm:weights"],
                "mlm:artifact_type": "safetensors.numpy.save_file",
                "eo:bands": [_band(name) for name in model.bands],
            },
            "record": {
                "href": "./model.json",
                "title": "Network, bands, normalization, legend and training record",
                "type": "application/json",
                "roles": ["metadata"],
            },
        },
    }


def _input(model: Model, *, dense: bool) -> dict[str, Any]:
    """Describe what the network takes."""
    edge = -1 if dense else model.net.window
    normal = model.normalization
    scaling: dict[str, Any] = {
        "value_scaling": [
            {"type": "z-score", "mean": center, "stddev": scale}
            for center, scale in zip(normal.center, normal.scale, strict=True)
        ]
    }
    if normal.kind == "scene range":
        expression = {"format": "formula", "expression": _SCENE_RANGE}
        scaling = {"value_scaling": None, "pre_processing_function": expression}
    return {
        "name": _input_name(model),
        "description": _input_text(model),
        "bands": list(model.bands),
        "input": {
            "shape": [-1, edge, edge, len(model.bands)],
            "dim_order": ["batch", "height", "width", "bands"],
            "data_type": "float32",
        },
        **scaling,
    }


def _input_name(model: Model) -> str:
    """Say what the input is: bands of a scene, or features by their groups."""
    groups = [group.name for group in groups_of(model.bands)]
    if groups == [PLAIN_SOURCE]:
        return f"{len(model.bands)} bands of a Sentinel-2 scene"
    return f"{len(model.bands)} features: {', '.join(groups)}"


def _input_text(model: Model) -> str:
    """Say what the numbers are, and what becomes of those that are missing."""
    empty = "NaN" if math.isnan(model.net.empty) else "0"
    text = f"Unit: {model.units}. Pixels without data enter as {empty} after scaling."
    if not model.optional:
        return text
    return f"{text} A pixel or a scene may lack {', '.join(model.optional)}."


def _output(model: Model, task: str, *, dense: bool) -> dict[str, Any]:
    """Describe what the network gives: logits, in the order of the classes."""
    space = ([-1, -1], ["height", "width"]) if dense else ([], [])
    return {
        "name": "logits per pixel" if dense else "logits of the pixel at the center index",
        "tasks": [task],
        "result": {
            "shape": [-1, *space[0], model.net.classes],
            "dim_order": ["batch", *space[1], "class"],
            "data_type": "float32",
        },
        "classification:classes": [_class(model, value) for value in model.class_ids],
    }


def _class(model: Model, value: int) -> dict[str, Any]:
    """Describe a class in the words of STAC's classification extension."""
    if value == 0:
        return {"value": 0, "name": "no-data", "description": "No data", "nodata": True}
    known = model.legend.by_id[value]
    return {
        "value": value,
        "name": known.slug,
        "description": known.name,
        "color_hint": "{:02X}{:02X}{:02X}".format(*known.color),
    }


def _band(name: str) -> dict[str, str]:
    """Describe a band; the three of the red edge share one common name there.

    MLM finds bands in ``eo:bands``; STAC 1.1's own ``bands`` may not stand in an item. Only
    bands of Sentinel-2 have common names.
    """
    feature = parse_feature(name)
    if feature.source != PLAIN_SOURCE or feature.band not in SENTINEL2_BANDS.values():
        return {"name": name}
    common = "rededge" if feature.band.startswith("rededge") else feature.band
    return {"name": name, "common_name": common}


def _count(tree: Any) -> int:
    """Count the numbers in nested dicts of arrays."""
    return sum(_count(leaf) if isinstance(leaf, dict) else leaf.size for leaf in tree.values())
