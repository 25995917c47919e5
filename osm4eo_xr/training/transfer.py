"""Starting from weights that another country's model has."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax

from osm4eo_xr.errors import InputError
from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.grouped_layers import heads_of
from osm4eo_xr.networks.layers import arrays_at, with_arrays

if TYPE_CHECKING:
    from osm4eo_xr.legend import Legend
    from osm4eo_xr.models.model import Model
    from osm4eo_xr.networks.settings import NetSettings


def starting_variables(
    net: NetSettings, seed: int, legend: Legend, start: Model | None
) -> dict[str, Any]:
    """Return fresh variables, or those of ``start``.

    Heads are fresh where the classes differ, since their filters mean classes.
    """
    fresh = resnet.init(net, jax.random.key(seed))
    if start is None:
        return fresh
    params = dict(start.variables["params"])
    if not same_classes(start, legend):
        for path in heads_of(net):
            params = with_arrays(params, path, arrays_at(fresh["params"], path))
    return {"params": params, "batch_stats": dict(start.variables["batch_stats"])}


def same_classes(start: Model, legend: Legend) -> bool:
    """Whether the model's logits are the legend's classes, in order."""
    own = [start.legend.by_id[i].slug if i else "" for i in start.class_ids]
    return start.class_ids == legend.ids and own == [c.slug for c in legend.classes]


def check_start(start: Model, net: NetSettings, units: str) -> None:
    """Refuse a model of another shape or unit.

    Windows may differ: no weight hangs on their edge, so a network can learn on small ones first.

    Raises
    ------
    InputError
        If a setting of the network differs (the number of classes and the window may), or the
        unit does.
    """
    free = {"classes", "momentum", "window"} | ({"decoder"} if net.mode == "window" else set())
    for field in dataclasses.fields(net):
        own, wanted = getattr(start.net, field.name), getattr(net, field.name)
        if field.name not in free and own != wanted:
            raise InputError(
                f"the model to start from has {field.name} {own!r}, the settings say {wanted!r}",
                advice=f"give {field.name} {own!r}",
            )
    if start.normalization.kind != "fixed":
        raise InputError(
            "the model to start from scales by each scene's range, which samples do not know",
            advice="start from a model with fixed normalization",
        )
    if start.units != units:
        raise InputError(
            f"the model to start from takes {start.units}, the samples hold {units}",
            advice=f"draw the samples from scenes in {start.units}",
        )
