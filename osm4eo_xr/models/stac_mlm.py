"""A model in the words of the STAC Machine Learning Model extension, and as a STAC item."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from osm4eo_xr.errors import InputError

if TYPE_CHECKING:
    from osm4eo_xr.models.model import Model

_EXTENSIONS = (
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/mlm/v1.4.0/schema.json",
)
_SINCE = "2015-06-23T00:00:00Z"  # launch of Sentinel-2A; no scene that a model takes is older
_UNTIL = "9999-12-31T23:59:59Z"
_SCENE_RANGE = (
    "2 * (x - min(scene)) / (max(scene) - min(scene)) - 1, over the valid pixels of all bands"
)


def mlm_fields(model: Model) -> dict[str, Any]:
    """Return the extension's fields (version 1.4) that describe a model.

    Value scaling is a z-score per band, in order; where a scene's own range decides, it is told
    as an expression.
    """
    dense = model.net.mode == "dense"
    task = "semantic-segmentation" if dense else "classification"
    return {
        "mlm:name": model.name,
        "mlm:architecture": f"ResNet v2, depth {model.net.depth}, {model.net.mode}",
        "mlm:tasks": [task],
        "mlm:framework": "JAX",
        "mlm:framework_version": version("jax"),
        "mlm:total_parameters": _count(model.variables["params"]),
        "mlm:memory_size": 4 * (_count(model.variables)),
        "mlm:pretrained": True,
        "mlm:input": [_input(model, dense=dense)],
        "mlm:output": [_output(model, task, dense=dense)],
        "mlm:hyperparameters": dataclasses.asdict(model.net),
    }


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
                "mlm:artifact_type": "safetensors",
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
            {"type": "z-score", "mean": offset, "stddev": scale}
            for offset, scale in zip(normal.offset, normal.scale, strict=True)
        ]
    }
    if normal.kind == "scene range":
        expression = {"format": "formula", "expression": _SCENE_RANGE}
        scaling = {"value_scaling": None, "pre_processing_function": expression}
    return {
        "name": f"{len(model.bands)} bands of a Sentinel-2 scene",
        "description": f"Unit: {model.units}. Pixels without data enter as 0 after scaling.",
        "bands": list(model.bands),
        "input": {
            "shape": [-1, edge, edge, len(model.bands)],
            "dim_order": ["batch", "height", "width", "bands"],
            "data_type": "float32",
        },
        **scaling,
    }


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

    MLM 1.4 finds bands in ``eo:bands``; STAC 1.1's own ``bands`` may not stand in an item.
    """
    return {"name": name, "common_name": "rededge" if name.startswith("rededge") else name}


def _count(tree: Any) -> int:
    """Count the numbers in nested dicts of arrays."""
    return sum(_count(leaf) if isinstance(leaf, dict) else leaf.size for leaf in tree.values())
