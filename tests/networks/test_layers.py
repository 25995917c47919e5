"""The declared layers are those of the network's variables, name by name and shape by shape."""

import jax
import pytest

from osm4eo_xr.networks import resnet
from osm4eo_xr.networks.grouped_layers import constants_of, convolutions_of, heads_of
from osm4eo_xr.networks.layers import arrays_at, layers_of, put_arrays
from osm4eo_xr.networks.settings import NetSettings
from tests.networks.test_grouped import NETS as GROUPED

NETS = [
    NetSettings(bands=3, classes=5, depth=11, width=4, decoder=6),
    NetSettings(bands=10, classes=13, depth=29, width=8, kernel=3),
    NetSettings(bands=4, classes=12, depth=20, width=4, mode="window"),
]
MEMBERS = NetSettings(bands=3, classes=5, depth=11, width=4, members=12)


ALL = [*NETS, MEMBERS, *GROUPED.values()]
IDS = [*(f"{net.mode} {net.depth}" for net in NETS), "members", *GROUPED]


def leaves(tree: object) -> set[tuple[str, ...]]:
    found = jax.tree_util.tree_leaves_with_path(tree)
    return {tuple(part.key for part in path) for path, _ in found}


@pytest.mark.parametrize("net", ALL, ids=IDS)
def test_every_variable_is_declared_and_nothing_else(net: NetSettings) -> None:
    shapes = resnet.variable_shapes(net)
    params, stats = set(), set()
    for layer in convolutions_of(net):
        params |= {(*layer.path, name) for name in ("kernel", "bias")}
        for norm in (layer.before, layer.after):
            if norm:
                params |= {(*norm, name) for name in ("scale", "bias")}
                stats |= {(*norm, name) for name in ("mean", "var")}
    params |= {(*path, "kernel") for path in constants_of(net)}
    assert leaves(shapes["params"]) == params
    assert leaves(shapes["batch_stats"]) == stats


@pytest.mark.parametrize("net", ALL, ids=IDS)
def test_kernels_have_the_declared_widths_and_channels(net: NetSettings) -> None:
    params = resnet.variable_shapes(net)["params"]
    for layer in convolutions_of(net):
        rows, cols, inputs, outputs = arrays_at(params, layer.path)["kernel"].shape
        assert (rows, cols, outputs) == (layer.kernel, layer.kernel, layer.features)
        if layer.before:
            assert arrays_at(params, layer.before)["scale"].shape == (inputs,)
        if layer.after:
            assert arrays_at(params, layer.after)["scale"].shape == (outputs,)


@pytest.mark.parametrize("net", ALL, ids=IDS)
def test_heads_give_as_many_logits_as_there_are_classes(net: NetSettings) -> None:
    params = resnet.variable_shapes(net)["params"]
    assert {arrays_at(params, path)["bias"].shape for path in heads_of(net)} == {(net.classes,)}


def test_depth_counts_the_layers_on_the_longest_way() -> None:
    for net in NETS:
        layers = layers_of(net)
        main = sum(len(block.main) for stage in layers.stages for block in stage.blocks)
        assert main + 2 == net.depth


def test_arrays_are_put_where_they_are_found() -> None:
    tree: dict = {}
    put_arrays(tree, ("a", "b"), {"kernel": 1})
    put_arrays(tree, ("a", "b"), {"bias": 2})
    assert arrays_at(tree, ("a", "b")) == {"kernel": 1, "bias": 2}
